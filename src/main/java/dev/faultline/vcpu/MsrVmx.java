package dev.faultline.vcpu;

import dev.faultline.kvm.CpuidFeatures;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Msr;
import org.jspecify.annotations.Nullable;

/**
 * The VMX capability MSRs: which values userspace may restore, and what CPUID makes of them.
 *
 * <p>A restored value is measured against what KVM itself offers on the host. {@link
 * Host#featureMsrs} holds that as known values when the recording has them. Values that a vCPU was
 * seen with are there, too: as known when nobody wrote them since the vCPU's creation, else as not
 * known, since they only say that KVM offers at least that.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/nested.c, vmx_set_vmx_msr(), vmx_get_vmx_msr()};
 * {@code arch/x86/kvm/vmx/vmx.c, vmx_secondary_exec_control()}, v6.1.
 */
final class MsrVmx {
  private static final long LOW = 0xffff_ffffL;
  private static final long HIGH = ~LOW;
  private static final long REVISION = 0x7fff_ffffL;
  private static final long BASIC_32BIT = 1L << 48;
  private static final long BASIC_SIZE = 0x1fffL << 32;
  private static final long BASIC_FEATURES =
      1L << 49 | 1L << 54 | 1L << 55 | 1L << 31 | 7L << 45 | 0xffL << 56;
  private static final long MISC_FEATURES =
      1L << 5 | 7L << 6 | 1L << 14 | 1L << 15 | 7L << 28 | 0x1fL << 9 | 1L << 31;
  private static final long MISC_TIMER_RATE = 0x1f;
  private static final long MISC_CR3 = 0x1ffL << 16;
  private static final long MISC_MSRS = 7L << 25;

  /** What the capability MSRs claim in addition when the "true" ones are not used. */
  private static final long DEFAULT1_PIN = 0x16;

  private static final long DEFAULT1_PRIMARY = 0x0401_e172;
  private static final long DEFAULT1_EXIT = 0x3_6dff;
  private static final long DEFAULT1_ENTRY = 0x11ff;

  private static final long CR0_FIXED0 = Cr0.PG | Cr0.NE | Cr0.PE;
  private static final long CR0_FIXED1 = 0xffff_ffffL;

  /** "Activate VMX-preemption timer" in the high half of IA32_VMX_TRUE_PINBASED_CTLS. */
  static final long PREEMPTION_TIMER = 1L << 38;

  private static final int SECONDARY_RDTSCP = 3;
  private static final int SECONDARY_RDRAND_EXITING = 11;
  private static final int SECONDARY_INVPCID = 12;
  private static final int SECONDARY_RDSEED_EXITING = 16;
  private static final int SECONDARY_XSAVES = 20;
  private static final int SECONDARY_WAITPKG = 26;

  private MsrVmx() {}

  /**
   * Whether KVM takes the value, VMX operation and CPUID aside.
   *
   * @param timer whether the vCPU's pin-based controls offer the VMX-preemption timer
   */
  static MsrFate restore(Vcpu v, int index, long data, Answer timer) {
    return switch (index) {
      case Msr.IA32_VMX_PINBASED_CTLS,
          Msr.IA32_VMX_PROCBASED_CTLS,
          Msr.IA32_VMX_EXIT_CTLS,
          Msr.IA32_VMX_ENTRY_CTLS,
          Msr.IA32_VMX_CR0_FIXED1,
          Msr.IA32_VMX_CR4_FIXED1 ->
          MsrFate.refused(MsrCheck.MSR_VMX_DERIVED);
      case Msr.IA32_VMX_VMCS_ENUM -> MsrFate.ACCEPTED;
      case Msr.IA32_VMX_CR0_FIXED0 ->
          MsrFate.unless((data & CR0_FIXED0) != CR0_FIXED0, MsrCheck.MSR_VMX_FIXED0);
      case Msr.IA32_VMX_CR4_FIXED0 ->
          MsrFate.unless((data & Cr4.VMXE) == 0, MsrCheck.MSR_VMX_FIXED0);
      default -> measured(v, index, data, timer);
    };
  }

  private static MsrFate measured(Vcpu v, int index, long data, Answer timer) {
    MsrState offered = v.vm().host().featureMsrs();
    int slot = offered.slot(index);
    if (slot >= 0) {
      MsrFate fate = against(index, offered.valueIn(slot), data, timer);
      if (offered.knowsIn(slot) || fate.accepted().isYes()) {
        return fate;
      }
    }
    MsrState own = v.platform().msrs();
    int mine = own.slot(index);
    if (mine >= 0
        && own.knowsIn(mine)
        && against(index, own.valueIn(mine), data, timer).accepted().isYes()) {
      return MsrFate.ACCEPTED;
    }
    return index == Msr.IA32_VMX_BASIC && (data & BASIC_32BIT) != 0
        ? MsrFate.refused(MsrCheck.MSR_VMX_BASIC_32BIT)
        : MsrFate.NO_HOST_VALUE;
  }

