package dev.faultline.audit;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.SuspendedNested;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Validity;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Rflags;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** R80 to R86: whether the vCPU can enter the guest. */
final class EntryRules implements RuleFamily {
  private static final long INVALID_STATE = 0x8000_0021L;

  static final Rule R80 =
      Rule.of(
          "R80",
          Severity.ERROR,
          Tier.T2,
          false,
          Rule.Where.on("VMX", "5.16 and later; before, KVM emulates L2", "C61"),
          new Rule.Prose(
              "An active L2 has a state that hardware can run when KVM_RUN is called",
              """
              KVM accepts an invalid L2 state from userspace, since a later ioctl may heal it, and
              judges at VM-Enter: L1 sees a VM-exit with reason TRIPLE_FAULT and L2 is lost.
              (cd0e615c49e5; __vmx_handle_exit)\
              """,
              "Restore segments, RFLAGS and control registers of one moment; the finding names the"
                  + " check, the field and who wrote it."));
  static final Rule R81 =
      Rule.of(
          "R81",
          Severity.ERROR,
          Tier.T2,
          false,
          Rule.Where.on("VMX", "a dead VM before 6.12 or 7.3, KVM_EXIT_SHUTDOWN after", "C62"),
          new Rule.Prose(
              "RSM finds a state of L2, and a vmcs12, that hardware can run",
              """
              RSM enters L2 without the checks of VMLAUNCH. What SMRAM or the cached vmcs12 holds by
              then decides: EIO and a dead VM, or KVM_EXIT_SHUTDOWN. vmcs12 was put aside by the SMI;
              one that userspace restores in SMM is checked only since 7.0.\
              """,
              "Restore nested state in SMM exactly as it was read; keep SMM handlers from changing"
                  + " what they did not save."));
  static final Rule R82 =
      Rule.of(
          "R82",
          Severity.ERROR,
          Tier.T2,
          false,
          Rule.Where.on("VMX", "6.15 and later refuse it; before, the VM is dead", "C63"),
          new Rule.Prose(
              "L2 is valid while its VM-Enter is pending",
              """
              With KVM_STATE_NESTED_RUN_PENDING the VM-Enter is half done and cannot become a
              VM-exit: KVM_RUN ends in KVM_EXIT_INTERNAL_ERROR (6.15), or EIO and a dead VM.
              (vmx_unhandleable_emulation_required)\
              """,
              "Do not change L2's registers after restoring a pending VM-Enter."));
  static final Rule R83 =
      Rule.of(
          "R83",
          Severity.ERROR,
          Tier.T2,
          false,
          Rule.Where.on("VMX", "5.17 and later"),
          new Rule.Prose(
              "A guest that must be emulated has no exception pending",
              """
              KVM cannot inject while it emulates: KVM_RUN returns KVM_EXIT_INTERNAL_ERROR with the
              emulation suberror, the state is unchanged. (vmx_vcpu_pre_run)\
              """,
              "Heal the state, or clear the exception, before KVM_RUN."));
  static final Rule R84 =
      Rule.of(
          "R84",
          Severity.ERROR,
          Tier.T2,
          false,
          Rule.Where.on("VMX", "all", "C33", "C44", "C74", "C75"),
          new Rule.Prose(
              "What is to be injected fits RFLAGS.IF and the interrupt shadow",
              """
              Hardware refuses VM-Enter with an external interrupt to inject while RFLAGS.IF is 0 or
              STI or MOV SS blocks: KVM_EXIT_FAIL_ENTRY with reason 0x80000021. (Intel SDM vol. 3C,
              "Checks on Guest RIP, RFLAGS, and SSP" and "VM-Entry Controls")\
              """,
              "Restore registers and events of the same moment."));
  static final Rule R85 =
      Rule.of(
          "R85",
          Severity.ERROR,
          Tier.T1,
          false,
          Rule.Where.on("x86", "CR0 since 6.5 and 6.1.y, EFER since 7.0", "C40", "C41"),
          new Rule.Prose(
              "CR0, CR4, EFER and CS.L fit together and fit the guest's CPUID",
              """
              KVM_SET_SREGS refuses long mode without PAE or LMA, LMA or CS.L outside long mode,
              reserved bits of CR4 and the APIC's base, and CR3 beyond the address width; newer
              kernels check more. (kvm_is_valid_sregs)\
              """,
              "The finding names the check. EFER.LMA is set when LME and CR0.PG are."));
  static final Rule R86 =
      Rule.of(
          "R86",
          Severity.ERROR,
          Tier.T2,
          true,
          Rule.Where.on("x86", "before 6.2", "C45", "C46"),
          new Rule.Prose(
              "No SMI is taken in an interrupt shadow on a kernel that forgets the shadow",
              """
              Before 6.2 SMI entry does not save that STI or MOV SS blocks, so that after RSM an
              interrupt arrives one instruction early: between STI and HLT the guest sleeps on.\
              """,
              "Use 6.2 or later, or hold the SMI back while interrupt.shadow is set."));

