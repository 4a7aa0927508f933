package dev.faultline.vmx;

import dev.faultline.BitNames;

/**
 * The pin-based VM-execution controls (pin_based_vm_exec_control of vmcs12).
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Pin-Based VM-Execution Controls".
 */
public final class PinControls {
  /** External interrupts cause VM exits. */
  public static final long EXT_INTR_EXITING = 1L << 0;

  /** NMIs cause VM exits. */
  public static final long NMI_EXITING = 1L << 3;

  /** Virtual NMIs. */
  public static final long VIRTUAL_NMIS = 1L << 5;

  /** The VMX preemption timer counts. */
  public static final long PREEMPTION_TIMER = 1L << 6;

  /** Process posted interrupts. */
  public static final long POSTED_INTR = 1L << 7;

  private static final BitNames NAMES =
      BitNames.none()
          .and("EXT_INTR_EXITING", EXT_INTR_EXITING)
          .and("NMI_EXITING", NMI_EXITING)
          .and("VIRTUAL_NMIS", VIRTUAL_NMIS)
          .and("PREEMPTION_TIMER", PREEMPTION_TIMER)
          .and("POSTED_INTR", POSTED_INTR);

  private PinControls() {}

  /** The set bits by name, {@code NMI_EXITING|EXT_INTR_EXITING}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
