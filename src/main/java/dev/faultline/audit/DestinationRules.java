package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.x86.Msr;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** R90 and R91: whether the destination can take what was saved. */
final class DestinationRules implements RuleFamily {
  private static final int PERF_FIRST = 0x186;
  private static final int PERF_LAST = 0x18d;
  private static final int FIXED_FIRST = 0x309;
  private static final int GLOBAL_LAST = 0x390;
  private static final int COUNTER_FIRST = 0xc1;
  private static final int COUNTER_LAST = 0xc8;

  static final Rule R90 =
      Rule.of(
          "R90",
          Severity.ERROR,
          Tier.T2,
          false,
          Rule.Where.x86("C27", "C36"),
          new Rule.Prose(
              "The host has every feature that the guest's CPUID and feature MSRs promise",
              """
              VMX capability MSRs, IA32_ARCH_CAPABILITIES, IA32_PERF_CAPABILITIES and the PMU's
              controls are accepted only within what host and kernel offer; CPUID bits beyond it are
              accepted, and the guest faults when it uses them.\
              """,
              "Choose a CPU model that all hosts have, or take the feature from the guest's"
                  + " configuration (for instance -cpu …,-arch-capabilities); a newer kernel may"
                  + " offer it."));
  static final Rule R91 =
      Rule.of(
          "R91",
          Severity.WARNING,
          Tier.T2,
          true,
          Rule.Where.x86(),
          new Rule.Prose(
              "Source and destination kernels agree on what is moved",
              """
              CPUID cannot change after KVM_RUN since 5.16, KVM_GET_XSAVE2 exists since 5.17, feature
              MSRs are frozen by KVM_RUN since 6.4, unknown MSRs read differently since 6.13, a
              pending VM-Enter into an invalid L2 is refused since 6.15, XFD is enforced since 6.19.
              """,
              "Audit the recording with --kernel of the destination: rules with a range of kernels"
                  + " are judged by it."));

  /** The last KVM_SET_MSRS of which it was not recorded which MSRs it names. */
  private @Nullable Step unseen;

  @Override
  public List<Rule> rules() {
    return List.of(R90, R91);
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    if (call.ioctl() == Ioctl.SET_MSRS) {
      unseen = call.unseen() ? step : null;
      refused(step, RestoreRules.refused(call), findings);
    }
    if (call.ioctl() == Ioctl.SET_CPUID2 && call.done()) {
      KvmCpuid2 table = Window.cpuidOf(call);
      KvmCpuid2 host = step.scene().supported();
      String extra = table == null || host == null ? "" : CpuidDifference.beyond(table, host);
      if (!extra.isEmpty()) {
        findings.add(
            R90,
            Severity.WARNING,
            call.as("beyond KVM_GET_SUPPORTED_CPUID"),
            "the guest's CPUID has features that this host does not offer: " + extra);
      }
    }
  }

  @Override
  public void printed(String text, Scene scene, Findings findings) {
    Step step = unseen;
    Complaint complaint = Complaint.in(text);
    if (step != null && complaint != null && complaint.ioctl() == Ioctl.SET_MSRS) {
      unseen = null;
      refused(step, complaint.msr(), findings);
    }
  }

  @Override
  public void run(Step step, Findings findings) {
    if (step.vcpu().written().isFullRestore()
        && !step.vcpu().hasRun()
        && step.scene().saved(step.vcpu().index()) == null) {
      findings.cannotTell(
          R91, "the input shows where a vCPU is restored and not where it was saved");
    }
  }

  private static void refused(Step step, int msr, Findings findings) {
    Call call = step.call();
    if (msr == -1 || !isFeature(msr) || step.vcpu().hasRun()) {
      return;
    }
    KvmNestedState nested = step.vcpu().written().nested();
    boolean inVmx = nested != null && nested.isVmx() && nested.vmxonPa() != -1;
    if (inVmx && Msr.isVmxCapability(msr)) {
      return;
    }
    if (step.vcpu().fromCreation() && step.vcpu().cpuidCall() == null) {
      return;
    }
    findings.add(
        R90,
        call.as("refused at entry " + call.ret()),
        "this host cannot take the value of " + MsrNames.of(msr));
  }

  private static boolean isFeature(int msr) {
    return Msr.isVmxCapability(msr)
        || msr == Msr.IA32_ARCH_CAPABILITIES
        || msr == Msr.IA32_PERF_CAPABILITIES
        || (msr >= PERF_FIRST && msr <= PERF_LAST)
        || (msr >= FIXED_FIRST && msr <= GLOBAL_LAST)
        || (msr >= COUNTER_FIRST && msr <= COUNTER_LAST)
        || msr == Msr.AMD64_DE_CFG;
  }
}