  @Override
  public List<Rule> rules() {
    return List.of(R80, R81, R82, R83, R84, R85, R86);
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    switch (call.ioctl()) {
      case SET_SREGS, SET_SREGS2 -> sregs(step, findings);
      case SET_NESTED_STATE -> restoredInSmm(step, findings);
      default -> {}
    }
  }

  private static void sregs(Step step, Findings findings) {
    Call call = step.call();
    if (!call.failed(Errno.EINVAL)) {
      return;
    }
    Vcpu before = step.before();
    var sregs =
        call.command() instanceof VcpuCommand.SetSregs s
            ? s.sregs()
            : call.command() instanceof VcpuCommand.SetSregs2 s ? s.sregs() : null;
    boolean reset =
        sregs != null
            && before != null
            && !before.nested().mode().vmxon().isNo()
            && (sregs.cr4() & Cr4.VMXE) == 0;
    boolean noCpuid = step.vcpu().fromCreation() && step.vcpu().cpuidCall() == null;
    if (reset || noCpuid) {
      return;
    }
    Check check = step.predicted() instanceof Outcome.Refused r ? r.check() : null;
    findings.add(
        R85,
        call.as("refused: EINVAL"),
        call.name()
            + " is refused: "
            + (check == null
                ? "the input does not show enough to tell why"
                : check.rule() + " (" + check.id() + ")"));
  }

  /** A vmcs12 that is put aside is checked only when RSM enters it. */
  private static void restoredInSmm(Step step, Findings findings) {
    KvmNestedState state = Window.nestedOf(step.call());
    Vcpu before = step.before();
    if (state == null
        || before == null
        || !step.call().done()
        || !state.isVmx()
        || (state.smmFlags() & NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE) == 0) {
      return;
    }
    Check failed = SuspendedNested.failure(before, state);
    if (failed != null) {
      findings.add(
          R81,
          step.call().as("accepted in SMM"),
          "the nested state that was put aside for SMM has a vmcs12 that no VM-Enter accepts: "
              + failed.rule()
              + " ("
              + failed.id()
              + ")");
    }
  }

  @Override
  public void run(Step step, Findings findings) {
    Vcpu before = step.before();
    if (before == null) {
      return;
    }
    invalidEntry(step, before, findings);
    rsm(step, before, findings);
    injection(step, before, findings);
    shadow(step, before, findings);
  }

