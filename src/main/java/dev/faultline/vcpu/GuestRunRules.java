package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.MpState;
import dev.faultline.vcpu.Vcpu.Completion;
import dev.faultline.vcpu.Vcpu.Emulation;
import dev.faultline.vmx.ExitReason;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;

/**
 * What a KVM_RUN leaves behind: guest code that the recording does not show has run, so most of
 * what was known is stale; what tracepoints and the shared page tell is known.
 */
final class GuestRunRules {
  private static final FieldSet NO_REGS = FieldSet.none(KvmRegs.LAYOUT.count());

  /** Registers that a port access can write: the accumulator, string pointers, the next RIP. */
  private static final FieldSet PORT_IO_REGS =
      NO_REGS
          .with(RegsFields.RAX)
          .with(KvmRegs.LAYOUT.indexOf("rcx"))
          .with(KvmRegs.LAYOUT.indexOf("rsi"))
          .with(KvmRegs.LAYOUT.indexOf("rdi"))
          .with(RegsFields.RIP)
          .with(RegsFields.RFLAGS);

  private static final FieldSet MSR_REGS =
      NO_REGS
          .with(RegsFields.RAX)
          .with(RegsFields.RDX)
          .with(RegsFields.RIP)
          .with(RegsFields.RFLAGS);

  /** Fields of a vmcs12 that belong to L2's state; L2 running changes no other. */
  static final FieldSet GUEST_AREA = guestArea();

  private GuestRunRules() {}

  private static FieldSet guestArea() {
    FieldSet set = FieldSet.none(Vmcs12.LAYOUT.count());
    for (VmcsField field : VmcsField.values()) {
      if (field.area() == VmcsField.Area.GUEST && field != VmcsField.VMCS_LINK_POINTER) {
        set = set.with(Vmcs12.indexOf(field));
      }
    }
    return set.with(Vmcs12.indexOf(VmcsField.VM_ENTRY_INTR_INFO_FIELD));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.RunReturned e) {
    RunResult result = e.result();
    Vcpu next = SmramRules.runReturned(complete(v, e.moment()), e.moment());
    boolean ran = !result.ranGuest().isNo();
    if (ran) {
      next = guestRan(next, result, e.moment());
    }
    if (result.ret() != 0 && result.errno() == Errno.EIO.number()) {
      next = next.withVm(next.vm().withDead(Answer.YES));
    }
    next =
        next.withProgress(
            next.progress()
                .withCompletion(RunRules.completionAfter(result))
                .withEntered(ran ? entered(result) : next.progress().entered()));
    next = readPage(next, result, e.moment());
    return SyncRegs.learn(next, result.run(), e.moment());
  }

  private static Answer entered(RunResult result) {
    return result.ranGuest().isYes() || result.ret() == 0 ? Answer.YES : Answer.CANNOT_TELL;
  }

  /** The access that userspace carried out completes first, even when KVM_RUN returns at once. */
  static Vcpu complete(Vcpu v, int moment) {
    Completion completion = v.progress().completion();
    return switch (completion) {
      case NONE -> v;
      case PORT_IO -> lose(v, PORT_IO_REGS, moment);
      case MSR -> lose(v, MSR_REGS, moment);
      case STRING_IO, MMIO, OTHER, UNKNOWN -> {
        Vcpu next = lose(v, FieldSet.all(KvmRegs.LAYOUT.count()), moment);
        yield completion == Completion.UNKNOWN
            ? next.withRegisters(
                next.registers().withSregs(next.registers().sregs().forgetAll(moment)))
            : next;
      }
    };
  }

  private static Vcpu lose(Vcpu v, FieldSet regs, int moment) {
    Tracked.Edit events = v.events().edit(moment).forget(EventsFields.INTERRUPT_SHADOW);
    for (int field : EXCEPTION_FIELDS) {
      // An access can fault, or end in a single-step exception.
      if (v.progress().completion() != Completion.PORT_IO
          && v.progress().completion() != Completion.MSR) {
        events.forget(field);
      }
    }
    return v.withRegisters(v.registers().withRegs(v.registers().regs().forget(regs, moment)))
        .withEvents(events.done());
  }

