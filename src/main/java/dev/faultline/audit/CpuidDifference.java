package dev.faultline.audit;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;

/** What two CPUID tables promise a guest, compared. */
final class CpuidDifference {
  private static final int OSXSAVE = 1 << 27;
  private static final int HYPERVISOR = 1 << 31;
  private static final int DYNAMIC_1C = OSXSAVE;
  private static final int FREE_1C = OSXSAVE | HYPERVISOR | 1 << 21 | 1 << 24 | 1 << 3;
  private static final int FREE_1D = 1 << 28;
  private static final int DYNAMIC_7C = 1 << 4;
  private static final int FREE_AMD_C = 1 << 1 | 1 << 22;

  private CpuidDifference() {}

  /** A register of a leaf, with the bits that do not count. */
  private record Word(int leaf, int subleaf, char register, int ignored, int free) {
    int of(KvmCpuid2 table) {
      CpuidEntry entry = table.find(leaf, subleaf);
      if (entry == null) {
        return 0;
      }
      return switch (register) {
        case 'a' -> entry.eax();
        case 'b' -> entry.ebx();
        case 'c' -> entry.ecx();
        default -> entry.edx();
      };
    }

    String name() {
      return "leaf 0x"
          + Integer.toHexString(leaf)
          + (subleaf == 0 ? "" : "." + subleaf)
          + " E"
          + Character.toUpperCase(register)
          + "X";
    }
  }

  private static final java.util.List<Word> WORDS =
      java.util.List.of(
          new Word(0x1, 0, 'c', DYNAMIC_1C, FREE_1C),
          new Word(0x1, 0, 'd', 0, FREE_1D),
          new Word(0x7, 0, 'b', 0, 0),
          new Word(0x7, 0, 'c', DYNAMIC_7C, DYNAMIC_7C),
          new Word(0x7, 0, 'd', 0, 0),
          new Word(0xd, 1, 'a', 0, 0),
          new Word(0x8000_0001, 0, 'c', 0, FREE_AMD_C),
          new Word(0x8000_0001, 0, 'd', 0, 0));

  /** The first feature word in which two tables differ; empty if none. */
  static String features(KvmCpuid2 then, KvmCpuid2 now) {
    for (Word word : WORDS) {
      int a = word.of(then) & ~word.ignored();
      int b = word.of(now) & ~word.ignored();
      if (a != b) {
        return word.name()
            + " was 0x"
            + Integer.toHexString(a)
            + " and is 0x"
            + Integer.toHexString(b);
      }
    }
    return "";
  }

  /** What a guest's table promises that the host does not offer; empty if nothing. */
  static String beyond(KvmCpuid2 guest, KvmCpuid2 host) {
    for (Word word : WORDS) {
      int extra = word.of(guest) & ~word.of(host) & ~word.free();
      if (extra != 0) {
        return word.name() + " bits 0x" + Integer.toHexString(extra);
      }
    }
    return "";
  }
}
