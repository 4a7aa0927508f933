package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * An interrupt that userspace's own interrupt controller raises.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_INTERRUPT"; {@code
 * include/uapi/linux/kvm.h, struct kvm_interrupt, v6.1}.
 */
public record KvmInterrupt(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 4;

  private static final int IRQ = 0;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_interrupt", SIZE).value("irq", IRQ, 4).build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmInterrupt {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_interrupt", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmInterrupt zero() {
    return new KvmInterrupt(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The vector. */
  public int irq() {
    return raw.i32(IRQ);
  }

  /** This struct with another {@code irq}. */
  public KvmInterrupt withIrq(int value) {
    return new KvmInterrupt(raw.with(IRQ, 4, value));
  }
}