  private static final int[] EXCEPTION_FIELDS = {
    EventsFields.EXCEPTION_INJECTED,
    EventsFields.EXCEPTION_PENDING,
    EventsFields.EXCEPTION_NR,
    EventsFields.EXCEPTION_HAS_ERROR_CODE,
    EventsFields.EXCEPTION_ERROR_CODE,
    EventsFields.HAS_PAYLOAD,
    EventsFields.PAYLOAD
  };

  private static Vcpu guestRan(Vcpu v, RunResult result, int moment) {
    Vcpu.Registers registers = v.registers();
    Emulation emulation = emulationAfter(v, result);
    Vcpu next =
        v.withRegisters(
            new Vcpu.Registers(
                registers.regs().forgetAll(moment),
                registers.sregs().forgetAll(moment),
                registers.debugregs().forgetAll(moment),
                registers.xcrs().forgetAll(moment),
                registers.xsave().forgetAll(moment),
                emulation));
    Vcpu.Platform platform = next.platform();
    next =
        next.withPlatform(
            platform
                .withLapic(platform.lapic().forgetAll(moment))
                .withMpState(mpStateAfter(platform.mpState(), result, moment))
                .withMsrs(MsrRules.afterGuestRan(v, moment, result.traced())));
    boolean alone = v.vm().vcpuIds().size() <= 1 && v.vm().settings().created();
    next = next.withEvents(eventsAfter(next.events(), result, alone, moment));
    next =
        next.withNested(
            v.kernel().isSvm()
                ? SvmRunRules.afterRun(v, next.nested(), result, moment)
                : nestedAfter(next, result, moment));
    return next.withProgress(
        next.progress()
            .withSmiRequested(Answer.NO)
            .withNestedPagesAwaited(Answer.NO)
            .withInitOrSipiPossible(alone ? Answer.NO : Answer.CANNOT_TELL));
  }

  /**
   * How a KVM_RUN ended is told in two ways that contradict each other, so nobody knows what the
   * guest did, and what the next KVM_RUN will complete.
   */
  static Vcpu doubted(Vcpu v, int moment) {
    Vcpu next = DoubtRules.everything(v, moment, false);
    Vcpu.Registers r = next.registers();
    Vcpu.Platform p = next.platform();
    return next.withRegisters(
            new Vcpu.Registers(
                r.regs().forgetAll(moment),
                r.sregs().forgetAll(moment),
                r.debugregs().forgetAll(moment),
                r.xcrs().forgetAll(moment),
                r.xsave().forgetAll(moment),
                Validity.judge(next)))
        .withEvents(next.events().forgetAll(moment))
        .withPlatform(
            p.withLapic(p.lapic().forgetAll(moment))
                .withMsrs(MsrRules.afterGuestRan(p.msrs(), moment)))
        .withProgress(
            new Vcpu.Progress(
                v.progress().entered().isYes() ? Answer.YES : Answer.CANNOT_TELL,
                Completion.UNKNOWN,
                Answer.CANNOT_TELL,
                Answer.CANNOT_TELL,
                Answer.CANNOT_TELL,
                v.progress().enlightenedVmcs(),
                Answer.CANNOT_TELL));
  }

  /** Hardware ran the guest, so its state was valid; L1 without unrestricted guest is unsure. */
  private static Emulation emulationAfter(Vcpu v, RunResult result) {
    if (!v.kernel().isVmx()) {
      return v.registers().emulation();
    }
    boolean never =
        v.kernel().emulateInvalidGuestState().isNo() || v.kernel().unrestrictedGuest().isYes();
    boolean left = result.ret() == 0 || result.ranGuest().isYes();
    if (never && left) {
      return Emulation.NO;
    }
    if (v.inGuestMode().isYes() && result.traced() && result.ranGuest().isYes()) {
      return Emulation.NO;
    }
    return Emulation.CANNOT_TELL;
  }

