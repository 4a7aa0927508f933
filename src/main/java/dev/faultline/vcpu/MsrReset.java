package dev.faultline.vcpu;

import dev.faultline.x86.FeatureControl;
import dev.faultline.x86.Msr;

/**
 * MSRs at the creation of a vCPU, and what running the guest or a new CPUID table does to them.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_arch_vcpu_create(), kvm_vcpu_reset()}; {@code
 * arch/x86/kvm/vmx/vmx.c, vmx_vcpu_reset()}, v6.1; the values that the recordings show.
 */
final class MsrReset {
  private static final long PAT = 0x0007_0406_0007_0406L;
  private static final long SMBASE = 0x30000;
  private static final long CPUID_FAULTING = 1L << 31;
  private static final long BTS_AND_PEBS_UNAVAILABLE = 0x1800;
  private static final long UCODE_VMX = 1L << 32;
  private static final long UCODE_SVM = 0x0100_0065;
  private static final long TSC_RATIO_ONE = 1L << 32;

  private static final int[] ZERO = {
    Msr.IA32_SYSENTER_CS,
    Msr.IA32_SYSENTER_ESP,
    Msr.IA32_SYSENTER_EIP,
    Msr.IA32_STAR,
    Msr.IA32_LSTAR,
    Msr.IA32_CSTAR,
    Msr.IA32_FMASK,
    Msr.IA32_KERNEL_GS_BASE,
    Msr.IA32_TSC_AUX,
    Msr.IA32_TSC_ADJUST,
    Msr.IA32_TSC_DEADLINE,
    Msr.SMI_COUNT,
    Msr.POWER_CTL,
    Msr.MISC_FEATURES_ENABLES,
    Msr.IA32_SPEC_CTRL,
    Msr.IA32_XSS,
    Msr.K7_HWCR,
    Msr.KVM_SYSTEM_TIME,
    Msr.KVM_SYSTEM_TIME_NEW,
    Msr.KVM_ASYNC_PF_EN,
    Msr.KVM_ASYNC_PF_INT,
    Msr.KVM_STEAL_TIME,
    Msr.KVM_PV_EOI_EN,
    Msr.IA32_DEBUGCTL,
  };

  private static final int FIXED_MTRRS_4K = 8;
  private static final int VARIABLE_MTRRS = 16;

  private MsrReset() {}

  static MsrState created(Vm vm, int id, int moment) {
    KernelModel kernel = vm.kernel();
    MsrState.Edit edit = MsrState.empty().edit();
    for (int index : ZERO) {
      edit.write(index, 0, true, moment);
    }
    boolean first = vm.settings().created() && MsrHyperv.others(vm, id) == 0;
    edit.write(Msr.KVM_WALL_CLOCK, 0, first, moment);
    edit.write(Msr.KVM_WALL_CLOCK_NEW, 0, first, moment);
    edit.write(Msr.KVM_POLL_CONTROL, 1, true, moment);
    edit.write(Msr.IA32_PAT, PAT, true, moment);
    edit.write(Msr.IA32_SMBASE, SMBASE, true, moment);
    edit.write(Msr.PLATFORM_INFO, CPUID_FAULTING, true, moment);
    boolean old = kernel.version() == KernelVersion.V5_10;
    edit.write(Msr.IA32_MISC_ENABLE, old ? 0 : BTS_AND_PEBS_UNAVAILABLE, true, moment);
    if (!old) {
      edit.write(MsrKind.IA32_XFD, 0, true, moment);
      edit.write(MsrKind.IA32_XFD_ERR, 0, true, moment);
    }
    mtrrs(edit, moment);
    MsrMachineCheck.reset(edit, kernel.isVmx(), moment);
    MsrHyperv.reset(edit, vm, id, moment);
    features(edit, vm.host(), moment);
    if (kernel.isVmx()) {
      vmx(edit, vm.host(), moment);
    } else if (kernel.isSvm()) {
      svm(edit, moment);
    }
    return edit.done();
  }

  private static void mtrrs(MsrState.Edit edit, int moment) {
    for (int i = 0; i < VARIABLE_MTRRS; i++) {
      edit.write(Msr.IA32_MTRR_PHYSBASE0 + i, 0, true, moment);
    }
    edit.write(Msr.IA32_MTRR_FIX64K_00000, 0, true, moment);
    edit.write(Msr.IA32_MTRR_FIX16K_80000, 0, true, moment);
    edit.write(Msr.IA32_MTRR_FIX16K_A0000, 0, true, moment);
    for (int i = 0; i < FIXED_MTRRS_4K; i++) {
      edit.write(Msr.IA32_MTRR_FIX4K_C0000 + i, 0, true, moment);
    }
    edit.write(Msr.IA32_MTRR_DEF_TYPE, 0, true, moment);
  }

  /** A new vCPU has all features that KVM offers; only a question to the host tells them. */
  private static void features(MsrState.Edit edit, Host host, int moment) {
    MsrVmx.offered(edit, host, Msr.IA32_ARCH_CAPABILITIES, moment);
    MsrVmx.offered(edit, host, Msr.IA32_PERF_CAPABILITIES, moment);
  }

  private static void vmx(MsrState.Edit edit, Host host, int moment) {
    edit.write(Msr.IA32_FEATURE_CONTROL, 0, true, moment);
    edit.write(Msr.IA32_BIOS_SIGN_ID, UCODE_VMX, true, moment);
    edit.write(Msr.IA32_UMWAIT_CONTROL, 0, true, moment);
    edit.write(Msr.IA32_BNDCFGS, 0, true, moment);
    edit.write(Msr.IA32_DS_AREA, 0, true, moment);
    MsrVmx.reset(edit, host, moment);
  }

  private static void svm(MsrState.Edit edit, int moment) {
    edit.write(Msr.IA32_BIOS_SIGN_ID, UCODE_SVM, true, moment);
    edit.write(Msr.VM_HSAVE_PA, 0, true, moment);
    edit.write(Msr.AMD64_VIRT_SPEC_CTRL, 0, true, moment);
    edit.write(Msr.AMD64_TSC_RATIO, TSC_RATIO_ONE, true, moment);
    for (int i = 0; i < 8; i++) {
      edit.write(Msr.K7_EVNTSEL0 + i, 0, true, moment);
    }
    for (int i = 0; i < 12; i++) {
      edit.write(Msr.F15H_PERF_CTL0 + i, 0, true, moment);
    }
  }

  /** Whether the guest, or KVM while it runs the guest, can give the MSR another value. */
  static boolean guestChanges(int index, long value, boolean hyperv) {
    return switch (MsrKind.of(index)) {
      case VMX, ARCH_CAPABILITIES, PERF_CAPABILITIES, UCODE_REV, PLATFORM_INFO, MCG_CAP -> false;
      case FEATURE_CONTROL -> (value & FeatureControl.LOCKED) == 0;
      case HYPERV -> hyperv && !MsrHyperv.readOnly(index);
      default -> true;
    };
  }
}
