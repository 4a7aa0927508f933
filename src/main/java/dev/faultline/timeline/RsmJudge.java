package dev.faultline.timeline;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import org.jspecify.annotations.Nullable;

/** Compares what RSM must make of SMRAM with how its KVM_RUN went on. */
final class RsmJudge {
  private @Nullable RsmVerdict decisive;
  private boolean ran;

  /** The next event inside the KVM_RUN, and the vCPU before it. */
  void hear(Vcpu v, TimelineEvent event) {
    switch (event) {
      case TimelineEvent.SmmLeft left -> {
        RsmVerdict verdict = VcpuModel.rsm(v, left);
        if (decisive == null || decisive.end() instanceof Outcome.Runs) {
          decisive = verdict.end() instanceof Outcome.Undecided ? null : verdict;
        }
        ran = false;
      }
      case TimelineEvent.VmEntered _,
          TimelineEvent.VmExited _,
          TimelineEvent.L2Exited _,
          TimelineEvent.SmmEntered _ ->
          ran = true;
      default -> {}
    }
  }

  /** What the last RSM of which enough is known demands, or null. */
  @Nullable RsmVerdict decisive() {
    return decisive;
  }

  /** Whether KVM_RUN ended so; a signal that came between leaves it open. */
  Answer agrees(RsmVerdict verdict, RunResult result) {
    if (result.ret() < 0 && result.errno() == Errno.EINTR.number()) {
      return Answer.CANNOT_TELL;
    }
    boolean eio = result.ret() < 0 && result.errno() == Errno.EIO.number();
    return switch (verdict.end()) {
      case Outcome.Refused _ -> Answer.of(eio);
      case Outcome.Exits e -> exits(e, result);
      case Outcome.Runs _ -> goesOn(verdict, result, eio);
      case Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ -> Answer.CANNOT_TELL;
    };
  }

  /** Whether the last RSM of which enough is known kills the VM. */
  boolean killsVm() {
    return decisive != null
        && decisive.end() instanceof Outcome.Refused r
        && r.errno() == Errno.EIO;
  }

  private static Answer exits(Outcome.Exits e, RunResult result) {
    if (result.ret() != 0) {
      return Answer.NO;
    }
    if (result.exit() == null) {
      return Answer.CANNOT_TELL;
    }
    return Answer.of(
        result.exit() == e.exit()
            && (e.suberror() < 0
                || !result.showsPage()
                || result.run().internalSuberror() == e.suberror()));
  }

  private Answer goesOn(RsmVerdict verdict, RunResult result, boolean eio) {
    if (eio) {
      return Answer.NO;
    }
    boolean gaveUp =
        result.ret() == 0
            && (result.exit() == KvmExit.KVM_EXIT_SHUTDOWN
                || result.exit() == KvmExit.KVM_EXIT_INTERNAL_ERROR);
    if (!gaveUp || ran) {
      return Answer.YES;
    }
    if (verdict.emulates().isNo()) {
      return Answer.NO;
    }
    // A level that has to be emulated may well come to an instruction that cannot be.
    boolean unemulable =
        result.exit() == KvmExit.KVM_EXIT_INTERNAL_ERROR
            && result.run().internalSuberror() == KvmRun.KVM_INTERNAL_ERROR_EMULATION;
    return verdict.emulates().isYes() && unemulable ? Answer.YES : Answer.CANNOT_TELL;
  }
}