  /** A vCPU that executes an instruction is runnable. */
  private static Tracked mpStateAfter(Tracked mpState, RunResult result, int moment) {
    return executing(result)
        ? mpState.edit(moment).set(0, MpState.RUNNABLE.number()).done()
        : mpState.forgetAll(moment);
  }

  /** Whether KVM_RUN returned because of an instruction that the guest was executing. */
  private static boolean executing(RunResult result) {
    KvmExit exit = result.exit();
    return result.ret() == 0
        && (exit == KvmExit.KVM_EXIT_IO
            || exit == KvmExit.KVM_EXIT_MMIO
            || exit == KvmExit.KVM_EXIT_X86_RDMSR
            || exit == KvmExit.KVM_EXIT_X86_WRMSR);
  }

  /**
   * An instruction is executed only when nothing is left to be delivered before it, so an exit for
   * one shows that the queues are empty; who else could have filled them is only another vCPU.
   */
  private static Tracked eventsAfter(Tracked events, RunResult result, boolean alone, int moment) {
    Tracked forgotten = events.forgetAll(moment);
    if (!executing(result)) {
      return forgotten;
    }
    Tracked.Edit edit =
        forgotten
            .edit(moment)
            .set(EventsFields.EXCEPTION_INJECTED, 0)
            .set(EventsFields.EXCEPTION_PENDING, 0)
            .set(EventsFields.INTERRUPT_INJECTED, 0)
            .set(EventsFields.NMI_INJECTED, 0)
            .set(EventsFields.TRIPLE_FAULT, 0);
    if (alone) {
      // Blocked ones stay pending while the guest runs; none came from elsewhere.
      for (int field : BLOCKABLE) {
        if (events.is(field, 0).isYes()) {
          edit.set(field, 0);
        }
      }
    }
    return edit.done();
  }

  private static final int[] BLOCKABLE = {
    EventsFields.NMI_PENDING, EventsFields.SMI_PENDING, EventsFields.LATCHED_INIT
  };

  private static Nested nestedAfter(Vcpu v, RunResult result, int moment) {
    Nested nested = v.nested();
    if (!v.kernel().isVmx()) {
      return unknownAfter(nested, moment);
    }
    Answer possible = v.kernel().nested().and(GuestCpuid.vmx(v));
    if (possible.isNo()) {
      return nested;
    }
    if (!result.shutDown().isNo()) {
      return unknownAfter(nested, moment);
    }
    Nested.Mode mode = nested.mode();
    if (!result.traced()) {
      Nested unknown = unknownAfter(nested, moment);
      return guestModeFlagged(v, result, unknown);
    }
    if (result.ranL1().isNo()) {
      return shadowUnknown(nested, moment)
          .withVmcs12(nested.vmcs12().forget(GUEST_AREA, moment))
          .withMode(mode.withPending(Answer.NO, mtfAfter(result)))
          .withHeader(forgetDeadline(nested.header(), moment));
    }
    return nested
        .withHeader(forgetPointers(nested.header(), moment))
        .withVmcs12(nested.vmcs12().forgetAll(moment))
        .withShadowVmcs12(nested.shadowVmcs12().forgetAll(moment))
        .withMode(
            new Nested.Mode(
                mode.guestMode().isYes() ? Answer.YES : mode.vmxon(),
                mode.guestMode(),
                mode.guestMode().isNo() ? Answer.NO : mode.runPending(),
                mtfAfter(result),
                mode.smmVmxon(),
                mode.smmGuestMode(),
                mode.restricted(),
                Answer.CANNOT_TELL,
                Answer.CANNOT_TELL));
  }

  /** L2 may have executed VMWRITE, or KVM may have read the page behind the link pointer again. */
  private static Nested shadowUnknown(Nested nested, int moment) {
    return nested.shadowVmcs12().known().isEmpty()
        ? nested
        : nested.withShadowVmcs12(nested.shadowVmcs12().forgetAll(moment));
  }

