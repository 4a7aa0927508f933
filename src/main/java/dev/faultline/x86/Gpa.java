package dev.faultline.x86;

/** Guest-physical addresses, held in a {@code long}. */
public final class Gpa {
  /** No address: what KVM tells for a VMXON or VMCS pointer that is not set. */
  public static final long INVALID = -1L;

  /** Bytes of a page. */
  public static final int PAGE_SIZE = 4096;

  private static final long PAGE_OFFSET_MASK = PAGE_SIZE - 1L;

  private Gpa() {}

  /** True if the address is on a page boundary. */
  public static boolean isPageAligned(long gpa) {
    return (gpa & PAGE_OFFSET_MASK) == 0;
  }

  /** True if no bit at or above {@code maxPhyAddr} is set. */
  public static boolean isLegal(long gpa, int maxPhyAddr) {
    return maxPhyAddr >= Long.SIZE || gpa >>> maxPhyAddr == 0;
  }

  /** True if the address can be that of a VMXON region or a VMCS: legal, and on a page boundary. */
  public static boolean isLegalPage(long gpa, int maxPhyAddr) {
    return isPageAligned(gpa) && isLegal(gpa, maxPhyAddr);
  }
}
