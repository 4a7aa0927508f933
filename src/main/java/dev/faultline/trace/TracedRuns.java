package dev.faultline.trace;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.PageShown;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What the tracepoints inside a KVM_RUN tell: entries, exits, SMIs, RSMs, and who ran. */
final class TracedRuns {
  /** What the exit of a triple fault is called, on VMX and on SVM. */
  private static final List<String> SHUTDOWNS = List.of("TRIPLE_FAULT", "shutdown");

  private TracedRuns() {}

  static Recorded.Run of(Observation.Call call) {
    Reading reading = new Reading();
    List<TraceEvent> trace = call.trace();
    for (int i = 0; i < trace.size(); i++) {
      boolean nestedNext =
          i + 1 < trace.size() && trace.get(i + 1) instanceof TraceEvent.NestedVmExit;
      reading.read(trace.get(i), nestedNext);
    }
    boolean pageless = call.result().decided() && call.runOut().isEmpty();
    PageShown shown = pageless ? PageShown.NOTHING : call.payload().holding().page();
    KvmRun run = shown == PageShown.NOTHING ? KvmRun.zero() : new KvmRun(call.runOut());
    Integer traced = reading.tracedExit;
    if (shown == PageShown.NOTHING && call.ret() == 0 && traced != null && traced >= 0) {
      run = run.withExitReason(traced);
      shown = PageShown.EXIT_REASON;
    }
    RunResult result =
        new RunResult(
            call.ret(),
            call.errno(),
            run,
            shown,
            ranGuest(call, run, reading),
            ranL1(call.coverage(), reading),
            call.coverage() == TraceCoverage.COMPLETE || call.coverage() == TraceCoverage.FILTERED);
    return new Recorded.Run(
        result, List.copyOf(reading.inner), reading.injectedFirst, reading.tracedExit);
  }

  private static Answer ranGuest(Observation.Call call, KvmRun run, Reading reading) {
    if (reading.anything) {
      return Answer.YES;
    }
    boolean refused =
        call.ret() != 0
            && (call.errno() == Errno.EINVAL.number()
                || call.errno() == Errno.EAGAIN.number()
                || (call.errno() == Errno.EINTR.number() && run.immediateExit() != 0));
    if (refused || call.coverage() == TraceCoverage.COMPLETE) {
      return Answer.NO;
    }
    boolean rejected =
        call.ret() == 0
            && call.payload().holding().page() != PageShown.NOTHING
            && (run.exit() == KvmExit.KVM_EXIT_INTERNAL_ERROR || run.exit() == null)
            && call.coverage() == TraceCoverage.FILTERED;
    return rejected ? Answer.NO : Answer.CANNOT_TELL;
  }

  private static Answer ranL1(TraceCoverage coverage, Reading reading) {
    if (reading.l1) {
      return Answer.YES;
    }
    return switch (coverage) {
      case COMPLETE -> Answer.NO;
      // EPT violations of L1 are left out of this trace, but L1 is reached by an exit that is not.
      case FILTERED -> reading.l2 ? Answer.NO : Answer.CANNOT_TELL;
      case PARTIAL, ABSENT -> Answer.CANNOT_TELL;
    };
  }

  /** Walks the events of one KVM_RUN. */
  private static final class Reading {
    private final List<Recorded.Inner> inner = new ArrayList<>();
    private boolean anything;
    private boolean l1;
    private boolean l2;
    private boolean guestStarted;
    private boolean injectedFirst;
    private @Nullable Integer tracedExit;

    private void read(TraceEvent event, boolean nestedNext) {
      switch (event) {
        case TraceEvent.VmEntry e -> {
          started();
          inner.add(m -> new TimelineEvent.VmEntered(m, e.rip()));
        }
        case TraceEvent.VmExit e -> {
          started();
          l1 |= !nestedNext;
          inner.add(m -> new TimelineEvent.VmExited(m, e.reason(), e.flags(), e.rip()));
        }
        case TraceEvent.NestedVmExit e -> {
          started();
          l2 = true;
          inner.add(m -> new TimelineEvent.L2Exited(m, e.reason(), e.flags(), e.rip()));
        }
        case TraceEvent.NestedVmExitInject e -> {
          if (!guestStarted && SHUTDOWNS.contains(e.reason())) {
            injectedFirst = true;
          }
          started();
          l1 = true;
          inner.add(m -> new TimelineEvent.NestedVmExited(m, e.reason(), e.flags(), e.info1()));
        }
        case TraceEvent.NestedVmEnter e -> {
          started();
          inner.add(m ->
              new TimelineEvent.NestedVmEntered(
                  m, e.rip(), e.vmcs(), e.nestedRip(), Answer.of(e.nestedPaging())));
        }
        case TraceEvent.NestedIntercepts e ->
            inner.add(m ->
                new TimelineEvent.InterceptsShown(
                    m,
                    e.crRead() | e.crWrite() << Short.SIZE,
                    e.exceptions(),
                    e.word3(),
                    e.word4(),
                    e.word5()));
        case TraceEvent.NestedVmEnterFailed e ->
            inner.add(m -> new TimelineEvent.NestedVmEntryFailed(m, e.message()));
        case TraceEvent.SmmTransition e -> {
          started();
          l1 = true;
          inner.add(
              e.entering()
                  ? m -> new TimelineEvent.SmmEntered(m, e.smbase())
                  : m -> new TimelineEvent.SmmLeft(m, e.smbase()));
        }
        case TraceEvent.EmulateInsn e -> {
          anything = true;
          guestStarted = true;
          inner.add(m ->
              new TimelineEvent.InstructionEmulated(
                  m, Long.toHexString(e.rip()) + ": " + e.insn().toHex()));
        }
        case TraceEvent.MsrAccess e -> {
          if (!e.write() && !e.faulted() && Msr.isVmxCapability(e.index())) {
            inner.add(m -> new TimelineEvent.CapabilityRead(m, e.index(), e.value()));
          }
        }
        case TraceEvent.UserspaceExit e -> tracedExit = e.failed() ? -e.errno() : e.number();
        default -> {}
      }
    }

    private void started() {
      anything = true;
      guestStarted = true;
    }
  }
}
