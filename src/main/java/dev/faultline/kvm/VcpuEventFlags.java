package dev.faultline.kvm;

import dev.faultline.BitNames;

/**
 * The flags of kvm_vcpu_events: which optional fields count in KVM_SET_VCPU_EVENTS, and which
 * KVM_GET_VCPU_EVENTS filled.
 *
 * <p><i>Source</i>: {@code arch/x86/include/uapi/asm/kvm.h, v6.1}.
 */
public final class VcpuEventFlags {
  /** {@code nmi.pending} counts. */
  public static final int KVM_VCPUEVENT_VALID_NMI_PENDING = 1 << 0;

  /** {@code sipi_vector} counts. */
  public static final int KVM_VCPUEVENT_VALID_SIPI_VECTOR = 1 << 1;

  /** {@code interrupt.shadow} counts. */
  public static final int KVM_VCPUEVENT_VALID_SHADOW = 1 << 2;

  /** The {@code smi} fields count. */
  public static final int KVM_VCPUEVENT_VALID_SMM = 1 << 3;

  /** {@code exception.pending} and the payload count; needs KVM_CAP_EXCEPTION_PAYLOAD. */
  public static final int KVM_VCPUEVENT_VALID_PAYLOAD = 1 << 4;

  /** {@code triple_fault.pending} counts; needs KVM_CAP_X86_TRIPLE_FAULT_EVENT. */
  public static final int KVM_VCPUEVENT_VALID_TRIPLE_FAULT = 1 << 5;

  /** A value of {@code interrupt.shadow}: blocking by MOV SS. */
  public static final int KVM_X86_SHADOW_INT_MOV_SS = 1;

  /** A value of {@code interrupt.shadow}: blocking by STI. */
  public static final int KVM_X86_SHADOW_INT_STI = 1 << 1;

  private static final BitNames NAMES =
      BitNames.none()
          .and("KVM_VCPUEVENT_VALID_NMI_PENDING", KVM_VCPUEVENT_VALID_NMI_PENDING)
          .and("KVM_VCPUEVENT_VALID_SIPI_VECTOR", KVM_VCPUEVENT_VALID_SIPI_VECTOR)
          .and("KVM_VCPUEVENT_VALID_SHADOW", KVM_VCPUEVENT_VALID_SHADOW)
          .and("KVM_VCPUEVENT_VALID_SMM", KVM_VCPUEVENT_VALID_SMM)
          .and("KVM_VCPUEVENT_VALID_PAYLOAD", KVM_VCPUEVENT_VALID_PAYLOAD)
          .and("KVM_VCPUEVENT_VALID_TRIPLE_FAULT", KVM_VCPUEVENT_VALID_TRIPLE_FAULT);

  private VcpuEventFlags() {}

  /**
   * The set bits by name, {@code KVM_VCPUEVENT_VALID_SIPI_VECTOR|KVM_VCPUEVENT_VALID_NMI_PENDING}.
   */
  public static String describe(int bits) {
    return NAMES.describe(Integer.toUnsignedLong(bits));
  }
}
