package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of control register CR0.
 *
 * <p><i>Source</i>: Intel SDM vol. 3A, "Control Registers".
 */
public final class Cr0 {
  /** Protection enable. */
  public static final long PE = 1L << 0;

  /** Monitor coprocessor. */
  public static final long MP = 1L << 1;

  /** Emulation. */
  public static final long EM = 1L << 2;

  /** Task switched. */
  public static final long TS = 1L << 3;

  /** Extension type; always 1 on current processors. */
  public static final long ET = 1L << 4;

  /** Numeric error. */
  public static final long NE = 1L << 5;

  /** Write protect. */
  public static final long WP = 1L << 16;

  /** Alignment mask. */
  public static final long AM = 1L << 18;

  /** Not write-through; invalid without CD. */
  public static final long NW = 1L << 29;

  /** Cache disable. */
  public static final long CD = 1L << 30;

  /** Paging; invalid without PE. */
  public static final long PG = 1L << 31;

  /** Bits 63:32, which must be zero. */
  public static final long RESERVED_HIGH = 0xffff_ffffL << 32;

  private static final BitNames NAMES =
      BitNames.none()
          .and("PE", PE)
          .and("MP", MP)
          .and("EM", EM)
          .and("TS", TS)
          .and("ET", ET)
          .and("NE", NE)
          .and("WP", WP)
          .and("AM", AM)
          .and("NW", NW)
          .and("CD", CD)
          .and("PG", PG);

  private Cr0() {}

  /** The set bits by name, {@code MP|PE}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
