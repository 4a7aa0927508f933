package dev.faultline.audit;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmSregsCommon;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** R35 to R39, R43, R46, R87 and R88: nested state among the others. */
final class NestedRestoreRules implements RuleFamily {
  private static final int EVENTS_SMM = VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM;
  private static final int GUEST_MODE = NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE;

  static final Rule R35 =
      Rule.of(
          "R35",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.on("SVM; on VMX both orders work", "all", "C53"),
          new Rule.Prose(
              "KVM_SET_SREGS comes before KVM_SET_NESTED_STATE",
              """
              On AMD the call is refused unless EFER.SVME is set by then, and takes the current
              registers for those of L2. A VMM that goes on runs L2's code as L1.
              (svm_set_nested_state)\
              """,
              "Set special registers first."));
  static final Rule R36 =
      Rule.of(
          "R36",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.on("VMX", "all", "C49", "C54"),
          new Rule.Prose(
              "In SMM KVM_SET_VCPU_EVENTS comes before KVM_SET_NESTED_STATE",
              """
              A nested state that was put aside for SMM is accepted only by a vCPU that is in SMM,
              else EINVAL; and events that switch SMM on afterwards make KVM leave nested operation.
              Outside SMM an active L2 wants the other order, or its interrupt shadow and NMI mask
              are lost. (vmx_set_nested_state, kvm_vcpu_ioctl_x86_set_vcpu_events)\
              """,
              "Choose by smi.smm of the saved events: in SMM events first, outside SMM nested state"
                  + " first."));
  static final Rule R37 =
      Rule.of(
          "R37",
          Severity.ERROR,
          Tier.T1,
          false,
          Rule.Where.on("VMX", "all", "C50"),
          new Rule.Prose(
              "VMX capability MSRs and IA32_FEATURE_CONTROL come before KVM_SET_NESTED_STATE",
              """
              In VMX operation KVM refuses to write capability MSRs (EBUSY, so KVM_SET_MSRS stops
              there); IA32_FEATURE_CONTROL = 0 leaves VMX operation. (vmx_set_vmx_msr, vmx_set_msr)\
              """,
              "Write MSRs 0x3a and 0x480 to 0x491 when the vCPU is created."));
  static final Rule R38 =
      Rule.of(
          "R38",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.on("VMX, SVM", "all", "C52"),
          new Rule.Prose(
              "Nested state is written on reset and on a full restore, not when registers are"
                  + " synced",
              """
              The call leaves nested operation and enters it again: what hardware and KVM keep only
              in vmcs02 (pending exits, timers, cached pages) is lost each time.\
              """,
              "In a write-back at run time leave KVM_SET_NESTED_STATE out."));
  static final Rule R39 =
      Rule.of(
          "R39",
          Severity.ERROR,
          Tier.T2,
          false,
          Rule.Where.on("VMX", "all", "C51"),
          new Rule.Prose(
              "A reset leaves VMX operation before special registers are set",
              """
              In VMX operation CR0 and CR4 have fixed bits: reset values are refused with EINVAL,
              and the vCPU keeps what it had. (vmx_is_valid_cr4, vmx_is_valid_cr0)\
              """,
              "On reset write an empty KVM_SET_NESTED_STATE, or IA32_FEATURE_CONTROL = 0, first."));
  static final Rule R43 =
      Rule.of(
          "R43",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.on("SVM", "before 7.2 (predicted)", "C59", "C60"),
          new Rule.Prose(
              "On AMD nothing of L2 is written around KVM_SET_NESTED_STATE that vmcb02 misses",
              """
              What KVM_SET_SREGS changed before L2 was entered is marked dirty in vmcb01 only, and
              vmcb02 may run with stale registers; IA32_PAT written while L2 is active is L1's or
              L2's depending on the kernel. (svm_set_nested_state)\
              """,
              "Use a kernel with e63fb1379f4b, or write special registers again after nested state;"
                  + " write IA32_PAT before it."));
  static final Rule R46 =
      Rule.of(
          "R46",
          Severity.ERROR,
          Tier.T1,
          false,
          Rule.Where.on("VMX, SVM", "all"),
          new Rule.Prose(
              "KVM_SET_NESTED_STATE is given a state that passes its checks",
              """
              Header, addresses, SMM flags, sizes, the revision of each VMCS, and controls, host and
              guest state of vmcs12 are checked in this order; after the header's checks a refusal
              leaves the old nested state destroyed. (vmx_set_nested_state)\
              """,
              "The finding names the check. Restore what KVM_GET_NESTED_STATE returned,"
                  + " unchanged."));
  static final Rule R87 =
      Rule.of(
          "R87",
          Severity.ERROR,
          Tier.T2,
          true,
          Rule.Where.on("VMX, SVM", "5.17 and later, stable fixes of 5.10 and 5.15", "C54"),
          new Rule.Prose(
              "Events do not switch SMM while nested state is live",
              """
              KVM_SET_VCPU_EVENTS with another smi.smm makes KVM leave nested operation and return
              success: VMXON and a running L2 are gone. (kvm_leave_nested)\
              """,
              "Set smi.smm before nested state."));
  static final Rule R88 =
      Rule.of(
          "R88",
          Severity.ERROR,
          Tier.T2,
          true,
          Rule.Where.on("SVM", "all", "C64"),
          new Rule.Prose(
              "EFER.SVME stays set while L2 is active",
              """
              Clearing it makes KVM leave L2 without an exit: L2's code goes on as L1. Since 2026 a
              guest that does this itself gets a triple fault. (svm_set_efer)\
              """,
              "Leave L2 by KVM_SET_NESTED_STATE before EFER.SVME is cleared."));

