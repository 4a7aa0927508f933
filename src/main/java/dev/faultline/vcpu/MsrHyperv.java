package dev.faultline.vcpu;

import dev.faultline.x86.Msr;

/**
 * Hyper-V's synthetic MSRs. Userspace may read and write them whether or not the guest's CPUID
 * offers Hyper-V.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/hyperv.c, kvm_hv_set_msr_common(),
 * kvm_hv_get_msr_common()}, v6.1.
 */
final class MsrHyperv {
  /** From here on all of them belong to the VM. */
  static final int SHARED_FIRST = 0x400000f1;

  private static final int EOI = 0x40000070;
  private static final int TPR = 0x40000072;
  private static final int VP_ASSIST_PAGE = 0x40000073;
  private static final int SCONTROL = 0x40000080;
  private static final int SVERSION = 0x40000081;
  private static final int EOM = 0x40000084;
  private static final int SINT0 = 0x40000090;
  private static final int SINT15 = 0x4000009f;
  private static final int STIMER_FIRST = 0x400000b0;
  private static final int STIMER_LAST = 0x400000b7;
  private static final int SYNDBG_LAST = 0x400000f5;
  private static final int SYNDBG_OPTIONS = 0x400000ff;
  private static final int CRASH_P0 = 0x40000100;
  private static final int CRASH_CTL = 0x40000105;
  private static final int TSC_EMULATION_STATUS = 0x40000108;

  private static final long ENABLE = 1;
  private static final long PAGE = ~0xfffL;
  private static final long CRASH_NOTIFY = 1L << 63;
  private static final long APIC_HERTZ = 1_000_000_000L;

  /** The least KVM_MAX_VCPUS of any kernel, and the greatest. */
  private static final long FEW_VCPUS = 288;

  private static final long MANY_VCPUS = 4096;

  /** The signature of Hyper-V's CPUID interface, "Hv#1", and where it is. */
  private static final int INTERFACE_LEAF = 0x4000_0001;

  private static final int INTERFACE_SIGNATURE = 0x3123_7648;

  private MsrHyperv() {}

  /** Whether the guest can reach these MSRs at all. */
  static Answer guestHasHyperv(Vcpu v) {
    if (v.kernel().version() == KernelVersion.V5_10) {
      return Answer.YES;
    }
    if (v.platform().cpuidSet().isNo()) {
      return Answer.NO;
    }
    var table = v.platform().cpuid();
    return table == null
        ? Answer.CANNOT_TELL
        : Answer.of(GuestCpuid.register(table, INTERFACE_LEAF, 0, 'a') == INTERFACE_SIGNATURE);
  }

  /** Whether KVM has an MSR of this number. */
  static boolean exists(KernelVersion version, int index) {
    if (in(index, EOI, VP_ASSIST_PAGE)
        || in(index, SCONTROL, EOM)
        || in(index, SINT0, SINT15)
        || in(index, STIMER_FIRST, STIMER_LAST)
        || in(index, SHARED_FIRST, SYNDBG_LAST)
        || in(index, CRASH_P0, TSC_EMULATION_STATUS)) {
      return true;
    }
    return switch (index) {
      case Msr.HV_X64_GUEST_OS_ID,
          Msr.HV_X64_HYPERCALL,
          Msr.HV_X64_VP_INDEX,
          MsrKind.HV_RESET,
          MsrKind.HV_VP_RUNTIME,
          Msr.HV_X64_TIME_REF_COUNT,
          Msr.HV_X64_REFERENCE_TSC,
          MsrKind.HV_TSC_FREQUENCY,
          MsrKind.HV_APIC_FREQUENCY,
          SYNDBG_OPTIONS ->
          true;
      case MsrKind.HV_TSC_INVARIANT_CONTROL -> version.compareTo(KernelVersion.V6_8) >= 0;
      default -> false;
    };
  }

  private static boolean in(int index, int first, int last) {
    return index >= first && index <= last;
  }

