package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.x86.SegmentRegister;

/**
 * A struct kvm_segment as VMX stores it and gives it back: through the access-rights word of the
 * VMCS, which keeps one bit for flags and has no "present" apart from "unusable".
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/vmx.c, vmx_segment_access_rights(),
 * vmx_get_segment()}, v6.1.
 */
final class SegmentBytes {
  private static final int LIMIT = 8;
  private static final int TYPE = 14;
  private static final int PRESENT = 15;
  private static final int DPL = 16;
  private static final int DB = 17;
  private static final int S = 18;
  private static final int L = 19;
  private static final int G = 20;
  private static final int AVL = 21;
  private static final int UNUSABLE = 22;
  private static final int PADDING = 23;
  private static final int ACCESSED = 1;
  private static final int BUSY = 2;
  private static final long BYTE_LIMIT = 0xfffff;
  private static final int TYPE_MASK = 15;
  private static final int DPL_MASK = 3;

  private SegmentBytes() {}

  /** Writes the segment at {@code at} as KVM will return it. */
  static void normalize(Bytes given, int at, Bytes.Builder stored, boolean setAccessed) {
    int unusable = given.u8(at + UNUSABLE) != 0 || given.u8(at + PRESENT) == 0 ? 1 : 0;
    int type = given.u8(at + TYPE) & TYPE_MASK;
    stored.put(at + TYPE, 1, setAccessed ? type | ACCESSED : type);
    stored.put(at + PRESENT, 1, 1 - unusable);
    stored.put(at + DPL, 1, given.u8(at + DPL) & DPL_MASK);
    stored.put(at + DB, 1, given.u8(at + DB) & 1);
    stored.put(at + S, 1, given.u8(at + S) & 1);
    stored.put(at + L, 1, given.u8(at + L) & 1);
    stored.put(at + G, 1, given.u8(at + G) & 1);
    stored.put(at + AVL, 1, given.u8(at + AVL) & 1);
    stored.put(at + UNUSABLE, 1, unusable);
    stored.put(at + PADDING, 1, 0);
  }

  /**
   * Writes the segment at {@code at} as SVM will return it: the limit decides granularity, and
   * types that hardware would have set are reported as set.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/svm/svm.c, svm_set_segment(), svm_get_segment()}, v6.1.
   */
  static void normalizeSvm(Bytes given, int at, Bytes.Builder stored, SegmentRegister register) {
    boolean present = (given.u8(at + PRESENT) & 1) != 0 && given.u8(at + UNUSABLE) == 0;
    int type = given.u8(at + TYPE) & TYPE_MASK;
    int db = given.u8(at + DB) & 1;
    switch (register) {
      case TR -> type |= BUSY;
      case DS, ES, FS, GS -> type |= present ? ACCESSED : 0;
      case SS -> db = present ? db : 0;
      case CS, LDTR -> {}
    }
    stored.put(at + TYPE, 1, type);
    stored.put(at + PRESENT, 1, present ? 1 : 0);
    stored.put(at + DPL, 1, given.u8(at + DPL) & DPL_MASK);
    stored.put(at + DB, 1, db);
    stored.put(at + S, 1, given.u8(at + S) & 1);
    stored.put(at + L, 1, given.u8(at + L) & 1);
    stored.put(at + G, 1, given.u32(at + LIMIT) > BYTE_LIMIT ? 1 : 0);
    stored.put(at + AVL, 1, given.u8(at + AVL) & 1);
    stored.put(at + UNUSABLE, 1, present ? 0 : 1);
    stored.put(at + PADDING, 1, 0);
  }

  static boolean accessed(Bytes given, int at) {
    return (given.u8(at + TYPE) & ACCESSED) != 0;
  }
}