  @Override
  public List<Rule> rules() {
    return List.of(R35, R36, R37, R38, R39, R43, R46, R87, R88);
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    switch (step.call().ioctl()) {
      case SET_NESTED_STATE -> nested(step, findings);
      case SET_VCPU_EVENTS -> events(step, findings);
      case SET_SREGS, SET_SREGS2 -> sregs(step, findings);
      case SET_MSRS -> msrs(step, findings);
      default -> {}
    }
  }

  /** A state that says that there is none. */
  private static boolean isEmpty(KvmNestedState state) {
    return state.isVmx()
        ? state.vmxonPa() == -1 && state.smmFlags() == 0
        : (state.flags() & GUEST_MODE) == 0;
  }

  private static void nested(Step step, Findings findings) {
    Call call = step.call();
    KvmNestedState state = Window.nestedOf(call);
    if (call.done()) {
      runtimeSync(step);
      return;
    }
    if (svmNeedsSregs(step, state)) {
      return;
    }
    if (state == null) {
      if (call.unseen()) {
        findings.cannotTell(R46, "the nested state was not recorded");
      }
      return;
    }
    if (call.failed(Errno.EINVAL)) {
      String check =
          step.predicted() instanceof Outcome.Refused r
              ? r.check().id() + ": " + r.check().rule()
              : "the model cannot tell which check";
      findings.add(
          R46,
          call.as("refused: " + call.result()),
          "KVM_SET_NESTED_STATE is refused (" + check + ")");
    }
  }

  /** A refusal that the order explains is told when the special registers come. */
  private static boolean svmNeedsSregs(Step step, @Nullable KvmNestedState state) {
    return (state == null || !state.isVmx()) && !step.vcpu().written().has(Ioctl.SET_SREGS);
  }

  private static void runtimeSync(Step step) {
    VcpuTrack vcpu = step.vcpu();
    Window written = vcpu.written();
    KvmNestedState state = Window.nestedOf(step.call());
    Call run = vcpu.lastRun();
    boolean whole =
        written.has(Ioctl.SET_MP_STATE)
            || written.has(Ioctl.SET_LAPIC)
            || written.has(Ioctl.SET_CPUID2)
            || written.isReset();
    boolean sync =
        written.has(Ioctl.SET_REGS) || written.has(Ioctl.SET_SREGS) || written.has(Ioctl.SET_MSRS);
    if (run == null || whole || !sync || (state != null && isEmpty(state))) {
      return;
    }
    vcpu.suspectSync(step.call());
  }

