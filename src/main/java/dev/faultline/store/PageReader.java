package dev.faultline.store;

import dev.faultline.InvariantViolation;
import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Segment;
import java.util.List;
import java.util.PriorityQueue;
import org.jspecify.annotations.Nullable;

/** Reads the events of a page in the total order: by moment, and by stream where moments meet. */
final class PageReader {
  private final PriorityQueue<Head> others = new PriorityQueue<>();
  private @Nullable Head current;
  private boolean fresh = true;

  /** The segments of a stream in the page, and the event that is next in them. */
  private static final class Head implements Comparable<Head> {
    private final long stream;
    private final List<Segment> rest;
    private int read;
    private @Nullable SegmentReader reader;
    private @Nullable StoredEvent event;

    Head(long stream, List<Segment> rest) {
      this.stream = stream;
      this.rest = rest;
    }

    /** Reads the next event; false at the end. */
    boolean advance() {
      while (reader == null || !reader.hasNext()) {
        if (read == rest.size()) {
          event = null;
          return false;
        }
        reader = new SegmentReader(rest.get(read++));
      }
      event = reader.next();
      return true;
    }

    private long order() {
      StoredEvent next = event;
      return next == null
          ? Long.MAX_VALUE
          : 2L * next.moment() + (next.type().isLastOfMoment() ? 1 : 0);
    }

    @Override
    public int compareTo(Head other) {
      int byMoment = Long.compare(order(), other.order());
      return byMoment != 0 ? byMoment : Long.compare(stream, other.stream);
    }
  }

  PageReader(PackedPage page) {
    List<Segment> segments = page.segments();
    int from = 0;
    while (from < segments.size()) {
      int to = from + 1;
      while (to < segments.size() && segments.get(to).stream() == segments.get(from).stream()) {
        to++;
      }
      Head head = new Head(segments.get(from).stream(), segments.subList(from, to));
      if (head.advance()) {
        others.add(head);
      }
      from = to;
    }
    current = others.poll();
  }

  /** Goes to the next event; false if there is none. */
  boolean advance() {
    if (fresh) {
      fresh = false;
      return current != null;
    }
    Head head = current;
    if (head == null) {
      return false;
    }
    boolean more = head.advance();
    Head next = others.peek();
    if (next == null) {
      current = more ? head : null;
    } else if (!more) {
      current = others.poll();
    } else if (next.compareTo(head) < 0) {
      current = others.poll();
      others.add(head);
    }
    return current != null;
  }

  StoredEvent event() {
    StoredEvent event = head().event;
    if (event == null) {
      throw new InvariantViolation("no event of a page was read yet");
    }
    return event;
  }

  /** The stream of the event. */
  long stream() {
    return head().stream;
  }

  /** The event's number in its stream. */
  long sequence() {
    SegmentReader reader = head().reader;
    return reader == null ? -1 : reader.sequence();
  }

  @Nullable EventExtra extra() {
    SegmentReader reader = head().reader;
    return reader == null ? null : reader.extra();
  }

  private Head head() {
    Head head = current;
    if (head == null) {
      throw new InvariantViolation("the page is at its end");
    }
    return head;
  }
}