  /** A pending monitor trap would have come before the instruction that exited. */
  private static Answer mtfAfter(RunResult result) {
    return executing(result) ? Answer.NO : Answer.CANNOT_TELL;
  }

  private static Tracked forgetPointers(Tracked header, int moment) {
    return header
        .edit(moment)
        .forget(NestedFields.VMXON_PA)
        .forget(NestedFields.VMCS12_PA)
        .forget(NestedFields.VMX_FLAGS)
        .forget(NestedFields.DEADLINE)
        .done();
  }

  private static Tracked forgetDeadline(Tracked header, int moment) {
    return header.edit(moment).forget(NestedFields.VMX_FLAGS).forget(NestedFields.DEADLINE).done();
  }

  private static Nested unknownAfter(Nested nested, int moment) {
    return new Nested(
        Nested.Mode.UNKNOWN,
        nested.header().forgetAll(moment),
        nested.vmcs12().forgetAll(moment),
        nested.shadowVmcs12().forgetAll(moment),
        nested.svm().forgotten(moment));
  }

  /** Newer kernels say in the shared page whether L2 was active. */
  private static Nested guestModeFlagged(Vcpu v, RunResult result, Nested nested) {
    if (v.kernel().version().compareTo(KernelVersion.V6_12) < 0
        || !v.kernel().versionCertain()
        || !result.showsPage()) {
      return nested;
    }
    boolean guest = (result.run().flags() & KvmRun.KVM_RUN_X86_GUEST_MODE) != 0;
    Nested.Mode mode = nested.mode().withGuestMode(Answer.of(guest));
    return nested.withMode(
        guest ? mode.withVmxon(Answer.YES) : mode.withPending(Answer.NO, Answer.NO));
  }

  /** The shared page shows CR8, IA32_APIC_BASE and SMM after every KVM_RUN. */
  private static Vcpu readPage(Vcpu v, RunResult result, int moment) {
    if (result.ranGuest().isNo() || !result.showsPage()) {
      return v;
    }
    KvmRun run = result.run();
    Tracked sregs = v.registers().sregs();
    Tracked.Edit edit = sregs.edit(moment);
    edit.set(SregsFields.APIC_BASE, run.apicBase());
    edit.set(SregsFields.CR8, run.cr8());
    Tracked.Edit events = v.events().edit(moment);
    events.set(EventsFields.SMM, run.inSmm() ? 1 : 0);
    if (!run.inSmm()) {
      events.set(EventsFields.SMM_INSIDE_NMI, 0);
    }
    Vcpu next = v.withRegisters(v.registers().withSregs(edit.done())).withEvents(events.done());
    Nested.Mode mode = next.nested().mode();
    if (run.inSmm() && !mode.guestMode().isNo()) {
      mode = mode.withGuestMode(Answer.NO).withPending(Answer.NO, Answer.NO);
    }
    if (run.inSmm()) {
      mode = mode.withVmxon(Answer.NO);
    } else if (!mode.smmVmxon().isNo()) {
      // RSM brought back what the SMI had put aside, tracepoint or not.
      Answer aside =
          next.kernel().version() == KernelVersion.V5_10 ? Answer.CANNOT_TELL : Answer.NO;
      mode = mode.withVmxon(mode.vmxon().or(mode.smmVmxon())).withSmm(Answer.NO, aside);
    }
    return mode.equals(next.nested().mode()) ? next : next.withNested(next.nested().withMode(mode));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.NestedVmEntered e) {
    if (v.kernel().isSvm()) {
      return SvmRunRules.entered(v, e);
    }
    Nested.Mode mode = v.nested().mode();
    Answer restricted =
        v.kernel().isVmx() && e.nestedEpt().isNo() ? Answer.YES : Answer.CANNOT_TELL;
    return v.withNested(
        shadowUnknown(v.nested(), e.moment())
            .withMode(
                mode.withVmxon(Answer.YES)
                    .withGuestMode(Answer.YES)
                    .withPending(Answer.YES, Answer.CANNOT_TELL)
                    .withRestricted(restricted)));
  }

