package dev.faultline.timeline;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.MpState;
import dev.faultline.timeline.Divergence.What;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.PageShown;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vmx.GuestStateCheck;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The KVM_RUN calls of a re-execution: judged, confirmed by tracepoints, and carried out. */
final class Runs {
  private final Reexecution owner;

  Runs(Reexecution owner) {
    this.owner = owner;
  }

  void run(int moment, Vcpu before, Recorded.VcpuCall call, Decision decision, Recorded.Run run) {
    owner.scores().runs(call.vcpu()).meet(1);
    RunResult result = run.result();
    boolean sound = consistent(moment, call, run);
    TimelineEvent.TripleFaultSynthesized fault = null;
    switch (decision.outcome()) {
      case Outcome.Refused r ->
          sound = judge(moment, call, decision, refusedAsSaid(r, result), sound);
      case Outcome.Exits e -> sound = judge(moment, call, decision, exitsAsSaid(e, result), sound);
      case Outcome.Runs r -> {
        if (sound && neverFails(before, result)) {
          owner
              .scores()
              .contradicted(moment, call, "a run of the guest", "no check of KVM_RUN fails");
          sound = false;
        } else if (r.fault() == null) {
          missed(moment, call, run, decision);
        } else {
          fault = faulted(moment, before, call, run, r.fault(), decision);
        }
      }
      case Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ -> {}
    }
    carryOut(before, call, decision, run, fault, sound);
  }

  /**
   * A KVM_RUN that nobody made: up to where the guest runs the rules tell what happens. How it
   * would come back then, nobody knows.
   */
  void supposed(
      int moment, Vcpu before, Recorded.VcpuCall call, Decision decision, Recorded.Run run) {
    TimelineEvent.TripleFaultSynthesized fault =
        decision.outcome() instanceof Outcome.Runs r ? r.fault() : null;
    if (fault != null) {
      owner.scores().add(synthesized(moment + 1, before, call, fault, Answer.CANNOT_TELL));
    }
    RunResult result = RunResult.supposed(decision.outcome(), run.result());
    carryOut(before, call, decision, new Recorded.Run(result, List.of(), false, null), fault, true);
  }

  private void carryOut(
      Vcpu before,
      Recorded.VcpuCall call,
      Decision decision,
      Recorded.Run run,
      TimelineEvent.@Nullable TripleFaultSynthesized fault,
      boolean sound) {
    Vcpu v = before;
    for (TimelineEvent event : decision.events()) {
      v = VcpuModel.evolve(v, event);
    }
    if (fault != null) {
      int moment = owner.index().add(call.seq(), "TRIPLE_FAULT");
      v =
          inside(
              v,
              call,
              new TimelineEvent.TripleFaultSynthesized(moment, fault.cause(), fault.failed()));
    }
    RsmJudge rsm = run.result().traced() ? new RsmJudge() : null;
    for (Recorded.Inner inner : run.inner()) {
      int moment = owner.index().add(call.seq(), Ioctl.RUN.uapiName());
      TimelineEvent event = inner.at(moment);
      if (rsm != null) {
        rsm.hear(v, event);
      }
      v = inside(v, call, event);
    }
    int moment = owner.index().add(call.seq(), Ioctl.RUN.uapiName());
    boolean asLoaded =
        rsm == null || !sound || judgeRsm(moment, call, run.result(), rsm, fault != null);
    v = inside(v, call, new TimelineEvent.RunReturned(moment, run.result()));
    if (!sound || !asLoaded) {
      v = VcpuModel.evolve(v, new TimelineEvent.CallDoubted(moment, Ioctl.RUN));
    }
    boolean eioByRsm = asLoaded && rsm != null && rsm.killsVm();
    owner.machine().put(settleDeath(v, moment, call, decision, run, eioByRsm));
  }

