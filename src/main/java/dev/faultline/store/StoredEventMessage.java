package dev.faultline.store;

import java.time.Instant;
import java.util.Map;
import org.axonframework.eventhandling.DomainEventMessage;
import org.axonframework.eventhandling.GenericDomainEventMessage;
import org.axonframework.messaging.MetaData;
import org.jspecify.annotations.Nullable;

/** A stored event as Axon's message; who and when it is, it tells only when asked. */
final class StoredEventMessage implements DomainEventMessage<StoredEvent> {
  private static final long serialVersionUID = 1L;

  private final transient StoredEvent event;
  private final String stream;
  private final long sequence;
  private final transient @Nullable EventExtra extra;

  StoredEventMessage(String stream, long sequence, StoredEvent event, @Nullable EventExtra extra) {
    this.stream = stream;
    this.sequence = sequence;
    this.event = event;
    this.extra = extra;
  }

  /** What Axon calls the type of an aggregate: that of a lane. */
  static String typeOf(String lane) {
    if (lane.equals(LaneEvent.HOST)) {
      return "Host";
    }
    return lane.indexOf('/') < 0 ? "Vm" : "Vcpu";
  }

  @Nullable EventExtra extra() {
    return extra;
  }

  @Override
  public String getIdentifier() {
    return stream + "#" + sequence;
  }

  @Override
  public MetaData getMetaData() {
    return extra == null ? MetaData.emptyInstance() : MetaData.from(extra.metadata());
  }

  @Override
  public StoredEvent getPayload() {
    return event;
  }

  @Override
  public Class<StoredEvent> getPayloadType() {
    return StoredEvent.class;
  }

  @Override
  public Instant getTimestamp() {
    return extra == null ? EventExtra.timeOf(event) : extra.time();
  }

  @Override
  public String getType() {
    return typeOf(LaneEvent.laneOf(stream));
  }

  @Override
  public String getAggregateIdentifier() {
    return stream;
  }

  @Override
  public long getSequenceNumber() {
    return sequence;
  }

  @Override
  public DomainEventMessage<StoredEvent> withMetaData(Map<String, ?> metaData) {
    return new GenericDomainEventMessage<>(
        getType(), stream, sequence, event, metaData, getIdentifier(), getTimestamp());
  }

  @Override
  public DomainEventMessage<StoredEvent> andMetaData(Map<String, ?> metaData) {
    return withMetaData(getMetaData().mergedWith(metaData));
  }
}
