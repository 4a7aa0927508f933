package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The state of one of the interrupt controllers in the kernel: two PICs and the I/O APIC.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_IRQCHIP", "KVM_SET_IRQCHIP";
 * {@code include/uapi/linux/kvm.h, struct kvm_irqchip, v6.1}.
 */
public record KvmIrqchip(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 520;

  private static final int CHIP_ID = 0;
  private static final int CHIP = 8;
  private static final int CHIP_SIZE = 512;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_irqchip", SIZE)
          .value("chip_id", CHIP_ID, 4)
          .opaque("chip", CHIP, CHIP_SIZE)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmIrqchip {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_irqchip", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmIrqchip zero() {
    return new KvmIrqchip(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** {@link #KVM_IRQCHIP_PIC_MASTER} and its kind. */
  public int chipId() {
    return raw.i32(CHIP_ID);
  }

  /** This struct with another {@code chip_id}. */
  public KvmIrqchip withChipId(int value) {
    return new KvmIrqchip(raw.with(CHIP_ID, 4, value));
  }

  /** The first PIC. */
  public static final int KVM_IRQCHIP_PIC_MASTER = 0;

  /** The second PIC. */
  public static final int KVM_IRQCHIP_PIC_SLAVE = 1;

  /** The I/O APIC. */
  public static final int KVM_IRQCHIP_IOAPIC = 2;

  /** The state of the chip, as its kind lays it out. */
  public Bytes chip() {
    return raw.slice(CHIP, CHIP_SIZE);
  }
}
