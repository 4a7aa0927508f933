package dev.faultline.vcpu;

/** Why KVM makes a TRIPLE_FAULT exit that no hardware exit asked for. */
public enum FaultCause {
  /**
   * L2's state needs emulation, which KVM does not do for L2.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/vmx/vmx.c, __vmx_handle_exit()}, since cd0e615c49e5.
   */
  INVALID_GUEST_STATE,
  /**
   * A triple fault was requested: by KVM_SET_VCPU_EVENTS or by KVM itself.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, vcpu_enter_guest()}, KVM_REQ_TRIPLE_FAULT.
   */
  REQUESTED,
  /**
   * The root of L2's page tables lies in no memory slot.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/mmu/mmu.c, mmu_check_root()}, KVM_REQ_TRIPLE_FAULT.
   */
  NO_PAGE_ROOT
}
