package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.FaultlineException;
import dev.faultline.store.IntegrityReport.Damage;
import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Stream;
import dev.faultline.store.Rows.Timeline;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.TreeMap;
import java.util.function.IntConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Shows that nothing of a timeline was changed, cut, reordered or doubled: every row is read, every
 * event decoded, every running hash computed again, and all that two rows say of each other is
 * compared.
 */
final class Checker {
  private static final int MOST_DAMAGE = 100;

  private final Rows rows;
  private final Timeline timeline;
  private final List<Damage> damage = new ArrayList<>();
  private final TreeMap<Long, State> states = new TreeMap<>();
  private long events;
  private long segments;
  private int moment;

  /** How far a stream was read. */
  private static final class State {
    private final Stream stream;
    private long next;
    private Bytes hash;

    State(Stream stream) {
      this.stream = stream;
      this.next = stream.base();
      this.hash = Hashes.first(stream.lane(), stream.base());
    }
  }

  private Checker(Rows rows, Timeline timeline) {
    this.rows = rows;
    this.timeline = timeline;
  }

  /**
   * Checks a timeline, and those that it is a fork of as far as it shares them.
   *
   * @param progress is told of events read, now and then
   */
  static IntegrityReport check(Rows rows, Timeline timeline, IntConsumer progress) {
    List<Damage> all = new ArrayList<>();
    Bytes head = Bytes.EMPTY;
    long events = 0;
    Timeline parent = null;
    try {
      parent = Forks.parentOf(rows, timeline);
    } catch (FaultlineException e) {
      all.add(new Damage("", 0, e.sentence()));
    }
    if (parent != null) {
      IntegrityReport shared = check(rows, parent, progress);
      all.addAll(shared.damage());
      head = Bytes.fromHex(shared.head());
      for (Stream stream : rows.streams(timeline.id())) {
        events += stream.base();
      }
    }
    Checker own = new Checker(rows, timeline);
    if (parent != null) {
      own.shared(parent);
    }
    own.run(progress);
    all.addAll(own.damage);
    return new IntegrityReport(
        timeline.name(),
        events + own.events,
        HexFormat.of().formatHex(Hashes.head(head, rows.streams(timeline.id())).toArray()),
        all.size() > MOST_DAMAGE ? all.subList(0, MOST_DAMAGE) : all);
  }

  /** Demands that each lane begins where the fork left its parent. */
  private void shared(Timeline parent) {
    for (Stream stream : rows.streams(parent.id())) {
      Stream own = rows.stream(timeline.id(), stream.lane());
      long found = own == null ? 0 : own.base();
      try {
        long expected = Forks.shared(rows, stream, timeline.forkMoment());
        demand(
            found == expected,
            stream.lane(),
            "the lane shares " + found + " events, expected " + expected);
      } catch (FaultlineException e) {
        add(stream.lane(), e.sentence());
      }
    }
  }

  private void run(IntConsumer progress) {
    Timeline sealed =
        Timeline.sealed(
            timeline.id(),
            timeline.name(),
            timeline.parent(),
            timeline.forkMoment(),
            timeline.nextMoment());
    demand(sealed.seal().equals(timeline.seal()), "", "the timeline's row contradicts its seal");
    for (Stream stream : rows.streams(timeline.id())) {
      states.put(stream.id(), new State(stream));
      demand(
          stream.equals(stream.grown(stream.next(), stream.hash())),
          stream.lane(),
          "the stream's row contradicts its seal");
    }
    moment = timeline.parent() == Rows.NOBODY ? 0 : timeline.forkMoment();
    for (Page page : rows.pageRows(timeline.id())) {
      page(page);
      progress.accept(page.events());
    }
    demand(
        moment == timeline.nextMoment(),
        "",
        "the pages end at moment " + moment + ", the timeline at " + timeline.nextMoment());
    for (State state : states.values()) {
      Stream stream = state.stream;
      demand(
          state.next == stream.next() && state.hash.equals(stream.hash()),
          stream.lane(),
          "event "
              + state.next
              + " is the last, the stream ends at "
              + stream.next()
              + " with another running hash");
    }
    long there = rows.segmentCount(timeline.id());
    demand(there == segments, "", there + " segments are there, " + segments + " belong to pages");
  }

  private void page(Page page) {
    demand(
        page.firstMoment() == moment && page.nextMoment() >= page.firstMoment(),
        "",
        "the page at moment " + page.firstMoment() + " does not follow the one before");
    List<Segment> own;
    try {
      own = rows.segments(page.firstEvent());
    } catch (FaultlineException e) {
      add("", e.sentence());
      own = List.of();
    }
    long count = 0;
    for (Segment segment : own) {
      segments++;
      count += segment.events();
      segment(segment);
    }
    events += count;
    demand(
        count == page.events(),
        "",
        "the page at moment "
            + page.firstMoment()
            + " has "
            + count
            + " events, not "
            + page.events());
    try {
      moments(page, own);
    } catch (FaultlineException e) {
      add("", e.sentence());
    }
    moment = Math.max(moment, page.nextMoment());
  }

  private void segment(Segment segment) {
    State state = states.get(segment.stream());
    if (state == null) {
      add("", "a segment is of stream " + segment.stream() + ", which the timeline does not have");
      return;
    }
    String lane = state.stream.lane();
    demand(
        segment.first() == state.next,
        lane,
        "event " + segment.first() + " follows, expected event " + state.next);
    try {
      ByteSource in = new ByteSource(segment.payload().toArray());
      byte[] array = segment.payload().toArray();
      long first = segment.first();
      Bytes hash = state.hash;
      while (!in.isEmpty()) {
        int count = in.count(0);
        int size = in.count(1);
        hash = Hashes.next(hash, first, count, array, in.at(), size);
        in.part(size);
        first += count;
      }
      demand(
          hash.equals(segment.hash()) && first == segment.next(),
          lane,
          "events "
              + segment.first()
              + " to "
              + (segment.next() - 1)
              + " contradict their running hash");
    } catch (FaultlineException e) {
      add(lane, e.sentence());
    }
    state.next = segment.next();
    state.hash = segment.hash();
  }

  /** What the page's row says of the events in it. */
  private void moments(Page page, List<Segment> own) {
    PageReader reader = new PageReader(new PackedPage(page, own));
    long minSeq = -1;
    long maxSeq = -1;
    int next = page.firstMoment();
    boolean inside = true;
    while (reader.advance()) {
      StoredEvent event = reader.event();
      next = Math.max(next, event.moment() + 1);
      inside &= event.moment() >= page.firstMoment() || event.type().isLastOfMoment();
      if (event.type().isFirstOfLine() && event.number(0) >= 0) {
        minSeq = minSeq < 0 ? event.number(0) : Math.min(minSeq, event.number(0));
        maxSeq = Math.max(maxSeq, event.number(0));
      }
    }
    demand(
        inside && next == page.nextMoment() && minSeq == page.minSeq() && maxSeq == page.maxSeq(),
        "",
        "the page at moment " + page.firstMoment() + " holds other moments or calls than it says");
  }

  private void demand(boolean holds, String stream, String otherwise) {
    if (!holds) {
      add(stream, otherwise);
    }
  }

  private void add(String stream, String what) {
    if (damage.size() < MOST_DAMAGE) {
      damage.add(new Damage(stream, moment, what));
    }
  }

  static @Nullable Damage orphans(Rows rows) {
    long lost = rows.orphans();
    return lost == 0
        ? null
        : new Damage(
            "",
            0,
            lost + " rows belong to no timeline, or have numbers that the store has yet to give");
  }
}
