package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The state of the interval timer in the kernel.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_PIT2", "KVM_SET_PIT2"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_pit_state2, v6.1}.
 */
public record KvmPitState2(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 112;

  private static final int CHANNEL_COUNT = 3;
  private static final int CHANNEL_SIZE = 24;
  private static final int FLAGS = 72;
  private static final int RESERVED = 76;
  private static final int RESERVED_SIZE = 36;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_pit_state2", SIZE)
          .value("flags", FLAGS, 4)
          .reserved(RESERVED, RESERVED_SIZE)
          .include("", 0, channels())
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmPitState2 {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_pit_state2", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmPitState2 zero() {
    return new KvmPitState2(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** HPET legacy mode, speaker. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  private static StructLayout channels() {
    StructLayout.Builder layout = StructLayout.builder("channels", FLAGS);
    for (int i = 0; i < CHANNEL_COUNT; i++) {
      String prefix = "channels[" + i + "].";
      layout.include(prefix, i * CHANNEL_SIZE, channel());
    }
    return layout.build();
  }

  private static StructLayout channel() {
    return StructLayout.builder("kvm_pit_channel_state", CHANNEL_SIZE)
        .value("count", 0, 4)
        .value("latched_count", 4, 2)
        .value("count_latched", 6, 1)
        .value("status_latched", 7, 1)
        .value("status", 8, 1)
        .value("read_state", 9, 1)
        .value("write_state", 10, 1)
        .value("write_latch", 11, 1)
        .value("rw_mode", 12, 1)
        .value("mode", 13, 1)
        .value("bcd", 14, 1)
        .value("gate", 15, 1)
        .value("count_load_time", 16, 8)
        .build();
  }
}
