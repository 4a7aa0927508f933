package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.InvariantViolation;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.vmx.ExitControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import org.jspecify.annotations.Nullable;

/**
 * Carries out the entries of one KVM_SET_MSRS: what KVM keeps of each value, and where.
 *
 * <p>Some MSRs are names of special registers, some are copied to the vmcs12 while L2 is active,
 * and zero in IA32_FEATURE_CONTROL ends nested operation.
 *
 * <p><em>Source:</em> as for {@link MsrWrites}.
 */
final class MsrStore {
  private static final long LOW_32 = 0xffff_ffffL;
  private static final long PAGE = 0xfff;
  private static final long HWCR_IGNORED = 0x148;
  private static final int SYSENTER_CS = Vmcs12.indexOf(VmcsField.GUEST_SYSENTER_CS);
  private static final int SYSENTER_ESP = Vmcs12.indexOf(VmcsField.GUEST_SYSENTER_ESP);
  private static final int SYSENTER_EIP = Vmcs12.indexOf(VmcsField.GUEST_SYSENTER_EIP);
  private static final int GUEST_PAT = Vmcs12.indexOf(VmcsField.GUEST_IA32_PAT);
  private static final int GUEST_DEBUGCTL = Vmcs12.indexOf(VmcsField.GUEST_IA32_DEBUGCTL);
  private static final int GUEST_BNDCFGS = Vmcs12.indexOf(VmcsField.GUEST_BNDCFGS);
  private static final int EXIT_CONTROLS = Vmcs12.indexOf(VmcsField.VM_EXIT_CONTROLS);

  private final KvmMsrs msrs;
  private final MsrList list;
  private final int moment;

  /** The entry that is being carried out. */
  private int entry;

  private Vcpu v;
  private MsrState before;
  private MsrState.Edit edit;

  /** Whether the list knows the slots of what is edited. */
  private boolean listed;

  private Tracked.@Nullable Edit sregs;
  private Tracked.@Nullable Edit vmcs12;
  private boolean certain = true;
  private boolean hypercallWritten;
  private @Nullable Answer guestOsZero;
  private MsrPmu.@Nullable Shape pmu;

  MsrStore(Vcpu v, KvmMsrs msrs, MsrList list, int moment) {
    this.v = v;
    this.msrs = msrs;
    this.list = list;
    this.moment = moment;
    this.before = v.platform().msrs();
    this.edit = before.edit();
    this.listed = list.isOf(before.layout());
  }

  /** The first entries were accepted, so many of them. */
  void apply(int count) {
    boolean whole = count == msrs.held() && listed && outsideNested();
    MsrList.Plan plan = whole ? list.plan(msrs) : null;
    if (plan == null) {
      for (int i = 0; i < count; i++) {
        applyNext(i);
      }
      return;
    }
    edit.putAll(plan, msrs, moment);
    for (int n = 0; n < plan.ruledCount(); n++) {
      applyNext(plan.ruled(n));
    }
  }

  /** An entry was accepted. */
  void applyNext(int i) {
    apply(i, list.data(msrs, i));
  }

  /** Whether nothing can make KVM leave nested operation, which loads MSRs. */
  private boolean outsideNested() {
    Nested.Mode mode = v.nested().mode();
    return mode.vmxonAnywhere().isNo() && mode.guestMode().isNo();
  }

  private void apply(int i, long data) {
    switch (list.keeping(i)) {
      case ZERO_AS_WRITTEN -> {
        if (data == 0) {
          writeEntry(i, data, certain);
        } else {
          entry = i;
          store(list.kind(i), list.index(i), data);
        }
      }
      case AS_WRITTEN -> writeEntry(i, data, certain);
      case NOT_AT_ALL -> {}
      case BY_RULE -> {
        entry = i;
        store(list.kind(i), list.index(i), data);
      }
    }
  }

  /** Entry {@code i} may have been accepted. */
  void doubt(int i) {
    certain = false;
    apply(i, list.data(msrs, i));
    certain = true;
  }

  /** The vCPU after all of that. */
  Vcpu done() {
    Vcpu next = v.withPlatform(v.platform().withMsrs(edit.done()));
    if (sregs != null) {
      next = next.withRegisters(next.registers().withSregs(sregs.done()));
    }
    if (vmcs12 != null) {
      next = next.withNested(next.nested().withVmcs12(vmcs12.done()));
    }
    return next;
  }

