package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * Whether accesses to the task priority register exit to userspace.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_TPR_ACCESS_REPORTING"; {@code
 * include/uapi/linux/kvm.h, struct kvm_tpr_access_ctl, v6.1}.
 */
public record KvmTprAccessCtl(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 40;

  private static final int ENABLED = 0;
  private static final int FLAGS = 4;
  private static final int RESERVED = 8;
  private static final int RESERVED_SIZE = 32;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_tpr_access_ctl", SIZE)
          .value("enabled", ENABLED, 4)
          .value("flags", FLAGS, 4)
          .reserved(RESERVED, RESERVED_SIZE)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmTprAccessCtl {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_tpr_access_ctl", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmTprAccessCtl zero() {
    return new KvmTprAccessCtl(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code enabled}. */
  public int enabled() {
    return raw.i32(ENABLED);
  }

  /** The field {@code flags}. */
  public int flags() {
    return raw.i32(FLAGS);
  }
}
