package dev.faultline.vcpu;

import dev.faultline.x86.Msr;
import org.jspecify.annotations.Nullable;

/**
 * How KVM treats an MSR that userspace reads or writes: one constant for each rule.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_set_msr_common(), kvm_get_msr_common()};
 * {@code arch/x86/kvm/vmx/vmx.c, vmx_set_msr(), vmx_get_msr()}; {@code arch/x86/kvm/svm/svm.c,
 * svm_set_msr()}, v6.1.
 */
enum MsrKind {
  /** Kept as written. */
  PLAIN,
  SMBASE,
  SYSENTER_CS,
  /** IA32_SYSENTER_ESP and EIP: made canonical. */
  SYSENTER_ADDRESS,
  /** Refused unless canonical, then kept. */
  CANONICAL,
  FMASK,
  /** IA32_FS_BASE and GS_BASE: bases of segment registers. */
  SEGMENT_BASE,
  EFER,
  APIC_BASE,
  X2APIC,
  TSC,
  TSC_ADJUST,
  TSC_AUX,
  TSC_DEADLINE,
  PAT,
  FEATURE_CONTROL,
  /** The VMX capability MSRs. */
  VMX,
  UCODE_REV,
  PLATFORM_INFO,
  MISC_FEATURES,
  MISC_ENABLE,
  ARCH_CAPABILITIES,
  PERF_CAPABILITIES,
  SPEC_CTRL,
  PRED_CMD,
  FLUSH_CMD,
  TSX_CTRL,
  UMWAIT_CONTROL,
  XSS,
  /** IA32_XFD and XFD_ERR. */
  XFD,
  BNDCFGS,
  DEBUGCTL,
  RTIT,
  SGX_HASH,
  MTRR_VARIABLE,
  MTRR_FIXED,
  MTRR_DEFAULT,
  /** Numbers among the MTRRs that are none. */
  MTRR_NONE,
  MCG_CAP,
  MCG_CTL,
  MCG_EXT_CTL,
  MC_BANK,
  MC_CTL2,
  /** KVM_WALL_CLOCK, old and new: one value of the VM. */
  WALL_CLOCK,
  /** KVM_SYSTEM_TIME, old and new: one value. */
  SYSTEM_TIME,
  STEAL_TIME,
  ASYNC_PF_EN,
  ASYNC_PF_INT,
  ASYNC_PF_ACK,
  PV_EOI,
  POLL_CONTROL,
  HYPERV,
  /** Counters and controls of Intel's architectural performance monitoring. */
  PMU,
  /** Those that KVM accepts without a PMU, too, and drops. */
  PMU_P6,
  /** Those of AMD's K7: accepted without a PMU, too, and dropped. */
  PMU_K7,
  /** Those of AMD's family 15h. */
  PMU_F15H,
  DS_AREA,
  HWCR,
  HSAVE_PA,
  VIRT_SPEC_CTRL,
  TSC_RATIO,
  OSVW,
  /** Handled by the vendor module of SVM only. */
  SVM_OTHER,
  /** Accepted and dropped; reads as zero, or cannot be read. */
  DROPPED,
  /** Reads as a number that never changes; cannot be written. */
  CONSTANT,
  /** None of these. */
  OTHER;

  static final int EBL_CR_POWERON = 0x2a;
  static final int EBC_FREQUENCY_ID = 0x2c;
  static final int SGX_HASH_FIRST = 0x8c;
  static final int SGX_HASH_LAST = 0x8f;
  static final int FSB_FREQUENCY = 0xcd;
  static final int BBL_CR_CTL3 = 0x11e;
  static final int IA32_TSX_CTRL = 0x122;
  static final int IA32_PERF_CTL = 0x199;
  static final int IA32_XFD = 0x1c4;
  static final int IA32_XFD_ERR = 0x1c5;
  static final int IA32_MC0_CTL2 = 0x280;
  static final int IA32_MCG_EXT_CTL = 0x4d0;
  static final int HV_RESET = 0x40000003;
  static final int HV_VP_RUNTIME = 0x40000010;
  static final int HV_TSC_FREQUENCY = 0x40000022;
  static final int HV_APIC_FREQUENCY = 0x40000023;
  static final int HV_TSC_INVARIANT_CONTROL = 0x40000118;

