package dev.faultline.vmx;

/**
 * How a failing {@link VmEntryCheck} shows: the hypervisor that executed VMLAUNCH or VMRESUME sees
 * it. When userspace restores nested state the same checks make KVM_SET_NESTED_STATE fail with
 * EINVAL, except those of {@link VmEntryStage#GUEST_LOAD}, which make it return 2.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "VM-Entry Failures During or After Loading Guest State" and
 * "VM-Instruction Error Numbers".
 */
public enum VmEntryFailure {
  /** VMfailInvalid: CF is set, no error number is stored. */
  VMFAIL_INVALID(0, 0, 0),

  /** VMLAUNCH with a VMCS that is not clear. */
  NONCLEAR_VMCS(4, 0, 0),

  /** VMRESUME with a VMCS that is not launched. */
  NONLAUNCHED_VMCS(5, 0, 0),

  /** Invalid control fields. */
  INVALID_CONTROL_FIELD(7, 0, 0),

  /** Invalid host-state fields. */
  INVALID_HOST_STATE_FIELD(8, 0, 0),

  /** Events blocked by MOV SS. */
  BLOCKED_BY_MOV_SS(26, 0, 0),

  /** A failed entry because of invalid guest state. */
  INVALID_GUEST_STATE(0, VmEntryFailure.INVALID_STATE, 0),

  /** A failed entry because of invalid PDPTEs. */
  INVALID_PDPTE(0, VmEntryFailure.INVALID_STATE, 2),

  /** A failed entry because of the VMCS link pointer. */
  INVALID_LINK_POINTER(0, VmEntryFailure.INVALID_STATE, 4),

  /** A failed entry because of an entry of an MSR list; the qualification is its number, from 1. */
  MSR_LOAD(0, VmEntryFailure.MSR_LOAD_FAIL, 0),

  /** The CPU refused what KVM had accepted, as an invalid control field. */
  REFUSED_BY_HARDWARE(7, 0, 0);

  private static final int FAILED_ENTRY = 1 << 31;
  private static final int INVALID_STATE = FAILED_ENTRY | 33;
  private static final int MSR_LOAD_FAIL = FAILED_ENTRY | 34;

  private final int instructionError;
  private final int exitReason;
  private final int qualification;

  VmEntryFailure(int instructionError, int exitReason, int qualification) {
    this.instructionError = instructionError;
    this.exitReason = exitReason;
    this.qualification = qualification;
  }

  /** The VM-instruction error number, or 0 if none is stored. */
  public int instructionError() {
    return instructionError;
  }

  /** The exit reason with bit 31 set, or 0 if the instruction failed instead. */
  public int exitReason() {
    return exitReason;
  }

  /** The exit qualification of a failed entry. */
  public int qualification() {
    return qualification;
  }

  /** Whether the instruction itself fails, so that the hypervisor goes on after it. */
  public boolean isVmFail() {
    return exitReason == 0;
  }
}
