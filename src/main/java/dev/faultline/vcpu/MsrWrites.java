package dev.faultline.vcpu;

import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.FeatureControl;
import dev.faultline.x86.Msr;
import org.jspecify.annotations.Nullable;

/**
 * Judges the entries of one KVM_SET_MSRS one after the other: an entry can change what a later one
 * meets.
 *
 * <p><em>Order:</em> {@link #next} is called for every entry from the first on; those may be left
 * out that KVM {@linkplain #accepts accepts} in any case, or {@linkplain #takesZero with zero}.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, __kvm_set_msr(), kvm_set_msr_common(),
 * do_set_msr()}; {@code arch/x86/kvm/vmx/vmx.c, vmx_set_msr()}; {@code arch/x86/kvm/svm/svm.c,
 * svm_set_msr()}, v6.1.
 */
final class MsrWrites {
  private static final long APIC_BASE_RESERVED = 0x2ff;
  private static final long CPUID_FAULT = 1L << 31;
  private static final long FAULTING = 1;
  private static final long PAT_RESERVED = 0xf8f8f8f8f8f8f8f8L;
  private static final long PAT_BIT_1 = 0x0202020202020202L;

  private final Vcpu v;
  private final KvmMsrs msrs;
  private final MsrList list;
  private final KernelModel kernel;
  private final MsrState before;

  /** Whether the guest is in VMX operation, after the entries so far. */
  private Answer vmxon;

  /** What earlier entries wrote that later ones are measured by; null: as before the call. */
  private @Nullable Answer timer;

  private @Nullable Answer offersFaulting;
  private @Nullable Answer usesFaulting;

  private @Nullable Answer nestedVmx;
  private MsrPmu.@Nullable Shape pmu;

  MsrWrites(Vcpu v, KvmMsrs msrs, MsrList list) {
    this.v = v;
    this.msrs = msrs;
    this.list = list;
    this.kernel = v.kernel();
    this.before = v.platform().msrs();
    this.vmxon = v.nested().mode().vmxon();
  }

  /** Judges the next entry. */
  MsrFate next(int entry) {
    int index = list.index(entry);
    long data = list.data(msrs, entry);
    MsrKind kind = list.kind(entry);
    MsrFate fate = judge(kind, index, data);
    if (fate.accepted().isYes()) {
      note(kind, index, data);
    }
    return fate;
  }

  KernelModel kernel() {
    return kernel;
  }

  Vcpu vcpu() {
    return v;
  }

  private void note(MsrKind kind, int index, long data) {
    switch (kind) {
      case FEATURE_CONTROL -> vmxon = data == 0 ? Answer.NO : vmxon;
      case PLATFORM_INFO -> offersFaulting = Answer.of((data & CPUID_FAULT) != 0);
      case MISC_FEATURES -> usesFaulting = Answer.of((data & FAULTING) != 0);
      case VMX -> {
        if (index == Msr.IA32_VMX_TRUE_PINBASED_CTLS) {
          timer = Answer.of((data & MsrVmx.PREEMPTION_TIMER) != 0);
        }
      }
      default -> {
        // No other entry has a bearing on later ones.
      }
    }
  }

  /** Whether every kernel takes every value of the MSR, which then has no bearing on later ones. */
  static boolean accepts(MsrKind kind, int index) {
    return switch (kind) {
      case PLAIN,
          SYSENTER_CS,
          SYSENTER_ADDRESS,
          TSC,
          TSC_ADJUST,
          TSC_DEADLINE,
          UCODE_REV,
          DROPPED,
          ASYNC_PF_ACK,
          WALL_CLOCK,
          SYSTEM_TIME,
          SGX_HASH,
          MISC_ENABLE,
          PMU_K7,
          HSAVE_PA ->
          true;
      case HYPERV -> MsrHyperv.accepts(index);
      default -> false;
    };
  }