  /** KVM prints this one also when it looks at a list without refusing the entry. */
  private static final String HARMLESS = "e->reserved != 0";

  /**
   * A failed check of a VM-Enter of L1 leaves L1 running; a failed reload of the PDPTEs of a
   * restored L2 leaves L2 active.
   */
  static Vcpu evolve(Vcpu v, TimelineEvent.NestedVmEntryFailed e) {
    Nested.Mode mode = v.nested().mode();
    Answer restored = v.progress().nestedPagesAwaited().and(mode.guestMode());
    if (restored.isYes()) {
      return v;
    }
    if (!restored.isKnown() || e.condition().equals(HARMLESS)) {
      return v.withNested(v.nested().withMode(mode.withGuestMode(Answer.CANNOT_TELL)));
    }
    return v.withNested(
        v.nested()
            .withMode(mode.withGuestMode(Answer.NO).withPending(Answer.NO, Answer.CANNOT_TELL)));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.NestedVmExited e) {
    if (v.kernel().isSvm()) {
      return v.withNested(SvmRunRules.exited(v));
    }
    // After an exit that the model added, the trace shows the same once more.
    Vcpu next = v.inGuestMode().isNo() ? v : NestedRegisters.exit(v, e);
    Nested.Mode mode = next.nested().mode();
    return next.withNested(
        next.nested()
            .withMode(
                mode.withVmxon(Answer.YES)
                    .withGuestMode(Answer.NO)
                    .withPending(Answer.NO, Answer.NO)));
  }

  /** From here on guest code changes registers, and L1 its VMCSs without a trace. */
  static Vcpu evolve(Vcpu v, TimelineEvent.VmEntered e) {
    return guestRuns(SmramRules.evolve(v, e), e.moment());
  }

  private static Vcpu guestRuns(Vcpu v, int moment) {
    Vcpu next = v;
    Vcpu.Registers r = v.registers();
    if (!r.regs().known().isEmpty() || !r.sregs().known().isEmpty()) {
      next =
          v.withRegisters(
              new Vcpu.Registers(
                  r.regs().forgetAll(moment),
                  r.sregs().forgetAll(moment),
                  r.debugregs().forgetAll(moment),
                  r.xcrs().forgetAll(moment),
                  r.xsave().forgetAll(moment),
                  r.emulation()));
    }
    Nested nested = shadowUnknown(v.nested(), moment);
    Nested.Mode mode = nested.mode();
    boolean vmx = v.kernel().isVmx() && !mode.vmxonAnywhere().isNo();
    // In SMM there is no VMX operation, so what was put aside stays as it is.
    boolean untouched = mode.guestMode().isYes() || v.inSmm().isYes();
    if (!vmx || untouched || nested.vmcs12().known().isEmpty()) {
      return nested.shadowVmcs12().equals(v.nested().shadowVmcs12())
          ? next
          : next.withNested(nested);
    }
    return next.withNested(
        nested
            .withHeader(forgetPointers(nested.header(), moment))
            .withVmcs12(nested.vmcs12().forgetAll(moment))
            .withShadowVmcs12(nested.shadowVmcs12().forgetAll(moment)));
  }

  static Vcpu evolve(Vcpu before, TimelineEvent.L2Exited e) {
    Vcpu v = SmramRules.exited(before, e.rip(), e.moment());
    Nested.Mode mode = v.nested().mode();
    if (mode.guestMode().isYes() && mode.runPending().isNo()) {
      return v;
    }
    Nested.Mode on = v.kernel().isSvm() ? mode : mode.withVmxon(Answer.YES);
    return v.withNested(
        v.nested()
            .withMode(on.withGuestMode(Answer.YES).withPending(Answer.NO, Answer.CANNOT_TELL)));
  }