  private static MsrFate against(int index, long kvm, long data, Answer timer) {
    MsrCheck failed =
        switch (index) {
          case Msr.IA32_VMX_BASIC -> basic(kvm, data);
          case Msr.IA32_VMX_MISC -> misc(kvm, data, timer);
          case Msr.IA32_VMX_EPT_VPID_CAP -> (data & ~kvm) != 0 ? MsrCheck.MSR_VMX_EPT_VPID : null;
          case Msr.IA32_VMX_VMFUNC -> (data & ~kvm) != 0 ? MsrCheck.MSR_VMX_VMFUNC : null;
          default -> control(kvm, data);
        };
    if (failed != null) {
      return MsrFate.refused(failed);
    }
    boolean rateMatters =
        index == Msr.IA32_VMX_MISC && ((kvm ^ data) & MISC_TIMER_RATE) != 0 && !timer.isNo();
    return rateMatters ? MsrFate.NO_CURRENT : MsrFate.ACCEPTED;
  }

  private static @Nullable MsrCheck control(long kvm, long data) {
    if ((kvm & ~data & LOW) != 0) {
      return MsrCheck.MSR_VMX_CONTROL_MUST_BE_1;
    }
    return (data & ~kvm & HIGH) != 0 ? MsrCheck.MSR_VMX_CONTROL_MAY_BE_1 : null;
  }

  private static @Nullable MsrCheck basic(long kvm, long data) {
    if ((data & ~kvm & BASIC_FEATURES) != 0) {
      return MsrCheck.MSR_VMX_BASIC_FEATURES;
    }
    if ((data & BASIC_32BIT) != 0) {
      return MsrCheck.MSR_VMX_BASIC_32BIT;
    }
    if (((data ^ kvm) & REVISION) != 0) {
      return MsrCheck.MSR_VMX_BASIC_REVISION;
    }
    return (kvm & BASIC_SIZE) > (data & BASIC_SIZE) ? MsrCheck.MSR_VMX_BASIC_SIZE : null;
  }

  private static @Nullable MsrCheck misc(long kvm, long data, Answer timer) {
    if ((data & ~kvm & MISC_FEATURES) != 0) {
      return MsrCheck.MSR_VMX_MISC_FEATURES;
    }
    if (timer.isYes() && ((data ^ kvm) & MISC_TIMER_RATE) != 0) {
      return MsrCheck.MSR_VMX_MISC_TIMER;
    }
    if ((data & MISC_CR3) > (kvm & MISC_CR3)) {
      return MsrCheck.MSR_VMX_MISC_CR3;
    }
    if ((data & MISC_MSRS) > (kvm & MISC_MSRS)) {
      return MsrCheck.MSR_VMX_MISC_MSRS;
    }
    return ((data ^ kvm) & HIGH) != 0 ? MsrCheck.MSR_VMX_MISC_MSEG : null;
  }

  /**
   * What values read from a vCPU tell about the host, which all its vCPUs share. A vCPU is created
   * with all that KVM offers; what userspace wrote since is no more than that.
   *
   * @param v the vCPU before the read
   * @param count how many entries were read
   */
  static Host learn(Host host, Vcpu v, KvmMsrs msrs, int count) {
    MsrState offered = host.featureMsrs();
    MsrState.Edit edit = null;
    for (int i = 0; i < count; i++) {
      int index = msrs.index(i);
      if (!offer(index)) {
        continue;
      }
      int at = offered.position(index);
      if (at >= 0 && offered.knowsAt(at)) {
        continue;
      }
      long data = msrs.data(i);
      boolean exact = untouched(v.platform().msrs(), index) && shows(host, v, index, data);
      if (!exact && index == MsrKind.HV_TSC_FREQUENCY) {
        continue;
      }
      long most = at < 0 || exact ? data : both(index, offered.valueAt(at), data);
      if (exact || at < 0 || most != offered.valueAt(at)) {
        edit = edit == null ? offered.edit() : edit;
        edit.write(index, most, exact, Tracked.NOBODY);
      }
    }
    return edit == null ? host : host.withFeatureMsrs(edit.done());
  }

