package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * A machine check that userspace raises in the guest.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_X86_SET_MCE"; {@code
 * include/uapi/linux/kvm.h, struct kvm_x86_mce, v6.1}.
 */
public record KvmX86Mce(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 64;

  private static final int STATUS = 0;
  private static final int ADDR = 8;
  private static final int MISC = 16;
  private static final int MCG_STATUS = 24;
  private static final int BANK = 32;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_x86_mce", SIZE)
          .value("status", STATUS, 8)
          .value("addr", ADDR, 8)
          .value("misc", MISC, 8)
          .value("mcg_status", MCG_STATUS, 8)
          .value("bank", BANK, 1)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmX86Mce {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_x86_mce", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmX86Mce zero() {
    return new KvmX86Mce(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code status}. */
  public long status() {
    return raw.u64(STATUS);
  }

  /** The field {@code addr}. */
  public long addr() {
    return raw.u64(ADDR);
  }

  /** The field {@code misc}. */
  public long misc() {
    return raw.u64(MISC);
  }

  /** The field {@code mcg_status}. */
  public long mcgStatus() {
    return raw.u64(MCG_STATUS);
  }

  /** The field {@code bank}. */
  public int bank() {
    return raw.u8(BANK);
  }
}
