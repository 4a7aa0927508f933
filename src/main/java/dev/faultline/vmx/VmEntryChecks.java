package dev.faultline.vmx;

import dev.faultline.vmx.Verdict.Known;
import org.jspecify.annotations.Nullable;

/**
 * Evaluates {@link VmEntryCheck}s in the kernel's order.
 *
 * <p>A recording does not show everything that KVM knows, so the answer is one of three: all checks
 * pass, a check fails, or it cannot be told. A check that is known to fail decides even if one
 * before it could not be evaluated: that only leaves open which of them KVM reported.
 *
 * <p>Allocates nothing, except the record that names a missing input and, to look at the segments
 * of a guest without unrestricted guest, the segments.
 */
public final class VmEntryChecks {
  private static final VmEntryCheck[] CHECKS = VmEntryCheck.values();
  private static final CheckResult PASSED = new CheckResult.Passed();
  private static final CheckResult.Failed[] CERTAIN = failures(true);
  private static final CheckResult.Failed[] UNCERTAIN = failures(false);

  private static final int CONTROLS = first(VmEntryStage.CONTROLS);
  private static final int HOST_STATE = first(VmEntryStage.HOST_STATE);
  private static final int GUEST_STATE = first(VmEntryStage.GUEST_STATE);
  private static final int GUEST_LOAD = first(VmEntryStage.GUEST_LOAD);
  private static final int GUEST_LOAD_END = VmEntryCheck.RESTORED_PDPTES.ordinal();

  /** The checks that {@link VmEntryFilter} leaves out: what the link pointer names. */
  private static final int LINK_MEMORY = VmEntryCheck.LINK_POINTER_MEMORY.ordinal();

  private static final int LINK_MEMORY_END = VmEntryCheck.LINK_POINTER_SHADOW.ordinal() + 1;

  private VmEntryChecks() {}

  /**
   * What KVM_SET_NESTED_STATE checks of a vmcs12 whose guest is active, and what VMLAUNCH and
   * VMRESUME check after their {@linkplain #prerequisiteFailure prerequisites}: controls, host
   * state, guest state.
   */
  public static CheckResult firstFailure(
      Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    if (!VmEntryFilter.passes(vmcs12, capabilities, context)) {
      return walk(vmcs12, capabilities, context);
    }
    return EntryRules.hasLink(vmcs12)
        ? evaluate(LINK_MEMORY, LINK_MEMORY_END, vmcs12, capabilities, context)
        : PASSED;
  }

  /** The same without a look ahead. */
  static CheckResult walk(Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    return evaluate(CONTROLS, GUEST_LOAD, vmcs12, capabilities, context);
  }

  /** The checks on execution, exit and entry controls. */
  public static CheckResult controlsFailure(
      Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    return evaluate(CONTROLS, HOST_STATE, vmcs12, capabilities, context);
  }

  /** The checks on the state that an exit would load, the host address space included. */
  public static CheckResult hostStateFailure(
      Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    return evaluate(HOST_STATE, GUEST_STATE, vmcs12, capabilities, context);
  }

  /** The checks on guest state before it is loaded. */
  public static CheckResult guestStateFailure(
      Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    return evaluate(GUEST_STATE, GUEST_LOAD, vmcs12, capabilities, context);
  }

  /**
   * The checks on guest state while it is loaded. They come after all others; KVM_SET_NESTED_STATE
   * returns 2, not an error, when one of them fails.
   */
  public static CheckResult guestLoadFailure(
      Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    return evaluate(GUEST_LOAD, GUEST_LOAD_END, vmcs12, capabilities, context);
  }

  /**
   * What VMLAUNCH and VMRESUME ask before anything else of a vCPU without an enlightened VMCS.
   *
   * @param vmcs12 the current VMCS, or null if there is none
   * @param launch whether it is VMLAUNCH
   * @param movSsBlocking whether the instruction before it was MOV SS or POP SS
   */
  public static @Nullable VmEntryCheck prerequisiteFailure(
      @Nullable Vmcs12 vmcs12, boolean launch, boolean movSsBlocking) {
    if (vmcs12 == null) {
      return VmEntryCheck.CURRENT_VMCS;
    }
    if (vmcs12.isShadow()) {
      return VmEntryCheck.ORDINARY_VMCS;
    }
    if (movSsBlocking) {
      return VmEntryCheck.MOV_SS_BLOCKING;
    }
    if (launch) {
      return vmcs12.launchState() == 1 ? VmEntryCheck.CLEAR_FOR_VMLAUNCH : null;
    }
    return vmcs12.launchState() == 0 ? VmEntryCheck.LAUNCHED_FOR_VMRESUME : null;
  }

  /** The answer that a check fails. */
  static CheckResult failed(VmEntryCheck check, boolean certainlyFirst) {
    return (certainlyFirst ? CERTAIN : UNCERTAIN)[check.ordinal()];
  }

  private static CheckResult evaluate(
      int from, int to, Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    VmEntryCheck undecided = null;
    EntryInput missing = null;
    for (int i = from; i < to; i++) {
      Verdict verdict = CHECKS[i].evaluate(vmcs12, capabilities, context);
      if (verdict == Known.PASSES) {
        continue;
      }
      switch (verdict) {
        case Known known -> {
          if (known == Known.FAILS) {
            return failed(CHECKS[i], undecided == null);
          }
        }
        case EntryInput input -> {
          if (undecided == null) {
            undecided = CHECKS[i];
            missing = input;
          }
        }
      }
    }
    return undecided == null || missing == null
        ? PASSED
        : new CheckResult.CannotTell(undecided, missing);
  }

  private static CheckResult.Failed[] failures(boolean certainlyFirst) {
    CheckResult.Failed[] failures = new CheckResult.Failed[CHECKS.length];
    for (VmEntryCheck check : CHECKS) {
      failures[check.ordinal()] = new CheckResult.Failed(check, certainlyFirst);
    }
    return failures;
  }

  private static int first(VmEntryStage stage) {
    int i = 0;
    while (CHECKS[i].stage() != stage) {
      i++;
    }
    return i;
  }
}
