package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * A message-signalled interrupt, sent once.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SIGNAL_MSI"; {@code
 * include/uapi/linux/kvm.h, struct kvm_msi, v6.1}.
 */
public record KvmMsi(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 32;

  private static final int ADDRESS_LO = 0;
  private static final int ADDRESS_HI = 4;
  private static final int DATA = 8;
  private static final int FLAGS = 12;
  private static final int DEVID = 16;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_msi", SIZE)
          .value("address_lo", ADDRESS_LO, 4)
          .value("address_hi", ADDRESS_HI, 4)
          .value("data", DATA, 4)
          .value("flags", FLAGS, 4)
          .value("devid", DEVID, 4)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmMsi {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_msi", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmMsi zero() {
    return new KvmMsi(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code address_lo}. */
  public int addressLo() {
    return raw.i32(ADDRESS_LO);
  }

  /** The field {@code address_hi}. */
  public int addressHi() {
    return raw.i32(ADDRESS_HI);
  }

  /** The field {@code data}. */
  public int data() {
    return raw.i32(DATA);
  }

  /** The field {@code flags}. */
  public int flags() {
    return raw.i32(FLAGS);
  }

  /** The field {@code devid}. */
  public int devid() {
    return raw.i32(DEVID);
  }
}