  /** An exit is one of L1 until the tracepoint that follows says that it was L2's. */
  static Vcpu evolve(Vcpu before, TimelineEvent.VmExited e) {
    // A trace may leave VM-Enters out.
    Vcpu v = guestRuns(SmramRules.exited(before, e.rip(), e.moment()), e.moment());
    Nested.Mode mode = v.nested().mode();
    Nested.Mode next = mode;
    switch (e.reason()) {
      case "VMLAUNCH", "VMRESUME" ->
          next =
              mode.guestMode().isYes()
                  ? mode
                  : mode.withGuestMode(Answer.CANNOT_TELL).withRestricted(Answer.CANNOT_TELL);
      case "VMON" -> next = mode.guestMode().isYes() ? mode : mode.withVmxon(Answer.CANNOT_TELL);
      case "VMOFF" -> next = mode.guestMode().isYes() ? mode : mode.withVmxon(Answer.CANNOT_TELL);
      default -> {
        if (!mode.guestMode().isKnown()) {
          next = mode.withGuestMode(Answer.NO);
        }
      }
    }
    return next.equals(mode) ? v : v.withNested(v.nested().withMode(next));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.SmmEntered e) {
    Nested.Mode mode = v.nested().mode();
    Nested.Mode inSmm =
        mode.withSmm(mode.vmxon(), mode.guestMode())
            .withVmxon(Answer.NO)
            .withGuestMode(Answer.NO)
            .withPending(Answer.NO, Answer.NO);
    Tracked events = v.events().edit(e.moment()).set(EventsFields.SMM, 1).done();
    Vcpu entered =
        v.withEvents(events)
            .withNested(v.kernel().isSvm() ? SvmRunRules.smmEntered(v) : v.nested().withMode(inSmm))
            .withPlatform(
                v.platform().withMsrs(MsrRules.afterSmi(v.platform().msrs(), e.moment())));
    return SmramRules.smmEntered(v, entered, e);
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.SmmLeft e) {
    Nested.Mode mode = v.nested().mode();
    Nested.Mode out =
        mode.withVmxon(mode.smmVmxon())
            .withGuestMode(mode.smmGuestMode())
            .withPending(mode.smmGuestMode(), Answer.NO)
            .withSmm(Answer.NO, Answer.NO);
    Tracked events =
        v.events()
            .edit(e.moment())
            .set(EventsFields.SMM, 0)
            .set(EventsFields.SMM_INSIDE_NMI, 0)
            .done();
    boolean untold = v.kernel().version() == KernelVersion.V5_10;
    // Before kvm_nested_vmenter nothing tells whether RSM reached L2. On SVM that one follows.
    Vcpu left =
        v.withEvents(events)
            .withNested(
                v.kernel().isSvm()
                    ? v.nested()
                    : shadowUnknown(v.nested(), e.moment())
                        .withMode(untold ? Nested.Mode.UNKNOWN : out))
            .withPlatform(
                v.platform().withMsrs(MsrRules.afterRsm(v.platform().msrs(), e.moment())));
    return SmramRules.smmLeft(v, left, e);
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.TripleFaultSynthesized e) {
    Nested.Mode mode = v.nested().mode();
    Tracked events = v.events().edit(e.moment()).set(EventsFields.TRIPLE_FAULT, 0).done();
    if (v.kernel().isSvm()) {
      return v.withEvents(events).withNested(SvmRunRules.exited(v));
    }
    if (!v.kernel().isVmx() || !v.inGuestMode().isYes()) {
      return v.withEvents(events)
          .withNested(
              v.nested().withMode(mode.withGuestMode(Answer.NO).withPending(Answer.NO, Answer.NO)))
          .withRegisters(v.registers().withEmulation(Emulation.NO));
    }
    return NestedRegisters.exit(v.withEvents(events), ExitReason.TRIPLE_FAULT, e.moment());
  }
}
