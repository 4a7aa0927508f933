package dev.faultline.store;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingImport;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.axonframework.eventhandling.TrackedEventMessage;

/**
 * The events of a real recording, over and over on the same lanes, with moments, numbers and times
 * that go on.
 */
final class RepeatedEvents {
  private final String name;
  private final List<StoredEventMessage> events = new ArrayList<>();
  private final Map<String, Long> next = new TreeMap<>();
  private int moments = 1;
  private long seqs = 1;
  private long spanNs = 1;
  private int at;
  private long round;

  private RepeatedEvents(String name) {
    this.name = name;
  }

  /** Those of a recording, for a timeline called {@code name}. */
  static RepeatedEvents of(Path recording, String name) {
    RepeatedEvents all = new RepeatedEvents(name);
    try (TimelineStore store = TimelineStore.inMemory()) {
      RecordingImport.run(store, Inputs.open(recording).getFirst(), "r", _ -> {});
      try (Stream<? extends TrackedEventMessage<?>> read = store.engine().readEvents(null, false)) {
        read.forEach(all::take);
      }
    }
    return all;
  }

  private void take(TrackedEventMessage<?> message) {
    if (message instanceof org.axonframework.eventhandling.DomainEventMessage<?> domain
        && domain.getPayload() instanceof StoredEvent event
        && event.type() != EventType.RECORDING_OPENED
        && event.type() != EventType.RECORDING_ENDED) {
      String lane = LaneEvent.laneOf(domain.getAggregateIdentifier());
      events.add(new StoredEventMessage(LaneEvent.stream(name, lane), 0, event, null));
      moments = Math.max(moments, event.moment() + 1);
      for (int i = 0; i < event.numbers().length; i++) {
        long number = event.numbers()[i];
        switch (event.type().clock(i)) {
          case 0 -> seqs = Math.max(seqs, number + 1);
          case 1 -> spanNs = Math.max(spanNs, number + 1);
          default -> {}
        }
      }
    }
  }

  /** The next so many. */
  List<StoredEventMessage> take(int count) {
    List<StoredEventMessage> batch = new ArrayList<>(count);
    while (batch.size() < count) {
      if (at == events.size()) {
        at = 0;
        round++;
      }
      StoredEventMessage each = events.get(at++);
      String stream = each.getAggregateIdentifier();
      long sequence = next.merge(stream, 1L, Long::sum) - 1;
      batch.add(new StoredEventMessage(stream, sequence, moved(each.getPayload()), null));
    }
    return batch;
  }

  private StoredEvent moved(StoredEvent event) {
    long[] numbers = event.numbers().clone();
    for (int i = 0; i < numbers.length; i++) {
      switch (event.type().clock(i)) {
        case 0 -> numbers[i] += round * seqs;
        case 1 -> numbers[i] += round * spanNs;
        default -> {}
      }
    }
    int moment = event.moment() + Math.toIntExact(round * moments);
    return new StoredEvent(event.type(), moment, numbers, event.texts(), event.blobs());
  }
}
