package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * Guest addresses whose writes are gathered in a ring instead of exiting one by one.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_(UN)REGISTER_COALESCED_MMIO";
 * {@code include/uapi/linux/kvm.h, struct kvm_coalesced_mmio_zone, v6.1}.
 */
public record KvmCoalescedMmioZone(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 16;

  private static final int ADDR = 0;
  private static final int SIZE_FIELD = 8;
  private static final int PIO = 12;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_coalesced_mmio_zone", SIZE)
          .value("addr", ADDR, 8)
          .value("size", SIZE_FIELD, 4)
          .value("pio", PIO, 4)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmCoalescedMmioZone {
    if (raw.size() != SIZE) {
      throw FormatException.structSize(
          "kvm_coalesced_mmio_zone", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmCoalescedMmioZone zero() {
    return new KvmCoalescedMmioZone(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The field {@code addr}. */
  public long addr() {
    return raw.u64(ADDR);
  }

  /** The field {@code size}. */
  public int size() {
    return raw.i32(SIZE_FIELD);
  }

  /** 1 if the addresses are ports. */
  public int pio() {
    return raw.i32(PIO);
  }
}
