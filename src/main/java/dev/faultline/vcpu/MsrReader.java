package dev.faultline.vcpu;

import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Msr;
import org.jspecify.annotations.Nullable;

/**
 * What KVM_GET_MSRS shows, one MSR after the other: whether KVM lets it be read, and its value as
 * far as it is known.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, __kvm_get_msr(), kvm_get_msr_common()}; {@code
 * arch/x86/kvm/vmx/vmx.c, vmx_get_msr()}; {@code arch/x86/kvm/svm/svm.c, svm_get_msr()}, v6.1.
 */
final class MsrReader {
  private static final int TIMER_MODE_SHIFT = 17;
  private static final int TIMER_MODE_MASK = 3;
  private static final int TSC_DEADLINE_MODE = 2;

  private final Vcpu v;
  private final KernelModel kernel;
  private final MsrState msrs;
  private final boolean alone;

  private MsrFate fate = MsrFate.ACCEPTED;
  private boolean known;
  private long value;
  private MsrPmu.@Nullable Shape pmu;
  private @Nullable Answer nestedVmx;

  MsrReader(Vcpu v) {
    this.v = v;
    this.kernel = v.kernel();
    this.msrs = v.platform().msrs();
    this.alone = MsrHyperv.others(v.vm(), v.id()) == 0;
  }

  /** Reads an MSR; the other methods then tell the result. */
  void read(int index) {
    fate = MsrFate.ACCEPTED;
    known = false;
    value = 0;
    MsrKind kind = MsrKind.of(index);
    switch (kind) {
      case SEGMENT_BASE, EFER, APIC_BASE -> fromSregs(index);
      case TSC -> unknown();
      case ASYNC_PF_ACK -> value(0);
      case TSC_DEADLINE -> deadline(index);
      case X2APIC -> x2apic();
      case TSC_AUX -> whenListed(index);
      case VMX -> vmx(index);
      case ARCH_CAPABILITIES -> feature(index, 7, 'd', 29);
      case PERF_CAPABILITIES -> feature(index, 1, 'c', 15);
      case FEATURE_CONTROL, MCG_EXT_CTL, UMWAIT_CONTROL, SGX_HASH -> vmxOnly(index);
      case HSAVE_PA, VIRT_SPEC_CTRL, TSC_RATIO, SVM_OTHER, OSVW, PMU_K7, PMU_F15H ->
          amd(kind, index);
      case PRED_CMD, FLUSH_CMD, OTHER -> unsupported(index);
      case SPEC_CTRL, TSX_CTRL, BNDCFGS, RTIT, XFD -> hardware(kind, index);
      case MTRR_NONE -> refuse(MsrCheck.MSR_MTRR_NUMBER);
      case MC_BANK, MC_CTL2 -> MsrMachineCheck.read(this, kind, index);
      case HYPERV -> MsrHyperv.read(this, v, index);
      case PMU, PMU_P6, DS_AREA -> performance(kind, index);
      case DROPPED, CONSTANT -> constant(index);
      case PLAIN,
          SMBASE,
          SYSENTER_CS,
          SYSENTER_ADDRESS,
          CANONICAL,
          FMASK,
          TSC_ADJUST,
          PAT,
          UCODE_REV,
          PLATFORM_INFO,
          MISC_FEATURES,
          MISC_ENABLE,
          XSS,
          DEBUGCTL,
          MTRR_VARIABLE,
          MTRR_FIXED,
          MTRR_DEFAULT,
          MCG_CAP,
          MCG_CTL,
          WALL_CLOCK,
          SYSTEM_TIME,
          STEAL_TIME,
          ASYNC_PF_EN,
          ASYNC_PF_INT,
          PV_EOI,
          POLL_CONTROL,
          HWCR ->
          stored(index);
    }
  }

  MsrFate fate() {
    return fate;
  }

  boolean known() {
    return known;
  }

  long value() {
    return value;
  }

