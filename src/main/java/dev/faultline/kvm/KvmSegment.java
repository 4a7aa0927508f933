package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Segment;

/**
 * How {@code struct kvm_segment} and {@code struct kvm_dtable} lie in the structs that hold them.
 *
 * <p><i>Shape</i> of a segment: base u64, limit u32, selector u16, then a byte each of type,
 * present, dpl, db, s, l, g, avl, unusable, padding. Of a table: base u64, limit u16, padding.
 *
 * <p><i>Source</i>: {@code arch/x86/include/uapi/asm/kvm.h, v6.1}.
 */
public final class KvmSegment {
  /** Bytes of a {@code kvm_segment}. */
  public static final int SIZE = 24;

  /** Bytes of a {@code kvm_dtable}. */
  public static final int DTABLE_SIZE = 16;

  /** Offset of the base, u64; the same in a table. */
  public static final int BASE = 0;

  /** Offset of the limit, u32; in a table u16. */
  public static final int LIMIT = 8;

  /** Offset of the selector, u16. */
  public static final int SELECTOR = 12;

  /** Offset of the type, u8. */
  public static final int TYPE = 14;

  /** Offset of the present flag, u8. */
  public static final int PRESENT = 15;

  /** Offset of the privilege level, u8. */
  public static final int DPL = 16;

  /** Offset of DB, u8. */
  public static final int DB = 17;

  /** Offset of S, u8. */
  public static final int S = 18;

  /** Offset of L, u8. */
  public static final int L = 19;

  /** Offset of G, u8. */
  public static final int G = 20;

  /** Offset of AVL, u8. */
  public static final int AVL = 21;

  /** Offset of the unusable flag, u8. */
  public static final int UNUSABLE = 22;

  /** The fields of a segment. */
  public static final StructLayout LAYOUT =
      StructLayout.builder("kvm_segment", SIZE)
          .value("base", BASE, 8)
          .value("limit", LIMIT, 4)
          .value("selector", SELECTOR, 2)
          .value("type", TYPE, 1)
          .value("present", PRESENT, 1)
          .value("dpl", DPL, 1)
          .value("db", DB, 1)
          .value("s", S, 1)
          .value("l", L, 1)
          .value("g", G, 1)
          .value("avl", AVL, 1)
          .value("unusable", UNUSABLE, 1)
          .build();

  /** The fields of a table. */
  public static final StructLayout DTABLE_LAYOUT =
      StructLayout.builder("kvm_dtable", DTABLE_SIZE)
          .value("base", BASE, 8)
          .value("limit", LIMIT, 2)
          .build();

  private KvmSegment() {}

  /** The segment that lies at {@code off}. */
  public static Segment read(Bytes raw, int off) {
    return new Segment(
        raw.u64(off + BASE),
        raw.u32(off + LIMIT),
        raw.u16(off + SELECTOR),
        raw.u8(off + TYPE),
        raw.u8(off + PRESENT),
        raw.u8(off + DPL),
        raw.u8(off + DB),
        raw.u8(off + S),
        raw.u8(off + L),
        raw.u8(off + G),
        raw.u8(off + AVL),
        raw.u8(off + UNUSABLE));
  }

  /** Writes a segment at {@code off}; its padding byte stays. */
  public static void put(Segment segment, Bytes.Builder to, int off) {
    to.put(off + BASE, 8, segment.base())
        .put(off + LIMIT, 4, segment.limit())
        .put(off + SELECTOR, 2, segment.selector())
        .put(off + TYPE, 1, segment.type())
        .put(off + PRESENT, 1, segment.present())
        .put(off + DPL, 1, segment.dpl())
        .put(off + DB, 1, segment.db())
        .put(off + S, 1, segment.s())
        .put(off + L, 1, segment.l())
        .put(off + G, 1, segment.g())
        .put(off + AVL, 1, segment.avl())
        .put(off + UNUSABLE, 1, segment.unusable());
  }

  /** The table register that lies at {@code off}. */
  public static DescriptorTable readTable(Bytes raw, int off) {
    return new DescriptorTable(raw.u64(off + BASE), raw.u16(off + LIMIT));
  }

  /** Writes a table register at {@code off}; its padding stays. */
  public static void putTable(DescriptorTable table, Bytes.Builder to, int off) {
    to.put(off + BASE, 8, table.base()).put(off + LIMIT, 2, table.limit());
  }
}