  /** How many machine-check banks a vCPU can have. */
  static final int MAX_BANKS = 32;

  private static final int PATCH_LOADER = 0xc0010020;
  private static final int K7_CLK_CTL = 0xc001001b;
  private static final int MTRR_FIRST = 0x200;
  private static final int MTRR_VARIABLE_END = 0x210;
  private static final int MTRR_LAST = 0x2ff;
  private static final int X2APIC_FIRST = 0x800;
  private static final int X2APIC_LAST = 0x8ff;
  private static final int HV_FIRST = 0x40000000;
  private static final int HV_LAST = 0x4000_01ff;

  private static final int SLOTS = 1024;
  private static final int SPREAD = 0x9e3779b9;
  private static final int SHIFT = 22;
  private static final int[] INDEXES = new int[SLOTS];
  private static final @Nullable MsrKind[] KINDS = new MsrKind[SLOTS];

  static {
    singleMsrs();
    virtualMsrs();
    amdMsrs();
    performanceMsrs();
    put(CONSTANT, 0, 1, Msr.IA32_PLATFORM_ID, EBL_CR_POWERON, EBC_FREQUENCY_ID, FSB_FREQUENCY);
    put(CONSTANT, Msr.IA32_MTRRCAP, Msr.IA32_PERF_STATUS, IA32_PERF_CTL);
    put(CONSTANT, Msr.LASTBRANCHFROMIP, Msr.LASTBRANCHTOIP);
    put(CONSTANT, Msr.LASTINTFROMIP, Msr.LASTINTTOIP);
    put(CONSTANT, 0x606, 0x611, 0x619, 0x639, 0x641);
  }

  /** The rule for an MSR. */
  static MsrKind of(int index) {
    int slot = (index * SPREAD) >>> SHIFT;
    while (true) {
      MsrKind kind = KINDS[slot];
      if (kind == null) {
        return range(index);
      }
      if (INDEXES[slot] == index) {
        return kind;
      }
      slot = (slot + 1) & (SLOTS - 1);
    }
  }

  private static MsrKind range(int index) {
    if (index >= MTRR_FIRST && index <= MTRR_LAST) {
      return index < MTRR_VARIABLE_END
          ? MTRR_VARIABLE
          : index >= IA32_MC0_CTL2 && index < IA32_MC0_CTL2 + MAX_BANKS ? MC_CTL2 : MTRR_NONE;
    }
    if (index >= Msr.IA32_MC0_CTL && index < Msr.IA32_MC0_CTL + 4 * MAX_BANKS) {
      return MC_BANK;
    }
    if (index >= X2APIC_FIRST && index <= X2APIC_LAST) {
      return X2APIC;
    }
    return index >= HV_FIRST && index <= HV_LAST ? HYPERV : OTHER;
  }

