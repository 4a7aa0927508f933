package dev.faultline.ingest;

import dev.faultline.Bytes;
import dev.faultline.store.EventType;
import dev.faultline.store.StoredEvent;
import dev.faultline.trace.FtraceReport;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.LeftOut;
import dev.faultline.trace.MergeReport;
import dev.faultline.trace.Merged;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.TraceEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Takes observations apart into the events that are stored; {@link EventReader} is its inverse. */
final class EventMaker {
  private static final String RUN = "KVM_RUN";

  private EventMaker() {}

  /** The first event of a timeline. */
  static StoredEvent opened(
      String source, RecordingFacts facts, boolean hasTrace, InputFormat format) {
    List<String> texts = new ArrayList<>();
    texts.add(source);
    texts.add(facts.name());
    texts.add(facts.command());
    texts.add(facts.kernel());
    texts.add(facts.insmodParams());
    for (Map.Entry<String, String> param : facts.params().entrySet()) {
      texts.add(param.getKey());
      texts.add(param.getValue());
    }
    return StoredEvent.of(EventType.RECORDING_OPENED, 0, bit(hasTrace), Formats.number(format))
        .texts(texts.toArray(new String[0]));
  }

  /** The last event of a timeline. */
  static StoredEvent ended(int moment, @Nullable MergeReport report, LeftOut left) {
    long[] numbers = new long[17];
    List<String> places = new ArrayList<>();
    if (report != null) {
      FtraceReport trace = report.trace();
      long[] merged = {
        1,
        trace.lines(),
        trace.events(),
        trace.damaged(),
        trace.unread(),
        trace.lost(),
        trace.gaps(),
        bit(trace.overwritten()),
        report.enters(),
        report.exits(),
        report.attached(),
        report.outside(),
        report.overwritten(),
        report.mismatched(),
        trace.places().size()
      };
      System.arraycopy(merged, 0, numbers, 0, merged.length);
      places.addAll(trace.places());
    }
    numbers[15] = left.damaged();
    numbers[16] = left.unreturned();
    places.addAll(left.places());
    return StoredEvent.of(EventType.RECORDING_ENDED, moment, numbers)
        .texts(places.toArray(new String[0]));
  }

  /** How several inputs became one. */
  static StoredEvent merged(int moment, Merged merged) {
    List<String> texts = new ArrayList<>();
    texts.add(merged.clock());
    texts.addAll(merged.sources());
    return StoredEvent.of(EventType.INPUTS_MERGED, moment, merged.uncertaintyNs(), merged.near())
        .texts(texts.toArray(new String[0]));
  }

  /** True for a KVM_RUN, which is stored as its beginning, its trace and its end. */
  static boolean isRun(Call call) {
    return call.name().equals(RUN)
        && call.fdKind().equals("vcpu")
        && call.extras().equals(Observation.Extras.NONE);
  }

  static StoredEvent entered(Call call, int moment) {
    Where where = Where.of(call.where());
    return StoredEvent.of(
        EventType.RUN_ENTERED,
        moment,
        List.of(
            call.seq(),
            call.enterNs(),
            where.line(),
            call.pid(),
            call.tid(),
            (long) call.fd(),
            (long) call.req(),
            call.arg(),
            (long) call.trace().size(),
            Holdings.number(call.payload().holding())),
        List.of(call.name(), call.fdKind(), call.obj(), where.file()),
        List.of(call.in(), call.runIn(), Holdings.shown(call.payload().holding())));
  }

  static StoredEvent returned(Call call, int moment) {
    return StoredEvent.of(
        EventType.RUN_RETURNED,
        moment,
        List.of(
            call.exitNs(),
            (long) call.ret(),
            (long) call.errno(),
            Coverages.number(call.coverage())),
        List.of(),
        List.of(call.out(), call.runOut()));
  }

  /** Any other ioctl. */
  static StoredEvent ioctl(Call call, int moment) {
    Where where = Where.of(call.where());
    List<Bytes> blobs = new ArrayList<>();
    blobs.add(call.in());
    blobs.add(call.out());
    blobs.add(call.runIn());
    blobs.add(call.runOut());
    blobs.add(call.extras().bitmap());
    blobs.add(call.extras().attrData());
    blobs.add(Holdings.shown(call.payload().holding()));
    blobs.addAll(call.extras().msrFilterBitmaps());
    return StoredEvent.of(
        EventType.IOCTL_RETURNED,
        moment,
        List.of(
            call.seq(),
            call.enterNs(),
            call.exitNs(),
            where.line(),
            call.pid(),
            call.tid(),
            (long) call.fd(),
            (long) call.req(),
            call.arg(),
            (long) call.ret(),
            (long) call.errno(),
            Coverages.number(call.coverage()),
            (long) call.trace().size(),
            Holdings.number(call.payload().holding())),
        List.of(call.name(), call.fdKind(), call.obj(), where.file()),
        blobs);
  }

