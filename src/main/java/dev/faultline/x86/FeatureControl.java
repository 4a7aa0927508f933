package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of IA32_FEATURE_CONTROL.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Enabling and Entering VMX Operation".
 */
public final class FeatureControl {
  /** The MSR can no longer be written by the guest. */
  public static final long LOCKED = 1L << 0;

  /** VMXON in SMX operation. */
  public static final long VMX_IN_SMX = 1L << 1;

  /** VMXON outside SMX operation. */
  public static final long VMX_OUTSIDE_SMX = 1L << 2;

  /** SGX launch control. */
  public static final long SGX_LC = 1L << 17;

  /** SGX enable. */
  public static final long SGX = 1L << 18;

  /** Local machine check. */
  public static final long LMCE = 1L << 20;

  private static final BitNames NAMES =
      BitNames.none()
          .and("LOCKED", LOCKED)
          .and("VMX_IN_SMX", VMX_IN_SMX)
          .and("VMX_OUTSIDE_SMX", VMX_OUTSIDE_SMX)
          .and("SGX_LC", SGX_LC)
          .and("SGX", SGX)
          .and("LMCE", LMCE);

  private FeatureControl() {}

  /** The set bits by name, {@code VMX_IN_SMX|LOCKED}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
