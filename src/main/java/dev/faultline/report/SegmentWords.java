package dev.faultline.report;

import dev.faultline.vmx.AccessRights;
import dev.faultline.x86.Segment;

/** Segment registers in words. */
public final class SegmentWords {
  private SegmentWords() {}

  /**
   * A segment on one line, {@code 0x8 base 0 limit 0xffffffff type 11 (code, read, accessed) dpl 0
   * P S L G}; a flag that is neither 0 nor 1 with its value, {@code P=3}.
   */
  public static String describe(Segment segment) {
    StringBuilder text = new StringBuilder(FieldWords.number(segment.selector()));
    text.append(" base ").append(FieldWords.number(segment.base()));
    text.append(" limit ").append(FieldWords.number(segment.limit()));
    text.append(" type ").append(segment.type());
    if (segment.type() != 0 || segment.s() != 0) {
      text.append(" (").append(type(segment.s(), segment.type())).append(')');
    }
    text.append(" dpl ").append(segment.dpl());
    flag(text, "P", segment.present());
    flag(text, "S", segment.s());
    flag(text, "L", segment.l());
    flag(text, "DB", segment.db());
    flag(text, "G", segment.g());
    flag(text, "AVL", segment.avl());
    flag(text, "unusable", segment.unusable());
    return text.toString();
  }

  /** What kind of segment a type is, {@code code, read, accessed}. */
  public static String type(int s, int type) {
    if (type >>> 4 != 0) {
      return "more than four bits";
    }
    if (s == 0) {
      return system(type);
    }
    boolean code = (type & AccessRights.TYPE_CODE) != 0;
    StringBuilder text = new StringBuilder(code ? "code" : "data");
    if ((type & AccessRights.TYPE_CONFORMING) != 0) {
      text.append(code ? ", conforming" : ", expand-down");
    }
    if ((type & AccessRights.TYPE_WRITABLE) != 0) {
      text.append(code ? ", read" : ", write");
    }
    if ((type & AccessRights.TYPE_ACCESSED) != 0) {
      text.append(", accessed");
    }
    return text.toString();
  }

  private static String system(int type) {
    return switch (type) {
      case 1 -> "16-bit TSS, available";
      case AccessRights.TYPE_LDT -> "LDT";
      case AccessRights.TYPE_BUSY_16_TSS -> "16-bit TSS, busy";
      case 4 -> "16-bit call gate";
      case 5 -> "task gate";
      case 6 -> "16-bit interrupt gate";
      case 7 -> "16-bit trap gate";
      case 9 -> "TSS, available";
      case AccessRights.TYPE_BUSY_TSS -> "TSS, busy";
      case 12 -> "call gate";
      case 14 -> "interrupt gate";
      case 15 -> "trap gate";
      default -> "reserved system type";
    };
  }

  private static void flag(StringBuilder text, String name, int value) {
    if (value != 0) {
      text.append(' ').append(name);
      if (value != 1) {
        text.append('=').append(value);
      }
    }
  }
}
