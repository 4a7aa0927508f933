package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** R14, R15, R45 and R92: whether everything was saved, and restored. */
final class CompletenessRules implements RuleFamily {
  private static final int HEADER_ONLY = 128;
  private static final int FEW_MSRS = 3;
  private static final int MANY_MSRS = 20;

  static final Rule R14 =
      Rule.of(
          "R14",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C13", "C37", "C71"),
          new Rule.Prose(
              "Every group of state that is saved is restored, and none is left out",
              """
              A vCPU is its general and special registers, MSRs, extended state with XCR0, debug
              registers, local APIC, pending events and multiprocessing state. A group that is not
              written back has its reset value on the destination: a pending exception or an NMI
              mask is gone, hardware breakpoints are off.\
              """,
              "Write back each group that was read, and read each group."));
  static final Rule R15 =
      Rule.of(
          "R15",
          Severity.ERROR,
          Tier.T1,
          true,
          Rule.Where.x86("C22", "C23", "C24"),
          new Rule.Prose(
              "The MSRs that the guest's features need are all restored",
              """
              Which MSRs hold state follows from CPUID: IA32_XSS with XSAVES, IA32_XFD, MTRRs,
              SynIC and its timers, KVM's paravirtual MSRs. KVM_GET_MSR_INDEX_LIST does not name all
              of them: MTRRs are missing from it. One that is left out is 0 after the restore.\
              """,
              "Save the MSRs of KVM_GET_MSR_INDEX_LIST, and those that CPUID implies."));
  static final Rule R45 =
      Rule.of(
          "R45",
          Severity.ERROR,
          Tier.T1,
          true,
          Rule.Where.on("VMX", "all", "C56"),
          new Rule.Prose(
              "Nested state that is a header alone is restored, too",
              """
              After VMXON and before the first VMPTRLD KVM_GET_NESTED_STATE returns the 128 bytes of
              the header with the VMXON region's address. Taken for "no nested state" and left out,
              L1 is out of VMX operation after the restore and its next VMX instruction faults.\
              """,
              "Keep what KVM_GET_NESTED_STATE returned whatever its size."));
  static final Rule R92 =
      Rule.of(
          "R92",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.on("VMX, SVM", "4.20 and later", "C57", "C58"),
          new Rule.Prose(
              "A guest that has VMX or SVM is saved with its nested state",
              """
              Whether the guest is in VMX operation, its current VMCS and a running L2 are only in
              KVM_GET_NESTED_STATE. Without it L2's registers are restored into L1.\
              """,
              "Save and restore nested state, or do not offer VMX and SVM in CPUID."));

  @Override
  public List<Rule> rules() {
    return List.of(R14, R15, R45, R92);
  }

  @Override
  public void run(Step step, Findings findings) {
    Window written = step.vcpu().written();
    if (!written.isRestore() || step.vcpu().hasRun()) {
      return;
    }
    Scene.Saved saved = source(step);
    counterparts(step, saved, findings);
    if (written.isFullRestore()) {
      groups(step, saved, findings);
    }
    msrs(step, saved, findings);
    nested(step, saved, findings);
  }

  /** The save of the corresponding vCPU of another VM, if it is complete. */
  private static Scene.@Nullable Saved source(Step step) {
    Scene.Saved saved = step.scene().saved(step.vcpu().index());
    return saved == null || saved.vcpu().vm().equals(step.vm()) ? null : saved;
  }

  private record Pair(Ioctl get, Ioctl set) {}

  private static final List<Pair> PAIRS =
      List.of(
          new Pair(Ioctl.GET_REGS, Ioctl.SET_REGS),
          new Pair(Ioctl.GET_SREGS, Ioctl.SET_SREGS),
          new Pair(Ioctl.GET_MSRS, Ioctl.SET_MSRS),
          new Pair(Ioctl.GET_XSAVE, Ioctl.SET_XSAVE),
          new Pair(Ioctl.GET_XCRS, Ioctl.SET_XCRS),
          new Pair(Ioctl.GET_DEBUGREGS, Ioctl.SET_DEBUGREGS),
          new Pair(Ioctl.GET_LAPIC, Ioctl.SET_LAPIC),
          new Pair(Ioctl.GET_MP_STATE, Ioctl.SET_MP_STATE),
          new Pair(Ioctl.GET_VCPU_EVENTS, Ioctl.SET_VCPU_EVENTS));

