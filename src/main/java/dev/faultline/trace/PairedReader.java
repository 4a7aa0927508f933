package dev.faultline.trace;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmRun;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Traced;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Reads what strace and the kernel's trace tell of the same calls.
 *
 * <p>The two have no clock in common: strace prints the time of day, tracefs that of its own clock.
 * So calls are paired by their thread and order, and only those whose ioctl and result agree. From
 * the first pair on the distance of the two clocks is known, and a pair is {@link #TOLERANCE_NS}
 * off it at most, so that calls which one of the two has lost do not shift all later ones. The
 * events of the trace's call are then those of strace's call. A call without a partner has no
 * events; {@link MergeReport#mismatched()} counts the partners that were passed over.
 *
 * <p><i>Units</i>: the times are strace's; those of events are the trace's.
 */
public final class PairedReader implements ObservationReader {
  /** How many calls of the trace may lie between two of strace. */
  public static final int WINDOW = 1024;

  /**
   * How far from the clocks' distance two may be that tell of one call: between strace's look at
   * the clock and the kernel's, another thread may run.
   */
  public static final long TOLERANCE_NS = 50_000_000;

  /** How far off most of them are at most. */
  private static final long USUAL_NS = 2_000_000;

  private static final int MISSES_TO_UNLOCK = 256;
  private static final int LOOK_AHEAD = 512;
  private static final int DRIFT_SHARE = 16;

  /** How many calls of the trace wait for strace to come to them. */
  public static final int MAX_WAITING = 1 << 14;

  private final ObservationReader calls;
  private final KernelTraceReader trace;
  private final TreeMap<Long, ArrayDeque<Call>> waiting = new TreeMap<>();
  private final ArrayDeque<Observation> ahead = new ArrayDeque<>();
  private int waitingCount;
  private long paired;
  private long offsetNs;
  private boolean locked;
  private int misses;
  private long passedOver;

  /** A reader of both, which it closes. */
  public PairedReader(ObservationReader calls, KernelTraceReader trace) {
    this.calls = calls;
    this.trace = trace;
  }

  @Override
  public boolean hasNext() {
    return !ahead.isEmpty() || calls.hasNext();
  }

  @Override
  public Observation next() {
    if (!hasNext()) {
      throw new NoSuchElementException("both traces are at their end");
    }
    Observation next = ahead.isEmpty() ? calls.next() : ahead.remove();
    if (!(next instanceof Call call)) {
      return next;
    }
    Call partner = partner(call);
    return partner == null ? call : call.withTraced(partner.traced());
  }

  private @Nullable Call partner(Call call) {
    boolean run = call.name().equals(Ioctl.RUN.uapiName());
    if (!run && !trace.showsSystemCalls()) {
      return null;
    }
    boolean timed = call.enterNs() >= 0;
    fill(call.tid(), timed && !locked ? WINDOW : 1);
    ArrayDeque<Call> queue = waiting.get(call.tid());
    if (queue == null || (timed && !locked && !lock(call, queue))) {
      return null;
    }
    Call partner = take(queue, call, timed);
    misses = partner == null ? misses + 1 : 0;
    if (misses == MISSES_TO_UNLOCK) {
      // The clock was set, or nothing more is in the trace.
      locked = false;
      misses = 0;
    }
    return partner;
  }

  /** Reads the trace on until so many calls of the thread wait. */
  private void fill(long tid, int wanted) {
    while (waitingOf(tid) < wanted && waitingCount < MAX_WAITING && trace.hasNext()) {
      if (trace.next() instanceof Call traced) {
        waiting.computeIfAbsent(traced.tid(), _ -> new ArrayDeque<>()).add(traced);
        waitingCount++;
      }
    }
  }

  private int waitingOf(long tid) {
    ArrayDeque<Call> queue = waiting.get(tid);
    return queue == null ? 0 : queue.size();
  }

  /**
   * Finds the distance of the clocks: the one under which the most of the next calls have a
   * partner. False if under none enough have.
   */
  private boolean lock(Call call, ArrayDeque<Call> queue) {
    while (ahead.size() < LOOK_AHEAD && calls.hasNext()) {
      ahead.add(calls.next());
    }
    List<Call> next = new ArrayList<>();
    next.add(call);
    for (Observation o : ahead) {
      if (o instanceof Call later && later.tid() == call.tid() && isPaired(later)) {
        next.add(later);
      }
    }
    long best = 0;
    int tried = 0;
    for (Call candidate : queue) {
      if (tried++ == WINDOW) {
        break;
      }
      long offset = call.enterNs() - candidate.enterNs();
      long fit = agree(call, candidate) ? fit(next, queue, offset) : 0;
      if (fit > best) {
        best = fit;
        offsetNs = offset;
      }
    }
    locked = best >= next.size() * (USUAL_NS / 10 * 8);
    return locked;
  }

  private boolean isPaired(Call call) {
    return trace.showsSystemCalls() || call.name().equals(Ioctl.RUN.uapiName());
  }

  /**
   * How well these calls have partners at that distance of the clocks: {@link #USUAL_NS} for each
   * partner, less what the two are off. Both are in order of time.
   */
  private static long fit(List<Call> next, ArrayDeque<Call> queue, long offset) {
    long fit = 0;
    Iterator<Call> it = queue.iterator();
    Call traced = it.hasNext() ? it.next() : null;
    for (Call call : next) {
      while (traced != null && call.enterNs() - traced.enterNs() - offset > USUAL_NS) {
        traced = it.hasNext() ? it.next() : null;
      }
      if (traced == null) {
        return fit;
      }
      long away = call.enterNs() - traced.enterNs() - offset;
      if (agree(call, traced) && away >= -USUAL_NS) {
        fit += USUAL_NS - Math.abs(away);
        traced = it.hasNext() ? it.next() : null;
      }
    }
    return fit;
  }

  /** The nearest call that agrees, without clocks the first; those before it are passed over. */
  private @Nullable Call take(ArrayDeque<Call> queue, Call call, boolean timed) {
    while (timed && !queue.isEmpty() && awayNs(call, queue.getFirst()) > TOLERANCE_NS) {
      passOver(queue, 1);
      fill(call.tid(), 1);
    }
    int at = 0;
    int best = -1;
    long bestNs = Long.MAX_VALUE;
    for (Call traced : queue) {
      long away = timed ? awayNs(call, traced) : 0;
      // The first in line is the one expected; of later ones the nearest.
      boolean settled = best == 0 || Math.abs(away) >= bestNs;
      if (at == WINDOW || away < -TOLERANCE_NS || settled) {
        break;
      }
      if (agree(call, traced)) {
        best = at;
        bestNs = Math.abs(away);
      }
      at++;
    }
    if (best < 0) {
      return null;
    }
    passOver(queue, best);
    Call partner = queue.remove();
    waitingCount--;
    paired++;
    // One of a pair may be late; clocks drift slowly.
    offsetNs += timed ? awayNs(call, partner) / DRIFT_SHARE : 0;
    return partner;
  }

  /** How much later strace's call is than the trace's; the clocks' distance is taken off. */
  private long awayNs(Call call, Call traced) {
    return call.enterNs() - traced.enterNs() - offsetNs;
  }

  private void passOver(ArrayDeque<Call> queue, int count) {
    for (int i = 0; i < count; i++) {
      queue.remove();
    }
    passedOver += count;
    waitingCount -= count;
  }

  private static boolean agree(Call call, Call traced) {
    boolean same =
        call.name().equals(traced.name())
            && call.ret() == traced.ret()
            && call.errno() == traced.errno();
    int shown = exitReason(call);
    int told = tracedReason(traced);
    return same && (shown < 0 || told < 0 || shown == told);
  }

  /** The exit reason that strace prints; -1 if it prints none. */
  private static int exitReason(Call call) {
    return call.payload().runOut().isEmpty()
        ? -1
        : new KvmRun(call.payload().runOut()).exitReason();
  }

  private static int tracedReason(Call traced) {
    Traced events = traced.traced();
    for (TraceEvent event : events.events()) {
      if (event instanceof TraceEvent.UserspaceExit exit && !exit.failed()) {
        return exit.number();
      }
    }
    return -1;
  }

  @Override
  public MergeReport mergeReport() {
    MergeReport of = trace.mergeReport();
    return new MergeReport(
        of.trace(), of.enters(), paired, of.attached(), of.outside(), of.overwritten(), passedOver);
  }

  @Override
  public InputFormat format() {
    return calls.format();
  }

  @Override
  public LeftOut leftOut() {
    return calls.leftOut();
  }

  @Override
  public void close() {
    trace.close();
    calls.close();
  }
}
