package dev.faultline.vmx;

import dev.faultline.BitNames;

/**
 * The VM-exit controls (vm_exit_controls of vmcs12).
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "VM-Exit Controls".
 */
public final class ExitControls {
  /** Save DR7 and IA32_DEBUGCTL. */
  public static final long SAVE_DEBUG_CONTROLS = 1L << 2;

  /** The host is in 64-bit mode. */
  public static final long HOST_ADDR_SPACE_SIZE = 1L << 9;

  /** Load IA32_PERF_GLOBAL_CTRL. */
  public static final long LOAD_IA32_PERF_GLOBAL_CTRL = 1L << 12;

  /** Acknowledge the interrupt on exit. */
  public static final long ACK_INTR_ON_EXIT = 1L << 15;

  /** Save IA32_PAT. */
  public static final long SAVE_IA32_PAT = 1L << 18;

  /** Load IA32_PAT. */
  public static final long LOAD_IA32_PAT = 1L << 19;

  /** Save IA32_EFER. */
  public static final long SAVE_IA32_EFER = 1L << 20;

  /** Load IA32_EFER. */
  public static final long LOAD_IA32_EFER = 1L << 21;

  /** Save the VMX preemption timer. */
  public static final long SAVE_PREEMPTION_TIMER = 1L << 22;

  /** Clear IA32_BNDCFGS. */
  public static final long CLEAR_BNDCFGS = 1L << 23;

  /** Processor Trace conceals the exit. */
  public static final long PT_CONCEAL_PIP = 1L << 24;

  /** Clear IA32_RTIT_CTL. */
  public static final long CLEAR_IA32_RTIT_CTL = 1L << 25;

  /** Load CET state. */
  public static final long LOAD_CET_STATE = 1L << 28;

  private static final BitNames NAMES =
      BitNames.none()
          .and("SAVE_DEBUG_CONTROLS", SAVE_DEBUG_CONTROLS)
          .and("HOST_ADDR_SPACE_SIZE", HOST_ADDR_SPACE_SIZE)
          .and("LOAD_IA32_PERF_GLOBAL_CTRL", LOAD_IA32_PERF_GLOBAL_CTRL)
          .and("ACK_INTR_ON_EXIT", ACK_INTR_ON_EXIT)
          .and("SAVE_IA32_PAT", SAVE_IA32_PAT)
          .and("LOAD_IA32_PAT", LOAD_IA32_PAT)
          .and("SAVE_IA32_EFER", SAVE_IA32_EFER)
          .and("LOAD_IA32_EFER", LOAD_IA32_EFER)
          .and("SAVE_PREEMPTION_TIMER", SAVE_PREEMPTION_TIMER)
          .and("CLEAR_BNDCFGS", CLEAR_BNDCFGS)
          .and("PT_CONCEAL_PIP", PT_CONCEAL_PIP)
          .and("CLEAR_IA32_RTIT_CTL", CLEAR_IA32_RTIT_CTL)
          .and("LOAD_CET_STATE", LOAD_CET_STATE);

  private ExitControls() {}

  /** The set bits by name, {@code HOST_ADDR_SPACE_SIZE|SAVE_DEBUG_CONTROLS}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
