package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;

/**
 * Pages of a slot whose writes are to be noted anew.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_CLEAR_DIRTY_LOG"; {@code
 * include/uapi/linux/kvm.h, struct kvm_clear_dirty_log, v6.1}.
 */
public record KvmClearDirtyLog(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 24;

  private static final int SLOT = 0;
  private static final int NUM_PAGES = 4;
  private static final int FIRST_PAGE = 8;
  private static final int DIRTY_BITMAP = 16;

  /** The fields of the struct. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_clear_dirty_log", SIZE)
          .value("slot", SLOT, 4)
          .value("num_pages", NUM_PAGES, 4)
          .value("first_page", FIRST_PAGE, 8)
          .value("dirty_bitmap", DIRTY_BITMAP, 8)
          .build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmClearDirtyLog {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_clear_dirty_log", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmClearDirtyLog zero() {
    return new KvmClearDirtyLog(Bytes.zero(SIZE));
  }

  @Override
  public StructLayout layout() {
    return LAYOUT;
  }

  /** The slot: index 15:0, address space 31:16. */
  public int slot() {
    return raw.i32(SLOT);
  }

  /** How many pages. */
  public int numPages() {
    return raw.i32(NUM_PAGES);
  }

  /** The first page of the slot meant. */
  public long firstPage() {
    return raw.u64(FIRST_PAGE);
  }

  /** Where the VMM has the bitmap. */
  public long dirtyBitmap() {
    return raw.u64(DIRTY_BITMAP);
  }
}
