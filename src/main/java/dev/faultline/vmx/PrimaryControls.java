package dev.faultline.vmx;

import dev.faultline.BitNames;

/**
 * The primary processor-based VM-execution controls (cpu_based_vm_exec_control of vmcs12).
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Processor-Based VM-Execution Controls".
 */
public final class PrimaryControls {
  /** Exit as soon as interrupts can be taken. */
  public static final long INTR_WINDOW_EXITING = 1L << 2;

  /** RDTSC adds the TSC offset. */
  public static final long USE_TSC_OFFSETTING = 1L << 3;

  /** HLT exits. */
  public static final long HLT_EXITING = 1L << 7;

  /** INVLPG exits. */
  public static final long INVLPG_EXITING = 1L << 9;

  /** MWAIT exits. */
  public static final long MWAIT_EXITING = 1L << 10;

  /** RDPMC exits. */
  public static final long RDPMC_EXITING = 1L << 11;

  /** RDTSC exits. */
  public static final long RDTSC_EXITING = 1L << 12;

  /** MOV to CR3 exits. */
  public static final long CR3_LOAD_EXITING = 1L << 15;

  /** MOV from CR3 exits. */
  public static final long CR3_STORE_EXITING = 1L << 16;

  /** The tertiary controls are used. */
  public static final long ACTIVATE_TERTIARY_CONTROLS = 1L << 17;

  /** MOV to CR8 exits. */
  public static final long CR8_LOAD_EXITING = 1L << 19;

  /** MOV from CR8 exits. */
  public static final long CR8_STORE_EXITING = 1L << 20;

  /** Use the TPR shadow. */
  public static final long TPR_SHADOW = 1L << 21;

  /** Exit as soon as NMIs can be taken. */
  public static final long NMI_WINDOW_EXITING = 1L << 22;

  /** MOV DR exits. */
  public static final long MOV_DR_EXITING = 1L << 23;

  /** All IN and OUT exit. */
  public static final long UNCOND_IO_EXITING = 1L << 24;

  /** IN and OUT exit by the I/O bitmaps. */
  public static final long USE_IO_BITMAPS = 1L << 25;

  /** Exit after each instruction. */
  public static final long MONITOR_TRAP_FLAG = 1L << 27;

  /** RDMSR and WRMSR exit by the MSR bitmaps. */
  public static final long USE_MSR_BITMAPS = 1L << 28;

  /** MONITOR exits. */
  public static final long MONITOR_EXITING = 1L << 29;

  /** PAUSE exits. */
  public static final long PAUSE_EXITING = 1L << 30;

  /** The secondary controls are used. */
  public static final long ACTIVATE_SECONDARY_CONTROLS = 1L << 31;

  private static final BitNames NAMES =
      BitNames.none()
          .and("INTR_WINDOW_EXITING", INTR_WINDOW_EXITING)
          .and("USE_TSC_OFFSETTING", USE_TSC_OFFSETTING)
          .and("HLT_EXITING", HLT_EXITING)
          .and("INVLPG_EXITING", INVLPG_EXITING)
          .and("MWAIT_EXITING", MWAIT_EXITING)
          .and("RDPMC_EXITING", RDPMC_EXITING)
          .and("RDTSC_EXITING", RDTSC_EXITING)
          .and("CR3_LOAD_EXITING", CR3_LOAD_EXITING)
          .and("CR3_STORE_EXITING", CR3_STORE_EXITING)
          .and("ACTIVATE_TERTIARY_CONTROLS", ACTIVATE_TERTIARY_CONTROLS)
          .and("CR8_LOAD_EXITING", CR8_LOAD_EXITING)
          .and("CR8_STORE_EXITING", CR8_STORE_EXITING)
          .and("TPR_SHADOW", TPR_SHADOW)
          .and("NMI_WINDOW_EXITING", NMI_WINDOW_EXITING)
          .and("MOV_DR_EXITING", MOV_DR_EXITING)
          .and("UNCOND_IO_EXITING", UNCOND_IO_EXITING)
          .and("USE_IO_BITMAPS", USE_IO_BITMAPS)
          .and("MONITOR_TRAP_FLAG", MONITOR_TRAP_FLAG)
          .and("USE_MSR_BITMAPS", USE_MSR_BITMAPS)
          .and("MONITOR_EXITING", MONITOR_EXITING)
          .and("PAUSE_EXITING", PAUSE_EXITING)
          .and("ACTIVATE_SECONDARY_CONTROLS", ACTIVATE_SECONDARY_CONTROLS);

  private PrimaryControls() {}

  /** The set bits by name, {@code USE_TSC_OFFSETTING|INTR_WINDOW_EXITING}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