  private static void invalidEntry(Step step, Vcpu before, Findings findings) {
    Call call = step.call();
    boolean interrupted = call.failed(Errno.EINTR) && step.events().size() <= 1;
    Vcpu.Emulation emulation = before.registers().emulation();
    TimelineEvent.TripleFaultSynthesized fault = null;
    for (TimelineEvent event : step.events()) {
      if (event instanceof TimelineEvent.TripleFaultSynthesized t
          && t.cause() == FaultCause.INVALID_GUEST_STATE) {
        fault = t;
      }
    }
    if (interrupted || !(fault != null || emulation.required().isYes())) {
      return;
    }
    GuestStateCheck failed = fault != null ? fault.failed() : emulation.failed();
    boolean rejected =
        step.predicted() instanceof Outcome.Exits e && e.exit() == KvmExit.KVM_EXIT_INTERNAL_ERROR;
    boolean l2 = before.inGuestMode().isYes();
    Evidence at = call.as(ending(call));
    List<Evidence> others = blame(step, before, failed);
    String what = failed == null ? "" : " (" + failed.id() + ")";
    if (l2 && before.nested().mode().runPending().isYes()) {
      findings.add(
          R82,
          Severity.ERROR,
          at,
          "KVM_RUN with a pending VM-Enter into an invalid L2" + what,
          others);
    } else if (rejected && hasException(before)) {
      findings.add(
          R83,
          Severity.ERROR,
          at,
          "KVM_RUN with an exception pending and a state that needs emulation" + what,
          others);
    } else if (l2 && (fault != null || emulates(before))) {
      findings.add(
          R80,
          Severity.ERROR,
          at,
          emulates(before)
              ? "KVM_RUN with an invalid L2: this kernel emulates it, later ones give L1 a"
                  + " TRIPLE_FAULT"
                  + what
              : "KVM_RUN with an invalid L2: L1 gets a TRIPLE_FAULT and L2 is lost" + what,
          others);
    }
  }

  private static boolean emulates(Vcpu v) {
    return v.kernel().version().invalidL2() == KernelVersion.InvalidL2.EMULATE;
  }

  private static boolean hasException(Vcpu v) {
    Tracked events = v.events();
    for (String name : List.of("exception.pending", "exception.injected", "triple_fault.pending")) {
      int field = events.layout().indexOf(name);
      if (events.knows(field) && events.value(field) != 0) {
        return true;
      }
    }
    return false;
  }

  private static List<Evidence> blame(Step step, Vcpu before, @Nullable GuestStateCheck failed) {
    List<Evidence> found = new ArrayList<>();
    String field = failed == null ? null : Validity.blamedField(failed);
    int writer = -1;
    if (field != null) {
      Tracked sregs = before.registers().sregs();
      int index = sregs.layout().indexOf(field);
      writer = index < 0 ? -1 : sregs.writer(index);
    }
    for (Ioctl ioctl :
        List.of(Ioctl.SET_SREGS, Ioctl.SET_REGS, Ioctl.SET_NESTED_STATE, Ioctl.SET_VCPU_EVENTS)) {
      Call call = step.vcpu().written().last(ioctl);
      boolean wrote = call != null && (writer < 0 || writer == call.moment());
      if (call != null && wrote) {
        found.add(call.as(field == null ? "wrote the state" : "wrote " + field));
        if (writer >= 0) {
          break;
        }
      }
    }
    return found;
  }

  private static String ending(Call call) {
    return call.exit() != null ? "returns " + call.exit().name() : "returns " + call.result();
  }

  private static void rsm(Step step, Vcpu before, Findings findings) {
    Call call = step.call();
    boolean left = step.events().stream().anyMatch(TimelineEvent.SmmLeft.class::isInstance);
    boolean entered = step.events().stream().anyMatch(TimelineEvent.SmmEntered.class::isInstance);
    boolean died = call.failed(Errno.EIO) || call.exit() == KvmExit.KVM_EXIT_SHUTDOWN;
    Answer aside = before.nested().mode().smmGuestMode();
    boolean suspended =
        (before.inSmm().isYes() && aside.isYes())
            || (entered && before.inGuestMode().isYes())
            || (before.inSmm().isYes() && !aside.isNo() && left);
    if (died && suspended && (left || before.inSmm().isYes() || entered)) {
      findings.add(
          R81,
          call.as(ending(call)),
          "RSM to L2 finds a state that hardware cannot run: "
              + (call.failed(Errno.EIO) ? "EIO, the VM is dead" : "KVM_EXIT_SHUTDOWN"));
    }
  }

