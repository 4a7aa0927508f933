package dev.faultline.vmx;

/**
 * The parts of a nested VM entry, in the order in which KVM goes through them.
 *
 * <p>KVM_SET_NESTED_STATE and RSM skip {@link #PREREQUISITES}, the host address-space check and,
 * because their guest state may still be mended, the segments.
 */
public enum VmEntryStage {
  /** What VMLAUNCH and VMRESUME ask before they look into the VMCS. */
  PREREQUISITES,

  /** Pin-based, processor-based, exit and entry controls. */
  CONTROLS,

  /** The state that a VM exit would load. */
  HOST_STATE,

  /** Guest state that is checked before vmcs02 is touched. */
  GUEST_STATE,

  /** Guest state that is checked while it is loaded. */
  GUEST_LOAD,

  /** The entries of the MSR lists, in guest memory. */
  MSR_LISTS,

  /** The CPU itself. */
  HARDWARE
}
