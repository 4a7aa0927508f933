package dev.faultline.store;

import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Timeline;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Spliterators;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** The events of one stream; those of a fork begin with what it shares. */
final class StreamEvents extends Spliterators.AbstractSpliterator<StoredEventMessage> {
  private static final int SEGMENTS_AT_ONCE = 16;

  private final Rows rows;
  private final String name;
  private final Deque<Rows.Stream> chain = new ArrayDeque<>();
  private final Deque<Segment> segments = new ArrayDeque<>();
  private final long end;
  private long next;

  /** Where the events that are being read end: the next stream of the chain takes over. */
  private long limit;

  private @Nullable SegmentReader reader;

  /**
   * @param first the first sequence number
   * @param end the sequence number behind the last
   */
  StreamEvents(Rows rows, String name, Rows.Stream stream, long first, long end) {
    super(Long.MAX_VALUE, ORDERED | NONNULL);
    this.rows = rows;
    this.name = name;
    this.next = first;
    this.end = Math.min(end, stream.next());
    Rows.Stream at = stream;
    while (at != null) {
      chain.addFirst(at);
      at = at.base() == 0 ? null : parentOf(at);
    }
  }

  private Rows.@Nullable Stream parentOf(Rows.Stream stream) {
    Timeline timeline = rows.timeline(stream.timeline());
    return timeline == null || timeline.parent() == Rows.NOBODY
        ? null
        : rows.stream(timeline.parent(), stream.lane());
  }

  @Override
  public boolean tryAdvance(Consumer<? super StoredEventMessage> action) {
    while (next < end) {
      SegmentReader current = reader;
      if (current == null || !current.hasNext() || next >= limit) {
        if (!nextSegment()) {
          return false;
        }
        continue;
      }
      StoredEvent event = current.next();
      if (current.sequence() == next) {
        action.accept(new StoredEventMessage(name, next, event, current.extra()));
        next++;
        return true;
      }
    }
    return false;
  }

  private boolean nextSegment() {
    if (segments.isEmpty()) {
      Rows.Stream own = ownerOf(next);
      if (own == null) {
        return false;
      }
      limit = limitOf(own);
      List<Segment> found = rows.segments(own.id(), next, SEGMENTS_AT_ONCE);
      for (Segment each : found) {
        if (each.first() < limit) {
          segments.add(each);
        }
      }
    }
    Segment segment = segments.poll();
    reader = segment == null ? null : new SegmentReader(segment);
    return segment != null;
  }

  /** The stream of the chain that holds the event. */
  private Rows.@Nullable Stream ownerOf(long sequence) {
    Rows.Stream owner = null;
    for (Rows.Stream each : chain) {
      if (each.base() <= sequence) {
        owner = each;
      }
    }
    return owner;
  }

  /** Where the next stream of the chain takes over. */
  private long limitOf(Rows.Stream owner) {
    long limit = end;
    for (Rows.Stream each : chain) {
      if (each.base() > owner.base()) {
        limit = Math.min(limit, each.base());
      }
    }
    return limit;
  }
}
