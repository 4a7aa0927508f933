package dev.faultline.kvm;

/**
 * Words of a CPUID table that say which features there are. A word of a leaf that the table lacks
 * is zero.
 *
 * @param leaf1Ecx ECX of leaf 1
 * @param leaf1Edx EDX of leaf 1
 * @param leaf7Ebx EBX of leaf 7, subleaf 0
 * @param leaf7Ecx ECX of leaf 7, subleaf 0
 * @param leaf7Subleaf1Eax EAX of leaf 7, subleaf 1
 * @param extended1Ecx ECX of leaf 0x80000001
 * @param extended1Edx EDX of leaf 0x80000001
 * @param physicalBits the width of physical addresses
 */
public record CpuidFeatures(
    int leaf1Ecx,
    int leaf1Edx,
    int leaf7Ebx,
    int leaf7Ecx,
    int leaf7Subleaf1Eax,
    int extended1Ecx,
    int extended1Edx,
    int physicalBits) {
  private static final int EAX = 0;
  private static final int EBX = 1;
  private static final int ECX = 2;
  private static final int EDX = 3;
  private static final int EXTENDED = 0x8000_0000;
  private static final int EXTENDED_FEATURES = 0x8000_0001;
  private static final int ADDRESS_SIZES = 0x8000_0008;

  /** The width without a leaf that tells it. */
  private static final int DEFAULT_PHYSICAL_BITS = 36;

  static CpuidFeatures of(KvmCpuid2 table) {
    return new CpuidFeatures(
        table.register(1, 0, ECX),
        table.register(1, 0, EDX),
        table.register(7, 0, EBX),
        table.register(7, 0, ECX),
        table.register(7, 1, EAX),
        table.register(EXTENDED_FEATURES, 0, ECX),
        table.register(EXTENDED_FEATURES, 0, EDX),
        physicalBits(table));
  }

  private static int physicalBits(KvmCpuid2 table) {
    if (Integer.compareUnsigned(table.register(EXTENDED, 0, EAX), ADDRESS_SIZES) < 0) {
      return DEFAULT_PHYSICAL_BITS;
    }
    CpuidEntry sizes = table.find(ADDRESS_SIZES, 0);
    return sizes == null ? DEFAULT_PHYSICAL_BITS : sizes.eax() & 0xff;
  }
}