  /** What is no ioctl. */
  static StoredEvent line(Observation observation, int moment) {
    Where where = Where.of(observation.where());
    long seq = observation.seq();
    long ns = observation.enterNs();
    return switch (observation) {
      case Call call -> ioctl(call, moment);
      case Observation.Mapped o ->
          StoredEvent.of(
                  EventType.KVM_RUN_MAPPED,
                  moment,
                  seq,
                  ns,
                  where.line(),
                  o.tid(),
                  o.fd(),
                  o.length(),
                  o.offset(),
                  o.address())
              .texts(o.obj(), where.file());
      case Observation.Closed o ->
          StoredEvent.of(
                  EventType.DESCRIPTOR_CLOSED,
                  moment,
                  seq,
                  ns,
                  where.line(),
                  o.tid(),
                  o.fd(),
                  o.ret())
              .texts(o.fdKind(), o.obj(), where.file());
      case Observation.Mark o ->
          StoredEvent.of(EventType.MARKED, moment, seq, ns, where.line(), o.tid())
              .texts(o.text(), where.file());
      case Observation.Started o -> started(o, where, moment);
      case Observation.SmramCaptured o ->
          StoredEvent.of(
              EventType.SMRAM_CAPTURED,
              moment,
              List.of(seq, ns, where.line(), o.tid(), o.smbase()),
              List.of(o.obj(), where.file()),
              List.of(o.map()));
      case Observation.Exited o ->
          StoredEvent.of(
                  EventType.THREAD_EXITED,
                  moment,
                  seq,
                  ns,
                  where.line(),
                  o.tid(),
                  o.tgid(),
                  o.code(),
                  o.signal())
              .texts(where.file());
      case Observation.TimedOut _ ->
          StoredEvent.of(EventType.RECORDER_TIMED_OUT, moment, seq, ns, where.line())
              .texts(where.file());
      case Observation.UnknownLine o ->
          StoredEvent.of(EventType.LINE_NOT_UNDERSTOOD, moment, seq, ns, where.line())
              .texts(o.kind(), o.text(), where.file());
    };
  }

  private static StoredEvent started(Observation.Started o, Where where, int moment) {
    List<String> texts = new ArrayList<>();
    texts.add(o.recorder());
    texts.add(where.file());
    texts.addAll(o.argv());
    return StoredEvent.of(
            EventType.PROGRAM_STARTED, moment, o.seq(), o.enterNs(), where.line(), o.pid())
        .texts(texts.toArray(new String[0]));
  }

  /** An event of the kernel's trace. */
  static StoredEvent traced(TraceEvent event, int moment) {
    long ns = event.ns();
    return switch (event) {
      case TraceEvent.VmEntry e ->
          StoredEvent.of(
              EventType.VM_ENTERED,
              moment,
              ns,
              e.vcpu(),
              e.rip(),
              e.intrInfo(),
              e.errorCode(),
              bit(e.immediateExit()));
      case TraceEvent.VmExit e ->
          StoredEvent.of(
                  EventType.VM_EXITED,
                  moment,
                  ns,
                  e.vcpu(),
                  e.rip(),
                  e.info1(),
                  e.info2(),
                  e.intrInfo(),
                  e.errorCode(),
                  e.requests())
              .texts(e.reason(), e.flags());
      case TraceEvent.NestedVmExit e ->
          StoredEvent.of(
                  EventType.L2_EXITED,
                  moment,
                  ns,
                  e.vcpu(),
                  e.rip(),
                  e.info1(),
                  e.info2(),
                  e.intrInfo(),
                  e.errorCode(),
                  e.requests())
              .texts(e.reason(), e.flags());
      case TraceEvent.NestedVmEnter e ->
          StoredEvent.of(
                  EventType.NESTED_VM_ENTERED,
                  moment,
                  ns,
                  bit(e.svm()),
                  e.rip(),
                  e.vmcs(),
                  e.nestedRip(),
                  e.intCtl(),
                  e.eventInj(),
                  bit(e.nestedPaging()),
                  e.root())
              .texts(e.rootName());
      case TraceEvent.NestedVmExitInject e ->
          StoredEvent.of(
                  EventType.NESTED_VM_EXITED,
                  moment,
                  ns,
                  e.info1(),
                  e.info2(),
                  e.intrInfo(),
                  e.errorCode())
              .texts(e.reason(), e.flags());
      case TraceEvent.SmmTransition e ->
          StoredEvent.of(
              e.entering() ? EventType.SMM_ENTERED : EventType.SMM_LEFT,
              moment,
              ns,
              e.vcpu(),
              e.smbase());
      default -> tracedBesides(event, moment);
    };
  }