  /** What a write by userspace meets. */
  static MsrFate judge(Vcpu v, int index, long data) {
    if (!exists(v.kernel().version(), index)) {
      return MsrFate.refused(MsrCheck.MSR_HYPERV_UNKNOWN);
    }
    if (index >= EOI && index <= TPR) {
      return MsrFate.NO_RULE;
    }
    if (index >= SCONTROL && index <= STIMER_LAST && data != 0) {
      return MsrFate.NO_RULE;
    }
    return switch (index) {
      case Msr.HV_X64_VP_INDEX -> vpIndex(data & 0xffff_ffffL);
      case VP_ASSIST_PAGE -> page(v, data);
      case Msr.HV_X64_HYPERCALL -> hypercall(v, data);
      case MsrKind.HV_TSC_INVARIANT_CONTROL ->
          MsrFate.unless((data & ~ENABLE) != 0, MsrCheck.MSR_HYPERV_BITS);
      default -> MsrFate.ACCEPTED;
    };
  }

  /** Whether every kernel takes every value. */
  static boolean accepts(int index) {
    return switch (index) {
      case Msr.HV_X64_VP_INDEX,
          VP_ASSIST_PAGE,
          Msr.HV_X64_HYPERCALL,
          MsrKind.HV_TSC_INVARIANT_CONTROL ->
          false;
      default ->
          exists(KernelVersion.V5_10, index)
              && !in(index, EOI, TPR)
              && !in(index, SCONTROL, STIMER_LAST);
    };
  }

  private static MsrFate vpIndex(long index) {
    if (index >= MANY_VCPUS) {
      return MsrFate.refused(MsrCheck.MSR_HYPERV_BITS);
    }
    return index < FEW_VCPUS ? MsrFate.ACCEPTED : MsrFate.NO_RULE;
  }

  /** KVM writes the hypercall page once the guest has told who it is. */
  private static MsrFate hypercall(Vcpu v, long data) {
    MsrState msrs = v.platform().msrs();
    boolean noGuest = msrs.knows(Msr.HV_X64_GUEST_OS_ID) && msrs.value(Msr.HV_X64_GUEST_OS_ID) == 0;
    return noGuest ? MsrFate.ACCEPTED : page(v, data);
  }

  /** An enabled page must be in guest memory; SMM may have memory of its own. */
  private static MsrFate page(Vcpu v, long data) {
    if ((data & ENABLE) == 0) {
      return MsrFate.ACCEPTED;
    }
    return v.inSmm().isNo()
        ? MsrParavirt.inMemory(v, data & PAGE, 1, MsrCheck.MSR_HYPERV_MEMORY)
        : MsrFate.NO_MEMORY;
  }

  /** What an accepted value leaves behind, whatever it is. */
  static MsrList.Keeping keeping(int index) {
    return switch (index) {
      // Read-only for the guest, derived or a command: nothing that can be read back.
      case MsrKind.HV_RESET,
          MsrKind.HV_VP_RUNTIME,
          Msr.HV_X64_TIME_REF_COUNT,
          MsrKind.HV_TSC_FREQUENCY,
          MsrKind.HV_APIC_FREQUENCY ->
          MsrList.Keeping.NOT_AT_ALL;
      case Msr.HV_X64_GUEST_OS_ID, Msr.HV_X64_HYPERCALL -> MsrList.Keeping.BY_RULE;
      case Msr.HV_X64_VP_INDEX, CRASH_CTL -> MsrList.Keeping.ZERO_AS_WRITTEN;
      default ->
          in(index, SCONTROL, STIMER_LAST)
              ? index == SVERSION ? MsrList.Keeping.BY_RULE : MsrList.Keeping.ZERO_AS_WRITTEN
              : MsrList.Keeping.AS_WRITTEN;
    };
  }

