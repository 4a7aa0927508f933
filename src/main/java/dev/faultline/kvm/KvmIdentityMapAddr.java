package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * Where KVM puts the page table that runs an unpaged guest without unrestricted guest: a bare u64.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_IDENTITY_MAP_ADDR"; {@code
 * include/uapi/linux/kvm.h, struct u64, v6.1}.
 */
public record KvmIdentityMapAddr(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 8;

  private static final int ADDR = 0;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("identity_map_addr", SIZE).value("addr", ADDR, 8).build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmIdentityMapAddr {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("identity_map_addr", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmIdentityMapAddr zero() {
    return new KvmIdentityMapAddr(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** Guest-physical; 0 means the default. */
  public long addr() {
    return raw.u64(ADDR);
  }

  /** This struct with another {@code addr}. */
  public KvmIdentityMapAddr withAddr(long value) {
    return new KvmIdentityMapAddr(raw.with(ADDR, 8, value));
  }
}