  /**
   * Whether zero, which the MSR usually holds, is accepted and has no bearing on later entries, on
   * every vCPU of this kernel and of a host with this list of MSRs.
   */
  boolean takesZero(MsrKind kind, int index) {
    return switch (kind) {
      case CANONICAL,
          SEGMENT_BASE,
          FMASK,
          TSC_AUX,
          SPEC_CTRL,
          TSX_CTRL,
          UMWAIT_CONTROL,
          XSS,
          XFD,
          BNDCFGS,
          DEBUGCTL,
          MTRR_VARIABLE,
          MTRR_FIXED,
          MTRR_DEFAULT,
          MCG_CTL,
          MCG_EXT_CTL,
          STEAL_TIME,
          ASYNC_PF_EN,
          PV_EOI,
          HYPERV,
          HWCR,
          VIRT_SPEC_CTRL ->
          judge(kind, index, 0).accepted().isYes();
      // With a PMU, too: it refuses no zero.
      case PMU, PMU_P6, DS_AREA, PMU_F15H -> unsupported(index, 0).accepted().isYes();
      default -> false;
    };
  }

  MsrFate judge(MsrKind kind, int index, long data) {
    return switch (kind) {
      case SMBASE -> smbase(index);
      case CANONICAL, SEGMENT_BASE -> canonical(data);
      case FMASK -> data >>> 32 == 0 ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
      case EFER -> efer(data);
      case APIC_BASE -> apicBase(data);
      case X2APIC -> x2apic();
      case TSC_AUX -> tscAux(data);
      case PAT -> MsrFate.unless(!validPat(data), MsrCheck.MSR_PAT_TYPE);
      case FEATURE_CONTROL -> featureControl(index, data);
      case VMX -> vmx(index, data);
      case PLATFORM_INFO, MISC_FEATURES, ARCH_CAPABILITIES, PERF_CAPABILITIES ->
          feature(kind, index, data);
      case SPEC_CTRL,
          PRED_CMD,
          FLUSH_CMD,
          TSX_CTRL,
          UMWAIT_CONTROL,
          XSS,
          XFD,
          BNDCFGS,
          DEBUGCTL,
          RTIT ->
          MsrHardware.judge(this, kind, index, data);
      case MTRR_VARIABLE, MTRR_FIXED, MTRR_DEFAULT, MTRR_NONE ->
          MsrMemory.judge(v, kind, index, data);
      case MCG_CTL, MC_BANK, MC_CTL2, MCG_EXT_CTL -> MsrMachineCheck.judge(this, kind, index, data);
      case STEAL_TIME, ASYNC_PF_EN, ASYNC_PF_INT, PV_EOI, POLL_CONTROL ->
          MsrParavirt.judge(v, kind, data);
      case HYPERV -> MsrHyperv.judge(v, index, data);
      case PMU, PMU_P6, DS_AREA -> performance(kind, index, data);
      case PMU_F15H -> f15h(index, data);
      case HWCR, VIRT_SPEC_CTRL, TSC_RATIO, OSVW, SVM_OTHER ->
          MsrHardware.judgeAmd(this, kind, index, data);
      case MCG_CAP, CONSTANT, OTHER -> unsupported(index, data);
      default -> MsrFate.ACCEPTED;
    };
  }

  /** A write of an MSR that KVM may have no rule for at all. */
  MsrFate unsupported(int index, long data) {
    KernelVersion version = kernel.version();
    if (kernel.ignoreMsrs().isYes()) {
      return MsrKind.of(index) == MsrKind.OTHER && listed(index).isYes() && data != 0
          ? MsrFate.NO_RULE
          : MsrFate.ACCEPTED;
    }
    MsrFate refused =
        kernel.ignoreMsrs().isNo() ? MsrFate.refused(MsrCheck.MSR_UNSUPPORTED) : MsrFate.NO_RULE;
    boolean known = MsrKind.of(index) != MsrKind.OTHER;
    if (version == KernelVersion.V5_10) {
      return known || listed(index).isNo() ? refused : MsrFate.NO_RULE;
    }
    if (data == 0) {
      return switch (listed(index)) {
        case YES -> MsrFate.ACCEPTED;
        case NO -> known || knownKernel() ? refused : MsrFate.NO_RULE;
        case CANNOT_TELL -> MsrFate.NO_HOST_LIST;
      };
    }
    return known || (knownKernel() && listed(index).isNo()) ? refused : MsrFate.NO_RULE;
  }

  /** Whether {@link MsrKind} names every MSR of the kernel that has a rule. */
  private boolean knownKernel() {
    return kernel.version().compareTo(KernelVersion.V6_1) <= 0
        && kernel.vendor() != KernelModel.Vendor.UNKNOWN;
  }

  Answer listed(int index) {
    return v.vm().host().listsMsr(index);
  }

