package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of IA32_EFER.
 *
 * <p><i>Source</i>: Intel SDM vol. 3A, "Extended Feature Enable Register"; AMD APM vol. 2, "EFER
 * Register" for SVME, LMSLE, FFXSR.
 */
public final class Efer {
  /** SYSCALL enable. */
  public static final long SCE = 1L << 0;

  /** Long mode enable. */
  public static final long LME = 1L << 8;

  /** Long mode active. */
  public static final long LMA = 1L << 10;

  /** No-execute enable. */
  public static final long NX = 1L << 11;

  /** Secure virtual machine enable (AMD). */
  public static final long SVME = 1L << 12;

  /** Long mode segment limit enable (AMD). */
  public static final long LMSLE = 1L << 13;

  /** Fast FXSAVE and FXRSTOR (AMD). */
  public static final long FFXSR = 1L << 14;

  /** Translation cache extension (AMD). */
  public static final long TCE = 1L << 15;

  /** Automatic IBRS (AMD). */
  public static final long AUTOIBRS = 1L << 21;

  private static final BitNames NAMES =
      BitNames.none()
          .and("SCE", SCE)
          .and("LME", LME)
          .and("LMA", LMA)
          .and("NX", NX)
          .and("SVME", SVME)
          .and("LMSLE", LMSLE)
          .and("FFXSR", FFXSR)
          .and("TCE", TCE)
          .and("AUTOIBRS", AUTOIBRS);

  private Efer() {}

  /** The set bits by name, {@code LME|SCE}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