  private static void counterparts(Step step, Scene.@Nullable Saved saved, Findings findings) {
    if (saved == null) {
      return;
    }
    Window written = step.vcpu().written();
    for (Pair pair : PAIRS) {
      Call read = saved.reads().last(pair.get());
      boolean restored =
          written.has(pair.set())
              || written.failed(pair.set()) != null
              || (pair.set() == Ioctl.SET_XSAVE && written.has(Ioctl.SET_FPU));
      if (read != null && !restored) {
        findings.add(
            R14,
            step.call().as("the restored vCPU runs"),
            read.name() + " was read of " + saved.vcpu().name() + " and never written back",
            read.as("saved"));
      }
    }
  }

  private static void groups(Step step, Scene.@Nullable Saved saved, Findings findings) {
    Window written = step.vcpu().written();
    Call last = written.lastCall();
    List<String> missing = new ArrayList<>();
    List<String> lesser = new ArrayList<>();
    Window reads = saved == null ? new Window() : saved.reads();
    if (!written.has(Ioctl.SET_VCPU_EVENTS)
        && written.failed(Ioctl.SET_VCPU_EVENTS) == null
        && !reads.has(Ioctl.GET_VCPU_EVENTS)) {
      missing.add("KVM_SET_VCPU_EVENTS");
    }
    if (!written.has(Ioctl.SET_DEBUGREGS) && !reads.has(Ioctl.GET_DEBUGREGS)) {
      lesser.add("KVM_SET_DEBUGREGS");
    }
    if (!missing.isEmpty() && last != null) {
      findings.add(
          R14,
          step.call().as("the restored vCPU runs"),
          "a whole vCPU is restored without " + String.join(", ", missing),
          last.as("the last that was written"));
    }
    if (!lesser.isEmpty() && last != null) {
      findings.add(
          R14,
          Severity.WARNING,
          step.call().as("the restored vCPU runs"),
          "a whole vCPU is restored without "
              + String.join(", ", lesser)
              + ": the guest's breakpoints are lost",
          last.as("the last that was written"));
    }
  }

  private static void msrs(Step step, Scene.@Nullable Saved saved, Findings findings) {
    Window written = step.vcpu().written();
    KvmCpuid2 table = step.vcpu().cpuid();
    Call at = written.last(Ioctl.SET_MSRS);
    if (at == null) {
      return;
    }
    if (written.msrsUnseen() || table == null) {
      if (written.msrsUnseen()) {
        findings.cannotTell(R15, "which MSRs were written was not recorded");
      }
      return;
    }
    if (written.msrs().size() < FEW_MSRS) {
      return;
    }
    List<String> lost = new ArrayList<>();
    for (Implied implied : IMPLIED) {
      boolean exists =
          step.scene().msrIndexes() == null || step.scene().msrIndexes().contains(implied.msr());
      if (exists && implied.feature().in(table) && !has(written, implied.msr())) {
        lost.add(MsrNames.of(implied.msr()));
      }
    }
    if (!lost.isEmpty()) {
      findings.add(
          R15,
          at.as(written.msrs().size() + " MSRs"),
          "the guest's CPUID has features whose MSRs are not restored: " + String.join(", ", lost),
          step.call().as("the restored vCPU runs"));
    }
    if (CpuidBits.MTRR.in(table) && written.msr(Msr.IA32_MTRR_DEF_TYPE) == null) {
      MsrWrite booted = saved == null ? null : saved.vcpu().written().msr(Msr.IA32_MTRR_DEF_TYPE);
      findings.add(
          R15,
          booted != null && booted.value() != 0
              ? Severity.ERROR
              : written.msrs().size() < MANY_MSRS ? Severity.INFORMATION : Severity.WARNING,
          at.as(written.msrs().size() + " MSRs"),
          "the guest has MTRRs and they are not restored",
          step.call().as("the restored vCPU runs"));
    }
  }

