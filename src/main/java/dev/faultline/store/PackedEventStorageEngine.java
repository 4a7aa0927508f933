package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.store.Rows.Append;
import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Snapshot;
import dev.faultline.store.Rows.Timeline;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.axonframework.eventhandling.DomainEventMessage;
import org.axonframework.eventhandling.EventMessage;
import org.axonframework.eventhandling.GenericDomainEventMessage;
import org.axonframework.eventhandling.GlobalSequenceTrackingToken;
import org.axonframework.eventhandling.TrackedEventMessage;
import org.axonframework.eventhandling.TrackingToken;
import org.axonframework.eventsourcing.eventstore.DomainEventStream;
import org.axonframework.eventsourcing.eventstore.EventStorageEngine;
import org.axonframework.modelling.command.ConcurrencyException;
import org.jspecify.annotations.Nullable;

/**
 * Axon's storage engine over packed rows: runs of events of one stream are one row, readers see
 * single events.
 *
 * <p>A stream is a lane of a timeline, {@code NAME:vm1/vcpu0}. A tracking token is the number of an
 * event among all events of the store. The identifier of an event is its stream and its sequence
 * number, whatever the message that was appended called itself.
 *
 * <p><i>Order</i>: one append is one transaction; events of several lanes of a timeline come in
 * order of their moments.
 */
final class PackedEventStorageEngine implements EventStorageEngine {
  private static final long POLL_MS = 500;
  private static final int COMPACT_BELOW = 256;
  private static final int COMPACT_PAGES = 16;

  private final Rows rows;
  private final Object appended = new Object();
  private @Nullable LaneSnapshots rebuilding;

  PackedEventStorageEngine(Rows rows) {
    this.rows = rows;
  }

  Rows rows() {
    return rows;
  }

  /** From now on a snapshot that is not there, or not good any more, is made anew. */
  void rebuildSnapshots(LaneSnapshots snapshots) {
    rebuilding = snapshots;
  }

  @Override
  public void appendEvents(List<? extends EventMessage<?>> messages) {
    Map<String, List<StoredEventMessage>> byTimeline = new LinkedHashMap<>();
    Map<String, List<StoredEventMessage>> byStream = new HashMap<>();
    for (EventMessage<?> message : messages) {
      StoredEventMessage stored = stored(message);
      byStream
          .computeIfAbsent(
              stored.getAggregateIdentifier(),
              stream ->
                  byTimeline.computeIfAbsent(LaneEvent.timelineOf(stream), _ -> new ArrayList<>()))
          .add(stored);
    }
    byTimeline.forEach(this::append);
    synchronized (appended) {
      appended.notifyAll();
    }
  }

  private static StoredEventMessage stored(EventMessage<?> message) {
    if (message instanceof StoredEventMessage stored) {
      return stored;
    }
    if (message instanceof DomainEventMessage<?> domain
        && domain.getPayload() instanceof StoredEvent event) {
      TreeMap<String, String> metadata = new TreeMap<>();
      domain.getMetaData().forEach((key, value) -> metadata.put(key, String.valueOf(value)));
      return new StoredEventMessage(
          domain.getAggregateIdentifier(),
          domain.getSequenceNumber(),
          event,
          new EventExtra(domain.getTimestamp(), metadata));
    }
    throw new StoreException(
        ErrorCode.STORE_IO,
        "store: expected an event of a timeline, found " + message.getPayloadType().getName());
  }

  private void append(String timeline, List<StoredEventMessage> messages) {
    Append append = pack(timeline, messages);
    if (!rows.append(append)) {
      throw conflict(timeline, "that another writer was first");
    }
    if (messages.size() < COMPACT_BELOW) {
      compact(append.after());
    }
  }