  Vcpu vcpu() {
    return v;
  }

  MsrPmu.Shape pmu() {
    if (pmu == null) {
      pmu = MsrPmu.shape(v);
    }
    return pmu;
  }

  void value(long certain) {
    known = true;
    value = certain;
  }

  void unknown() {
    known = false;
  }

  void refuse(MsrCheck check) {
    fate = MsrFate.refused(check);
  }

  void cannotTell(MsrFate missing) {
    fate = missing;
  }

  /** The value kept for this vCPU, unless another vCPU of the VM can have changed it. */
  void stored(int index) {
    int at = msrs.position(index);
    known = at >= 0 && msrs.knowsAt(at) && (alone || !MsrKind.sharedByVm(index));
    value = at >= 0 ? msrs.valueAt(at) : 0;
  }

  /** Zero where the MSR does nothing, else what is kept. */
  void zeroOrStored(Answer exists, int index) {
    if (exists.isNo()) {
      value(0);
    } else {
      stored(index);
    }
  }

  /** An MSR that KVM has no rule for: zero if KVM lists it, or if kvm.ignore_msrs is on. */
  void unsupported(int index) {
    boolean other = MsrKind.of(index) == MsrKind.OTHER;
    Answer listed = v.vm().host().listsMsr(index);
    boolean old = kernel.version() == KernelVersion.V5_10;
    boolean surelyNone = !other || old || (listed.isNo() && kernel.version() == KernelVersion.V6_1);
    if (listed.isYes() && !old) {
      zeroOrStored(Answer.of(other), index);
    } else if (surelyNone && (listed.isNo() || old) && kernel.ignoreMsrs().isNo()) {
      refuse(MsrCheck.MSR_UNSUPPORTED);
    } else if (surelyNone && kernel.ignoreMsrs().isYes()) {
      value(0);
    } else {
      cannotTell(listed.isKnown() ? MsrFate.NO_RULE : MsrFate.NO_HOST_LIST);
    }
  }

  private void fromSregs(int index) {
    Tracked sregs = v.registers().sregs();
    int field = sregsField(index);
    value = sregs.value(field);
    known = sregs.knows(field);
  }

  /** The field of struct kvm_sregs that an MSR is another name of. */
  static int sregsField(int index) {
    return switch (index) {
      case Msr.IA32_EFER -> SregsFields.EFER;
      case Msr.IA32_APIC_BASE -> SregsFields.APIC_BASE;
      case Msr.IA32_FS_BASE -> SregsFields.FS_BASE;
      case Msr.IA32_GS_BASE -> SregsFields.GS_BASE;
      default -> throw new dev.faultline.InvariantViolation("no alias: " + Msr.name(index));
    };
  }

  /** Whether the APIC timer is in TSC-deadline mode. */
  static Answer deadlineMode(Vcpu v) {
    if (v.vm().irqchip().lapicInKernel().isNo()) {
      return Answer.NO;
    }
    long entry = LapicRules.timerEntry(v);
    if (entry < 0) {
      return Answer.CANNOT_TELL;
    }
    long mode = entry >>> TIMER_MODE_SHIFT & TIMER_MODE_MASK;
    // A mode that was set before KVM_SET_CPUID2 offered it does not count.
    return mode == TSC_DEADLINE_MODE ? Answer.CANNOT_TELL : Answer.NO;
  }

  private void deadline(int index) {
    if (deadlineMode(v).isNo()) {
      value(0);
    } else {
      stored(index);
    }
  }

  private void x2apic() {
    Tracked sregs = v.registers().sregs();
    Answer mode =
        sregs
            .hasAny(SregsFields.APIC_BASE, ApicBase.EXTD)
            .and(sregs.hasAny(SregsFields.APIC_BASE, ApicBase.EN));
    if (mode.and(v.vm().irqchip().lapicInKernel()).isNo()) {
      refuse(MsrCheck.MSR_NOT_X2APIC);
    } else {
      cannotTell(MsrFate.NO_RULE);
    }
  }