  Answer guestHas(int leaf, int subleaf, char register, int bit) {
    return GuestCpuid.has(v, leaf, subleaf, register, bit);
  }

  MsrPmu.Shape pmu() {
    if (pmu == null) {
      pmu = MsrPmu.shape(v);
    }
    return pmu;
  }

  /** Kernels since 6.2 can be built without SMM; the recorded ones were not. */
  private MsrFate smbase(int index) {
    boolean always =
        (kernel.vendor() != KernelModel.Vendor.UNKNOWN && !listed(index).isNo())
            || kernel.version().compareTo(KernelVersion.V6_1) <= 0;
    return always || listed(index).isYes() ? MsrFate.ACCEPTED : MsrFate.NO_HOST_LIST;
  }

  private MsrFate performance(MsrKind kind, int index, long data) {
    if (kernel.isVmx()) {
      return MsrPmu.judge(this, kind, index, data);
    }
    if (kind == MsrKind.PMU_P6) {
      return MsrFate.ACCEPTED;
    }
    return kernel.isSvm() || data == 0 ? unsupported(index, data) : MsrFate.NO_RULE;
  }

  private MsrFate f15h(int index, long data) {
    Answer core = kernel.isVmx() ? Answer.NO : guestHas(0x8000_0001, 0, 'c', 23);
    MsrFate without = unsupported(index, data);
    if (core.isNo()) {
      return without;
    }
    return data == 0 && without.accepted().isYes() ? MsrFate.ACCEPTED : MsrFate.NO_RULE;
  }

  /** Whether an address fails to be canonical for the guest's paging. */
  MsrFate canonical(long address) {
    return MsrFate.unless(nonCanonical(v, address), MsrCheck.MSR_NOT_CANONICAL, MsrFate.NO_SREGS);
  }

  static Answer nonCanonical(Vcpu v, long address) {
    boolean in48 = extended(address, 48) == address;
    boolean in57 = extended(address, 57) == address;
    if (in48 == in57) {
      return Answer.of(!in48);
    }
    return fiftySeven(v).not();
  }

  /**
   * Whether linear addresses in MSRs have 57 bits: as the guest's paging is, and since 6.13 as wide
   * as the host has them (max_host_virt_addr_bits(); seen on a real 6.18).
   */
  static Answer fiftySeven(Vcpu v) {
    if (v.kernel().version().compareTo(KernelVersion.V6_15) < 0) {
      return v.registers().sregs().hasAny(SregsFields.CR4, Cr4.LA57);
    }
    KvmCpuid2 host = v.vm().host().supportedCpuid();
    return host == null
        ? Answer.CANNOT_TELL
        : Answer.of((host.features().leaf7Ecx() & Cpuid.LEAF7_ECX_LA57) != 0);
  }

  /** The address with the bits above its width copied from its highest one. */
  static long extended(long address, int width) {
    return address << (Long.SIZE - width) >> (Long.SIZE - width);
  }

  private MsrFate efer(long data) {
    long known = Efer.SCE | Efer.LME | Efer.LMA | Efer.NX;
    long svm = Efer.SVME | Efer.LMSLE | Efer.FFXSR | Efer.TCE | Efer.AUTOIBRS;
    if ((data & ~(known | svm)) != 0 || (kernel.isVmx() && (data & ~known) != 0)) {
      return MsrFate.refused(MsrCheck.MSR_EFER_RESERVED);
    }
    boolean svme = kernel.isSvm() && kernel.nested().isYes();
    return (data & svm & ~(svme ? Efer.SVME : 0)) == 0 ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
  }

  private MsrFate apicBase(long data) {
    if ((data & APIC_BASE_RESERVED) != 0) {
      return MsrFate.refused(MsrCheck.MSR_APIC_BASE_RESERVED);
    }
    Answer reserved = GuestCpuid.illegalGpa(v, data);
    boolean x2apic = (data & ApicBase.EXTD) != 0;
    if (x2apic) {
      reserved = reserved.or(GuestCpuid.x2apic(v).not());
    }
    if (reserved.isYes()) {
      return MsrFate.refused(MsrCheck.MSR_APIC_BASE_RESERVED);
    }
    if (x2apic && (data & ApicBase.EN) == 0) {
      return MsrFate.refused(MsrCheck.MSR_APIC_BASE_MODE);
    }
    return reserved.isKnown() ? MsrFate.ACCEPTED : MsrFate.NO_CPUID;
  }

