package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of debug register DR6.
 *
 * <p><i>Source</i>: Intel SDM vol. 3B, "Debug Status Register (DR6)".
 */
public final class Dr6 {
  /** Breakpoint 0 met. */
  public static final long B0 = 1L << 0;

  /** Breakpoint 1 met. */
  public static final long B1 = 1L << 1;

  /** Breakpoint 2 met. */
  public static final long B2 = 1L << 2;

  /** Breakpoint 3 met. */
  public static final long B3 = 1L << 3;

  /** Bus lock detected; active low. */
  public static final long BLD = 1L << 11;

  /** Debug register access detected. */
  public static final long BD = 1L << 13;

  /** Single step. */
  public static final long BS = 1L << 14;

  /** Task switch. */
  public static final long BT = 1L << 15;

  /** In a transactional region; active low. */
  public static final long RTM = 1L << 16;

  /** The bits that always read as 1, but for RTM. */
  public static final long FIXED_1 = 0xfffe_0ff0L;

  /** Bits 63:32, which must be zero. */
  public static final long RESERVED_HIGH = 0xffff_ffffL << 32;

  private static final BitNames NAMES =
      BitNames.none()
          .and("B0", B0)
          .and("B1", B1)
          .and("B2", B2)
          .and("B3", B3)
          .and("BLD", BLD)
          .and("BD", BD)
          .and("BS", BS)
          .and("BT", BT)
          .and("RTM", RTM);

  private Dr6() {}

  /** The set bits by name, {@code B1|B0}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
