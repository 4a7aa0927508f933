package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * A linear address walked through the guest's page tables.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_TRANSLATE"; {@code
 * include/uapi/linux/kvm.h, struct kvm_translation, v6.1}.
 */
public record KvmTranslation(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 24;

  private static final int LINEAR_ADDRESS = 0;
  private static final int PHYSICAL_ADDRESS = 8;
  private static final int VALID = 16;
  private static final int WRITEABLE = 17;
  private static final int USERMODE = 18;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_translation", SIZE)
          .value("linear_address", LINEAR_ADDRESS, 8)
          .value("physical_address", PHYSICAL_ADDRESS, 8)
          .value("valid", VALID, 1)
          .value("writeable", WRITEABLE, 1)
          .value("usermode", USERMODE, 1)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmTranslation {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_translation", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmTranslation zero() {
    return new KvmTranslation(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** In. */
  public long linearAddress() {
    return raw.u64(LINEAR_ADDRESS);
  }

  /** Out. */
  public long physicalAddress() {
    return raw.u64(PHYSICAL_ADDRESS);
  }

  /** Out. */
  public int valid() {
    return raw.u8(VALID);
  }

  /** Out. */
  public int writeable() {
    return raw.u8(WRITEABLE);
  }

  /** Out. */
  public int usermode() {
    return raw.u8(USERMODE);
  }
}
