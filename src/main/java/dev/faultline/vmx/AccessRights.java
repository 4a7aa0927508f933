package dev.faultline.vmx;

/**
 * The bits of a segment's access rights in a VMCS (guest_cs_ar_bytes and its kind).
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Guest Register State".
 */
public final class AccessRights {
  /** Segment type. */
  public static final int TYPE_MASK = 15;

  /** Type bit 0 of a code or data segment: accessed. */
  public static final int TYPE_ACCESSED = 1;

  /** Type bit 1 of a data segment: writable. */
  public static final int TYPE_WRITABLE = 1 << 1;

  /** Type bit 1 of a code segment: readable. */
  public static final int TYPE_READABLE = 1 << 1;

  /** Type bit 2 of a data segment: expand-down. */
  public static final int TYPE_EXPAND_DOWN = 1 << 2;

  /** Type bit 2 of a code segment: conforming. */
  public static final int TYPE_CONFORMING = 1 << 2;

  /** Type bit 3: a code segment. */
  public static final int TYPE_CODE = 1 << 3;

  /** Type of LDTR. */
  public static final int TYPE_LDT = 2;

  /** Type of TR: a busy 16-bit TSS. */
  public static final int TYPE_BUSY_16_TSS = 3;

  /** Type of TR: a busy 32-bit or 64-bit TSS. */
  public static final int TYPE_BUSY_TSS = 11;

  /** Code or data, not system. */
  public static final int S = 1 << 4;

  /** How far the descriptor privilege level is shifted. */
  public static final int DPL_SHIFT = 5;

  /** Descriptor privilege level. */
  public static final int DPL_MASK = 3 << DPL_SHIFT;

  /** Present. */
  public static final int P = 1 << 7;

  /** Available to software. */
  public static final int AVL = 1 << 12;

  /** 64-bit code. */
  public static final int L = 1 << 13;

  /** Default operation size. */
  public static final int DB = 1 << 14;

  /** Limit in pages. */
  public static final int G = 1 << 15;

  /** The segment cannot be used. */
  public static final int UNUSABLE = 1 << 16;

  /** Bits 31:17 and 11:8, which must be zero in a usable segment. */
  public static final int RESERVED = 0xfffe_0f00;

  private AccessRights() {}

  /** The segment type. */
  public static int type(int ar) {
    return ar & TYPE_MASK;
  }

  /** The descriptor privilege level. */
  public static int dpl(int ar) {
    return (ar & DPL_MASK) >>> DPL_SHIFT;
  }

  /** True if the segment can be used. */
  public static boolean isUsable(int ar) {
    return (ar & UNUSABLE) == 0;
  }

  /** The rights in words, {@code type 11, S, DPL 0, P, L, G}. */
  public static String describe(int ar) {
    StringBuilder text = new StringBuilder("type ").append(type(ar));
    append(text, ar, S, "S");
    text.append(", DPL ").append(dpl(ar));
    append(text, ar, P, "P");
    append(text, ar, AVL, "AVL");
    append(text, ar, L, "L");
    append(text, ar, DB, "DB");
    append(text, ar, G, "G");
    append(text, ar, UNUSABLE, "unusable");
    if ((ar & RESERVED) != 0) {
      text.append(", reserved 0x").append(Integer.toHexString(ar & RESERVED));
    }
    return text.toString();
  }

  private static void append(StringBuilder text, int ar, int bit, String name) {
    if ((ar & bit) != 0) {
      text.append(", ").append(name);
    }
  }
}
