package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * Where the guest keeps its virtual APIC page.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_VAPIC_ADDR"; {@code
 * include/uapi/linux/kvm.h, struct kvm_vapic_addr, v6.1}.
 */
public record KvmVapicAddr(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 8;

  private static final int VAPIC_ADDR = 0;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_vapic_addr", SIZE).value("vapic_addr", VAPIC_ADDR, 8).build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmVapicAddr {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_vapic_addr", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmVapicAddr zero() {
    return new KvmVapicAddr(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** Guest-physical. */
  public long vapicAddr() {
    return raw.u64(VAPIC_ADDR);
  }
}