  /** Whether a KVM_RUN whose guest executed RSM went on as SMRAM demands. */
  private boolean judgeRsm(
      int moment, Recorded.VcpuCall call, RunResult result, RsmJudge rsm, boolean counted) {
    RsmVerdict verdict = rsm.decisive();
    if (verdict == null) {
      return true;
    }
    Answer agrees = rsm.agrees(verdict, result);
    if (!agrees.isKnown()) {
      return true;
    }
    owner.listener().rsm(moment, call, verdict);
    if (!counted) {
      owner.scores().runs(call.vcpu()).compare(agrees.isYes());
    }
    if (agrees.isYes()) {
      return true;
    }
    owner
        .scores()
        .diverge(
            new Divergence(
                moment,
                call.seq(),
                call.vcpu(),
                Ioctl.RUN.uapiName(),
                What.RUN,
                null,
                ended(call),
                Words.outcome(verdict.end()),
                verdict.failed() == null
                    ? "RSM loads a state that the guest can go on with"
                    : Words.because(verdict.failed()),
                call.where()));
    return false;
  }

  private Vcpu inside(Vcpu v, Recorded.VcpuCall call, TimelineEvent event) {
    Machine machine = owner.machine();
    machine.host(VcpuModel.learn(machine.host(), v, event));
    Vcpu next = VcpuModel.evolve(v, event);
    owner.listener().event(event.moment(), call, event);
    owner.notice(event.moment(), v, next, false);
    return next;
  }

  /**
   * An EIO means that the VM is dead if the model or the trace says so, too; otherwise the next
   * call tells.
   */
  private Vcpu settleDeath(
      Vcpu v,
      int moment,
      Recorded.VcpuCall call,
      Decision decision,
      Recorded.Run run,
      boolean eioByRsm) {
    boolean eio = Words.isEio(run.result().ret(), run.result().errno());
    boolean foreseen =
        (eio && eioByRsm)
            || (decision.outcome() instanceof Outcome.Refused r && r.errno() == Errno.EIO);
    Integer traced = run.tracedExit();
    boolean expected = foreseen || (traced != null && traced == -Errno.EIO.number());
    if (eio == expected) {
      return v;
    }
    if (eio && traced == null) {
      owner.deaths().suspect(moment, call);
    }
    return v.withVm(v.vm().withDead(Answer.CANNOT_TELL));
  }

  private static boolean refusedAsSaid(Outcome.Refused r, RunResult result) {
    return result.ret() == -1 && result.errno() == r.errno().number();
  }

  private static boolean exitsAsSaid(Outcome.Exits e, RunResult result) {
    KvmRun run = result.run();
    return result.ret() == 0
        && run.exit() == e.exit()
        && (e.suberror() < 0 || run.internalSuberror() == e.suberror());
  }

  /** Compares, unless a difference is told already. True if there is none. */
  private boolean judge(
      int moment, Recorded.VcpuCall call, Decision decision, boolean asSaid, boolean sound) {
    if (!sound) {
      return false;
    }
    owner.scores().runs(call.vcpu()).compare(asSaid);
    if (!asSaid) {
      diverge(moment, call, ended(call), decision);
    }
    return asSaid;
  }

  private void diverge(int moment, Recorded.VcpuCall call, String recorded, Decision decision) {
    owner
        .scores()
        .diverge(
            new Divergence(
                moment,
                call.seq(),
                call.vcpu(),
                Ioctl.RUN.uapiName(),
                What.RUN,
                null,
                recorded,
                Words.outcome(decision.outcome()),
                Words.because(decision.outcome()),
                call.where()));
  }

  static String ended(Recorded.VcpuCall call) {
    Recorded.Run run = call.run();
    String returned = Words.returned(call.ret(), call.errno());
    if (run == null || call.ret() != 0) {
      return returned;
    }
    RunResult result = run.result();
    if (result.shown() == PageShown.NOTHING) {
      return returned;
    }
    KvmExit exit = result.exit();
    return exit == null ? "exit reason " + result.run().exitReason() : exit.name();
  }

  /**
   * Whether a KVM_RUN that passes all checks cannot fail so: what is left are signals, memory, and
   * KVM's own bugs.
   */
  private static boolean neverFails(Vcpu v, RunResult result) {
    if (result.ret() >= 0) {
      return false;
    }
    Errno errno = Errno.of(result.errno());
    return errno == null
        || switch (errno) {
          case EINTR, EFAULT, EIO, ENOMEM, ENOSPC -> false;
          case EAGAIN -> v.platform().mpState().is(0, MpState.UNINITIALIZED.number()).isNo();
          default -> true;
        };
  }