  private void writeEntry(int i, long data, boolean sure) {
    int slot = listed ? list.slot(i) : -1;
    if (slot >= 0) {
      edit.put(slot, data, sure, moment);
    } else {
      edit.write(list.index(i), data, sure, moment);
    }
  }

  void write(int index, long data, boolean sure) {
    if (index == list.index(entry)) {
      writeEntry(entry, data, certain && sure);
    } else {
      edit.write(index, data, certain && sure, moment);
    }
  }

  /** Changes bits of an MSR that has a value already. */
  void change(int index, long keep, long set) {
    if (!hypercallWritten && before.knows(index)) {
      long old = before.value(index);
      long now = (old & keep) | set;
      if (now != old) {
        write(index, now, true);
      }
    } else {
      write(index, 0, false);
    }
  }

  /** Whether the guest told KVM who it is, in Hyper-V's terms. */
  Answer isZero(int index) {
    if (guestOsZero != null) {
      return guestOsZero;
    }
    return before.knows(index) ? Answer.of(before.value(index) == 0) : Answer.CANNOT_TELL;
  }

  /** What an accepted value leaves behind, whatever it is. */
  static MsrList.Keeping keeping(MsrKind kind, int index, KernelModel kernel) {
    KernelModel.Vendor vendor = kernel.vendor();
    return switch (kind) {
      case PLAIN,
          SMBASE,
          CANONICAL,
          FMASK,
          UCODE_REV,
          PLATFORM_INFO,
          MISC_FEATURES,
          MISC_ENABLE,
          SPEC_CTRL,
          XSS,
          XFD,
          MTRR_VARIABLE,
          MTRR_FIXED,
          MTRR_DEFAULT,
          MCG_CTL,
          MC_BANK,
          MC_CTL2,
          STEAL_TIME,
          ASYNC_PF_EN,
          ASYNC_PF_INT,
          PV_EOI,
          POLL_CONTROL,
          OSVW ->
          MsrList.Keeping.AS_WRITTEN;
      case HYPERV -> MsrHyperv.keeping(index);
      case TSC_AUX, TSC_DEADLINE -> MsrList.Keeping.ZERO_AS_WRITTEN;
      case ARCH_CAPABILITIES, PERF_CAPABILITIES ->
          keepsFeatures(kernel) ? MsrList.Keeping.AS_WRITTEN : MsrList.Keeping.BY_RULE;
      case VMX, UMWAIT_CONTROL, MCG_EXT_CTL, SGX_HASH ->
          switch (vendor) {
            case VMX -> MsrList.Keeping.AS_WRITTEN;
            case SVM -> MsrList.Keeping.NOT_AT_ALL;
            case UNKNOWN -> MsrList.Keeping.BY_RULE;
          };
      case PMU_K7, PMU_F15H, HSAVE_PA, VIRT_SPEC_CTRL, TSC_RATIO, SVM_OTHER ->
          vendor == KernelModel.Vendor.VMX ? MsrList.Keeping.NOT_AT_ALL : MsrList.Keeping.BY_RULE;
      // Time, commands, and what KVM drops: nothing that could be read back.
      case TSC, ASYNC_PF_ACK, PRED_CMD, FLUSH_CMD, MTRR_NONE, MCG_CAP, DROPPED, CONSTANT ->
          MsrList.Keeping.NOT_AT_ALL;
      default -> MsrList.Keeping.BY_RULE;
    };
  }