  /**
   * Carries out an accepted write of which {@link #keeping} says that a rule tells what is kept.
   */
  static void store(MsrStore to, int index, long data) {
    switch (index) {
      case Msr.HV_X64_GUEST_OS_ID -> {
        to.write(index, data, true);
        if (data == 0) {
          to.change(Msr.HV_X64_HYPERCALL, ~ENABLE, 0);
        }
      }
      case Msr.HV_X64_HYPERCALL -> {
        Answer guest = to.isZero(Msr.HV_X64_GUEST_OS_ID).not();
        if (!guest.isNo()) {
          to.write(index, data, guest.isYes());
        }
      }
      case Msr.HV_X64_VP_INDEX -> to.write(index, data & 0xffff_ffffL, true);
      case CRASH_CTL -> to.write(index, data & CRASH_NOTIFY, true);
      case SVERSION -> to.write(index, data, false);
      default -> to.write(index, data, data == 0);
    }
  }

  /** What userspace reads. */
  static void read(MsrReader to, Vcpu v, int index) {
    if (!exists(v.kernel().version(), index)) {
      to.refuse(MsrCheck.MSR_HYPERV_UNKNOWN);
      return;
    }
    switch (index) {
      case MsrKind.HV_RESET -> to.value(0);
      case MsrKind.HV_APIC_FREQUENCY -> to.value(APIC_HERTZ);
      case MsrKind.HV_VP_RUNTIME, Msr.HV_X64_TIME_REF_COUNT -> to.unknown();
      case MsrKind.HV_TSC_FREQUENCY -> {
        long khz = v.platform().tscKhz();
        if (khz != 0) {
          to.value(khz * 1000);
        } else {
          to.stored(index);
        }
      }
      default -> {
        if (index >= EOI && index <= TPR) {
          to.unknown();
        } else {
          to.stored(index);
        }
      }
    }
  }

  /** The values that a vCPU is created with. */
  static void reset(MsrState.Edit edit, Vm vm, int id, int moment) {
    // Nobody wrote those of the VM only if this is its first vCPU.
    int others = others(vm, id);
    boolean first = vm.settings().created() && others == 0;
    edit.write(Msr.HV_X64_GUEST_OS_ID, 0, first, moment);
    edit.write(Msr.HV_X64_HYPERCALL, 0, first, moment);
    edit.write(Msr.HV_X64_REFERENCE_TSC, 0, first, moment);
    for (int index = SHARED_FIRST; index <= SYNDBG_LAST; index++) {
      edit.write(index, 0, first, moment);
    }
    edit.write(SYNDBG_OPTIONS, 0, first, moment);
    for (int index = CRASH_P0; index <= TSC_EMULATION_STATUS; index++) {
      edit.write(index, 0, first, moment);
    }
    edit.write(MsrKind.HV_TSC_INVARIANT_CONTROL, 0, first, moment);
    MsrVmx.offered(edit, vm.host(), MsrKind.HV_TSC_FREQUENCY, moment);
    edit.write(Msr.HV_X64_VP_INDEX, others, vm.settings().created(), moment);
    edit.write(VP_ASSIST_PAGE, 0, true, moment);
    edit.write(SCONTROL, 0, true, moment);
    edit.write(STIMER_FIRST, 0, true, moment);
  }

  /** How many vCPUs the VM has besides this one. */
  static int others(Vm vm, int id) {
    int others = 0;
    for (int known : vm.vcpuIds()) {
      others += known == id ? 0 : 1;
    }
    return others;
  }

  /** Whether only time, and not the guest, decides what is read. */
  static boolean changesByItself(int index) {
    return switch (index) {
      case MsrKind.HV_RESET,
          MsrKind.HV_VP_RUNTIME,
          Msr.HV_X64_TIME_REF_COUNT,
          MsrKind.HV_APIC_FREQUENCY ->
          true;
      default -> index >= EOI && index <= TPR;
    };
  }

  /** Whether the guest cannot write it even with Hyper-V in its CPUID. */
  static boolean readOnly(int index) {
    return index == Msr.HV_X64_VP_INDEX || index == MsrKind.HV_TSC_FREQUENCY;
  }
}