  private static void events(Step step, Findings findings) {
    Call call = step.call();
    KvmVcpuEvents events = Window.eventsOf(call);
    Window written = step.vcpu().written();
    Call nested = written.last(Ioctl.SET_NESTED_STATE);
    Call failed = written.failed(Ioctl.SET_NESTED_STATE);
    KvmNestedState state = Window.nestedOf(nested);
    boolean toggles = false;
    Vcpu before = step.before();
    if (events != null
        && before != null
        && call.done()
        && (events.flags() & EVENTS_SMM) != 0
        && before.inSmm().isKnown()
        && before.inSmm().isYes() != (events.smiSmm() != 0)) {
      Answer live =
          before.kernel().isSvm() ? before.inGuestMode() : before.nested().mode().vmxonAnywhere();
      toggles = live.isYes();
    }
    if (toggles && events != null) {
      findings.add(
          R87,
          call.as("smi.smm " + events.smiSmm()),
          "KVM_SET_VCPU_EVENTS switches SMM while nested state is live: KVM leaves nested"
              + " operation, silently",
          evidence(nested, "restored"));
    }
    boolean first = !written.has(Ioctl.SET_VCPU_EVENTS);
    if (failed != null && failed.failed(Errno.EINVAL) && nested == null && first) {
      KvmNestedState refused = Window.nestedOf(failed);
      if (refused == null) {
        findings.add(
            R36,
            failed.as("refused: EINVAL"),
            "KVM_SET_NESTED_STATE comes before KVM_SET_VCPU_EVENTS and is refused",
            call.as("may put the vCPU into SMM"));
      } else if (refused.smmFlags() != 0 && events != null && events.smiSmm() != 0) {
        findings.add(
            R36,
            failed.as("smm.flags " + refused.smmFlags() + ", refused"),
            "nested state that was put aside for SMM comes before the events that put the vCPU into"
                + " SMM",
            call.as("smi.smm 1"));
      }
    } else if (nested != null && first && (state == null || !isEmpty(state))) {
      boolean smm = toggles || (state != null && state.smmFlags() != 0);
      boolean latent = state != null && (events == null || (events.flags() & EVENTS_SMM) != 0);
      if (smm || latent || state == null) {
        findings.add(
            R36,
            smm ? Severity.ERROR : state == null ? Severity.WARNING : Severity.INFORMATION,
            call.as(smm ? "switches SMM" : "after nested state"),
            smm
                ? "KVM_SET_VCPU_EVENTS switches SMM after KVM_SET_NESTED_STATE"
                : "KVM_SET_NESTED_STATE comes before KVM_SET_VCPU_EVENTS: right outside SMM,"
                    + " refused for a vCPU that was saved in SMM",
            nested.as("nested state"));
      }
    }
  }

  private static Evidence[] evidence(@Nullable Call call, String note) {
    return call == null ? new Evidence[0] : new Evidence[] {call.as(note)};
  }

  private static void sregs(Step step, Findings findings) {
    Call call = step.call();
    KvmSregsCommon sregs =
        call.command() instanceof VcpuCommand.SetSregs s
            ? s.sregs()
            : call.command() instanceof VcpuCommand.SetSregs2 s ? s.sregs() : null;
    Window written = step.vcpu().written();
    Call nested = written.last(Ioctl.SET_NESTED_STATE);
    Call failed = written.failed(Ioctl.SET_NESTED_STATE);
    Call early = nested != null ? nested : failed;
    if (early != null && !written.has(Ioctl.SET_SREGS)) {
      sregsAfterNested(step, early, findings);
    }
    Vcpu before = step.before();
    if (before == null || sregs == null) {
      return;
    }
    Answer vmxon = before.nested().mode().vmxon();
    if (call.failed(Errno.EINVAL) && !vmxon.isNo() && (sregs.cr4() & Cr4.VMXE) == 0) {
      findings.add(
          R39,
          vmxon.isYes() ? Severity.ERROR : Severity.WARNING,
          call.as("CR4 without VMXE, refused: EINVAL"),
          "special registers without CR4.VMXE are refused: the vCPU is"
              + (vmxon.isYes() ? "" : ", for all that is known,")
              + " still in VMX operation",
          evidence(step.vcpu().lastRun(), "the guest ran"));
    }
    if (before.kernel().isSvm()
        && before.inGuestMode().isYes()
        && call.done()
        && (sregs.efer() & Efer.SVME) == 0) {
      findings.add(
          R88,
          call.as("EFER without SVME"),
          "EFER.SVME is cleared while L2 is active: L2's code goes on as L1");
    }
  }

  private static void sregsAfterNested(Step step, Call early, Findings findings) {
    KvmNestedState state = Window.nestedOf(early);
    if (state != null && early.done() && isEmpty(state)) {
      return;
    }
    boolean vmx = state != null ? state.isVmx() : step.scene().kernel().isVmx();
    if (vmx) {
      return;
    }
    findings.add(
        R35,
        early.as("returns " + early.result()),
        "KVM_SET_NESTED_STATE comes before KVM_SET_SREGS, which holds EFER.SVME",
        step.call().as("special registers"));
  }

