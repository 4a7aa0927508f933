package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of IA32_APIC_BASE.
 *
 * <p><i>Source</i>: Intel SDM vol. 3A, "Local APIC Status and Location".
 */
public final class ApicBase {
  /** The bootstrap processor. */
  public static final long BSP = 1L << 8;

  /** x2APIC mode. */
  public static final long EXTD = 1L << 10;

  /** The APIC is enabled. */
  public static final long EN = 1L << 11;

  /** The address of the APIC page after a reset. */
  public static final long DEFAULT = 0xfee0_0000L;

  /** The bits below the page that must be zero, without EXTD. */
  public static final long RESERVED_LOW = 0x2ffL;

  private static final BitNames NAMES =
      BitNames.none().and("BSP", BSP).and("EXTD", EXTD).and("EN", EN);

  private ApicBase() {}

  /** The set bits by name, {@code EXTD|BSP}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
