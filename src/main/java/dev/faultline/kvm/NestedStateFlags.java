package dev.faultline.kvm;

import dev.faultline.BitNames;

/**
 * The flags of kvm_nested_state and of its VMX header.
 *
 * <p><i>Source</i>: {@code arch/x86/include/uapi/asm/kvm.h, v6.1}.
 */
public final class NestedStateFlags {
  /** The vCPU runs L2. */
  public static final int KVM_STATE_NESTED_GUEST_MODE = 1 << 0;

  /** VMLAUNCH, VMRESUME or VMRUN is begun but not yet carried out. */
  public static final int KVM_STATE_NESTED_RUN_PENDING = 1 << 1;

  /** The VMCS is an enlightened one. */
  public static final int KVM_STATE_NESTED_EVMCS = 1 << 2;

  /** A monitor-trap-flag exit is due. */
  public static final int KVM_STATE_NESTED_MTF_PENDING = 1 << 3;

  /** The global interrupt flag of SVM is set. */
  public static final int KVM_STATE_NESTED_GIF_SET = 1 << 8;

  /** A value of {@code format}. */
  public static final int KVM_STATE_NESTED_FORMAT_VMX = 0;

  /** A value of {@code format}. */
  public static final int KVM_STATE_NESTED_FORMAT_SVM = 1;

  /** A flag of {@code vmx.smm.flags}: the SMI came in L2. */
  public static final int KVM_STATE_NESTED_SMM_GUEST_MODE = 1;

  /** A flag of {@code vmx.smm.flags}: the SMI came in VMX operation. */
  public static final int KVM_STATE_NESTED_SMM_VMXON = 1 << 1;

  /** A flag of {@code vmx.flags}: {@code vmx.preemption_timer_deadline} counts. */
  public static final int KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE = 1;

  private static final BitNames NAMES =
      BitNames.none()
          .and("KVM_STATE_NESTED_GUEST_MODE", KVM_STATE_NESTED_GUEST_MODE)
          .and("KVM_STATE_NESTED_RUN_PENDING", KVM_STATE_NESTED_RUN_PENDING)
          .and("KVM_STATE_NESTED_EVMCS", KVM_STATE_NESTED_EVMCS)
          .and("KVM_STATE_NESTED_MTF_PENDING", KVM_STATE_NESTED_MTF_PENDING)
          .and("KVM_STATE_NESTED_GIF_SET", KVM_STATE_NESTED_GIF_SET);

  private NestedStateFlags() {}

  /** The set bits by name, {@code KVM_STATE_NESTED_RUN_PENDING|KVM_STATE_NESTED_GUEST_MODE}. */
  public static String describe(int bits) {
    return NAMES.describe(Integer.toUnsignedLong(bits));
  }
}
