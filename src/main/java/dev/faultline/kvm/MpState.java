package dev.faultline.kvm;

import org.jspecify.annotations.Nullable;

/**
 * The states that a vCPU of x86 can be in between runs.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_MP_STATE"; {@code
 * include/uapi/linux/kvm.h, v6.1}.
 */
public enum MpState {
  RUNNABLE(0),
  UNINITIALIZED(1),
  INIT_RECEIVED(2),
  HALTED(3),
  SIPI_RECEIVED(4),
  AP_RESET_HOLD(9);

  private final int number;
  private final String uapiName;

  MpState(int number) {
    this.number = number;
    this.uapiName = "KVM_MP_STATE_" + name();
  }

  /** The number in {@code kvm_mp_state}. */
  public int number() {
    return number;
  }

  /** The state of that number; null if x86 has none. */
  public static @Nullable MpState of(int number) {
    return switch (number) {
      case 0 -> RUNNABLE;
      case 1 -> UNINITIALIZED;
      case 2 -> INIT_RECEIVED;
      case 3 -> HALTED;
      case 4 -> SIPI_RECEIVED;
      case 9 -> AP_RESET_HOLD;
      default -> null;
    };
  }

  /** The name in the uapi, {@code KVM_MP_STATE_RUNNABLE}. */
  public String uapiName() {
    return uapiName;
  }
}