  private static void singleMsrs() {
    put(SMBASE, Msr.IA32_SMBASE);
    put(PLAIN, Msr.IA32_STAR, Msr.SMI_COUNT, Msr.POWER_CTL, Msr.IA32_MCG_STATUS);
    put(SYSENTER_CS, Msr.IA32_SYSENTER_CS);
    put(SYSENTER_ADDRESS, Msr.IA32_SYSENTER_ESP, Msr.IA32_SYSENTER_EIP);
    put(CANONICAL, Msr.IA32_LSTAR, Msr.IA32_CSTAR, Msr.IA32_KERNEL_GS_BASE);
    put(FMASK, Msr.IA32_FMASK);
    put(SEGMENT_BASE, Msr.IA32_FS_BASE, Msr.IA32_GS_BASE);
    put(EFER, Msr.IA32_EFER);
    put(APIC_BASE, Msr.IA32_APIC_BASE);
    put(TSC, Msr.IA32_TSC);
    put(TSC_ADJUST, Msr.IA32_TSC_ADJUST);
    put(TSC_AUX, Msr.IA32_TSC_AUX);
    put(TSC_DEADLINE, Msr.IA32_TSC_DEADLINE);
    put(PAT, Msr.IA32_PAT);
    put(FEATURE_CONTROL, Msr.IA32_FEATURE_CONTROL);
    range(VMX, Msr.IA32_VMX_BASIC, Msr.IA32_VMX_VMFUNC);
    put(UCODE_REV, Msr.IA32_BIOS_SIGN_ID);
    put(PLATFORM_INFO, Msr.PLATFORM_INFO);
    put(MISC_FEATURES, Msr.MISC_FEATURES_ENABLES);
    put(MISC_ENABLE, Msr.IA32_MISC_ENABLE);
    put(ARCH_CAPABILITIES, Msr.IA32_ARCH_CAPABILITIES);
    put(PERF_CAPABILITIES, Msr.IA32_PERF_CAPABILITIES);
    put(SPEC_CTRL, Msr.IA32_SPEC_CTRL);
    put(PRED_CMD, Msr.IA32_PRED_CMD);
    put(FLUSH_CMD, Msr.IA32_FLUSH_CMD);
    put(TSX_CTRL, IA32_TSX_CTRL);
    put(UMWAIT_CONTROL, Msr.IA32_UMWAIT_CONTROL);
    put(XSS, Msr.IA32_XSS);
    put(XFD, IA32_XFD, IA32_XFD_ERR);
    put(BNDCFGS, Msr.IA32_BNDCFGS);
    put(DEBUGCTL, Msr.IA32_DEBUGCTL);
    range(RTIT, 0x560, 0x561);
    range(RTIT, 0x570, 0x572);
    range(RTIT, 0x580, 0x587);
    range(SGX_HASH, SGX_HASH_FIRST, SGX_HASH_LAST);
    put(MTRR_FIXED, Msr.IA32_MTRR_FIX64K_00000);
    put(MTRR_FIXED, Msr.IA32_MTRR_FIX16K_80000, Msr.IA32_MTRR_FIX16K_A0000);
    range(MTRR_FIXED, Msr.IA32_MTRR_FIX4K_C0000, Msr.IA32_MTRR_FIX4K_C0000 + 7);
    put(MTRR_DEFAULT, Msr.IA32_MTRR_DEF_TYPE);
    put(MCG_CAP, Msr.IA32_MCG_CAP);
    put(MCG_CTL, Msr.IA32_MCG_CTL);
    put(MCG_EXT_CTL, IA32_MCG_EXT_CTL);
    put(DROPPED, Msr.IA32_BIOS_UPDT_TRIG, BBL_CR_CTL3);
  }

  private static void virtualMsrs() {
    put(WALL_CLOCK, Msr.KVM_WALL_CLOCK, Msr.KVM_WALL_CLOCK_NEW);
    put(SYSTEM_TIME, Msr.KVM_SYSTEM_TIME, Msr.KVM_SYSTEM_TIME_NEW);
    put(STEAL_TIME, Msr.KVM_STEAL_TIME);
    put(ASYNC_PF_EN, Msr.KVM_ASYNC_PF_EN);
    put(ASYNC_PF_INT, Msr.KVM_ASYNC_PF_INT);
    put(ASYNC_PF_ACK, Msr.KVM_ASYNC_PF_ACK);
    put(PV_EOI, Msr.KVM_PV_EOI_EN);
    put(POLL_CONTROL, Msr.KVM_POLL_CONTROL);
  }