  private MsrFate x2apic() {
    Answer kernelApic = v.vm().irqchip().lapicInKernel();
    Tracked sregs = v.registers().sregs();
    Answer mode =
        sregs
            .hasAny(SregsFields.APIC_BASE, ApicBase.EXTD)
            .and(sregs.hasAny(SregsFields.APIC_BASE, ApicBase.EN));
    return kernelApic.and(mode).isNo() ? MsrFate.refused(MsrCheck.MSR_NOT_X2APIC) : MsrFate.NO_RULE;
  }

  private MsrFate tscAux(long data) {
    Answer exists = listed(Msr.IA32_TSC_AUX);
    if (data >>> 32 != 0) {
      Answer intel = intelCpuid(v);
      if (intel.isYes()) {
        return MsrFate.refused(MsrCheck.MSR_TSC_AUX_HIGH);
      }
      return intel.isKnown() && exists.isYes() ? MsrFate.ACCEPTED : MsrFate.NO_CPUID;
    }
    return exists.isYes() ? MsrFate.ACCEPTED : MsrFate.NO_HOST_LIST;
  }

  /** Whether the guest's CPUID has the vendor string of Intel, or of Centaur, which KVM equates. */
  static Answer intelCpuid(Vcpu v) {
    if (v.platform().cpuidSet().isNo()) {
      return Answer.NO;
    }
    var table = v.platform().cpuid();
    if (table == null) {
      return Answer.CANNOT_TELL;
    }
    int ebx = GuestCpuid.register(table, 0, 0, 'b');
    int ecx = GuestCpuid.register(table, 0, 0, 'c');
    int edx = GuestCpuid.register(table, 0, 0, 'd');
    return Answer.of(ebx == 0x756e_6547 && edx == 0x4965_6e69 && ecx == 0x6c65_746e);
  }

  private static boolean validPat(long data) {
    return (data & PAT_RESERVED) == 0 && (data | (data & PAT_BIT_1) << 1) == data;
  }

  private Answer nestedVmx() {
    if (nestedVmx == null) {
      nestedVmx = kernel.nested().and(GuestCpuid.vmx(v));
    }
    return nestedVmx;
  }

  private MsrFate featureControl(int index, long data) {
    if (!kernel.isVmx()) {
      return kernel.isSvm() || data == 0 ? unsupported(index, data) : MsrFate.NO_RULE;
    }
    if ((data & ~FeatureControl.LOCKED) == 0) {
      return MsrFate.ACCEPTED;
    }
    long vmxBits = FeatureControl.VMX_IN_SMX | FeatureControl.VMX_OUTSIDE_SMX;
    long all = vmxBits | FeatureControl.LOCKED | FeatureControl.SGX | FeatureControl.SGX_LC;
    if ((data & ~(all | FeatureControl.LMCE)) != 0) {
      return MsrFate.refused(MsrCheck.MSR_FEATURE_CONTROL_BITS);
    }
    if (kernel.version().compareTo(KernelVersion.V6_8) >= 0) {
      return MsrFate.ACCEPTED;
    }
    Answer lacks = Answer.NO;
    if ((data & vmxBits) != 0) {
      lacks = nestedVmx().not();
    }
    if ((data & FeatureControl.SGX) != 0) {
      lacks = lacks.or(guestHas(7, 0, 'b', 2).not());
    }
    if ((data & FeatureControl.SGX_LC) != 0) {
      lacks = lacks.or(guestHas(7, 0, 'c', 30).not());
    }
    if ((data & FeatureControl.LMCE) != 0) {
      lacks = lacks.or(MsrMachineCheck.lmce(before).not());
    }
    return MsrFate.unless(lacks, MsrCheck.MSR_FEATURE_CONTROL_BITS, MsrFate.NO_CPUID);
  }

  private MsrFate vmx(int index, long data) {
    if (!kernel.isVmx()) {
      return kernel.isSvm() ? unsupported(index, data) : MsrFate.NO_RULE;
    }
    MsrFate frozen = frozen(index, data);
    if (frozen != null) {
      return frozen;
    }
    Answer nested = nestedVmx();
    if (!nested.isYes()) {
      return nested.isNo() ? MsrFate.refused(MsrCheck.MSR_NO_NESTED_VMX) : MsrFate.NO_CPUID;
    }
    if (!vmxon.isNo()) {
      return vmxon.isYes() ? MsrFate.refused(MsrCheck.MSR_IN_VMX_OPERATION) : MsrFate.NO_VMXON;
    }
    if (index != Msr.IA32_VMX_MISC) {
      return MsrVmx.restore(v, index, data, Answer.CANNOT_TELL);
    }
    return MsrVmx.restore(
        v, index, data, bit(timer, Msr.IA32_VMX_TRUE_PINBASED_CTLS, MsrVmx.PREEMPTION_TIMER));
  }