  private static StoredEvent tracedBesides(TraceEvent event, int moment) {
    long ns = event.ns();
    return switch (event) {
      case TraceEvent.NestedIntercepts e ->
          StoredEvent.of(
              EventType.INTERCEPTS_SHOWN,
              moment,
              ns,
              e.crRead(),
              e.crWrite(),
              e.exceptions(),
              e.word3(),
              e.word4(),
              e.word5());
      case TraceEvent.NestedVmEnterFailed e ->
          StoredEvent.of(EventType.NESTED_VM_ENTRY_FAILED, moment, ns).texts(e.message());
      case TraceEvent.UserspaceExit e ->
          StoredEvent.of(EventType.USERSPACE_EXIT_TRACED, moment, ns, e.number()).texts(e.reason());
      case TraceEvent.InjectedException e ->
          StoredEvent.of(
                  EventType.EXCEPTION_INJECTED, moment, ns, e.errorCode(), bit(e.reinjected()))
              .texts(e.exception());
      case TraceEvent.InjectedIrq e ->
          StoredEvent.of(
              EventType.INTERRUPT_INJECTED,
              moment,
              ns,
              e.vector(),
              bit(e.soft()),
              bit(e.reinjected()));
      case TraceEvent.MsrAccess e ->
          StoredEvent.of(
              EventType.MSR_ACCESSED,
              moment,
              ns,
              bit(e.write()),
              e.index(),
              e.value(),
              bit(e.faulted()));
      case TraceEvent.CrAccess e ->
          StoredEvent.of(
              EventType.CR_ACCESSED, moment, ns, bit(e.write()), e.register(), e.value());
      case TraceEvent.Pio e ->
          StoredEvent.of(
              EventType.PIO_DONE,
              moment,
              ns,
              bit(e.write()),
              e.port(),
              e.size(),
              e.count(),
              e.value());
      case TraceEvent.Mmio e ->
          StoredEvent.of(EventType.MMIO_DONE, moment, ns, e.size(), e.gpa(), e.value())
              .texts(e.kind());
      case TraceEvent.EmulateInsn e ->
          StoredEvent.of(
              EventType.INSTRUCTION_EMULATED,
              moment,
              List.of(ns, e.csBase(), e.rip(), bit(e.failed())),
              List.of(e.mode()),
              List.of(e.insn()));
      case TraceEvent.PageFault e ->
          StoredEvent.of(
              EventType.PAGE_FAULTED, moment, ns, e.vcpu(), e.rip(), e.address(), e.errorCode());
      case TraceEvent.Marker e ->
          StoredEvent.of(EventType.TRACE_MARKED, moment, ns).texts(e.text());
      case TraceEvent.IoctlEntered e ->
          StoredEvent.of(EventType.SYSCALL_ENTERED, moment, ns, e.fd(), e.cmd(), e.arg());
      case TraceEvent.IoctlReturned e ->
          StoredEvent.of(EventType.SYSCALL_RETURNED, moment, ns, e.ret());
      case TraceEvent.Other e ->
          StoredEvent.of(EventType.TRACED_OTHERWISE, moment, ns).texts(e.name(), e.text());
      case TraceEvent.VmEntry _,
          TraceEvent.VmExit _,
          TraceEvent.NestedVmExit _,
          TraceEvent.NestedVmEnter _,
          TraceEvent.NestedVmExitInject _,
          TraceEvent.SmmTransition _ ->
          traced(event, moment);
    };
  }

  private static long bit(boolean set) {
    return set ? 1 : 0;
  }
}
