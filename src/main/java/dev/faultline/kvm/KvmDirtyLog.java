package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * The question which pages of a slot were written.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_DIRTY_LOG"; {@code
 * include/uapi/linux/kvm.h, struct kvm_dirty_log, v6.1}.
 */
public record KvmDirtyLog(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 16;

  private static final int SLOT = 0;
  private static final int DIRTY_BITMAP = 8;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_dirty_log", SIZE)
          .value("slot", SLOT, 4)
          .value("dirty_bitmap", DIRTY_BITMAP, 8)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmDirtyLog {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_dirty_log", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmDirtyLog zero() {
    return new KvmDirtyLog(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The slot: index 15:0, address space 31:16. */
  public int slot() {
    return raw.i32(SLOT);
  }

  /** Where the VMM wants the bitmap. */
  public long dirtyBitmap() {
    return raw.u64(DIRTY_BITMAP);
  }
}