  private void store(MsrKind kind, int index, long data) {
    switch (kind) {
      case SYSENTER_CS -> sysenterCs(index, data);
      case SYSENTER_ADDRESS -> sysenterAddress(index, data);
      case SEGMENT_BASE -> alias(index, data, true);
      case EFER -> efer(data);
      case APIC_BASE -> apicBase(data);
      case X2APIC -> forgetLapic();
      case TSC_ADJUST -> tscAdjust(index, data);
      case TSC_AUX -> write(index, data & LOW_32, true);
      case TSC_DEADLINE -> deadline(index, data);
      case PAT -> {
        write(index, data, true);
        mirror(GUEST_PAT, data, exitControl(ExitControls.SAVE_IA32_PAT), true);
      }
      case FEATURE_CONTROL -> featureControl(index, data);
      case VMX, UMWAIT_CONTROL, MCG_EXT_CTL, SGX_HASH -> write(index, data, data == 0);
      case ARCH_CAPABILITIES -> feature(index, data, 7, 'd', 29);
      case PERF_CAPABILITIES -> feature(index, data, 1, 'c', 15);
      case BNDCFGS -> {
        write(index, data, true);
        mirror(GUEST_BNDCFGS, data, Answer.CANNOT_TELL, true);
      }
      case DEBUGCTL -> debugctl(index, data);
      case WALL_CLOCK -> both(Msr.KVM_WALL_CLOCK, Msr.KVM_WALL_CLOCK_NEW, data);
      case SYSTEM_TIME -> both(Msr.KVM_SYSTEM_TIME, Msr.KVM_SYSTEM_TIME_NEW, data);
      case HYPERV -> hyperv(index, data);
      case PMU, PMU_P6, DS_AREA -> performance(index, data);
      case HWCR -> hwcr(index, data);
      case PMU_K7, PMU_F15H, HSAVE_PA, VIRT_SPEC_CTRL, TSC_RATIO, SVM_OTHER ->
          amd(kind, index, data);
      case TSX_CTRL, RTIT, OTHER -> write(index, data, kind == MsrKind.OTHER && data == 0);
      default -> throw new InvariantViolation("no rule says how KVM keeps " + kind);
    }
  }

  /** The MSR that holds the very same value, or -1. */
  static int otherName(int index) {
    return switch (index) {
      case Msr.KVM_WALL_CLOCK -> Msr.KVM_WALL_CLOCK_NEW;
      case Msr.KVM_WALL_CLOCK_NEW -> Msr.KVM_WALL_CLOCK;
      case Msr.KVM_SYSTEM_TIME -> Msr.KVM_SYSTEM_TIME_NEW;
      case Msr.KVM_SYSTEM_TIME_NEW -> Msr.KVM_SYSTEM_TIME;
      default -> -1;
    };
  }

  /** Two names of one value. */
  private void both(int old, int now, long data) {
    write(old, data, true);
    write(now, data, true);
  }

  private void sysenterCs(int index, long data) {
    boolean narrow = v.kernel().isVmx();
    long kept = narrow ? data & LOW_32 : data;
    write(index, kept, narrow || v.kernel().isSvm() || data >>> 32 == 0);
    mirror(SYSENTER_CS, data, Answer.YES, true);
  }

  private void sysenterAddress(int index, long data) {
    long kept = MsrWrites.extended(data, 48);
    boolean sure = true;
    if (kept != MsrWrites.extended(data, 57)) {
      Answer wide = MsrWrites.fiftySeven(v);
      kept = wide.isYes() ? MsrWrites.extended(data, 57) : kept;
      sure = wide.isKnown();
    }
    if (kept >>> 32 != 0 && !v.kernel().isVmx()) {
      Answer intel = MsrWrites.intelCpuid(v);
      kept = intel.isNo() ? kept & LOW_32 : kept;
      sure &= intel.isKnown() && v.kernel().isSvm();
    }
    if (kept >>> 32 != 0 && v.kernel().isVmx() && !v.inGuestMode().isNo()) {
      Answer wide = GuestCpuid.longMode(v);
      sure &= wide.isYes() || (wide.isNo() && v.inGuestMode().isYes());
      kept = wide.isNo() ? kept & LOW_32 : kept;
    }
    write(index, kept, sure);
    mirror(index == Msr.IA32_SYSENTER_ESP ? SYSENTER_ESP : SYSENTER_EIP, kept, Answer.YES, sure);
  }

  /** Copies a value to the vmcs12 of an active L2, if this is done at all. */
  private void mirror(int field, long data, Answer copied, boolean sure) {
    Answer copies = v.inGuestMode().and(copied);
    if (copies.isNo() || !v.kernel().isVmx()) {
      return;
    }
    if (vmcs12 == null) {
      vmcs12 = v.nested().vmcs12().edit(moment);
    }
    vmcs12.set(field, data, certain && sure && copies.isYes());
  }

  private Answer exitControl(long control) {
    return v.inGuestMode().isNo() ? Answer.NO : v.nested().vmcs12().hasAny(EXIT_CONTROLS, control);
  }

  private void alias(int index, long data, boolean sure) {
    if (sregs == null) {
      sregs = v.registers().sregs().edit(moment);
    }
    sregs.set(MsrReader.sregsField(index), data, certain && sure);
  }

  /** EFER.LMA follows CR0.PG and is not written. */
  private void efer(long data) {
    Tracked now = v.registers().sregs();
    long lma = now.value(SregsFields.EFER) & Efer.LMA;
    alias(Msr.IA32_EFER, (data & ~Efer.LMA) | lma, now.knows(SregsFields.EFER));
  }

