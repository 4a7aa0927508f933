package dev.faultline.audit;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.vcpu.Recorded;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** R69: what little of arm64 names and registers tell; its ioctls are not modelled. */
final class Arm64Rules implements RuleFamily {
  private static final String FINALIZE = "KVM_ARM_VCPU_FINALIZE";
  private static final String INIT = "KVM_ARM_VCPU_INIT";
  private static final long SVE = 0x15L << 16;
  private static final long COPROCESSOR = 0xffffL << 16 & 0x0fff_0000L;
  private static final long VLS = 0xffff;
  private static final long CORE = 0x10L << 16;
  private static final long FIRST_FP = 0x54;
  private static final long ARM64 = 0x6L << 60;
  private static final long ARCHITECTURE = 0xfL << 60;

  static final Rule R69 =
      Rule.of(
          "R69",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.on("arm64", "all", "C69", "C70", "C71"),
          new Rule.Prose(
              "On arm64 SVE lengths are set before FINALIZE and SVE registers after it",
              """
              KVM_REG_ARM64_SVE_VLS is locked by KVM_ARM_VCPU_FINALIZE (EPERM), SVE registers exist
              only after it (EPERM), and with SVE the FPSIMD registers are not core registers (EINVAL).
              GICR_CTLR enables LPIs and locks PROPBASER and PENDBASER, so it comes last; the PMU is
              initialised by its attribute on each vCPU before it runs.\
              """,
              "KVM_REG_ARM64_SVE_VLS, KVM_ARM_VCPU_FINALIZE, then registers."));

  private final TreeMap<String, Evidence> finalized = new TreeMap<>();
  private final TreeMap<String, Evidence> initialized = new TreeMap<>();

  @Override
  public List<Rule> rules() {
    return List.of(R69);
  }

  /** An ioctl that the model does not know: only its name tells something. */
  void unreadable(int moment, Recorded.Unreadable fact, Findings findings) {
    Evidence seen =
        new Evidence(moment, fact.seq(), fact.lane(), fact.name(), fact.where(), "arm64");
    if (fact.name().equals(FINALIZE) && fact.ret() >= 0) {
      finalized.put(fact.lane(), seen);
    } else if (fact.name().equals(INIT)) {
      initialized.put(fact.lane(), seen);
      finalized.remove(fact.lane());
      findings.cannotTell(
          R69, "arm64 is not modelled: the vGIC's registers and the PMU are not judged");
    }
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    if (call.ioctl() != Ioctl.SET_ONE_REG || call.payload().size() < Long.BYTES) {
      return;
    }
    long id = call.payload().u64(0);
    String lane = step.vcpu().name();
    if ((id & ARCHITECTURE) != ARM64 || !initialized.containsKey(lane)) {
      return;
    }
    Evidence end = finalized.get(lane);
    boolean sve = (id & COPROCESSOR) == SVE;
    boolean lengths = sve && (id & VLS) == VLS;
    if (lengths && end != null) {
      add(call, "the SVE vector lengths are set after KVM_ARM_VCPU_FINALIZE", end, findings);
    } else if (sve && !lengths && end == null) {
      add(call, "an SVE register is set before KVM_ARM_VCPU_FINALIZE", null, findings);
    } else if ((id & COPROCESSOR) == CORE
        && (id & VLS) >= FIRST_FP
        && call.failed(Errno.EINVAL)
        && end != null) {
      add(call, "an FPSIMD register is set on a vCPU with SVE", end, findings);
    }
  }

  private static void add(Call call, String message, @Nullable Evidence other, Findings findings) {
    findings.add(
        R69,
        call.as("returns " + call.result()),
        message,
        other == null ? new Evidence[0] : new Evidence[] {other});
  }
}