  private static void amdMsrs() {
    put(HWCR, Msr.K7_HWCR);
    put(HSAVE_PA, Msr.VM_HSAVE_PA);
    put(VIRT_SPEC_CTRL, Msr.AMD64_VIRT_SPEC_CTRL);
    put(TSC_RATIO, Msr.AMD64_TSC_RATIO);
    put(OSVW, 0xc0010140, 0xc0010141);
    put(SVM_OTHER, Msr.VM_CR, Msr.VM_IGNNE, Msr.AMD64_DE_CFG, 0xc0011021);
    put(DROPPED, K7_CLK_CTL, 0xc001001f, PATCH_LOADER);
    put(DROPPED, 0xc0011022, 0xc0011023, 0xc001102a, 0xc001102c);
    put(CONSTANT, Msr.AMD64_SYSCFG, 0xc0010055, 0xc0010058);
    put(CONSTANT, Msr.K8_TSEG_ADDR, Msr.K8_TSEG_ADDR + 1);
  }

  private static void performanceMsrs() {
    range(PMU_P6, Msr.IA32_PMC0, Msr.IA32_PMC0 + 1);
    range(PMU, Msr.IA32_PMC0 + 2, Msr.IA32_PMC0 + 7);
    range(PMU_P6, Msr.IA32_PERFEVTSEL0, Msr.IA32_PERFEVTSEL0 + 1);
    range(PMU, Msr.IA32_PERFEVTSEL0 + 2, Msr.IA32_PERFEVTSEL0 + 7);
    range(PMU, Msr.IA32_FIXED_CTR0, Msr.IA32_FIXED_CTR2);
    range(PMU, Msr.IA32_FIXED_CTR_CTRL, Msr.IA32_PERF_GLOBAL_OVF_CTRL);
    put(PMU, Msr.IA32_PEBS_ENABLE, Msr.MSR_PEBS_DATA_CFG);
    range(PMU, 0x4c1, 0x4c8);
    put(DS_AREA, Msr.IA32_DS_AREA);
    range(PMU_K7, Msr.K7_EVNTSEL0, Msr.K7_PERFCTR0 + 3);
    range(PMU_F15H, Msr.F15H_PERF_CTL0, Msr.F15H_PERF_CTL0 + 11);
  }

  private static void range(MsrKind kind, int first, int last) {
    for (int index = first; index != last + 1; index++) {
      put(kind, index);
    }
  }

  private static void put(MsrKind kind, int... indexes) {
    for (int index : indexes) {
      int slot = (index * SPREAD) >>> SHIFT;
      while (KINDS[slot] != null) {
        slot = (slot + 1) & (SLOTS - 1);
      }
      INDEXES[slot] = index;
      KINDS[slot] = kind;
    }
  }

  /** Whether every vCPU of a VM shares the value, so that another vCPU may have written it. */
  static boolean sharedByVm(int index) {
    return switch (index) {
      case Msr.KVM_WALL_CLOCK,
          Msr.KVM_WALL_CLOCK_NEW,
          Msr.HV_X64_GUEST_OS_ID,
          Msr.HV_X64_HYPERCALL,
          HV_RESET,
          Msr.HV_X64_TIME_REF_COUNT,
          Msr.HV_X64_REFERENCE_TSC ->
          true;
      default -> index >= MsrHyperv.SHARED_FIRST && index <= HV_LAST;
    };
  }

  /** Whether KVM accepts writes but knows no read. */
  static boolean writeOnly(int index) {
    return index == Msr.IA32_BIOS_UPDT_TRIG || index == PATCH_LOADER;
  }

  /** Whether it is one of the branch records that SVM can virtualize. */
  static boolean branchRecord(int index) {
    return index >= Msr.LASTBRANCHFROMIP && index <= Msr.LASTINTTOIP;
  }

  /** The value of an MSR that never changes. */
  static long constant(int index) {
    return switch (index) {
      case Msr.IA32_MTRRCAP -> 0x508;
      case FSB_FREQUENCY -> 3;
      case EBC_FREQUENCY_ID -> 1L << 24;
      case Msr.IA32_PERF_STATUS -> 4L << 40 | 1000;
      case BBL_CR_CTL3 -> 0xbe702111L;
      case K7_CLK_CTL -> 0x20000000;
      default -> 0;
    };
  }
}
