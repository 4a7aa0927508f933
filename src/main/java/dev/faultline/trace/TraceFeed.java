package dev.faultline.trace;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The part of a trace that was read but not yet given to calls: events by thread, markers by call,
 * gaps by place.
 *
 * <p>A place in the trace is an ordinal: 1 for its first event, marker or gap, and so on. Whatever
 * the trace holds, the feed holds at most {@link #MAX_WEIGHT} of it; where more waits, the oldest
 * events go first, as in the kernel's own buffer.
 */
final class TraceFeed {
  /** Bytes that waiting events may take, roughly. */
  static final long MAX_WEIGHT = 64L << 20;

  /** The coarsest time that tracefs prints is a microsecond; half of it to either side. */
  static final long MAX_PRECISION_NS = 500;

  private static final int EVENT_WEIGHT = 160;
  private static final int QUEUE_WEIGHT = 512;
  private static final int MAX_SPANS = 1024;
  private static final int MAX_GAPS = 1024;
  private static final int SWEEP_EVERY = 4096;
  private static final String RECORDER = "kvmrec seq=";

  /** A call's stretch of the trace: its markers' ordinals, 0 where the marker was not seen. */
  static final class Span {
    private final String name;
    private final long enter;
    private long exit;

    private Span(String name, long enter) {
      this.name = name;
      this.enter = enter;
    }

    String name() {
      return name;
    }

    long enter() {
      return enter;
    }

    long exit() {
      return exit;
    }

    boolean closed() {
      return exit != 0;
    }
  }

  /** A place where events were lost, and the times of the events around it. */
  record Gap(long ordinal, long fromNs, long toNs) {
    boolean overlaps(long enterNs, long exitNs) {
      return exitNs >= fromNs && enterNs <= toNs;
    }
  }

  private final FtraceReader trace;
  private final TreeMap<Long, EventQueue> threads = new TreeMap<>();
  private final TreeMap<Long, Span> spans = new TreeMap<>();
  private final List<Gap> gaps = new ArrayList<>();

  private long ordinal;
  private long lastNs = Long.MIN_VALUE;
  private long weight;

  /** The place and the time of the newest event that was thrown away for want of room. */
  private long shedUpTo;

  private long shedUpToNs = Long.MIN_VALUE;
  private int sinceSweep;
  private boolean ended;
  private boolean gapOpen;

  private long markerWriter = -1;
  private long firstThread = -1;

  private long enters;
  private long exits;
  private long outside;
  private long overwritten;

  TraceFeed(FtraceReader trace) {
    this.trace = trace;
  }

  /** Reads one event, marker or gap; false at the end. */
  boolean read() {
    if (ended) {
      return false;
    }
    switch (trace.advance()) {
      case END -> {
        ended = true;
        closeGap(Long.MAX_VALUE);
        return false;
      }
      case GAP -> gap();
      case EVENT -> {
        ordinal++;
        TraceEvent event = trace.event();
        closeGap(event.ns());
        lastNs = event.ns();
        if (event instanceof TraceEvent.Marker marker) {
          marker(marker.text());
        } else {
          enqueue(event);
        }
      }
    }
    return true;
  }

  private void gap() {
    ordinal++;
    if (gaps.size() == MAX_GAPS) {
      Gap second = gaps.remove(1);
      gaps.set(0, new Gap(second.ordinal(), gaps.getFirst().fromNs(), second.toNs()));
    }
    gaps.add(new Gap(ordinal, lastNs, Long.MAX_VALUE));
    gapOpen = true;
  }

  private void closeGap(long ns) {
    if (gapOpen) {
      Gap open = gaps.removeLast();
      gaps.add(new Gap(open.ordinal(), open.fromNs(), ns));
      gapOpen = false;
    } else if (lastNs == Long.MIN_VALUE && trace.overwritten()) {
      gaps.add(new Gap(0, Long.MIN_VALUE, ns));
    }
  }

  private void marker(String text) {
    if (!text.startsWith(RECORDER)) {
      if (markerWriter < 0) {
        markerWriter = trace.tid();
      }
      return;
    }
    int seqEnd = text.indexOf(' ', RECORDER.length());
    long seq = seqEnd < 0 ? -1 : seq(text, RECORDER.length(), seqEnd);
    if (seq < 0) {
      return;
    }
    if (text.startsWith("enter ", seqEnd + 1)) {
      enters++;
      putSpan(seq, new Span(word(text, seqEnd + 1 + "enter ".length()), ordinal));
    } else if (text.startsWith("exit ", seqEnd + 1)) {
      exits++;
      Span span = spans.get(seq);
      if (span == null) {
        span = new Span(word(text, seqEnd + 1 + "exit ".length()), 0);
        putSpan(seq, span);
      }
      span.exit = ordinal;
    }
  }

  private void putSpan(long seq, Span span) {
    spans.put(seq, span);
    if (spans.size() > MAX_SPANS) {
      spans.pollFirstEntry();
    }
  }

  private static long seq(String text, int from, int to) {
    long seq = 0;
    for (int i = from; i < to; i++) {
      int digit = text.charAt(i) - '0';
      if (digit < 0 || digit > 9 || i - from > 17) {
        return -1;
      }
      seq = seq * 10 + digit;
    }
    return from == to ? -1 : seq;
  }

  private static String word(String text, int from) {
    int to = text.indexOf(' ', from);
    return text.substring(from, to < 0 ? text.length() : to);
  }

  private void enqueue(TraceEvent event) {
    long tid = trace.tid();
    if (firstThread < 0) {
      firstThread = tid;
    }
    EventQueue queue = threads.get(tid);
    if (queue == null) {
      queue = new EventQueue();
      threads.put(tid, queue);
      weight += QUEUE_WEIGHT;
    }
    queue.add(event, ordinal, trace.precisionNs());
    weight += weight(event);
    if (weight > MAX_WEIGHT) {
      shed();
    }
    if (++sinceSweep == SWEEP_EVERY) {
      sweep();
    }
  }

  /** Throws away the oldest events of all threads, until a quarter of the room is free again. */
  private void shed() {
    while (weight > MAX_WEIGHT / 4 * 3) {
      long oldest = ordinal;
      for (EventQueue queue : threads.values()) {
        oldest = queue.isEmpty() ? oldest : Math.min(oldest, queue.firstOrdinal());
      }
      shedUpTo = oldest + (ordinal - oldest) / 4;
      for (var each = threads.values().iterator(); each.hasNext(); ) {
        EventQueue queue = each.next();
        while (!queue.isEmpty() && queue.firstOrdinal() <= shedUpTo) {
          shedUpToNs = Math.max(shedUpToNs, queue.first().ns());
          weight -= weight(queue.remove());
          overwritten++;
        }
        if (queue.isEmpty()) {
          each.remove();
          weight -= QUEUE_WEIGHT;
        }
      }
    }
  }

  private static int weight(TraceEvent event) {
    if (event instanceof TraceEvent.Other other) {
      return EVENT_WEIGHT + 2 * other.text().length();
    }
    return event instanceof TraceEvent.NestedVmEnterFailed refused
        ? EVENT_WEIGHT + 2 * refused.message().length()
        : EVENT_WEIGHT;
  }

  /**
   * Lets go of the events before the oldest call that is still waited for: they are in no call.
   * Without any marker nothing is known to be old, so nothing goes.
   */
  private void sweep() {
    sinceSweep = 0;
    if (enters + exits == 0) {
      return;
    }
    long floor = ordinal;
    for (Span span : spans.values()) {
      floor = Math.min(floor, span.enter());
    }
    dropBefore(floor);
  }

  private void dropBefore(long floor) {
    for (var each = threads.values().iterator(); each.hasNext(); ) {
      EventQueue queue = each.next();
      while (!queue.isEmpty() && queue.firstOrdinal() < floor) {
        drop(queue);
      }
      if (queue.isEmpty()) {
        each.remove();
        weight -= QUEUE_WEIGHT;
      }
    }
  }

  /** Takes the oldest event of the queue. */
  TraceEvent take(EventQueue queue) {
    TraceEvent event = queue.remove();
    weight -= weight(event);
    return event;
  }

  /** Lets go of the oldest event of the queue: it is in no call. */
  void drop(EventQueue queue) {
    weight -= weight(queue.remove());
    outside++;
  }

  /** Reads what is left, so that the report is of the whole trace. */
  void drain() {
    while (read()) {
      if (sinceSweep == 0) {
        dropBefore(Long.MAX_VALUE);
      }
    }
    dropBefore(Long.MAX_VALUE);
  }

  /** The waiting events of a thread. */
  @Nullable EventQueue thread(long tid) {
    return threads.get(tid);
  }

  /**
   * The thread that wrote markers other than the recorder's, else the one of the first event; -1
   * before any.
   */
  long tracedThread() {
    return markerWriter >= 0 ? markerWriter : firstThread;
  }

  /** The stretch of the call, if one of its markers was seen. */
  @Nullable Span span(long seq) {
    return spans.get(seq);
  }

  void removeSpan(long seq) {
    spans.remove(seq);
  }

  /** How many calls after {@code seq} have ended in the trace already. */
  int endedAfter(long seq) {
    int count = 0;
    for (Map.Entry<Long, Span> later : spans.tailMap(seq, false).entrySet()) {
      if (later.getValue().closed()) {
        count++;
      }
    }
    return count;
  }

  /** True if events were lost strictly between the two places. */
  boolean gapBetween(long fromOrdinal, long toOrdinal) {
    for (int i = gaps.size() - 1; i >= 0; i--) {
      long at = gaps.get(i).ordinal();
      if (at < fromOrdinal) {
        return false;
      }
      if (at < toOrdinal && at > 0) {
        return true;
      }
    }
    return false;
  }

  /** The last place before {@code toOrdinal} where events were lost, 0 if there is none. */
  long lastGapBefore(long toOrdinal) {
    for (int i = gaps.size() - 1; i >= 0; i--) {
      if (gaps.get(i).ordinal() < toOrdinal) {
        return gaps.get(i).ordinal();
      }
    }
    return 0;
  }

  /** The gap that a call may have lost events to, if there is one. */
  @Nullable Gap gapAround(long enterNs, long exitNs) {
    for (int i = gaps.size() - 1; i >= 0; i--) {
      if (gaps.get(i).overlaps(enterNs, exitNs)) {
        return gaps.get(i);
      }
    }
    return null;
  }

  /** True if every CPU's buffer reaches back to here. */
  boolean allBuffersStarted() {
    return trace.allBuffersStarted();
  }

  /** True if it is not traced when a guest runs. */
  boolean untracedRuns() {
    return trace.untracedRuns();
  }

  /** True if the oldest events were overwritten. */
  boolean overwritten() {
    return trace.overwritten();
  }

  /** True if no event after this place was thrown away for want of room. */
  boolean keptSince(long place) {
    return shedUpTo < place;
  }

  /** True if no event after this time was thrown away for want of room. */
  boolean keptSinceNs(long ns) {
    return shedUpToNs < ns;
  }

  boolean ended() {
    return ended;
  }

  /** The time of the last event read. */
  long lastNs() {
    return lastNs;
  }

  /** How many calls have ended in the trace read so far. */
  long exits() {
    return exits;
  }

  boolean markersSeen() {
    return enters + exits > 0;
  }

  MergeReport report(long attached, long mismatched) {
    return new MergeReport(
        trace.report(), enters, exits, attached, outside, overwritten, mismatched);
  }
}
