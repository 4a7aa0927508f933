package dev.faultline.vmx;

import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * What the checks of a VM entry read besides the vmcs12 and the capability MSRs.
 *
 * @param limits what CPUID allows
 * @param virtualAddressBits the linear address width that canonical addresses are checked against:
 *     57 if the vCPU's CR4.LA57 is set at the time of the check, else 48
 * @param efer the vCPU's EFER when VMLAUNCH or VMRESUME executes
 * @param linkTarget the memory behind the VMCS link pointer
 * @param runPending whether the guest has yet to run for the first time: after VMLAUNCH, VMRESUME,
 *     RSM, and after KVM_SET_NESTED_STATE with KVM_STATE_NESTED_RUN_PENDING. Only then is the
 *     guest's EFER checked
 * @param fromVmentry whether L1 executes VMLAUNCH or VMRESUME; otherwise the state is restored, by
 *     RSM or KVM_SET_NESTED_STATE
 */
public record EntryContext(
    GuestLimits limits,
    OptionalInt virtualAddressBits,
    OptionalLong efer,
    LinkTarget linkTarget,
    boolean runPending,
    boolean fromVmentry) {

  /** Canonical addresses without CR4.LA57. */
  public static final int ADDRESS_BITS = 48;

  /** Canonical addresses with CR4.LA57. */
  public static final int ADDRESS_BITS_LA57 = 57;

  /** A VMLAUNCH or VMRESUME. */
  public static EntryContext vmentry(GuestLimits limits, boolean la57, long efer) {
    return new EntryContext(
        limits,
        OptionalInt.of(la57 ? ADDRESS_BITS_LA57 : ADDRESS_BITS),
        OptionalLong.of(efer),
        new LinkTarget.Unknown(),
        true,
        true);
  }

  /** A KVM_SET_NESTED_STATE of a vCPU whose CR4.LA57 is not known. */
  public static EntryContext restore(GuestLimits limits, boolean runPending) {
    return new EntryContext(
        limits,
        OptionalInt.empty(),
        OptionalLong.empty(),
        new LinkTarget.Unknown(),
        runPending,
        false);
  }

  /** The same context with other limits. */
  public EntryContext withLimits(GuestLimits changed) {
    return new EntryContext(changed, virtualAddressBits, efer, linkTarget, runPending, fromVmentry);
  }

  /** The same context with a known CR4.LA57. */
  public EntryContext withLa57(boolean la57) {
    return new EntryContext(
        limits,
        OptionalInt.of(la57 ? ADDRESS_BITS_LA57 : ADDRESS_BITS),
        efer,
        linkTarget,
        runPending,
        fromVmentry);
  }

  /** The same context with a known EFER. */
  public EntryContext withEfer(long value) {
    return new EntryContext(
        limits, virtualAddressBits, OptionalLong.of(value), linkTarget, runPending, fromVmentry);
  }

  /** The same context with other memory behind the link pointer. */
  public EntryContext withLinkTarget(LinkTarget target) {
    return new EntryContext(limits, virtualAddressBits, efer, target, runPending, fromVmentry);
  }

  /** The same context before or after the first run of the guest. */
  public EntryContext withRunPending(boolean pending) {
    return new EntryContext(limits, virtualAddressBits, efer, linkTarget, pending, fromVmentry);
  }
}
