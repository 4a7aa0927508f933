package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * An eventfd that raises an interrupt.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_IRQFD"; {@code
 * include/uapi/linux/kvm.h, struct kvm_irqfd, v6.1}.
 */
public record KvmIrqfd(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 32;

  private static final int FD = 0;
  private static final int GSI = 4;
  private static final int FLAGS = 8;
  private static final int RESAMPLEFD = 12;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_irqfd", SIZE)
          .value("fd", FD, 4)
          .value("gsi", GSI, 4)
          .value("flags", FLAGS, 4)
          .value("resamplefd", RESAMPLEFD, 4)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmIrqfd {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_irqfd", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmIrqfd zero() {
    return new KvmIrqfd(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code fd}. */
  public int fd() {
    return raw.i32(FD);
  }

  /** The field {@code gsi}. */
  public int gsi() {
    return raw.i32(GSI);
  }

  /** The field {@code flags}. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** The field {@code resamplefd}. */
  public int resamplefd() {
    return raw.i32(RESAMPLEFD);
  }
}
