package dev.faultline.cli;

import dev.faultline.kvm.Ioctl;
import dev.faultline.report.PerfettoTrace;
import dev.faultline.report.PerfettoTrace.Argument;
import dev.faultline.report.PerfettoTrace.Event;
import dev.faultline.report.PerfettoTrace.EventType;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.Synthesized;
import dev.faultline.timeline.Verification;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.TraceEvent;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;

/**
 * Lays an input out for the Perfetto UI: a track for the ioctls of each VM and vCPU, below a vCPU's
 * one for who runs (L0, L1, L2, SMM); findings and nested entries are instants, and arrows go from
 * SMI to RSM and from the cause of a fault to the fault.
 *
 * <p>Tracepoints have microseconds and calls have nanoseconds: a time that would go back on its
 * track is that of the event before it.
 */
final class PerfettoFeed {
  private static final String CALLS = "ioctl";
  private static final String LEVELS = "level";
  private static final String FINDINGS = "finding";
  private static final String NESTED = "nested";
  private static final long NS_OF_A_CALL_WITHOUT_TIME = 1000;

  private final PerfettoTrace to;
  private final TreeMap<Long, List<Long>> flowsBySeq = new TreeMap<>();
  private final TreeMap<Long, List<String>> findingsBySeq = new TreeMap<>();
  private final SequencedMap<String, Lane> lanes = new LinkedHashMap<>();
  private long tracks;
  private long flows;
  private boolean timeless;

  /** The tracks of a VM or vCPU, and what runs on the vCPU. */
  private static final class Lane {
    private final long calls;
    private long level;
    private long callsNs;
    private long levelNs;
    private String running = "";
    private boolean l2;
    private boolean smm;
    private long smmFlow;

    Lane(long calls) {
      this.calls = calls;
    }

    private String guest() {
      return smm ? "SMM" : l2 ? "L2" : "L1";
    }
  }

  /** What verification said is shown where it happened. */
  PerfettoFeed(PerfettoTrace to, Verification verification) {
    this.to = to;
    for (Synthesized s : verification.synthesized()) {
      long flow = ++flows;
      flowsBySeq.computeIfAbsent(s.seq(), _ -> new ArrayList<>()).add(flow);
      if (s.writerSeq() >= 0 && s.writerSeq() != s.seq()) {
        flowsBySeq.computeIfAbsent(s.writerSeq(), _ -> new ArrayList<>()).add(flow);
      }
      String check = s.failed() == null ? "" : " " + s.failed().id();
      findingsBySeq
          .computeIfAbsent(s.seq(), _ -> new ArrayList<>())
          .add("TRIPLE_FAULT synthesized" + check);
    }
    for (Divergence d : verification.divergences()) {
      findingsBySeq
          .computeIfAbsent(d.seq(), _ -> new ArrayList<>())
          .add("divergence: recorded " + d.recorded() + ", predicted " + d.predicted());
    }
  }

  /** True if a call had no time, so that the order is all that the trace shows. */
  boolean isTimeless() {
    return timeless;
  }

  void accept(Observation observation) throws IOException {
    if (!(observation instanceof Call call)) {
      return;
    }
    Lane lane = lane(call.obj());
    boolean known = call.enterNs() >= 0;
    timeless |= !known;
    long enter = Math.max(lane.callsNs, known ? call.enterNs() : lastNs());
    long exit = Math.max(enter, known ? call.exitNs() : enter + NS_OF_A_CALL_WITHOUT_TIME);
    lane.callsNs = exit;
    boolean run = call.name().equals(Ioctl.RUN.uapiName());
    List<Argument> arguments = new ArrayList<>();
    arguments.add(new PerfettoTrace.Whole("seq", call.seq()));
    arguments.add(new PerfettoTrace.Whole("ret", call.ret()));
    if (call.ret() < 0 || run) {
      arguments.add(new PerfettoTrace.Text("result", StatFeed.why(call)));
    }
    List<Long> joined = flowsBySeq.getOrDefault(call.seq(), List.of());
    to.event(
        new Event(EventType.SLICE_BEGIN, lane.calls, enter, CALLS, call.name(), arguments, joined));
    if (run) {
      levels(call.obj(), lane, call, enter, exit);
    }
    for (String finding : findingsBySeq.getOrDefault(call.seq(), List.of())) {
      to.event(
          new Event(EventType.INSTANT, lane.calls, exit, FINDINGS, finding, List.of(), joined));
    }
    to.event(new Event(EventType.SLICE_END, lane.calls, exit, "", "", List.of(), List.of()));
  }

