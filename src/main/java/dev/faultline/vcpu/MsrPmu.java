package dev.faultline.vcpu;

import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.x86.Msr;

/**
 * MSRs of performance counters on VMX. A guest without a PMU has none of them, but KVM lets
 * userspace read those that it lists, and write zero to them.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/pmu_intel.c, intel_pmu_refresh(),
 * intel_is_valid_msr(), intel_pmu_set_msr()}, v6.1.
 */
final class MsrPmu {
  private static final int MAX_FIXED = 3;
  private static final int FIXED_SHIFT = 32;
  private static final int FULL_WIDTH_FIRST = 0x4c1;
  private static final int FULL_WIDTH_LAST = 0x4c8;
  private static final long BRANCH_FORMAT = 0x3f;
  private static final long PEBS_BITS = 0x4fc0;

  private MsrPmu() {}

  /**
   * The counters of a vCPU.
   *
   * @param version of architectural performance monitoring, zero without a PMU
   * @param counters general-purpose ones
   * @param fixed fixed-function ones
   * @param certain whether KVM certainly provides them
   */
  record Shape(int version, int counters, int fixed, boolean certain) {
    static final Shape NONE = new Shape(0, 0, 0, true);
    static final Shape UNKNOWN = new Shape(0, 0, 0, false);

    /** Certainly no PMU. */
    boolean absent() {
      return certain && version == 0;
    }

    /** The bits that IA32_PERF_GLOBAL_CTRL can have. */
    long globalBits() {
      return ((1L << counters) - 1) | (((1L << fixed) - 1) << FIXED_SHIFT);
    }
  }

  /** What the guest's CPUID and the host's leave of a PMU. */
  static Shape shape(Vcpu v) {
    if (v.platform().cpuidSet().isNo()) {
      return Shape.NONE;
    }
    KvmCpuid2 guest = v.platform().cpuid();
    if (guest == null) {
      return Shape.UNKNOWN;
    }
    int eax = guest.features().pmuEax();
    int version = eax & 0xff;
    KvmCpuid2 host = v.vm().host().supportedCpuid();
    int hostEax = host == null ? 0 : host.features().pmuEax();
    if (version == 0 || (host != null && (hostEax & 0xff) == 0)) {
      return Shape.NONE;
    }
    int counters = eax >>> 8 & 0xff;
    int fixed = version == 1 ? 0 : Math.min(fixedIn(guest), MAX_FIXED);
    if (host == null) {
      return new Shape(version, counters, fixed, false);
    }
    return new Shape(
        version, Math.min(counters, hostEax >>> 8 & 0xff), Math.min(fixed, fixedIn(host)), true);
  }

  private static int fixedIn(KvmCpuid2 table) {
    return table.features().pmuEdx() & 0x1f;
  }

  /** Whether KVM's PMU of this vCPU has the MSR. */
  static Answer valid(Shape shape, int index) {
    if (shape.absent()) {
      return Answer.NO;
    }
    boolean has =
        switch (index) {
          case Msr.IA32_FIXED_CTR_CTRL,
              Msr.IA32_PERF_GLOBAL_STATUS,
              Msr.IA32_PERF_GLOBAL_CTRL,
              Msr.IA32_PERF_GLOBAL_OVF_CTRL ->
              shape.version() > 1;
          case Msr.IA32_FIXED_CTR0, Msr.IA32_FIXED_CTR1, Msr.IA32_FIXED_CTR2 ->
              index - Msr.IA32_FIXED_CTR0 < shape.fixed();
          default ->
              within(index, Msr.IA32_PMC0, shape) || within(index, Msr.IA32_PERFEVTSEL0, shape);
        };
    boolean needsMore =
        index == Msr.IA32_PEBS_ENABLE
            || index == Msr.MSR_PEBS_DATA_CFG
            || (index >= FULL_WIDTH_FIRST && index <= FULL_WIDTH_LAST);
    if (needsMore || !shape.certain()) {
      return Answer.CANNOT_TELL;
    }
    return Answer.of(has);
  }

  private static boolean within(int index, int first, Shape shape) {
    return index >= first && index < first + shape.counters();
  }

