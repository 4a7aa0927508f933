package dev.faultline.vcpu;

import dev.faultline.Check;
import dev.faultline.vmx.GuestStateCheck;
import org.jspecify.annotations.Nullable;

/**
 * How far a KVM_RUN gets with an L2 that hardware cannot run, whatever a policy then makes of it.
 *
 * @param reach how far
 * @param failed the first guest-state check that fails, if it is known
 * @param check the rule of KVM that ends the call, for {@link Reach#REJECTED}
 * @param missing what would have to be known, for {@link Reach#CANNOT_TELL}; else empty
 */
public record InvalidEntry(
    Reach reach, @Nullable GuestStateCheck failed, @Nullable Check check, String missing) {

  /** The stages of a KVM_RUN. */
  public enum Reach {
    /** L2 is not active, or its state is valid. */
    NOT_INVALID,
    /** The call fails for its arguments, or because the VM is dead. */
    RETURNS_FIRST,
    /** The call returns with EINTR before the VM-Enter, e.g. for immediate_exit. */
    INTERRUPTED,
    /** KVM ends the call because an exception, or a nested VM-Enter, waits for the VM-Enter. */
    REJECTED,
    /** L2 would be entered. */
    ENTERS,
    /** L2 would be entered, and the VM-Enter of L1 or the RSM that leads there is not finished. */
    ENTERS_PENDING,
    /** L2 does not run: it is halted, or another event makes it exit or enters SMM. */
    OTHER_FIRST,
    /** Too little is known. */
    CANNOT_TELL
  }

  private static final InvalidEntry NOT_INVALID =
      new InvalidEntry(Reach.NOT_INVALID, null, null, "");

  /** How far this KVM_RUN gets on a kernel that judges L2 at VM-Enter. */
  public static InvalidEntry of(Vcpu before, VcpuCommand.Run c) {
    Vcpu v = judging(before);
    Vcpu started = started(v, c);
    Vcpu.Emulation emulation = started.registers().emulation();
    Answer invalid = emulation.required().and(started.inGuestMode());
    if (invalid.isNo() || !v.kernel().isVmx()) {
      return NOT_INVALID;
    }
    if (!invalid.isKnown()) {
      String missing =
          emulation.required().isYes() ? "whether L2 is active" : "whether L2's state is valid";
      return new InvalidEntry(Reach.CANNOT_TELL, null, null, missing);
    }
    GuestStateCheck failed = emulation.failed();
    return switch (VcpuModel.decide(v, c).outcome()) {
      case Outcome.Refused r -> new InvalidEntry(refused(r), failed, r.check(), "");
      case Outcome.Exits e -> new InvalidEntry(Reach.REJECTED, failed, e.check(), "");
      case Outcome.Runs r -> {
        TimelineEvent.TripleFaultSynthesized fault = r.fault();
        boolean enters = fault != null && fault.cause() == FaultCause.INVALID_GUEST_STATE;
        yield new InvalidEntry(enters ? Reach.ENTERS : Reach.OTHER_FIRST, failed, null, "");
      }
      case Outcome.Returns _, Outcome.Succeeds _ -> NOT_INVALID;
      case Outcome.Undecided u -> new InvalidEntry(Reach.CANNOT_TELL, failed, null, u.missing());
    };
  }

  private static Reach refused(Outcome.Refused r) {
    if (r.check() == CallCheck.RUN_PENDING_ENTRY_BUG) {
      return Reach.ENTERS_PENDING;
    }
    return r.check() == CallCheck.RUN_IMMEDIATE_EXIT ? Reach.INTERRUPTED : Reach.RETURNS_FIRST;
  }

  /** The same where the recording shows how far the call got. */
  public InvalidEntry shown(Reach shown) {
    return new InvalidEntry(shown, failed, check, "");
  }

  /** The vCPU when KVM_RUN has taken over the registers in the shared page. */
  public static Vcpu started(Vcpu before, VcpuCommand.Run c) {
    return c.input().run().dirtyRegs() == 0
        ? before
        : VcpuModel.evolve(before, new TimelineEvent.RunEntered(c.moment(), c.input()));
  }

  /** The same vCPU on a kernel that has cd0e615c49e5. */
  private static Vcpu judging(Vcpu v) {
    return v.kernel().version().invalidL2() == KernelVersion.InvalidL2.TRIPLE_FAULT
        ? v
        : v.withVm(v.vm().withKernel(v.kernel().withVersion(KernelVersion.V5_17)));
  }
}