  private Append pack(String name, List<StoredEventMessage> messages) {
    Timeline before = rows.timeline(name);
    if (before == null) {
      before = TimelineStore.create(rows, name);
    }
    Timeline timeline = before;
    StoredEvent first = messages.getFirst().getPayload();
    if (first.type().isDecided() && first.moment() != timeline.nextMoment()) {
      throw conflict(name, "the next moment to be " + timeline.nextMoment());
    }
    Map<String, String> lanes = new HashMap<>();
    for (StoredEventMessage message : messages) {
      lanes.computeIfAbsent(message.getAggregateIdentifier(), LaneEvent::laneOf);
    }
    Map<String, Rows.Stream> streams = new HashMap<>();
    rows.streams(timeline.id(), lanes.values()).forEach(s -> streams.put(s.lane(), s));
    Packer packer = new Packer(timeline, streams::get, rows::newId);
    for (StoredEventMessage message : messages) {
      String lane = lanes.getOrDefault(message.getAggregateIdentifier(), "");
      Packer.Gap gap =
          packer.add(lane, message.getSequenceNumber(), message.getPayload(), message.extra());
      if (gap != null) {
        throw conflict(
            message.getAggregateIdentifier(),
            "event " + gap.expected() + " to be the next and not " + gap.found());
      }
    }
    return packer.finish();
  }

  private static ConcurrencyException conflict(String where, String found) {
    return new ConcurrencyException(
        ErrorCode.STORE_CONFLICT.id()
            + " "
            + where
            + ": expected to append behind what was read, found "
            + found
            + "; read again and decide again");
  }

  /** How events compare with what the store holds at their place. */
  enum Standing {
    /** None of them is there. */
    ABSENT,
    /** All of them are there, byte for byte. */
    PRESENT,
    /** Others are there. */
    DIFFERENT
  }

  /** Whether the store holds exactly these events of one page at their place already. */
  Standing standing(String name, List<StoredEventMessage> messages) {
    Timeline timeline = rows.timeline(name);
    int first = messages.getFirst().getPayload().moment();
    if (timeline == null || timeline.nextMoment() <= first) {
      return Standing.ABSENT;
    }
    Timeline before =
        Timeline.sealed(timeline.id(), name, timeline.parent(), timeline.forkMoment(), first);
    Map<String, Long> firsts = new TreeMap<>();
    for (StoredEventMessage message : messages) {
      firsts.putIfAbsent(
          LaneEvent.laneOf(message.getAggregateIdentifier()), message.getSequenceNumber());
    }
    List<Rows.Stream> streams = rows.streams(timeline.id());
    Packer packer = new Packer(before, lane -> at(streams, lane, firsts), () -> -1);
    for (StoredEventMessage message : messages) {
      String lane = LaneEvent.laneOf(message.getAggregateIdentifier());
      if (packer.add(lane, message.getSequenceNumber(), message.getPayload(), message.extra())
          != null) {
        return Standing.DIFFERENT;
      }
    }
    for (PackedPage page : packer.finish().pages()) {
      Page there = rows.pageAt(timeline.id(), page.page().firstMoment());
      if (there == null
          || !there.at(0).equals(page.page())
          || !hashes(rows.segments(there.firstEvent())).equals(hashes(page.segments()))) {
        return Standing.DIFFERENT;
      }
    }
    return Standing.PRESENT;
  }

  private static List<Bytes> hashes(List<Segment> segments) {
    return segments.stream().map(Segment::hash).sorted(PackedEventStorageEngine::order).toList();
  }

  private static int order(Bytes a, Bytes b) {
    return a.toHex().compareTo(b.toHex());
  }

  /** The stream as it was when {@code firsts} were next in it, or null for a lane not yet begun. */
  private Rows.@Nullable Stream at(
      List<Rows.Stream> streams, String lane, Map<String, Long> firsts) {
    for (Rows.Stream stream : streams) {
      if (stream.lane().equals(lane)) {
        long first = firsts.getOrDefault(lane, 0L);
        Bytes hash = rows.hashBefore(stream, first);
        return hash == null ? null : stream.grown(first, hash);
      }
    }
    return null;
  }

  /** Puts the short pages at a timeline's end together, once there are many. */
  private void compact(Timeline timeline) {
    List<Page> tail = new ArrayList<>();
    Page last = rows.pageAt(timeline.id(), timeline.nextMoment());
    while (last != null && last.events() < COMPACT_BELOW) {
      if (!tail.isEmpty() && last.firstEvent() + last.events() != tail.getFirst().firstEvent()) {
        break;
      }
      tail.addFirst(last);
      last = last.firstMoment() == 0 ? null : rows.pageAt(timeline.id(), last.firstMoment() - 1);
    }
    if (tail.size() >= COMPACT_PAGES) {
      rows.replace(tail, Compaction.merged(tail, page -> rows.segments(page.firstEvent())));
    }
  }