  /** What a write of a PMU's MSR meets. */
  static MsrFate judge(MsrWrites batch, MsrKind kind, int index, long data) {
    Shape shape = batch.pmu();
    Answer valid = kind == MsrKind.DS_AREA ? batch.guestHas(1, 0, 'd', 21) : valid(shape, index);
    if (valid.isYes()) {
      return accepts(batch, shape, index, data);
    }
    if (kind == MsrKind.PMU_P6) {
      return valid.isNo() || data == 0 ? MsrFate.ACCEPTED : MsrFate.NO_RULE;
    }
    if (valid.isNo()) {
      return batch.unsupported(index, data);
    }
    // With or without it, zero is accepted of what KVM lists.
    return data == 0 && batch.unsupported(index, data).accepted().isYes()
        ? MsrFate.ACCEPTED
        : MsrFate.NO_RULE;
  }

  private static MsrFate accepts(MsrWrites batch, Shape shape, int index, long data) {
    boolean always =
        data == 0
            || index == Msr.IA32_PERF_GLOBAL_STATUS
            || (index >= Msr.IA32_FIXED_CTR0 && index <= Msr.IA32_FIXED_CTR2)
            || within(index, Msr.IA32_PMC0, shape);
    if (always) {
      return MsrFate.ACCEPTED;
    }
    MsrState msrs = batch.vcpu().platform().msrs();
    if (msrs.knows(index) && msrs.value(index) == data) {
      return MsrFate.ACCEPTED;
    }
    return index == Msr.IA32_PERF_GLOBAL_CTRL
        ? MsrFate.unless((data & ~shape.globalBits()) != 0, MsrCheck.MSR_PMU_BITS)
        : MsrFate.NO_RULE;
  }

  /** What a write of IA32_PERF_CAPABILITIES meets. */
  static MsrFate judgeCapabilities(MsrWrites batch, long data) {
    if (data == 0) {
      return MsrFate.ACCEPTED;
    }
    boolean old = batch.vcpu().kernel().version() == KernelVersion.V5_10;
    if (!old && batch.pmu().absent()) {
      return MsrFate.refused(MsrCheck.MSR_PERF_CAPABILITIES_PMU);
    }
    MsrState offered = batch.vcpu().vm().host().featureMsrs();
    int at = offered.position(Msr.IA32_PERF_CAPABILITIES);
    boolean within = at >= 0 && (data & ~offered.valueAt(at)) == 0;
    if (at >= 0 && offered.knowsAt(at) && !within) {
      return MsrFate.refused(MsrCheck.MSR_PERF_CAPABILITIES);
    }
    boolean plain = old || ((data & (BRANCH_FORMAT | PEBS_BITS)) == 0 && batch.pmu().certain());
    return within && plain ? MsrFate.ACCEPTED : MsrFate.NO_HOST_VALUE;
  }

  /** What userspace reads of a PMU's MSR. */
  static void read(MsrReader to, MsrKind kind, int index) {
    Vcpu v = to.vcpu();
    Answer valid =
        kind == MsrKind.DS_AREA ? GuestCpuid.has(v, 1, 0, 'd', 21) : valid(to.pmu(), index);
    if (index == Msr.IA32_PERF_GLOBAL_OVF_CTRL
        && valid.isYes()
        && v.kernel().version() != KernelVersion.V5_10) {
      to.value(0);
    } else if (valid.isYes()) {
      to.stored(index);
    } else if (kind == MsrKind.PMU_P6) {
      to.zeroOrStored(valid, index);
    } else if (valid.isNo()) {
      to.unsupported(index);
    } else {
      to.unsupported(index);
      if (to.fate().accepted().isYes()) {
        to.stored(index);
      } else {
        to.cannotTell(MsrFate.NO_RULE);
      }
    }
  }

  /** KVM_SET_CPUID2 gives the vCPU another PMU. */
  static void afterCpuid(MsrState.Edit edit, Vcpu v, int moment) {
    MsrState before = v.platform().msrs();
    if (v.kernel().version() == KernelVersion.V5_10 || !before.knows(Msr.IA32_PERF_CAPABILITIES)) {
      edit.write(Msr.IA32_PERF_CAPABILITIES, 0, false, moment);
    }
    if (v.kernel().isVmx() && !shape(v).absent()) {
      edit.write(Msr.IA32_PERF_GLOBAL_CTRL, 0, false, moment);
    }
  }
}
