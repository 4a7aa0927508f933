package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.x86.SegmentRegister;

/** Positions of the fields of struct kvm_sregs. */
final class SregsFields {
  private static final StructLayout LAYOUT = KvmSregs.LAYOUT;

  static final int CR0 = LAYOUT.indexOf("cr0");
  static final int CR2 = LAYOUT.indexOf("cr2");
  static final int CR3 = LAYOUT.indexOf("cr3");
  static final int CR4 = LAYOUT.indexOf("cr4");
  static final int CR8 = LAYOUT.indexOf("cr8");
  static final int EFER = LAYOUT.indexOf("efer");
  static final int APIC_BASE = LAYOUT.indexOf("apic_base");
  static final int GDT_BASE = LAYOUT.indexOf("gdt.base");
  static final int GDT_LIMIT = LAYOUT.indexOf("gdt.limit");
  static final int IDT_BASE = LAYOUT.indexOf("idt.base");
  static final int IDT_LIMIT = LAYOUT.indexOf("idt.limit");
  static final int FS_BASE = LAYOUT.indexOf("fs.base");
  static final int GS_BASE = LAYOUT.indexOf("gs.base");

  /** The four words of interrupt_bitmap. */
  private static final int[] INTERRUPT_BITMAP = {
    LAYOUT.indexOf("interrupt_bitmap[0]"),
    LAYOUT.indexOf("interrupt_bitmap[1]"),
    LAYOUT.indexOf("interrupt_bitmap[2]"),
    LAYOUT.indexOf("interrupt_bitmap[3]")
  };

  private static final int[] SEGMENT_OFFSETS = segmentOffsets();

  /** The fields of each segment register, padding included, by ordinal. */
  private static final FieldSet[] SEGMENT = segments();

  /** All fields of all eight segment registers and CR0: what the guest-state checks read. */
  static final FieldSet JUDGED = judged();

  private SregsFields() {}

  /** The fields of a segment register, padding included. */
  static FieldSet segment(SegmentRegister register) {
    return SEGMENT[register.ordinal()];
  }

  /** How many words interrupt_bitmap has. */
  static int bitmapWords() {
    return INTERRUPT_BITMAP.length;
  }

  /** A word of interrupt_bitmap. */
  static int interruptBitmap(int word) {
    return INTERRUPT_BITMAP[word];
  }

  /** Name of a segment register in the uapi: LDTR is {@code ldt} there. */
  static String uapiName(SegmentRegister register) {
    return register == SegmentRegister.LDTR
        ? "ldt"
        : register.name().toLowerCase(java.util.Locale.ROOT);
  }

  static int offset(SegmentRegister register) {
    return SEGMENT_OFFSETS[register.ordinal()];
  }

  private static int[] segmentOffsets() {
    SegmentRegister[] registers = SegmentRegister.values();
    int[] offsets = new int[registers.length];
    for (SegmentRegister register : registers) {
      offsets[register.ordinal()] = LAYOUT.offset(LAYOUT.indexOf(uapiName(register) + ".base"));
    }
    return offsets;
  }

  private static FieldSet[] segments() {
    SegmentRegister[] registers = SegmentRegister.values();
    FieldSet[] sets = new FieldSet[registers.length];
    for (SegmentRegister register : registers) {
      int from = offset(register);
      FieldSet set = FieldSet.none(LAYOUT.count());
      for (int f = 0; f < LAYOUT.count(); f++) {
        int at = LAYOUT.field(f).offset();
        if (at >= from && at < from + KvmSregs.SEGMENT_SIZE) {
          set = set.with(f);
        }
      }
      sets[register.ordinal()] = set;
    }
    return sets;
  }

  private static FieldSet judged() {
    FieldSet set = FieldSet.none(LAYOUT.count()).with(CR0);
    for (FieldSet segment : SEGMENT) {
      set = set.union(segment);
    }
    for (int f = set.next(0); f >= 0; f = set.next(f + 1)) {
      if (LAYOUT.field(f).name().contains("pad")) {
        set = set.without(f);
      }
    }
    return set;
  }
}