  private static void msrs(Step step, Findings findings) {
    Call call = step.call();
    if (!(call.command() instanceof VcpuCommand.SetMsrs set)) {
      return;
    }
    Window written = step.vcpu().written();
    Call nested = written.last(Ioctl.SET_NESTED_STATE);
    KvmNestedState state = Window.nestedOf(nested);
    boolean vmxon = state != null && state.isVmx() && state.vmxonPa() != -1;
    for (int i = 0; i < set.msrs().held(); i++) {
      int index = set.msrs().index(i);
      if (vmxon && state != null && nested != null && Msr.isVmxCapability(index)) {
        findings.add(
            R37,
            call.as("returns " + call.result() + " of " + set.msrs().held()),
            MsrNames.of(index) + " is written after KVM_SET_NESTED_STATE with VMXON: EBUSY",
            nested.as("vmxon_pa 0x" + Long.toHexString(state.vmxonPa())));
        return;
      }
      boolean control = index == Msr.IA32_FEATURE_CONTROL;
      if (vmxon && state != null && nested != null && control && written.msr(index) == null) {
        boolean off = set.msrs().data(i) == 0;
        findings.add(
            R37,
            off ? Severity.ERROR : Severity.WARNING,
            call.as("IA32_FEATURE_CONTROL = 0x" + Long.toHexString(set.msrs().data(i))),
            "IA32_FEATURE_CONTROL is written after KVM_SET_NESTED_STATE with VMXON"
                + (off ? ": KVM leaves VMX operation" : ""),
            nested.as("vmxon_pa 0x" + Long.toHexString(state.vmxonPa())));
      }
      amd(step, set, i, nested, findings);
    }
  }

  private static void amd(
      Step step, VcpuCommand.SetMsrs set, int i, @Nullable Call nested, Findings findings) {
    KvmNestedState state = Window.nestedOf(nested);
    int index = set.msrs().index(i);
    if (nested != null
        && state != null
        && !state.isVmx()
        && (state.flags() & GUEST_MODE) != 0
        && index == Msr.IA32_PAT) {
      findings.add(
          R43,
          step.call().as("IA32_PAT"),
          "IA32_PAT is written while L2 is active: L1's or L2's, depending on the kernel",
          nested.as("enters L2"));
    }
    Vcpu before = step.before();
    if (before != null
        && before.kernel().isSvm()
        && before.inGuestMode().isYes()
        && index == Msr.IA32_EFER
        && i < step.call().ret()
        && (set.msrs().data(i) & Efer.SVME) == 0) {
      findings.add(
          R88,
          step.call().as("EFER without SVME"),
          "EFER.SVME is cleared while L2 is active: L2's code goes on as L1");
    }
  }

  @Override
  public void windowEnd(VcpuTrack vcpu, Scene scene, Findings findings) {
    Window written = vcpu.written();
    runtimeSyncEnd(vcpu, written, findings);
    withoutEvents(written, findings);
    Call nested = written.last(Ioctl.SET_NESTED_STATE);
    Call sregs = written.last(Ioctl.SET_SREGS);
    KvmNestedState state = Window.nestedOf(nested);
    if (nested != null
        && sregs != null
        && state != null
        && !state.isVmx()
        && (state.flags() & GUEST_MODE) != 0
        && sregs.moment() < nested.moment()
        && !scene.since(KernelVersion.V7_2)) {
      findings.add(
          R43,
          nested.as("enters L2"),
          "KVM_SET_SREGS before KVM_SET_NESTED_STATE leaves vmcb02 partly stale on this kernel",
          sregs.as("special registers"));
    }
  }

  /** Nested state of SMM was refused, and no events came to put the vCPU into SMM. */
  private static void withoutEvents(Window written, Findings findings) {
    Call failed = written.failed(Ioctl.SET_NESTED_STATE);
    KvmNestedState state = Window.nestedOf(failed);
    if (failed != null
        && state != null
        && state.isVmx()
        && state.smmFlags() != 0
        && state.vmxonPa() != -1
        && failed.failed(Errno.EINVAL)
        && !written.has(Ioctl.SET_VCPU_EVENTS)
        && !written.has(Ioctl.SET_NESTED_STATE)) {
      findings.add(
          R36,
          failed.as("smm.flags " + state.smmFlags() + ", refused: " + failed.result()),
          "nested state that was put aside for SMM is refused: nothing put the vCPU into SMM");
    }
  }

  private static void runtimeSyncEnd(VcpuTrack vcpu, Window written, Findings findings) {
    Call call = vcpu.suspectedSync();
    Call run = vcpu.lastRun();
    boolean whole =
        written.has(Ioctl.SET_MP_STATE)
            || written.has(Ioctl.SET_LAPIC)
            || written.has(Ioctl.SET_CPUID2)
            || written.msr(Msr.IA32_TSC) != null
            || written.isReset();
    if (call == null || run == null || whole) {
      return;
    }
    findings.add(
        R38,
        call.as("written back"),
        "nested state is written back with the registers of a running vCPU",
        run.as("the vCPU ran before"));
  }
}