  private void whenListed(int index) {
    if (v.vm().host().listsMsr(index).isYes()) {
      stored(index);
    } else {
      cannotTell(MsrFate.NO_HOST_LIST);
    }
  }

  private void vmxOnly(int index) {
    if (kernel.isVmx()) {
      stored(index);
    } else if (kernel.isSvm()) {
      unsupported(index);
    } else {
      whenListed(index);
    }
  }

  private void vmx(int index) {
    if (!kernel.isVmx()) {
      vmxOnly(index);
      return;
    }
    if (nestedVmx == null) {
      nestedVmx = kernel.nested().and(GuestCpuid.vmx(v));
    }
    if (nestedVmx.isNo()) {
      refuse(MsrCheck.MSR_NO_NESTED_VMX);
    } else if (!nestedVmx.isKnown()) {
      cannotTell(MsrFate.NO_CPUID);
    } else {
      stored(MsrVmx.source(index));
      value |= MsrVmx.added(index);
    }
  }

  /** Since 6.14 a feature MSR reads as zero in a guest whose CPUID lacks it. */
  private void feature(int index, int leaf, char register, int bit) {
    stored(index);
    if (kernel.version().compareTo(KernelVersion.V6_15) < 0) {
      return;
    }
    Answer has = GuestCpuid.has(v, leaf, 0, register, bit);
    if (has.isNo()) {
      value(0);
    } else if (!has.isKnown()) {
      unknown();
    }
  }

  private void amd(MsrKind kind, int index) {
    if (kernel.isVmx()) {
      boolean reads = kind == MsrKind.HSAVE_PA || kind == MsrKind.PMU_K7;
      boolean old = kind == MsrKind.PMU_F15H && kernel.version() == KernelVersion.V5_10;
      if (reads || old) {
        value(0);
      } else if (kind == MsrKind.OSVW) {
        osvw(index);
      } else {
        unsupported(index);
      }
      return;
    }
    switch (kind) {
      case OSVW -> osvw(index);
      case HSAVE_PA, PMU_K7 -> stored(index);
      default -> whenListed(index);
    }
  }

  private void osvw(int index) {
    Answer has = GuestCpuid.has(v, 0x8000_0001, 0, 'c', 9);
    switch (has) {
      case YES -> stored(index);
      case NO -> refuse(MsrCheck.MSR_OSVW);
      case CANNOT_TELL -> cannotTell(MsrFate.NO_CPUID);
    }
  }

  private void hardware(MsrKind kind, int index) {
    switch (kind) {
      case SPEC_CTRL -> {
        if (kernel.vendor() == KernelModel.Vendor.UNKNOWN) {
          whenListed(index);
        } else {
          stored(index);
        }
      }
      case XFD -> {
        if (kernel.version() == KernelVersion.V5_10) {
          unsupported(index);
        } else {
          stored(index);
        }
      }
      case BNDCFGS, RTIT -> {
        if (kernel.isVmx() && v.vm().host().listsMsr(index).isNo()) {
          refuse(kind == MsrKind.RTIT ? MsrCheck.MSR_UNSUPPORTED : MsrCheck.MSR_BNDCFGS);
        } else {
          whenListed(index);
        }
      }
      default -> whenListed(index);
    }
  }

  private void performance(MsrKind kind, int index) {
    if (kernel.isVmx()) {
      MsrPmu.read(this, kind, index);
    } else if (kind == MsrKind.PMU_P6) {
      value(0);
    } else {
      unsupported(index);
    }
  }

  private void constant(int index) {
    if (MsrKind.writeOnly(index)) {
      unsupported(index);
    } else if (MsrKind.branchRecord(index) && !kernel.isVmx()) {
      unknown();
    } else {
      value(MsrKind.constant(index));
    }
  }
}
