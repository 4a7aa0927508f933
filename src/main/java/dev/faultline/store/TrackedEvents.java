package dev.faultline.store;

import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Timeline;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Spliterators;
import java.util.TreeMap;
import java.util.function.Consumer;
import org.axonframework.eventhandling.GenericTrackedDomainEventMessage;
import org.axonframework.eventhandling.GlobalSequenceTrackingToken;
import org.axonframework.eventhandling.TrackedEventMessage;
import org.jspecify.annotations.Nullable;

/** All events of a store, in the order in which they were appended. */
final class TrackedEvents extends Spliterators.AbstractSpliterator<TrackedEventMessage<?>> {
  private static final int PAGES_AT_ONCE = 16;

  private final Rows rows;
  private final Deque<Page> pages = new ArrayDeque<>();
  private final TreeMap<Long, String> names = new TreeMap<>();
  private long from;
  private long next;
  private @Nullable Page gone;
  private @Nullable PageReader page;

  TrackedEvents(Rows rows, long from) {
    super(Long.MAX_VALUE, ORDERED | NONNULL);
    this.rows = rows;
    this.from = from;
    this.next = from;
  }

  @Override
  public boolean tryAdvance(Consumer<? super TrackedEventMessage<?>> action) {
    while (true) {
      PageReader current = page;
      if (current == null || !current.advance()) {
        if (!nextPage()) {
          return false;
        }
        continue;
      }
      long number = next++;
      if (number >= from) {
        StoredEventMessage message =
            new StoredEventMessage(
                name(current.stream()), current.sequence(), current.event(), current.extra());
        action.accept(
            new GenericTrackedDomainEventMessage<>(
                new GlobalSequenceTrackingToken(number), message));
        return true;
      }
    }
  }

  private boolean nextPage() {
    if (pages.isEmpty()) {
      pages.addAll(rows.pagesFrom(next, PAGES_AT_ONCE));
    }
    Page read = pages.poll();
    if (read == null) {
      page = null;
      return false;
    }
    List<Segment> segments = rows.segments(read.firstEvent());
    if (segments.isEmpty() && !read.equals(gone)) {
      // It was put together with its neighbours since; what was given of them is passed over.
      gone = read;
      from = Math.max(from, next);
      pages.clear();
      return nextPage();
    }
    next = read.firstEvent();
    page = new PageReader(new PackedPage(read, segments));
    return true;
  }

  private String name(long stream) {
    String name = names.get(stream);
    if (name == null) {
      Rows.Stream found = rows.stream(stream);
      Timeline timeline = found == null ? null : rows.timeline(found.timeline());
      name =
          found == null || timeline == null
              ? LaneEvent.stream("", "")
              : LaneEvent.stream(timeline.name(), found.lane());
      names.put(stream, name);
    }
    return name;
  }
}