  private static void injection(Step step, Vcpu before, Findings findings) {
    Call call = step.call();
    boolean failEntry = call.exit() == KvmExit.KVM_EXIT_FAIL_ENTRY;
    boolean byState =
        failEntry
            && step.fact().run() != null
            && (!step.fact().run().result().showsPage()
                || (step.fact().run().result().run().failEntryReason() & 0xffff_ffffL)
                    == INVALID_STATE);
    String why = blocked(step, before);
    boolean first = before.registers().emulation().required().isYes();
    if (why != null && !first && !before.kernel().isSvm()) {
      findings.add(
          R84,
          call.as(ending(call)),
          "an interrupt is to be injected " + why + ": VM-Enter fails with 0x80000021",
          evidence(step.vcpu().written().last(Ioctl.SET_VCPU_EVENTS), "interrupt.injected"));
      return;
    }
    if (byState && before.registers().emulation().required().isNo()) {
      findings.add(
          R84,
          Severity.INFORMATION,
          call.as(ending(call)),
          "VM-Enter fails with 0x80000021 although every check passes on what is known of the"
              + " state: look at the host's kernel and hardware",
          evidence(step.vcpu().written().last(Ioctl.SET_SREGS), "valid"));
    } else if (byState && before.registers().emulation().required().isYes()) {
      GuestStateCheck failed = before.registers().emulation().failed();
      findings.add(
          R84,
          call.as(ending(call)),
          "VM-Enter fails with 0x80000021: the guest's state is invalid"
              + (failed == null ? "" : " (" + failed.id() + ": " + failed.rule() + ")"),
          evidence(step.vcpu().written().last(Ioctl.SET_SREGS), "the state"));
    }
  }

  /** Why the interrupt that userspace restored cannot be injected; null if it can. */
  private static @Nullable String blocked(Step step, Vcpu before) {
    KvmVcpuEvents events = step.vcpu().written().events();
    if (events == null || events.interruptInjected() == 0 || events.interruptSoft() != 0) {
      return null;
    }
    Tracked now = before.events();
    int injected = now.layout().indexOf("interrupt.injected");
    if (now.knows(injected) && now.value(injected) == 0) {
      return null;
    }
    Tracked regs = before.registers().regs();
    int rflags = regs.layout().indexOf("rflags");
    KvmRegs given = step.vcpu().written().regs();
    boolean knows = regs.knows(rflags);
    long flags = knows ? regs.value(rflags) : given == null ? Rflags.IF : given.rflags();
    if ((flags & Rflags.IF) == 0) {
      return "while RFLAGS.IF is 0";
    }
    int shadow = now.layout().indexOf("interrupt.shadow");
    if (now.knows(shadow) && now.value(shadow) != 0) {
      return "in an interrupt shadow";
    }
    return null;
  }

  private static Evidence[] evidence(@Nullable Call call, String note) {
    return call == null ? new Evidence[0] : new Evidence[] {call.as(note)};
  }

  private static void shadow(Step step, Vcpu before, Findings findings) {
    KvmVcpuEvents events = step.vcpu().written().events();
    Call set = step.vcpu().written().last(Ioctl.SET_VCPU_EVENTS);
    Call smi = step.vcpu().written().last(Ioctl.SMI);
    if (events == null
        || set == null
        || events.interruptShadow() == 0
        || (events.smiPending() == 0 && smi == null)
        || events.smiSmm() != 0
        || step.scene().since(KernelVersion.V6_8)) {
      return;
    }
    boolean certain = before.kernel().versionCertain();
    findings.add(
        R86,
        certain ? Severity.ERROR : Severity.WARNING,
        step.call().as("takes the SMI"),
        "an SMI is taken in an interrupt shadow, which "
            + (certain ? "this kernel" : "a kernel before 6.2")
            + " forgets",
        (smi == null ? set : smi).as("SMI pending"),
        set.as("interrupt.shadow " + events.interruptShadow()));
  }
}
