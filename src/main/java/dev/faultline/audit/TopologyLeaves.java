package dev.faultline.audit;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;

/** Where a CPUID table says which processor it belongs to. */
final class TopologyLeaves {
  private static final int APIC_ID_SHIFT = 24;
  private static final int BYTE = 0xff;
  private static final int[] X2APIC_LEAVES = {0xb, 0x1f};

  private TopologyLeaves() {}

  /** What names another processor; empty if nothing does. */
  static String wrong(KvmCpuid2 table, int id) {
    CpuidEntry features = table.find(1, 0);
    if (features != null && features.ebx() >>> APIC_ID_SHIFT != (id & BYTE)) {
      return "leaf 1 says " + (features.ebx() >>> APIC_ID_SHIFT);
    }
    for (int leaf : X2APIC_LEAVES) {
      CpuidEntry entry = table.find(leaf, 0);
      if (entry != null && (entry.ebx() | entry.ecx() >>> Byte.SIZE) != 0 && entry.edx() != id) {
        return "leaf 0x"
            + Integer.toHexString(leaf)
            + " says "
            + Integer.toUnsignedString(entry.edx());
      }
    }
    return "";
  }
}
