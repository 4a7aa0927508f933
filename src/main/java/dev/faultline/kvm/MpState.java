package dev.faultline.kvm;

import org.jspecify.annotations.Nullable;

/**
 * The states that a vCPU of x86 can be in between runs.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_MP_STATE"; {@code
 * include/uapi/linux/kvm.h, v6.1}.
 */
public enum MpState {
  KVM_MP_STATE_RUNNABLE(0),
  KVM_MP_STATE_UNINITIALIZED(1),
  KVM_MP_STATE_INIT_RECEIVED(2),
  KVM_MP_STATE_HALTED(3),
  KVM_MP_STATE_SIPI_RECEIVED(4),
  KVM_MP_STATE_AP_RESET_HOLD(9);

  private final int number;

  MpState(int number) {
    this.number = number;
  }

  /** The number in {@code kvm_mp_state}. */
  public int number() {
    return number;
  }

  /** The state of that number; null if x86 has none. */
  public static @Nullable MpState of(int number) {
    return switch (number) {
      case 0 -> KVM_MP_STATE_RUNNABLE;
      case 1 -> KVM_MP_STATE_UNINITIALIZED;
      case 2 -> KVM_MP_STATE_INIT_RECEIVED;
      case 3 -> KVM_MP_STATE_HALTED;
      case 4 -> KVM_MP_STATE_SIPI_RECEIVED;
      case 9 -> KVM_MP_STATE_AP_RESET_HOLD;
      default -> null;
    };
  }
}
