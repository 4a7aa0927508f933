package dev.faultline.vmx;

import dev.faultline.BitNames;

/**
 * The secondary processor-based VM-execution controls (secondary_vm_exec_control of vmcs12); all
 * are off unless {@link PrimaryControls#ACTIVATE_SECONDARY_CONTROLS}.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Processor-Based VM-Execution Controls".
 */
public final class SecondaryControls {
  /** Accesses to the APIC page are treated specially. */
  public static final long VIRTUALIZE_APIC_ACCESSES = 1L << 0;

  /** Extended page tables. */
  public static final long ENABLE_EPT = 1L << 1;

  /** LGDT and its kind exit. */
  public static final long DESC_EXITING = 1L << 2;

  /** RDTSCP does not raise #UD. */
  public static final long ENABLE_RDTSCP = 1L << 3;

  /** x2APIC MSRs are treated specially. */
  public static final long VIRTUALIZE_X2APIC_MODE = 1L << 4;

  /** Virtual processor identifiers. */
  public static final long ENABLE_VPID = 1L << 5;

  /** WBINVD exits. */
  public static final long WBINVD_EXITING = 1L << 6;

  /** The guest may run unpaged or in real mode. */
  public static final long UNRESTRICTED_GUEST = 1L << 7;

  /** APIC-register virtualization. */
  public static final long APIC_REGISTER_VIRT = 1L << 8;

  /** Virtual-interrupt delivery. */
  public static final long VIRTUAL_INTR_DELIVERY = 1L << 9;

  /** PAUSE in a loop exits. */
  public static final long PAUSE_LOOP_EXITING = 1L << 10;

  /** RDRAND exits. */
  public static final long RDRAND_EXITING = 1L << 11;

  /** INVPCID does not raise #UD. */
  public static final long ENABLE_INVPCID = 1L << 12;

  /** VMFUNC can be used. */
  public static final long ENABLE_VMFUNC = 1L << 13;

  /** VMREAD and VMWRITE may use a shadow VMCS. */
  public static final long SHADOW_VMCS = 1L << 14;

  /** ENCLS exits by its bitmap. */
  public static final long ENCLS_EXITING = 1L << 15;

  /** RDSEED exits. */
  public static final long RDSEED_EXITING = 1L << 16;

  /** Page-modification logging. */
  public static final long ENABLE_PML = 1L << 17;

  /** EPT violations may raise #VE. */
  public static final long EPT_VIOLATION_VE = 1L << 18;

  /** Processor Trace conceals VMX. */
  public static final long PT_CONCEAL_VMX = 1L << 19;

  /** XSAVES does not raise #UD. */
  public static final long XSAVES = 1L << 20;

  /** Mode-based execute control for EPT. */
  public static final long MODE_BASED_EPT_EXEC = 1L << 22;

  /** Processor Trace uses guest-physical addresses. */
  public static final long PT_USE_GPA = 1L << 24;

  /** RDTSC is scaled. */
  public static final long TSC_SCALING = 1L << 25;

  /** TPAUSE and its kind can be used. */
  public static final long ENABLE_USR_WAIT_PAUSE = 1L << 26;

  /** ENCLV exits by its bitmap. */
  public static final long ENCLV_EXITING = 1L << 28;

  /** Bus locks exit. */
  public static final long BUS_LOCK_DETECTION = 1L << 30;

  /** Exit when no event window opens. */
  public static final long NOTIFY_VM_EXITING = 1L << 31;

  private static final BitNames NAMES =
      BitNames.none()
          .and("VIRTUALIZE_APIC_ACCESSES", VIRTUALIZE_APIC_ACCESSES)
          .and("ENABLE_EPT", ENABLE_EPT)
          .and("DESC_EXITING", DESC_EXITING)
          .and("ENABLE_RDTSCP", ENABLE_RDTSCP)
          .and("VIRTUALIZE_X2APIC_MODE", VIRTUALIZE_X2APIC_MODE)
          .and("ENABLE_VPID", ENABLE_VPID)
          .and("WBINVD_EXITING", WBINVD_EXITING)
          .and("UNRESTRICTED_GUEST", UNRESTRICTED_GUEST)
          .and("APIC_REGISTER_VIRT", APIC_REGISTER_VIRT)
          .and("VIRTUAL_INTR_DELIVERY", VIRTUAL_INTR_DELIVERY)
          .and("PAUSE_LOOP_EXITING", PAUSE_LOOP_EXITING)
          .and("RDRAND_EXITING", RDRAND_EXITING)
          .and("ENABLE_INVPCID", ENABLE_INVPCID)
          .and("ENABLE_VMFUNC", ENABLE_VMFUNC)
          .and("SHADOW_VMCS", SHADOW_VMCS)
          .and("ENCLS_EXITING", ENCLS_EXITING)
          .and("RDSEED_EXITING", RDSEED_EXITING)
          .and("ENABLE_PML", ENABLE_PML)
          .and("EPT_VIOLATION_VE", EPT_VIOLATION_VE)
          .and("PT_CONCEAL_VMX", PT_CONCEAL_VMX)
          .and("XSAVES", XSAVES)
          .and("MODE_BASED_EPT_EXEC", MODE_BASED_EPT_EXEC)
          .and("PT_USE_GPA", PT_USE_GPA)
          .and("TSC_SCALING", TSC_SCALING)
          .and("ENABLE_USR_WAIT_PAUSE", ENABLE_USR_WAIT_PAUSE)
          .and("ENCLV_EXITING", ENCLV_EXITING)
          .and("BUS_LOCK_DETECTION", BUS_LOCK_DETECTION)
          .and("NOTIFY_VM_EXITING", NOTIFY_VM_EXITING);

  private SecondaryControls() {}

  /** The set bits by name, {@code ENABLE_EPT|VIRTUALIZE_APIC_ACCESSES}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
