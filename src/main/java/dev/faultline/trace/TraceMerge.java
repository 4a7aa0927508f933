package dev.faultline.trace;

import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Traced;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Gives the events of a trace to the calls of a recording, call by call, reading the trace no
 * further than it must.
 *
 * <p>There are two ways, and the trace decides:
 *
 * <ul>
 *   <li><b>By markers</b>: the recorder under ptrace wrote {@code kvmrec seq=N enter NAME} before
 *       the call and {@code exit} after it. What the calling thread traced between the two belongs
 *       to the call, exactly.
 *   <li><b>By clock</b>: the in-process recorder wrote none. The recording and the trace have one
 *       clock, so an event belongs to the call during which it happened. The trace prints
 *       microseconds, rounded to the nearest, while two calls may be 200 ns apart; of two calls
 *       that an event may belong to it is given to the one whose ioctl can bring it about, then to
 *       the nearer one.
 * </ul>
 *
 * <p><i>Order</i>: the markers of calls end in the order in which the calls' lines stand in the
 * recording. So when a call comes whose end is not in the trace read so far, it can be only a
 * little ahead; if {@link #MAX_CALLS_AHEAD} later calls have ended already, its marker was lost.
 */
final class TraceMerge {
  static final int MAX_CALLS_AHEAD = 64;

  private static final int EVENTS_TO_FIND_A_MARKER = 4096;
  private static final String IN_PROCESS = "in-process";

  private enum Way {
    UNDECIDED,
    MARKERS,
    CLOCK
  }

  private final TraceFeed feed;

  private Way way = Way.UNDECIDED;
  private boolean filtered;
  private boolean nominalThread;
  private long onlyThread = -1;
  private boolean severalThreads;
  private long attached;
  private long mismatched;

  TraceMerge(FtraceReader trace) {
    this.feed = new TraceFeed(trace);
  }

  /**
   * Takes note of who recorded: the in-process recorder traces only some events, and gives its
   * thread a made-up number.
   */
  void started(String recorder) {
    if (recorder.startsWith(IN_PROCESS)) {
      way = Way.CLOCK;
      filtered = true;
      nominalThread = true;
    }
  }

  /** True if {@link #attach} needs to see the observation after the call. */
  boolean looksAhead() {
    return way != Way.MARKERS;
  }

  /** The call's events, and how much of it they are. */
  Traced attach(Call call, @Nullable Observation next) {
    if (onlyThread < 0) {
      onlyThread = call.tid();
    } else if (onlyThread != call.tid()) {
      severalThreads = true;
    }
    if (way == Way.UNDECIDED) {
      decide();
    }
    return way == Way.MARKERS ? byMarkers(call) : byClock(call, next);
  }

  /**
   * A trace that goes back to its beginning has a marker among its first events, if it has any. One
   * whose oldest events were overwritten may begin with any number of events of one long KVM_RUN.
   */
  private void decide() {
    int read = 0;
    while (!feed.markersSeen() && read < EVENTS_TO_FIND_A_MARKER && feed.read()) {
      read++;
    }
    way = feed.markersSeen() || feed.overwritten() ? Way.MARKERS : Way.CLOCK;
  }

  private Traced byMarkers(Call call) {
    readToExitOf(call.seq());
    TraceFeed.Span span = feed.span(call.seq());
    if (span == null) {
      return Traced.ABSENT;
    }
    feed.removeSpan(call.seq());
    if (!span.name().equals(call.name())) {
      mismatched++;
      return Traced.ABSENT;
    }
    EventQueue queue = feed.thread(call.tid());
    long from = span.enter() != 0 ? span.enter() : feed.lastGapBefore(span.exit());
    long to = span.closed() ? span.exit() : Long.MAX_VALUE;
    long untilNs = span.closed() ? Long.MAX_VALUE : call.exitNs();
    List<TraceEvent> events = queue == null ? List.of() : takeBetween(queue, from, to, untilNs);
    boolean whole =
        span.enter() != 0
            && span.closed()
            && feed.keptSince(span.enter())
            && !feed.gapBetween(span.enter(), span.exit())
            && feed.allBuffersStarted()
            && !feed.untracedRuns()
            && !(events.isEmpty() && alwaysTraced(call));
    return new Traced(events, whole ? TraceCoverage.COMPLETE : TraceCoverage.PARTIAL);
  }

  /**
   * True if the call brings about one event at least: KVM_RUN tells why it returns, but on a dead
   * VM.
   */
  private static boolean alwaysTraced(Call call) {
    return call.name().equals("KVM_RUN") && call.ret() == 0;
  }

  private void readToExitOf(long seq) {
    int ended = feed.endedAfter(seq);
    while (ended < MAX_CALLS_AHEAD) {
      TraceFeed.Span span = feed.span(seq);
      if (span != null && span.closed()) {
        return;
      }
      long exitsBefore = feed.exits();
      if (!feed.read()) {
        return;
      }
      if (feed.exits() != exitsBefore) {
        ended = feed.endedAfter(seq);
      }
    }
  }

  private List<TraceEvent> takeBetween(EventQueue queue, long from, long to, long untilNs) {
    while (!queue.isEmpty() && queue.firstOrdinal() < from) {
      feed.drop(queue);
    }
    List<TraceEvent> events = new ArrayList<>();
    while (!queue.isEmpty()
        && queue.firstOrdinal() < to
        && queue.first().ns() - queue.firstPrecisionNs() <= untilNs) {
      events.add(feed.take(queue));
    }
    attached += events.size();
    return events;
  }

  private Traced byClock(Call call, @Nullable Observation next) {
    while (!feed.ended() && feed.lastNs() <= call.exitNs() + TraceFeed.MAX_PRECISION_NS) {
      feed.read();
    }
    Call rival = next instanceof Call later && later.tid() == call.tid() ? later : null;
    EventQueue queue = threadOf(call);
    List<TraceEvent> events = queue == null ? List.of() : takeDuring(queue, call, rival);
    return new Traced(events, coverageByClock(call));
  }

  private @Nullable EventQueue threadOf(Call call) {
    EventQueue own = nominalThread ? null : feed.thread(call.tid());
    if (own != null || severalThreads) {
      return own;
    }
    return feed.thread(feed.tracedThread());
  }

  private List<TraceEvent> takeDuring(EventQueue queue, Call call, @Nullable Call rival) {
    List<TraceEvent> events = new ArrayList<>();
    while (!queue.isEmpty()) {
      TraceEvent event = queue.first();
      long precisionNs = queue.firstPrecisionNs();
      if (event.ns() - precisionNs > call.exitNs()) {
        break;
      }
      if (event.ns() + precisionNs < call.enterNs()) {
        feed.drop(queue);
      } else if (rival != null
          && event.ns() + precisionNs >= rival.enterNs()
          && belongsRather(event, rival, call)) {
        break;
      } else {
        events.add(feed.take(queue));
      }
    }
    attached += events.size();
    return events;
  }

  private static boolean belongsRather(TraceEvent event, Call to, Call than) {
    boolean canEmit = canEmit(to.name(), event);
    if (canEmit != canEmit(than.name(), event)) {
      return canEmit;
    }
    return distanceNs(event, to) < distanceNs(event, than);
  }

  private static long distanceNs(TraceEvent event, Call call) {
    return Math.max(0, Math.max(call.enterNs() - event.ns(), event.ns() - call.exitNs()));
  }

  /**
   * True if the ioctl can bring the event about.
   *
   * <p><i>Source</i>: arch/x86/kvm, the callers of each trace function, v6.1: kvm_smm_changed() is
   * called by KVM_SET_VCPU_EVENTS too; KVM_GET_MP_STATE accepts INIT and SIPI, which may be a
   * nested VM exit; KVM_SET_NESTED_STATE enters L2.
   */
  private static boolean canEmit(String ioctl, TraceEvent event) {
    if (ioctl.equals("KVM_RUN")) {
      return true;
    }
    return switch (event) {
      case TraceEvent.SmmTransition _ -> ioctl.equals("KVM_SET_VCPU_EVENTS");
      case TraceEvent.NestedVmExitInject _ -> ioctl.equals("KVM_GET_MP_STATE");
      case TraceEvent.NestedVmEnter _, TraceEvent.NestedVmEnterFailed _ ->
          ioctl.equals("KVM_SET_NESTED_STATE");
      case TraceEvent.VmEntry _,
          TraceEvent.VmExit _,
          TraceEvent.NestedVmExit _,
          TraceEvent.NestedIntercepts _,
          TraceEvent.UserspaceExit _,
          TraceEvent.InjectedException _,
          TraceEvent.InjectedIrq _,
          TraceEvent.MsrAccess _,
          TraceEvent.CrAccess _,
          TraceEvent.Pio _,
          TraceEvent.Mmio _,
          TraceEvent.EmulateInsn _,
          TraceEvent.PageFault _ ->
          false;
      case TraceEvent.Marker _,
          TraceEvent.Other _,
          TraceEvent.IoctlEntered _,
          TraceEvent.IoctlReturned _ ->
          true;
    };
  }

  private TraceCoverage coverageByClock(Call call) {
    TraceFeed.Gap gap = feed.gapAround(call.enterNs(), call.exitNs());
    if (gap != null) {
      boolean inside = call.enterNs() >= gap.fromNs() && call.exitNs() < gap.toNs();
      return inside ? TraceCoverage.ABSENT : TraceCoverage.PARTIAL;
    }
    boolean whole =
        filtered
            && feed.allBuffersStarted()
            && !feed.untracedRuns()
            && feed.keptSinceNs(call.enterNs());
    return whole ? TraceCoverage.FILTERED : TraceCoverage.PARTIAL;
  }

  /** Reads the trace to its end, so that the report tells all of it. */
  void drain() {
    feed.drain();
  }

  MergeReport report() {
    return feed.report(attached, mismatched);
  }
}