  /** What accepted writes tell about the host: KVM offers at least that. */
  static Host learnWritten(Host host, KvmMsrs msrs, int count) {
    MsrState offered = host.featureMsrs();
    MsrState.Edit edit = null;
    for (int i = 0; i < count; i++) {
      int index = msrs.index(i);
      int at = offered.position(index);
      if (!Msr.isVmxCapability(index) || !offer(index) || (at >= 0 && offered.knowsAt(at))) {
        continue;
      }
      long data = msrs.data(i);
      long most = at < 0 ? data : both(index, offered.valueAt(at), data);
      if (at < 0 || most != offered.valueAt(at)) {
        edit = edit == null ? offered.edit() : edit;
        edit.write(index, most, false, Tracked.NOBODY);
      }
    }
    return edit == null ? host : host.withFeatureMsrs(edit.done());
  }

  private static boolean offer(int index) {
    return switch (index) {
      case Msr.IA32_PERF_CAPABILITIES, Msr.IA32_ARCH_CAPABILITIES, MsrKind.HV_TSC_FREQUENCY -> true;
      default -> Msr.isVmxCapability(index) && source(index) == index && !fixed1(index);
    };
  }

  private static boolean fixed1(int index) {
    return index == Msr.IA32_VMX_CR0_FIXED1 || index == Msr.IA32_VMX_CR4_FIXED1;
  }

  /** Whether the vCPU's creation is in the recording and nobody wrote the MSR since. */
  private static boolean untouched(MsrState msrs, int index) {
    int at = msrs.position(index);
    return at >= 0 && !msrs.knowsAt(at) && msrs.writerAt(at) == Tracked.NOBODY;
  }

  /** Whether an untouched vCPU's value is the host's own. */
  private static boolean shows(Host host, Vcpu v, int index, long data) {
    KernelVersion version = v.kernel().version();
    boolean newer = version.compareTo(KernelVersion.V6_15) >= 0;
    return switch (index) {
      case Msr.IA32_PERF_CAPABILITIES -> version == KernelVersion.V6_1;
      case Msr.IA32_ARCH_CAPABILITIES, Msr.IA32_VMX_VMFUNC, Msr.IA32_VMX_EPT_VPID_CAP ->
          !newer || data != 0;
      case Msr.IA32_VMX_PROCBASED_CTLS2 -> showsSecondary(host.supportedCpuid(), v);
      // Unless KVM_SET_TSC_KHZ was called, the guest's frequency is the host's.
      case MsrKind.HV_TSC_FREQUENCY -> v.platform().tscKhz() == 0;
      default -> data != 0;
    };
  }

  /** CPUID takes away controls; those that the host's CPUID lacks were never there. */
  private static boolean showsSecondary(@Nullable KvmCpuid2 host, Vcpu v) {
    KvmCpuid2 guest = v.platform().cpuid();
    return host != null && guest != null && (wantedSecondary(host) & ~wantedSecondary(guest)) == 0;
  }

  /** The least that a KVM offers on which both values were seen. */
  private static long both(int index, long a, long b) {
    return switch (index) {
      case Msr.IA32_VMX_EPT_VPID_CAP,
          Msr.IA32_VMX_VMFUNC,
          Msr.IA32_PERF_CAPABILITIES,
          Msr.IA32_ARCH_CAPABILITIES ->
          a | b;
      case Msr.IA32_VMX_BASIC ->
          (a & ~BASIC_SIZE & ~BASIC_FEATURES)
              | ((a | b) & BASIC_FEATURES)
              | Math.min(a & BASIC_SIZE, b & BASIC_SIZE);
      case Msr.IA32_VMX_MISC ->
          (a & ~(MISC_FEATURES | MISC_CR3 | MISC_MSRS))
              | ((a | b) & MISC_FEATURES)
              | Math.max(a & MISC_CR3, b & MISC_CR3)
              | Math.max(a & MISC_MSRS, b & MISC_MSRS);
      default -> (a & b & LOW) | ((a | b) & HIGH);
    };
  }

  /** The MSR that this one is computed from when it is read, or the same. */
  static int source(int index) {
    return switch (index) {
      case Msr.IA32_VMX_PINBASED_CTLS -> Msr.IA32_VMX_TRUE_PINBASED_CTLS;
      case Msr.IA32_VMX_PROCBASED_CTLS -> Msr.IA32_VMX_TRUE_PROCBASED_CTLS;
      case Msr.IA32_VMX_EXIT_CTLS -> Msr.IA32_VMX_TRUE_EXIT_CTLS;
      case Msr.IA32_VMX_ENTRY_CTLS -> Msr.IA32_VMX_TRUE_ENTRY_CTLS;
      default -> index;
    };
  }

  /** What is added to the value of {@link #source}. */
  static long added(int index) {
    return switch (index) {
      case Msr.IA32_VMX_PINBASED_CTLS -> DEFAULT1_PIN;
      case Msr.IA32_VMX_PROCBASED_CTLS -> DEFAULT1_PRIMARY;
      case Msr.IA32_VMX_EXIT_CTLS -> DEFAULT1_EXIT;
      case Msr.IA32_VMX_ENTRY_CTLS -> DEFAULT1_ENTRY;
      default -> 0;
    };
  }