  /** KVM's system time has two numbers and one value. */
  private static boolean has(Window written, int msr) {
    return written.msr(msr) != null
        || (msr == Msr.KVM_SYSTEM_TIME_NEW && written.msr(Msr.KVM_SYSTEM_TIME) != null);
  }

  private record Implied(CpuidBits feature, int msr) {}

  private static final List<Implied> IMPLIED =
      List.of(
          new Implied(CpuidBits.XSAVES, Msr.IA32_XSS),
          new Implied(CpuidBits.XFD, MsrNames.XFD),
          new Implied(CpuidBits.HV_SYNIC, MsrNames.HV_SCONTROL),
          new Implied(CpuidBits.HV_STIMER, MsrNames.HV_STIMER0_CONFIG),
          new Implied(CpuidBits.KVM_CLOCK, Msr.KVM_SYSTEM_TIME_NEW),
          new Implied(CpuidBits.KVM_ASYNC_PF, Msr.KVM_ASYNC_PF_EN),
          new Implied(CpuidBits.KVM_STEAL_TIME, Msr.KVM_STEAL_TIME),
          new Implied(CpuidBits.KVM_PV_EOI, Msr.KVM_PV_EOI_EN));

  private static void nested(Step step, Scene.@Nullable Saved saved, Findings findings) {
    Window written = step.vcpu().written();
    if (written.has(Ioctl.SET_NESTED_STATE) || written.failed(Ioctl.SET_NESTED_STATE) != null) {
      return;
    }
    var state = saved == null ? null : saved.reads().nestedRead();
    Call read = saved == null ? null : saved.reads().last(Ioctl.GET_NESTED_STATE);
    if (saved != null && state != null && read != null) {
      if (state.isVmx() && state.vmxonPa() != -1 && state.sizeField() <= HEADER_ONLY) {
        findings.add(
            R45,
            step.call().as("the restored vCPU runs outside VMX operation"),
            "the vCPU was saved in VMX operation without a current VMCS, and its nested state is"
                + " not restored",
            read.as("vmxon_pa 0x" + Long.toHexString(state.vmxonPa()) + ", 128 bytes"));
      } else if (!state.isVmx() || state.vmxonPa() != -1) {
        findings.add(
            R14,
            step.call().as("the restored vCPU runs"),
            "KVM_GET_NESTED_STATE was read of " + saved.vcpu().name() + " and never written back",
            read.as("saved"));
      }
      return;
    }
    exposed(step.vcpu(), written, step.call(), "restored", findings);
  }

  private static void exposed(
      VcpuTrack vcpu, Window window, Call at, String what, Findings findings) {
    KvmCpuid2 table = vcpu.cpuid();
    if (table == null) {
      if (vcpu.cpuidCall() != null) {
        findings.cannotTell(R92, "the guest's CPUID was not recorded");
      }
      return;
    }
    boolean nesting = CpuidBits.VMX.in(table) || CpuidBits.SVM.in(table);
    Call cpuid = vcpu.cpuidCall();
    if (nesting && cpuid != null && (window.isFullRestore() || window.isSave())) {
      findings.add(
          R92,
          at.as(what),
          "the guest has "
              + (CpuidBits.VMX.in(table) ? "VMX" : "SVM")
              + " and is "
              + what
              + " without its nested state",
          cpuid.as("exposes it"));
    }
  }

  @Override
  public void windowEnd(VcpuTrack vcpu, Scene scene, Findings findings) {
    Window read = vcpu.read();
    Call last = read.last(Ioctl.GET_SREGS);
    if (!read.isSave() || last == null || read.has(Ioctl.GET_NESTED_STATE)) {
      return;
    }
    if (read.failed(Ioctl.GET_NESTED_STATE) == null) {
      exposed(vcpu, read, last, "saved", findings);
    }
  }
}