  /** A synthesized exit that the model rules out. */
  private void missed(int moment, Recorded.VcpuCall call, Recorded.Run run, Decision decision) {
    if (!run.firstExitInjected()) {
      return;
    }
    owner.scores().runs(call.vcpu()).compare(false);
    diverge(moment, call, "L2 exits to L1 with TRIPLE_FAULT, made by KVM", decision);
  }

  /** The fault that the state demands, or null when this KVM_RUN did not get as far. */
  private TimelineEvent.@Nullable TripleFaultSynthesized faulted(
      int moment,
      Vcpu before,
      Recorded.VcpuCall call,
      Recorded.Run run,
      TimelineEvent.TripleFaultSynthesized fault,
      Decision decision) {
    RunResult result = run.result();
    boolean interrupted =
        result.ret() < 0 && result.errno() == Errno.EINTR.number() && !run.firstExitInjected();
    if (interrupted && !result.ranGuest().isYes()) {
      return null;
    }
    Answer confirmed =
        run.firstExitInjected() ? Answer.YES : result.traced() ? Answer.NO : Answer.CANNOT_TELL;
    owner.scores().runs(call.vcpu()).compare(!confirmed.isNo());
    if (confirmed.isNo()) {
      owner.scores().add(synthesized(moment + 1, before, call, fault, confirmed));
      diverge(moment, call, "no exit of L2 before guest code ran; " + ended(call), decision);
      return null;
    }
    owner.scores().add(synthesized(moment + 1, before, call, fault, confirmed));
    return fault;
  }

  private Synthesized synthesized(
      int moment,
      Vcpu before,
      Recorded.VcpuCall call,
      TimelineEvent.TripleFaultSynthesized fault,
      Answer confirmed) {
    GuestStateCheck failed = fault.failed();
    String field = failed == null ? null : Blame.field(failed);
    int writer =
        field == null
            ? fault.cause() == FaultCause.REQUESTED ? Blame.tripleFaultWriter(before) : -1
            : Blame.writer(before, field);
    return new Synthesized(
        moment,
        call.seq(),
        call.vcpu(),
        fault.cause(),
        failed,
        field,
        writer,
        writer < 0 ? -1 : owner.index().seq(writer),
        writer < 0 ? "" : owner.index().name(writer),
        confirmed);
  }

  /** Whether return value, exit reason and tracepoint agree with each other. */
  private boolean consistent(int moment, Recorded.VcpuCall call, Recorded.Run run) {
    Integer traced = run.tracedExit();
    RunResult result = run.result();
    if (traced != null) {
      boolean same =
          traced < 0
              ? result.ret() < 0 && result.errno() == -traced
              : result.ret() == 0
                  && (result.shown() == PageShown.NOTHING || result.run().exitReason() == traced);
      if (!same) {
        owner
            .scores()
            .contradicted(
                moment, call, tracedWords(traced), "the tracepoint kvm_userspace_exit says so");
      }
      return same;
    }
    String predicted = impossible(result);
    if (predicted != null) {
      owner
          .scores()
          .contradicted(moment, call, predicted, "kvm_arch_vcpu_ioctl_run() ends no other way");
    }
    return predicted == null;
  }

  private static String tracedWords(int traced) {
    if (traced < 0) {
      return Words.returned(-1, -traced);
    }
    KvmExit exit = KvmExit.of(traced);
    return exit == null ? "exit reason " + traced : exit.name();
  }

  /** What a self-contradictory result should have been, or null when it is possible. */
  private static @Nullable String impossible(RunResult result) {
    KvmRun run = result.run();
    boolean interrupted = run.exit() == KvmExit.KVM_EXIT_INTR;
    if (result.ret() > 0) {
      return "0 or -1";
    }
    if (!result.showsPage()) {
      return null;
    }
    if (result.ret() == 0 && interrupted) {
      return "-1 EINTR";
    }
    boolean eintr = result.ret() < 0 && result.errno() == Errno.EINTR.number();
    return eintr && !interrupted && run.immediateExit() == 0 ? ended(run) : null;
  }

  private static String ended(KvmRun run) {
    KvmExit exit = run.exit();
    return exit == null ? "exit reason " + run.exitReason() : exit.name();
  }
}