  /**
   * Since 6.4 the MSRs that describe features keep their value once the vCPU has run; null when
   * their own rule decides.
   */
  private @Nullable MsrFate frozen(int index, long data) {
    Answer ran = v.progress().entered();
    if (!kernel.version().featureMsrsFrozenByRun() || ran.isNo()) {
      return null;
    }
    if (!before.knows(index)) {
      return MsrFate.NO_CURRENT;
    }
    if (before.value(index) != data) {
      return ran.isYes() ? MsrFate.refused(MsrCheck.MSR_MODEL_FROZEN) : MsrFate.NO_RUN;
    }
    if (kernel.version() != KernelVersion.V6_8) {
      return null;
    }
    return ran.isYes() ? MsrFate.ACCEPTED : MsrFate.NO_RUN;
  }

  private MsrFate feature(MsrKind kind, int index, long data) {
    boolean newer = kernel.version().compareTo(KernelVersion.V6_15) >= 0;
    boolean freezes = kind != MsrKind.MISC_FEATURES && (kind != MsrKind.PLATFORM_INFO || newer);
    MsrFate frozen = freezes ? frozen(index, data) : null;
    if (frozen != null) {
      return frozen;
    }
    return switch (kind) {
      case PLATFORM_INFO -> platformInfo(data, newer);
      case MISC_FEATURES -> miscFeatures(data);
      case ARCH_CAPABILITIES -> archCapabilities(index, data, newer);
      default ->
          kernel.isVmx()
              ? MsrPmu.judgeCapabilities(this, data)
              : data == 0 ? MsrFate.ACCEPTED : MsrFate.NO_HOST_VALUE;
    };
  }

  private MsrFate platformInfo(long data, boolean newer) {
    if ((data & CPUID_FAULT) != 0 || newer) {
      return MsrFate.ACCEPTED;
    }
    Answer faulting = bit(usesFaulting, Msr.MISC_FEATURES_ENABLES, FAULTING);
    return MsrFate.unless(faulting, MsrCheck.MSR_PLATFORM_INFO_FAULTING, MsrFate.NO_CURRENT);
  }

  private MsrFate miscFeatures(long data) {
    if ((data & ~FAULTING) != 0) {
      return MsrFate.refused(MsrCheck.MSR_MISC_FEATURES_BITS);
    }
    Answer supported = bit(offersFaulting, Msr.PLATFORM_INFO, CPUID_FAULT);
    return data == 0
        ? MsrFate.ACCEPTED
        : MsrFate.unless(supported.not(), MsrCheck.MSR_MISC_FEATURES_FAULTING, MsrFate.NO_CURRENT);
  }

  private Answer bit(@Nullable Answer written, int index, long mask) {
    if (written != null) {
      return written;
    }
    return before.knows(index) ? Answer.of((before.value(index) & mask) != 0) : Answer.CANNOT_TELL;
  }

  private MsrFate archCapabilities(int index, long data, boolean newer) {
    boolean foreign = kernel.vendor() == KernelModel.Vendor.UNKNOWN;
    if (data == 0 || (!newer && !foreign)) {
      return MsrFate.ACCEPTED;
    }
    if (foreign) {
      return MsrFate.NO_RULE;
    }
    Answer has = hostAndGuestHave(7, 0, 'd', 29);
    return switch (has) {
      case YES -> MsrFate.ACCEPTED;
      case NO -> unsupported(index, data);
      case CANNOT_TELL -> MsrFate.NO_CPUID;
    };
  }

  private Answer hostAndGuestHave(int leaf, int subleaf, char register, int bit) {
    var host = v.vm().host().supportedCpuid();
    Answer offered =
        host == null
            ? Answer.CANNOT_TELL
            : Answer.of((GuestCpuid.register(host, leaf, subleaf, register) >>> bit & 1) != 0);
    return offered.and(guestHas(leaf, subleaf, register, bit));
  }
}
