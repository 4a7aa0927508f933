package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import org.jspecify.annotations.Nullable;

/**
 * Whether a vCPU runs, halts, or waits for INIT or SIPI.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_MP_STATE", "KVM_SET_MP_STATE";
 * {@code include/uapi/linux/kvm.h, struct kvm_mp_state, v6.1}.
 */
public record KvmMpState(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 4;

  private static final int MP_STATE = 0;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_mp_state", SIZE).value("mp_state", MP_STATE, 4).build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmMpState {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_mp_state", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmMpState zero() {
    return new KvmMpState(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The state, a number of {@link MpState}. */
  public int mpState() {
    return raw.i32(MP_STATE);
  }

  /** This struct with another {@code mp_state}. */
  public KvmMpState withMpState(int value) {
    return new KvmMpState(raw.with(MP_STATE, 4, value));
  }

  /** The payload for that state. */
  public static KvmMpState of(MpState state) {
    return zero().withMpState(state.number());
  }

  /** The state by name; null if KVM has none of that number. */
  public @Nullable MpState state() {
    return MpState.of(mpState());
  }
}
