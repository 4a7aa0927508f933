package dev.faultline.vmx;

import dev.faultline.BitNames;

/**
 * The VM-entry controls (vm_entry_controls of vmcs12).
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "VM-Entry Controls".
 */
public final class EntryControls {
  /** Load DR7 and IA32_DEBUGCTL. */
  public static final long LOAD_DEBUG_CONTROLS = 1L << 2;

  /** The guest is in IA-32e mode. */
  public static final long IA32E_MODE = 1L << 9;

  /** Entry to SMM. */
  public static final long SMM = 1L << 10;

  /** Deactivate the dual-monitor treatment. */
  public static final long DEACT_DUAL_MONITOR = 1L << 11;

  /** Load IA32_PERF_GLOBAL_CTRL. */
  public static final long LOAD_IA32_PERF_GLOBAL_CTRL = 1L << 13;

  /** Load IA32_PAT. */
  public static final long LOAD_IA32_PAT = 1L << 14;

  /** Load IA32_EFER. */
  public static final long LOAD_IA32_EFER = 1L << 15;

  /** Load IA32_BNDCFGS. */
  public static final long LOAD_BNDCFGS = 1L << 16;

  /** Processor Trace conceals the entry. */
  public static final long PT_CONCEAL_PIP = 1L << 17;

  /** Load IA32_RTIT_CTL. */
  public static final long LOAD_IA32_RTIT_CTL = 1L << 18;

  /** Load CET state. */
  public static final long LOAD_CET_STATE = 1L << 20;

  private static final BitNames NAMES =
      BitNames.none()
          .and("LOAD_DEBUG_CONTROLS", LOAD_DEBUG_CONTROLS)
          .and("IA32E_MODE", IA32E_MODE)
          .and("SMM", SMM)
          .and("DEACT_DUAL_MONITOR", DEACT_DUAL_MONITOR)
          .and("LOAD_IA32_PERF_GLOBAL_CTRL", LOAD_IA32_PERF_GLOBAL_CTRL)
          .and("LOAD_IA32_PAT", LOAD_IA32_PAT)
          .and("LOAD_IA32_EFER", LOAD_IA32_EFER)
          .and("LOAD_BNDCFGS", LOAD_BNDCFGS)
          .and("PT_CONCEAL_PIP", PT_CONCEAL_PIP)
          .and("LOAD_IA32_RTIT_CTL", LOAD_IA32_RTIT_CTL)
          .and("LOAD_CET_STATE", LOAD_CET_STATE);

  private EntryControls() {}

  /** The set bits by name, {@code IA32E_MODE|LOAD_DEBUG_CONTROLS}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
