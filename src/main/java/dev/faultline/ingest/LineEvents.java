package dev.faultline.ingest;

import dev.faultline.store.EventType;
import dev.faultline.store.LaneEvent;
import dev.faultline.store.StoredEvent;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.Observation;
import dev.faultline.trace.TraceEvent;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import java.util.ArrayList;
import java.util.List;

/**
 * The stored events of one line of a recording: the facts, each at the moment that re-execution
 * gave it, and what the model concluded from them. A synthesized TRIPLE_FAULT stands next to the
 * VM-Enter at which it was judged.
 */
final class LineEvents implements TimelineListener {
  private final List<TimelineEvent> inside = new ArrayList<>();
  private final List<Divergence> divergences = new ArrayList<>();

  @Override
  public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
    inside.add(event);
  }

  @Override
  public void divergence(Divergence divergence) {
    divergences.add(divergence);
  }

  /** The lane of an observation. */
  static String lane(Observation observation) {
    return switch (observation) {
      case Observation.Call o -> LaneEvent.laneOfObject(o.obj());
      case Observation.Mapped o -> LaneEvent.laneOfObject(o.obj());
      case Observation.Closed o -> LaneEvent.laneOfObject(o.obj());
      case Observation.SmramCaptured o -> LaneEvent.laneOfObject(o.obj());
      case Observation.Mark _,
          Observation.Started _,
          Observation.Exited _,
          Observation.TimedOut _,
          Observation.UnknownLine _ ->
          LaneEvent.HOST;
    };
  }

  /**
   * The events of the observation that was re-executed last, from {@code first} to before {@code
   * next}.
   */
  List<StoredEvent> take(Observation observation, int first, int next) {
    List<StoredEvent> events = new ArrayList<>();
    if (observation instanceof Observation.Call call && EventMaker.isRun(call)) {
      run(call, first, next - 1, events);
    } else {
      events.add(EventMaker.line(observation, first));
      if (observation instanceof Observation.Call call) {
        for (TraceEvent traced : call.trace()) {
          events.add(EventMaker.traced(traced, first));
        }
      }
    }
    events.addAll(rest(next - 1));
    return events;
  }

  /** What the model concluded since, at the moment given. */
  List<StoredEvent> rest(int moment) {
    List<StoredEvent> events = new ArrayList<>();
    for (Divergence d : divergences) {
      events.add(diverged(d, moment));
    }
    inside.clear();
    divergences.clear();
    return events;
  }

  private void run(Observation.Call call, int first, int last, List<StoredEvent> events) {
    events.add(EventMaker.entered(call, first));
    int moment = first;
    int at = 0;
    if (!inside.isEmpty()
        && inside.getFirst() instanceof TimelineEvent.TripleFaultSynthesized fault) {
      moment = fault.moment();
      at++;
      events.add(
          StoredEvent.of(EventType.TRIPLE_FAULT_SYNTHESIZED, moment, call.seq())
              .texts(fault.cause().name(), fault.failed() == null ? "" : fault.failed().id()));
    }
    for (TraceEvent traced : call.trace()) {
      if (at < inside.size() && isOf(inside.get(at), traced)) {
        moment = inside.get(at++).moment();
      }
      events.add(EventMaker.traced(traced, moment));
    }
    events.add(EventMaker.returned(call, last));
  }

  /** Whether the model took an event of the timeline from this event of the trace. */
  private static boolean isOf(TimelineEvent event, TraceEvent traced) {
    return switch (traced) {
      case TraceEvent.VmEntry _ -> event instanceof TimelineEvent.VmEntered;
      case TraceEvent.VmExit _ -> event instanceof TimelineEvent.VmExited;
      case TraceEvent.NestedVmExit _ -> event instanceof TimelineEvent.L2Exited;
      case TraceEvent.NestedVmEnter _ -> event instanceof TimelineEvent.NestedVmEntered;
      case TraceEvent.NestedIntercepts _ -> event instanceof TimelineEvent.InterceptsShown;
      case TraceEvent.NestedVmEnterFailed _ -> event instanceof TimelineEvent.NestedVmEntryFailed;
      case TraceEvent.NestedVmExitInject _ -> event instanceof TimelineEvent.NestedVmExited;
      case TraceEvent.SmmTransition e ->
          e.entering()
              ? event instanceof TimelineEvent.SmmEntered
              : event instanceof TimelineEvent.SmmLeft;
      case TraceEvent.EmulateInsn _ -> event instanceof TimelineEvent.InstructionEmulated;
      case TraceEvent.MsrAccess e ->
          event instanceof TimelineEvent.CapabilityRead read
              && read.msr() == e.index()
              && !e.write()
              && !e.faulted();
      case TraceEvent.UserspaceExit _,
          TraceEvent.InjectedException _,
          TraceEvent.InjectedIrq _,
          TraceEvent.CrAccess _,
          TraceEvent.Pio _,
          TraceEvent.Mmio _,
          TraceEvent.PageFault _,
          TraceEvent.Marker _,
          TraceEvent.IoctlEntered _,
          TraceEvent.IoctlReturned _,
          TraceEvent.Other _ ->
          false;
    };
  }

  private static StoredEvent diverged(Divergence d, int moment) {
    String field = d.field();
    return StoredEvent.of(EventType.DIVERGENCE_FOUND, moment, d.seq(), d.moment())
        .texts(
            d.lane(),
            d.ioctl(),
            d.what().name(),
            field == null ? "" : field,
            d.recorded(),
            d.predicted(),
            d.because(),
            d.where());
  }
}
