package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * An interrupt line set or cleared; KVM_IRQ_LINE_STATUS answers in place of the line.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_IRQ_LINE"; {@code
 * include/uapi/linux/kvm.h, struct kvm_irq_level, v6.1}.
 */
public record KvmIrqLevel(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 8;

  private static final int IRQ = 0;
  private static final int LEVEL = 4;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_irq_level", SIZE)
          .value("irq", IRQ, 4)
          .value("level", LEVEL, 4)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmIrqLevel {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_irq_level", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmIrqLevel zero() {
    return new KvmIrqLevel(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The line; after KVM_IRQ_LINE_STATUS what became of it. */
  public int irq() {
    return raw.i32(IRQ);
  }

  /** 1 or 0. */
  public int level() {
    return raw.i32(LEVEL);
  }

  /** This struct with another {@code irq}. */
  public KvmIrqLevel withIrq(int value) {
    return new KvmIrqLevel(raw.with(IRQ, 4, value));
  }

  /** This struct with another {@code level}. */
  public KvmIrqLevel withLevel(int value) {
    return new KvmIrqLevel(raw.with(LEVEL, 4, value));
  }
}
