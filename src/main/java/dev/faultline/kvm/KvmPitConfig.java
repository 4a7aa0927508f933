package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * How the interval timer in the kernel is made.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_CREATE_PIT2"; {@code
 * include/uapi/linux/kvm.h, struct kvm_pit_config, v6.1}.
 */
public record KvmPitConfig(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 64;

  private static final int FLAGS = 0;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_pit_config", SIZE).value("flags", FLAGS, 4).build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmPitConfig {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_pit_config", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmPitConfig zero() {
    return new KvmPitConfig(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** KVM_PIT_SPEAKER_DUMMY. */
  public int flags() {
    return raw.i32(FLAGS);
  }
}