  @Override
  public void storeSnapshot(DomainEventMessage<?> snapshot) {
    rows.putSnapshot(
        new Snapshot(
            snapshot.getAggregateIdentifier(),
            snapshot.getSequenceNumber(),
            ModelStamp.current(),
            CheckpointCodec.write(snapshot.getPayload())));
  }

  @Override
  public Optional<DomainEventMessage<?>> readSnapshot(String stream) {
    LaneSnapshots snapshots = rebuilding;
    if (snapshots != null) {
      return Optional.ofNullable(snapshots.read(stream));
    }
    Snapshot found = rows.snapshot(stream);
    if (found == null || !found.stamp().equals(ModelStamp.current())) {
      return Optional.empty();
    }
    Timeline timeline = rows.timeline(LaneEvent.timelineOf(stream));
    Object payload =
        timeline == null
            ? null
            : CheckpointCodec.read(
                found.payload(), new StoredMoments(rows, timeline), new StoredVms(rows, timeline));
    if (payload == null) {
      return Optional.empty();
    }
    return Optional.of(
        new GenericDomainEventMessage<>(
            StoredEventMessage.typeOf(LaneEvent.laneOf(stream)),
            stream,
            found.sequence(),
            payload));
  }

  @Override
  public Optional<Long> lastSequenceNumberFor(String stream) {
    Rows.Stream found = stream(stream);
    return found == null || found.next() == 0 ? Optional.empty() : Optional.of(found.next() - 1);
  }

  private Rows.@Nullable Stream stream(String stream) {
    Timeline timeline = rows.timeline(LaneEvent.timelineOf(stream));
    return timeline == null ? null : rows.stream(timeline.id(), LaneEvent.laneOf(stream));
  }

  @Override
  public DomainEventStream readEvents(String stream, long firstSequence) {
    Rows.Stream found = stream(stream);
    long last = found == null ? -1 : found.next() - 1;
    Stream<StoredEventMessage> events =
        found == null
            ? Stream.empty()
            : StreamSupport.stream(
                new StreamEvents(rows, stream, found, firstSequence, Long.MAX_VALUE), false);
    return DomainEventStream.of(events, () -> last < 0 ? null : last);
  }

  @Override
  public Stream<? extends TrackedEventMessage<?>> readEvents(
      @Nullable TrackingToken token, boolean mayBlock) {
    long from = token == null ? 0 : position(token) + 1;
    if (mayBlock) {
      await(from);
    }
    return StreamSupport.stream(new TrackedEvents(rows, from), false);
  }

  private static long position(TrackingToken token) {
    return token.position().orElse(-1);
  }

  /**
   * Waits until there is an event of that number, for a while; wakes at once where this process
   * appends.
   */
  private void await(long event) {
    long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(POLL_MS);
    synchronized (appended) {
      while (rows.nextEvent() <= event) {
        long left = TimeUnit.NANOSECONDS.toMillis(until - System.nanoTime());
        if (left <= 0) {
          return;
        }
        try {
          appended.wait(left);
        } catch (InterruptedException _) {
          Thread.currentThread().interrupt();
          return;
        }
      }
    }
  }

  @Override
  public @Nullable TrackingToken createTailToken() {
    return null;
  }

  @Override
  public @Nullable TrackingToken createHeadToken() {
    long next = rows.nextEvent();
    return next == 0 ? null : new GlobalSequenceTrackingToken(next - 1);
  }

  /** Times of a store are those of recordings, each with a clock of its own: there is no order. */
  @Override
  public @Nullable TrackingToken createTokenAt(Instant time) {
    TrackedEvents events = new TrackedEvents(rows, 0);
    long[] last = {-1};
    boolean[] reached = {false};
    while (!reached[0]
        && events.tryAdvance(message -> {
          if (message.getTimestamp().isBefore(time)) {
            last[0] = position(message.trackingToken());
          } else {
            reached[0] = true;
          }
        })) {}
    return last[0] < 0 ? null : new GlobalSequenceTrackingToken(last[0]);
  }
}
