package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of debug register DR7.
 *
 * <p><i>Source</i>: Intel SDM vol. 3B, "Debug Control Register (DR7)".
 */
public final class Dr7 {
  /** Local breakpoint 0. */
  public static final long L0 = 1L << 0;

  /** Global breakpoint 0. */
  public static final long G0 = 1L << 1;

  /** Local breakpoint 1. */
  public static final long L1 = 1L << 2;

  /** Global breakpoint 1. */
  public static final long G1 = 1L << 3;

  /** Local breakpoint 2. */
  public static final long L2 = 1L << 4;

  /** Global breakpoint 2. */
  public static final long G2 = 1L << 5;

  /** Local breakpoint 3. */
  public static final long L3 = 1L << 6;

  /** Global breakpoint 3. */
  public static final long G3 = 1L << 7;

  /** Local exact. */
  public static final long LE = 1L << 8;

  /** Global exact. */
  public static final long GE = 1L << 9;

  /** Always 1. */
  public static final long FIXED_1 = 1L << 10;

  /** Debugging in transactional regions. */
  public static final long RTM = 1L << 11;

  /** General detect. */
  public static final long GD = 1L << 13;

  /** Bits 63:32, which must be zero. */
  public static final long RESERVED_HIGH = 0xffff_ffffL << 32;

  private static final BitNames NAMES =
      BitNames.none()
          .and("L0", L0)
          .and("G0", G0)
          .and("L1", L1)
          .and("G1", G1)
          .and("L2", L2)
          .and("G2", G2)
          .and("L3", L3)
          .and("G3", G3)
          .and("LE", LE)
          .and("GE", GE)
          .and("FIXED_1", FIXED_1)
          .and("RTM", RTM)
          .and("GD", GD);

  private Dr7() {}

  /** The set bits by name, {@code G0|L0}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
