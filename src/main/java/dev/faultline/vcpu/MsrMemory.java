package dev.faultline.vcpu;

/**
 * The MTRRs.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/mtrr.c, kvm_mtrr_valid()}, v6.1.
 */
final class MsrMemory {
  private static final long DEFAULT_BITS = 0xcff;
  private static final long BASE_RESERVED = 0xf00;
  private static final long MASK_RESERVED = 0x7ff;
  private static final long TYPE = 0xff;

  /** One bit for each memory type that an MTRR can have: UC, WC, WT, WP, WB. */
  private static final int VALID_TYPES = 0x73;

  private MsrMemory() {}

  static MsrFate judge(Vcpu v, MsrKind kind, int index, long data) {
    return switch (kind) {
      case MTRR_FIXED -> MsrFate.unless(!validTypes(data), MsrCheck.MSR_MTRR_TYPE);
      case MTRR_DEFAULT -> {
        if ((data & ~DEFAULT_BITS) != 0) {
          yield MsrFate.refused(MsrCheck.MSR_MTRR_RESERVED);
        }
        yield MsrFate.unless(!validType(data & TYPE), MsrCheck.MSR_MTRR_TYPE);
      }
      case MTRR_VARIABLE -> variable(v, index, data);
      default -> MsrFate.refused(MsrCheck.MSR_MTRR_NUMBER);
    };
  }

  private static MsrFate variable(Vcpu v, int index, long data) {
    boolean base = (index & 1) == 0;
    if (base && !validType(data & TYPE)) {
      return MsrFate.refused(MsrCheck.MSR_MTRR_TYPE);
    }
    if ((data & (base ? BASE_RESERVED : MASK_RESERVED)) != 0) {
      return MsrFate.refused(MsrCheck.MSR_MTRR_RESERVED);
    }
    return MsrFate.unless(
        GuestCpuid.illegalGpa(v, data), MsrCheck.MSR_MTRR_RESERVED, MsrFate.NO_CPUID);
  }

  private static boolean validTypes(long data) {
    for (int shift = 0; shift < Long.SIZE; shift += Byte.SIZE) {
      if (!validType(data >>> shift & TYPE)) {
        return false;
      }
    }
    return true;
  }

  private static boolean validType(long type) {
    return type < Byte.SIZE && (VALID_TYPES >>> type & 1) != 0;
  }
}
