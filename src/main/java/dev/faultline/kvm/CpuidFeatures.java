package dev.faultline.kvm;

import dev.faultline.Bytes;

/**
 * Words of a CPUID table that say which features there are. A word of a leaf that the table lacks
 * is zero.
 *
 * @param leaf1Ecx ECX of leaf 1
 * @param leaf1Edx EDX of leaf 1
 * @param leaf7Ebx EBX of leaf 7, subleaf 0
 * @param leaf7Ecx ECX of leaf 7, subleaf 0
 * @param leaf7Subleaf1Eax EAX of leaf 7, subleaf 1
 * @param pmuEax EAX of leaf 0xa
 * @param pmuEdx EDX of leaf 0xa
 * @param xcr0 EDX and EAX of leaf 0xd, subleaf 0: the components that XCR0 can name
 * @param xsaveEax EAX of leaf 0xd, subleaf 1
 * @param extended1Ecx ECX of leaf 0x80000001
 * @param extended1Edx EDX of leaf 0x80000001
 * @param addressSizes EAX of leaf 0x80000008
 * @param physicalBits the width of physical addresses
 */
public record CpuidFeatures(
    int leaf1Ecx,
    int leaf1Edx,
    int leaf7Ebx,
    int leaf7Ecx,
    int leaf7Subleaf1Eax,
    int pmuEax,
    int pmuEdx,
    long xcr0,
    int xsaveEax,
    int extended1Ecx,
    int extended1Edx,
    int addressSizes,
    int physicalBits) {
  private static final int FEATURES = 1;
  private static final int MORE_FEATURES = 7;
  private static final int PMU = 0xa;
  private static final int XSAVE = 0xd;
  private static final int EXTENDED = 0x8000_0000;
  private static final int EXTENDED_FEATURES = 0x8000_0001;
  private static final int ADDRESS_SIZES = 0x8000_0008;

  /** One bit for each leaf that is looked at, by the last digit of its number. */
  private static final int LEAVES = 1 << FEATURES | 1 << MORE_FEATURES | 1 << PMU | 1 << XSAVE;

  /** The same of extended leaves. */
  private static final int EXTENDED_LEAVES = 1 | 1 << 1 | 1 << 8;

  /** The width without a leaf that tells it. */
  private static final int DEFAULT_PHYSICAL_BITS = 36;

  /** The words of a table, taken out in one go. */
  static CpuidFeatures of(Bytes raw, int held) {
    Reader reader = new Reader(raw);
    // Of several entries that answer, the first counts; it is read last.
    for (int i = held - 1; i >= 0; i--) {
      reader.read(KvmCpuid2.HEADER_SIZE + i * KvmCpuid2.ENTRY_SIZE);
    }
    return reader.features();
  }

  /** Collects the words. */
  private static final class Reader {
    private final Bytes raw;
    private int leaf1Ecx;
    private int leaf1Edx;
    private int leaf7Ebx;
    private int leaf7Ecx;
    private int leaf7Subleaf1Eax;
    private int pmuEax;
    private int pmuEdx;
    private long xcr0;
    private int xsaveEax;
    private int highest;
    private int extended1Ecx;
    private int extended1Edx;
    private int addressSizes;
    private boolean hasAddressSizes;

    private Reader(Bytes raw) {
      this.raw = raw;
    }

    private void read(int at) {
      int function = raw.i32(at);
      if ((function & ~(EXTENDED | 0xf)) == 0
          && ((function < 0 ? EXTENDED_LEAVES : LEAVES) >>> (function & 0xf) & 1) != 0) {
        take(function, at);
      }
    }

    private void take(int function, int at) {
      switch (function) {
        case FEATURES -> {
          if (answers(at, 0)) {
            leaf1Ecx = ecx(at);
            leaf1Edx = edx(at);
          }
        }
        case MORE_FEATURES -> {
          if (answers(at, 0)) {
            leaf7Ebx = raw.i32(at + KvmCpuid2.EBX);
            leaf7Ecx = ecx(at);
          }
          leaf7Subleaf1Eax = answers(at, 1) ? eax(at) : leaf7Subleaf1Eax;
        }
        case PMU -> {
          if (answers(at, 0)) {
            pmuEax = eax(at);
            pmuEdx = edx(at);
          }
        }
        case XSAVE -> {
          if (answers(at, 0)) {
            xcr0 = Integer.toUnsignedLong(edx(at)) << 32 | Integer.toUnsignedLong(eax(at));
          }
          xsaveEax = answers(at, 1) ? eax(at) : xsaveEax;
        }
        case EXTENDED -> highest = answers(at, 0) ? eax(at) : highest;
        case EXTENDED_FEATURES -> {
          if (answers(at, 0)) {
            extended1Ecx = ecx(at);
            extended1Edx = edx(at);
          }
        }
        case ADDRESS_SIZES -> {
          if (answers(at, 0)) {
            addressSizes = eax(at);
            hasAddressSizes = true;
          }
        }
        default -> {
          // Looked up when somebody asks.
        }
      }
    }

    private boolean answers(int at, int index) {
      return (raw.i32(at + KvmCpuid2.FLAGS) & CpuidEntry.KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0
          || raw.i32(at + KvmCpuid2.INDEX) == index;
    }

    private int eax(int at) {
      return raw.i32(at + KvmCpuid2.EAX);
    }

    private int ecx(int at) {
      return raw.i32(at + KvmCpuid2.ECX);
    }

    private int edx(int at) {
      return raw.i32(at + KvmCpuid2.EDX);
    }

    private CpuidFeatures features() {
      boolean told = hasAddressSizes && Integer.compareUnsigned(highest, ADDRESS_SIZES) >= 0;
      return new CpuidFeatures(
          leaf1Ecx,
          leaf1Edx,
          leaf7Ebx,
          leaf7Ecx,
          leaf7Subleaf1Eax,
          pmuEax,
          pmuEdx,
          xcr0,
          xsaveEax,
          extended1Ecx,
          extended1Edx,
          addressSizes,
          told ? addressSizes & 0xff : DEFAULT_PHYSICAL_BITS);
    }
  }
}