  private long lastNs() {
    long last = 0;
    for (Lane lane : lanes.values()) {
      last = Math.max(last, lane.callsNs);
    }
    return last;
  }

  private Lane lane(String name) throws IOException {
    Lane lane = lanes.get(name);
    if (lane == null) {
      int slash = name.indexOf('/');
      long parent = slash < 0 ? 0 : lane(name.substring(0, slash)).calls;
      lane = new Lane(++tracks);
      lanes.put(name, lane);
      to.track(lane.calls, name, parent);
    }
    return lane;
  }

  private void levels(String name, Lane lane, Call call, long enter, long exit) throws IOException {
    if (call.trace().isEmpty()) {
      return;
    }
    if (lane.level == 0) {
      lane.level = ++tracks;
      to.track(lane.level, name + " runs", lane.calls);
    }
    runs(lane, "L0", enter);
    for (TraceEvent event : call.trace()) {
      event(lane, event, Math.min(exit, Math.max(enter, event.ns())));
    }
    runs(lane, "", exit);
  }

  private void event(Lane lane, TraceEvent event, long ns) throws IOException {
    switch (event) {
      case TraceEvent.VmEntry _ -> runs(lane, lane.guest(), ns);
      case TraceEvent.VmExit e -> {
        runs(lane, "L0", ns);
        instant(lane, ns, "exit " + e.reason(), List.of());
      }
      case TraceEvent.NestedVmEnter _ -> {
        lane.l2 = true;
        instant(lane, ns, "nested VM-Enter", List.of());
      }
      case TraceEvent.NestedVmEnterFailed e -> {
        lane.l2 = false;
        instant(lane, ns, "nested VM-Enter failed: " + e.message(), List.of());
      }
      case TraceEvent.NestedVmExitInject e -> {
        lane.l2 = false;
        instant(lane, ns, "L1 gets " + e.reason(), List.of());
      }
      case TraceEvent.SmmTransition e -> {
        if (e.entering()) {
          lane.smmFlow = ++flows;
        }
        lane.smm = e.entering();
        List<Long> flow = lane.smmFlow == 0 ? List.of() : List.of(lane.smmFlow);
        instant(lane, ns, e.entering() ? "SMI" : "RSM", flow);
      }
      default -> {}
    }
  }

  private void instant(Lane lane, long ns, String name, List<Long> joined) throws IOException {
    lane.levelNs = Math.max(lane.levelNs, ns);
    to.event(
        new Event(EventType.INSTANT, lane.level, lane.levelNs, NESTED, name, List.of(), joined));
  }

  /** From here on this runs; empty for nothing. */
  private void runs(Lane lane, String what, long ns) throws IOException {
    lane.levelNs = Math.max(lane.levelNs, ns);
    if (lane.running.equals(what)) {
      return;
    }
    if (!lane.running.isEmpty()) {
      to.event(
          new Event(EventType.SLICE_END, lane.level, lane.levelNs, "", "", List.of(), List.of()));
    }
    if (!what.isEmpty()) {
      to.event(
          new Event(
              EventType.SLICE_BEGIN, lane.level, lane.levelNs, LEVELS, what, List.of(), List.of()));
    }
    lane.running = what;
  }
}
