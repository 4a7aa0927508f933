package dev.faultline.vmx;

import dev.faultline.BitNames;

/**
 * The guest interruptibility state (guest_interruptibility_info of vmcs12).
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Guest Non-Register State".
 */
public final class InterruptibilityInfo {
  /** Blocking by STI. */
  public static final long STI = 1L << 0;

  /** Blocking by MOV SS. */
  public static final long MOV_SS = 1L << 1;

  /** Blocking by SMI. */
  public static final long SMI = 1L << 2;

  /** Blocking by NMI. */
  public static final long NMI = 1L << 3;

  /** Interrupted in an enclave. */
  public static final long ENCLAVE = 1L << 4;

  /** Bits that must be zero. */
  public static final long RESERVED = ~0x1fL;

  private static final BitNames NAMES =
      BitNames.none()
          .and("STI", STI)
          .and("MOV_SS", MOV_SS)
          .and("SMI", SMI)
          .and("NMI", NMI)
          .and("ENCLAVE", ENCLAVE);

  private InterruptibilityInfo() {}

  /** The set bits by name, {@code MOV_SS|STI}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