  private void apicBase(long data) {
    Tracked now = v.registers().sregs();
    if (certain) {
      v = LapicRules.modeSet(v, now, data, moment);
    } else {
      forgetLapic();
    }
    alias(Msr.IA32_APIC_BASE, data, v.kernel().version() != KernelVersion.V5_10);
  }

  private void forgetLapic() {
    v = v.withPlatform(v.platform().withLapic(v.platform().lapic().forgetAll(moment)));
  }

  private void tscAdjust(int index, long data) {
    Answer exists = GuestCpuid.has(v, 7, 0, 'b', 1);
    if (!exists.isNo()) {
      write(index, data, exists.isYes());
    }
  }

  private void deadline(int index, long data) {
    if (data == 0) {
      write(index, 0, true);
    } else if (!MsrReader.deadlineMode(v).isNo()) {
      write(index, data, false);
    }
  }

  private void featureControl(int index, long data) {
    if (!v.kernel().isVmx()) {
      return;
    }
    write(index, data, true);
    if (data != 0 || outsideNested()) {
      return;
    }
    v = done();
    v = certain ? NestedRules.leave(v, moment) : NestedRules.maybeLeave(v, moment);
    if (!certain) {
      v = v.withNested(v.nested().withMode(Nested.Mode.UNKNOWN));
    }
    before = v.platform().msrs();
    edit = before.edit();
    listed = list.isOf(before.layout());
    sregs = null;
    vmcs12 = null;
  }

  /** Since 6.14 a feature MSR that the guest's CPUID lacks keeps nothing. */
  private static boolean keepsFeatures(KernelModel kernel) {
    return kernel.version().compareTo(KernelVersion.V6_15) < 0;
  }

  private void feature(int index, long data, int leaf, char register, int bit) {
    Answer has = GuestCpuid.has(v, leaf, 0, register, bit);
    if (!has.isNo()) {
      write(index, data, has.isYes());
    }
  }

  /** BTF and LBR are accepted for old guests; KVM never has the first. */
  private void debugctl(int index, long data) {
    boolean sure = (data & ~2L) == 0;
    write(index, 0, data == 0 || (sure && v.kernel().isVmx()));
    mirror(GUEST_DEBUGCTL, 0, exitControl(ExitControls.SAVE_DEBUG_CONTROLS), sure);
  }

  private void hyperv(int index, long data) {
    MsrHyperv.store(this, index, data);
    if (index == Msr.HV_X64_HYPERCALL) {
      hypercallWritten = true;
    } else if (index == Msr.HV_X64_GUEST_OS_ID) {
      guestOsZero = certain ? Answer.of(data == 0) : Answer.CANNOT_TELL;
    }
  }

  private void performance(int index, long data) {
    if (!v.kernel().isVmx()) {
      return;
    }
    if (pmu == null) {
      pmu = MsrPmu.shape(v);
    }
    if (!pmu.absent() || index == Msr.IA32_DS_AREA) {
      write(index, data, data == 0 || index == Msr.IA32_PERF_GLOBAL_CTRL);
    }
  }

  /** KVM up to 6.6 never clears the only bit that it keeps. */
  private void hwcr(int index, long data) {
    long kept = data & ~HWCR_IGNORED;
    if (kept != 0 || v.kernel().version().compareTo(KernelVersion.V6_8) >= 0) {
      write(index, kept, true);
    }
  }

  private void amd(MsrKind kind, int index, long data) {
    switch (kind) {
      case HSAVE_PA -> write(index, data & ~PAGE, v.kernel().isSvm() || (data & PAGE) == 0);
      case TSC_RATIO -> write(index, data, data == 1L << 32);
      case VIRT_SPEC_CTRL -> write(index, data, v.kernel().isSvm() || data == 0);
      default -> write(index, data, data == 0);
    }
  }

  /** A read that shows special registers under their MSR's name. */
  static Vcpu learnAlias(Vcpu v, int index, long data) {
    Tracked known = v.registers().sregs();
    int field = MsrReader.sregsField(index);
    if (known.knows(field)) {
      return v;
    }
    var shown = known.layout().field(field);
    Tracked learned =
        known.learn(
            known.bytes().with(shown.offset(), shown.width(), data),
            FieldSet.of(known.layout().count(), field));
    return v.withRegisters(v.registers().withSregs(learned));
  }
}