  /** The values that a vCPU is created with, as far as the recording shows them. */
  static void reset(MsrState.Edit edit, Host host, int moment) {
    edit.write(Msr.IA32_VMX_CR0_FIXED0, CR0_FIXED0, true, moment);
    edit.write(Msr.IA32_VMX_CR4_FIXED0, Cr4.VMXE, true, moment);
    for (int index = Msr.IA32_VMX_BASIC; index <= Msr.IA32_VMX_VMFUNC; index++) {
      if (offer(index) && index != Msr.IA32_VMX_CR0_FIXED0 && index != Msr.IA32_VMX_CR4_FIXED0) {
        offered(edit, host, index, moment);
      }
    }
  }

  /** The value that the host offers; where it is not known, the MSR is there, but untouched. */
  static void offered(MsrState.Edit edit, Host host, int index, int moment) {
    MsrState offered = host.featureMsrs();
    boolean known = offered.knows(index);
    edit.write(index, known ? offered.value(index) : 0, known, known ? moment : Tracked.NOBODY);
  }

  /** Takes over what KVM_SET_CPUID2 makes of the MSRs. */
  static void afterCpuid(MsrState.Edit edit, Vcpu v, int moment) {
    KvmCpuid2 guest = v.platform().cpuid();
    MsrState before = v.platform().msrs();
    if (guest == null) {
      edit.write(Msr.IA32_VMX_CR4_FIXED1, 0, false, moment);
      if (before.knows(Msr.IA32_VMX_PROCBASED_CTLS2)) {
        edit.write(Msr.IA32_VMX_PROCBASED_CTLS2, 0, false, moment);
      }
      return;
    }
    boolean vmx = bit(guest.features().leaf1Ecx(), 5);
    if (vmx) {
      boolean sameRule = v.kernel().version().compareTo(KernelVersion.V6_1) <= 0;
      edit.write(Msr.IA32_VMX_CR0_FIXED1, CR0_FIXED1, true, moment);
      edit.write(Msr.IA32_VMX_CR4_FIXED1, ControlRegisters.cr4Fixed1(guest), sameRule, moment);
    }
    secondary(edit, v, guest, before, moment);
  }

  private static void secondary(
      MsrState.Edit edit, Vcpu v, KvmCpuid2 guest, MsrState before, int moment) {
    int index = Msr.IA32_VMX_PROCBASED_CTLS2;
    int at = before.position(index);
    if (at < 0 || !before.knowsAt(at)) {
      return;
    }
    MsrState offered = v.vm().host().featureMsrs();
    boolean offerKnown = offered.knows(index);
    long offer = offered.value(index);
    long wanted = wantedSecondary(guest);
    long adjusted = ADJUSTED_SECONDARY & (offerKnown ? offer : ~0L);
    long old = before.valueAt(at);
    long now = (old & ~adjusted) | (wanted & adjusted);
    // Without KVM's own value nobody knows whether it offers a control that CPUID would switch on.
    boolean certain = offerKnown || (wanted & ~old) == 0;
    edit.write(index, now, certain, moment);
  }

  private static final long ADJUSTED_SECONDARY =
      (1L << SECONDARY_RDTSCP
              | 1L << SECONDARY_RDRAND_EXITING
              | 1L << SECONDARY_INVPCID
              | 1L << SECONDARY_RDSEED_EXITING
              | 1L << SECONDARY_XSAVES
              | 1L << SECONDARY_WAITPKG)
          << 32;

  /** The secondary controls that belong to features of the guest. */
  private static long wantedSecondary(KvmCpuid2 guest) {
    CpuidFeatures features = guest.features();
    int leaf1 = features.leaf1Ecx();
    int leaf7b = features.leaf7Ebx();
    int leaf7c = features.leaf7Ecx();
    int amd = features.extended1Edx();
    int xsave = features.xsaveEax();
    long controls = bit(amd, 27) || bit(leaf7c, 22) ? 1L << SECONDARY_RDTSCP : 0;
    controls |= bit(leaf1, 30) ? 1L << SECONDARY_RDRAND_EXITING : 0;
    controls |= bit(leaf7b, 10) ? 1L << SECONDARY_INVPCID : 0;
    controls |= bit(leaf7b, 18) ? 1L << SECONDARY_RDSEED_EXITING : 0;
    controls |= bit(leaf1, 26) && bit(xsave, 3) ? 1L << SECONDARY_XSAVES : 0;
    controls |= bit(leaf7c, 5) ? 1L << SECONDARY_WAITPKG : 0;
    return controls << 32;
  }

  private static boolean bit(int register, int bit) {
    return (register >>> bit & 1) != 0;
  }
}
