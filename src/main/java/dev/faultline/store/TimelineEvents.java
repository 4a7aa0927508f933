package dev.faultline.store;

import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Timeline;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * The events of a timeline in its total order, page after page; of a fork, those that it shares
 * come first. Holds one page at a time.
 */
public final class TimelineEvents implements Iterator<StoredEvent> {
  private static final int MOST_PAGES_AT_ONCE = 64;

  private final Rows rows;
  private final Deque<Span> spans = new ArrayDeque<>();
  private final Deque<Page> pages = new ArrayDeque<>();
  private final int asked;
  private int from;

  /** Few at first: who asks for a moment reads no more than a page or two. */
  private int pagesAtOnce = 2;

  private int before;
  private long timeline;
  private boolean more;
  private int given;
  private @Nullable Page gone;
  private @Nullable PageReader page;
  private @Nullable StoredEvent next;

  /** The moments of a timeline before {@code before}. */
  private record Span(long timeline, int before) {}

  TimelineEvents(Rows rows, Timeline timeline, int from) {
    this.rows = rows;
    this.asked = from;
    for (Span span : spans(rows, timeline)) {
      if (span.before() > from) {
        spans.add(span);
      }
    }
  }

  /** The timelines that a timeline is made of, the oldest first. */
  private static List<Span> spans(Rows rows, Timeline timeline) {
    List<Span> all = new ArrayList<>();
    Timeline at = timeline;
    int before = Integer.MAX_VALUE;
    while (at != null) {
      all.addFirst(new Span(at.id(), before));
      before = Math.min(before, at.parent() == Rows.NOBODY ? 0 : at.forkMoment());
      at = Forks.parentOf(rows, at);
    }
    return all;
  }

  @Override
  public boolean hasNext() {
    while (next == null) {
      if (page == null || !page.advance()) {
        if (!nextPage()) {
          return false;
        }
      } else if (page.event().moment() >= before) {
        page = null;
        pages.clear();
        more = false;
      } else if (page.event().moment() >= given || page.event().type().isLastOfMoment()) {
        next = page.event();
      }
    }
    return true;
  }

  @Override
  public StoredEvent next() {
    StoredEvent event = hasNext() ? next : null;
    if (event == null) {
      throw new NoSuchElementException("the timeline is at its end");
    }
    next = null;
    return event;
  }

  /** The next event, to be given once more by {@link #next}. */
  public StoredEvent peek() {
    StoredEvent event = hasNext() ? next : null;
    if (event == null) {
      throw new NoSuchElementException("the timeline is at its end");
    }
    return event;
  }

  /** Once {@link #hasNext} is false: the moment that the next page begins with, if one comes. */
  public int endsAt() {
    return Math.max(from, asked);
  }

  private boolean nextPage() {
    while (pages.isEmpty()) {
      if (!more) {
        Span span = spans.poll();
        if (span == null) {
          page = null;
          return false;
        }
        timeline = span.timeline();
        before = span.before();
        from = asked;
      }
      List<Page> found = rows.pages(timeline, from, pagesAtOnce);
      more = found.size() == pagesAtOnce;
      pagesAtOnce = Math.min(MOST_PAGES_AT_ONCE, pagesAtOnce * 2);
      for (Page each : found) {
        if (each.firstMoment() < before) {
          pages.add(each);
        } else {
          more = false;
        }
      }
      if (!found.isEmpty()) {
        from = Math.max(from, found.getLast().nextMoment());
      }
    }
    Page read = pages.remove();
    List<Segment> segments = rows.segments(read.firstEvent());
    if (segments.isEmpty() && !read.equals(gone)) {
      // It was put together with its neighbours since; what was given of them is passed over.
      gone = read;
      given = read.firstMoment();
      from = read.firstMoment();
      more = true;
      pages.clear();
      return nextPage();
    }
    page = new PageReader(new PackedPage(read, segments));
    return true;
  }
}
