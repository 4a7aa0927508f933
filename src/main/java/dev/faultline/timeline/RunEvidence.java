package dev.faultline.timeline;

import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.InvalidEntry.Reach;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.KernelVersion.RsmToInvalidL2;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vcpu.Emulation;
import java.util.List;

/** What the recorded inside and end of a KVM_RUN tell about the state that it began with. */
final class RunEvidence {
  private RunEvidence() {}

  /** Whether hardware was running the guest when the call returned, so that its state is valid. */
  static boolean endsInHardware(List<TimelineEvent> inside) {
    return !inside.isEmpty()
        && switch (inside.reversed().stream()
            .filter(e -> !(e instanceof TimelineEvent.RunReturned))
            .findFirst()
            .orElse(inside.getLast())) {
          case TimelineEvent.VmExited _, TimelineEvent.L2Exited _ -> true;
          default -> false;
        };
  }

  /** How far a call that ended so got with an invalid L2. */
  static Reach reached(RunEnding ending) {
    return switch (ending) {
      case TRIPLE_FAULT, EMULATED -> Reach.ENTERS;
      case DEAD_VM -> Reach.ENTERS_PENDING;
      case INTERNAL_ERROR -> Reach.REJECTED;
      case OTHER_EXIT, SMI -> Reach.OTHER_FIRST;
      case INTERRUPTED -> Reach.INTERRUPTED;
      case EINVAL -> Reach.RETURNS_FIRST;
      case RAN, HARDWARE_REFUSED, SHUTDOWN, FAIL_ENTRY, UNTOLD -> Reach.CANNOT_TELL;
    };
  }

  /** What the trace tells of a state that nobody could tell. */
  static Vcpu told(Vcpu before, RunEnding ending, RunResult result) {
    Emulation emulation = before.registers().emulation();
    if (emulation.required().isKnown() || !before.inGuestMode().isYes() || !result.traced()) {
      return before;
    }
    Answer shown =
        switch (ending) {
          case RAN, HARDWARE_REFUSED -> Answer.NO;
          case TRIPLE_FAULT, EMULATED -> Answer.YES;
          case INTERNAL_ERROR -> emulation.failed() == null ? Answer.CANNOT_TELL : Answer.YES;
          case OTHER_EXIT, SMI, DEAD_VM, SHUTDOWN, FAIL_ENTRY, EINVAL, INTERRUPTED, UNTOLD ->
              Answer.CANNOT_TELL;
        };
    return before.withRegisters(
        before.registers().withEmulation(new Emulation(shown, emulation.failed())));
  }

  /** Whether userspace asks for L2 to run now, so that nothing can heal its state any more. */
  static boolean runsNow(Reach reach) {
    return switch (reach) {
      case REJECTED, ENTERS, ENTERS_PENDING -> true;
      case NOT_INVALID, RETURNS_FIRST, INTERRUPTED, OTHER_FIRST, CANNOT_TELL -> false;
    };
  }

  /**
   * What RSM loaded, as far as the model followed it; else the registers are still those of SMM.
   */
  static Vcpu loaded(Vcpu v, int moment) {
    Tracked sregs = v.registers().sregs();
    return sregs.writer(0) == moment
        ? v
        : v.withRegisters(
            v.registers()
                .withRegs(v.registers().regs().forgetAll(moment))
                .withSregs(sregs.forgetAll(moment))
                .withEmulation(Emulation.CANNOT_TELL));
  }

  /**
   * Whether RSM loaded an invalid state: by the model where it knows SMRAM, else by what followed.
   */
  static Answer rsmInvalid(Vcpu v, List<TimelineEvent> inside, int from, RunEnding ending) {
    RsmToInvalidL2 rule = v.kernel().version().rsmToInvalidL2();
    // A recording does not tell 7.2 from 7.3, unless it names its kernel.
    boolean shutsDown =
        rule == RsmToInvalidL2.SHUTDOWN
            || (!v.kernel().versionCertain() && v.kernel().version() == KernelVersion.V7_2);
    boolean exitMade =
        inside.subList(from, inside.size()).stream()
            .anyMatch(TimelineEvent.NestedVmExited.class::isInstance);
    return switch (ending) {
      case RAN, HARDWARE_REFUSED, OTHER_EXIT, SMI, FAIL_ENTRY, EINVAL -> Answer.NO;
      case TRIPLE_FAULT -> Answer.NO;
      case EMULATED -> Answer.of(rule == RsmToInvalidL2.EMULATE);
      case DEAD_VM -> Answer.of(rule == RsmToInvalidL2.DEAD_VM && !exitMade);
      case SHUTDOWN ->
          shutsDown
              ? v.registers().emulation().required().isYes() ? Answer.YES : Answer.CANNOT_TELL
              : Answer.NO;
      case INTERNAL_ERROR -> Answer.of(rule == RsmToInvalidL2.EMULATE);
      case INTERRUPTED, UNTOLD -> Answer.CANNOT_TELL;
    };
  }
}
