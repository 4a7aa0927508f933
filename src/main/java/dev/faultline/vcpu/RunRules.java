package dev.faultline.vcpu;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.MpState;
import dev.faultline.vcpu.Vcpu.Completion;
import dev.faultline.vcpu.Vcpu.Emulation;
import dev.faultline.vmx.PinControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr0;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * KVM_RUN up to the point where guest code runs: what KVM does first, and what the state of the
 * vCPU makes of it.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl_run(), vcpu_enter_guest()};
 * {@code arch/x86/kvm/vmx/vmx.c, vmx_vcpu_pre_run(), vmx_vcpu_run(), __vmx_handle_exit()}, v6.1.
 */
final class RunRules {
  private static final long SYNC_ALL =
      KvmRun.KVM_SYNC_X86_REGS | KvmRun.KVM_SYNC_X86_SREGS | KvmRun.KVM_SYNC_X86_EVENTS;
  private static final long CR8_RESERVED = ~0xfL;

  private RunRules() {}

  static Decision decide(Vcpu v, VcpuCommand.Run c) {
    KvmRun run = c.input().run();
    TimelineEvent.RunEntered entered = new TimelineEvent.RunEntered(c.moment(), c.input());
    Start start = start(v, c.input(), c.moment());
    if (start.ended() != null) {
      return new Decision(start.ended(), List.of(entered), null);
    }
    boolean immediate = run.immediateExit() != 0;
    Vcpu ready = start.vcpu();
    switch (ready.progress().completion()) {
      case NONE, PORT_IO, MSR -> {}
      case STRING_IO, MMIO, OTHER, UNKNOWN -> {
        if (!immediate) {
          break;
        }
        return Decision.undecided(entered, "how the pending userspace access completes");
      }
    }
    if (immediate) {
      return refused(entered, Errno.EINTR, CallCheck.RUN_IMMEDIATE_EXIT);
    }
    return new Decision(atEntry(ready, c.moment()), List.of(entered), null);
  }

  /**
   * What KVM_RUN does before it completes an access of userspace.
   *
   * @param vcpu with what KVM took over from the shared page, also when it then failed
   * @param ended how the call ends already, or null when it goes on
   */
  private record Start(Vcpu vcpu, @Nullable Outcome ended) {
    static Start refused(Vcpu v, Errno errno, CallCheck check) {
      return new Start(v, new Outcome.Refused(errno, check));
    }

    static Start undecided(Vcpu v, String missing) {
      return new Start(v, new Outcome.Undecided(missing));
    }
  }

  private static Start start(Vcpu v, RunInput input, int moment) {
    KvmRun run = input.run();
    if (input.arg() != 0) {
      return Start.refused(v, Errno.EINVAL, CallCheck.RUN_ARGUMENT);
    }
    Answer uninitialized = MpStateRules.uninitialized(v);
    if (uninitialized.isYes()) {
      return run.immediateExit() != 0
          ? Start.refused(v, Errno.EINTR, CallCheck.RUN_UNINITIALIZED)
          : Start.undecided(v, "when INIT and SIPI arrive");
    }
    Start start = takeOver(v, run, moment);
    return start.ended() instanceof Outcome.Refused && !uninitialized.isKnown()
        ? Start.undecided(start.vcpu(), "whether the vCPU waits for INIT and SIPI")
        : start;
  }

  /** What a vCPU that may run takes over from the shared page. */
  private static Start takeOver(Vcpu v, KvmRun run, int moment) {
    if (((run.validRegs() | run.dirtyRegs()) & ~SYNC_ALL) != 0) {
      return Start.refused(v, Errno.EINVAL, CallCheck.RUN_SYNC_REGS_FLAGS);
    }
    SyncRegs.Result synced = SyncRegs.apply(v, run, moment);
    if (synced.failed() != null) {
      return Start.refused(synced.vcpu(), Errno.EINVAL, synced.failed());
    }
    if (synced.missing() != null) {
      return Start.undecided(synced.vcpu(), synced.missing());
    }
    Vcpu next = taskPriority(synced.vcpu(), run.cr8(), moment);
    if ((run.cr8() & CR8_RESERVED) != 0) {
      switch (v.vm().irqchip().lapicInKernel()) {
        case YES -> {}
        case NO -> {
          return Start.refused(next, Errno.EINVAL, CallCheck.RUN_CR8);
        }
        case CANNOT_TELL -> {
          return Start.undecided(next, "whether the local APIC is in the kernel");
        }
      }
    }
    return new Start(
        next.withProgress(next.progress().withExceptionFromUserspace(Answer.NO)), null);
  }

  /** With a local APIC in userspace each KVM_RUN takes CR8 from the shared page. */
  private static Vcpu taskPriority(Vcpu v, long cr8, int moment) {
    Tracked sregs = v.registers().sregs();
    boolean valid = (cr8 & CR8_RESERVED) == 0;
    if (v.vm().irqchip().lapicInKernel().isYes() || sregs.is(SregsFields.CR8, cr8).isYes()) {
      return v;
    }
    boolean certain = v.vm().irqchip().lapicInKernel().isNo();
    if (certain && !valid) {
      return v;
    }
    return v.withRegisters(
        v.registers()
            .withSregs(sregs.edit(moment).set(SregsFields.CR8, cr8, certain && valid).done()));
  }

  private static Decision refused(TimelineEvent.RunEntered entered, Errno errno, CallCheck check) {
    return new Decision(new Outcome.Refused(errno, check), List.of(entered), null);
  }

  /** What becomes of the state at VM-Enter. */
  private static Outcome atEntry(Vcpu v, int moment) {
    if (v.kernel().isSvm()) {
      return SvmRunRules.atEntry(v, moment);
    }
    if (!v.kernel().isVmx()) {
      return new Outcome.Runs(null);
    }
    Emulation emulation = v.registers().emulation();
    Answer exception = exceptionWaits(v);
    Answer tripleFault = v.events().is(EventsFields.TRIPLE_FAULT, 0).not();
    boolean rejectsExceptions = v.kernel().version() != KernelVersion.V5_10;
    if (emulation.required().isYes() && rejectsExceptions) {
      Answer rejected = exception.or(tripleFault).and(emulatedRealMode(v).not());
      if (rejected.isYes()) {
        return internalError(CallCheck.RUN_EMULATION_WITH_EXCEPTION);
      }
      if (v.kernel().version().rejectsPendingEntry()
          && v.nested().mode().runPending().isYes()
          && v.inGuestMode().isYes()) {
        return internalError(CallCheck.RUN_EMULATION_WITH_PENDING_ENTRY);
      }
      if (!rejected.isKnown() && v.inGuestMode().isYes()) {
        return new Outcome.Undecided("whether an exception is queued");
      }
    }
    if (!MpStateRules.is(v, MpState.RUNNABLE).isYes() && v.platform().mpState().knows(0)) {
      return new Outcome.Runs(null);
    }
    if (readsPdptes(v)) {
      return new Outcome.Undecided("the guest memory that holds L2's PDPTEs");
    }
    if (tripleFault.isYes() && emulation.required().isNo()) {
      return requestedFault(v, moment);
    }
    Answer rootless = PageRoots.missing(v);
    boolean first =
        v.nested().mode().runPending().isNo()
            && v.kernel().version() != KernelVersion.V5_10
            && otherExitFirst(v).isNo()
            && smiFirst(v).isNo();
    if (rootless.isYes() && first) {
      return new Outcome.Runs(
          new TimelineEvent.TripleFaultSynthesized(moment, FaultCause.NO_PAGE_ROOT, null));
    }
    if (!rootless.isNo()) {
      return new Outcome.Undecided("whether the root of L2's page tables is in a memory slot");
    }
    if (emulation.required().isNo()) {
      return new Outcome.Runs(null);
    }
    return invalidState(v, emulation, moment);
  }

  /**
   * A restored L2 with PAE paging and without nested EPT gets its PDPTEs from guest memory now; if
   * that fails KVM_RUN returns 0 and leaves the exit reason alone.
   */
  private static boolean readsPdptes(Vcpu v) {
    if (v.progress().nestedPagesAwaited().isNo() || !v.inGuestMode().isYes()) {
      return false;
    }
    Tracked sregs = v.registers().sregs();
    boolean known =
        sregs.knows(SregsFields.CR0)
            && sregs.knows(SregsFields.CR4)
            && sregs.knows(SregsFields.EFER);
    boolean pae =
        SregsRules.paePaging(
            sregs.value(SregsFields.CR0),
            sregs.value(SregsFields.CR4),
            sregs.value(SregsFields.EFER));
    return (!known || pae) && !PageRoots.nestedEpt(v).isYes();
  }

  private static Outcome internalError(CallCheck check) {
    return new Outcome.Exits(
        KvmExit.KVM_EXIT_INTERNAL_ERROR, KvmRun.KVM_INTERNAL_ERROR_EMULATION, check);
  }

  private static Outcome requestedFault(Vcpu v, int moment) {
    return switch (v.inGuestMode()) {
      case YES ->
          new Outcome.Runs(
              new TimelineEvent.TripleFaultSynthesized(moment, FaultCause.REQUESTED, null));
      case NO -> new Outcome.Exits(KvmExit.KVM_EXIT_SHUTDOWN, -1, CallCheck.RUN_TRIPLE_FAULT_L1);
      case CANNOT_TELL -> new Outcome.Undecided("whether L2 is active");
    };
  }

  private static Outcome invalidState(Vcpu v, Emulation emulation, int moment) {
    Answer guestMode = v.inGuestMode();
    if (guestMode.isNo()) {
      // KVM emulates L1 until its state is one that hardware can run.
      return new Outcome.Runs(null);
    }
    if (!emulation.required().isYes()) {
      return new Outcome.Undecided("whether the guest state is valid");
    }
    if (!guestMode.isYes()) {
      return new Outcome.Undecided("whether L2 is active");
    }
    if (v.kernel().version().invalidL2() == KernelVersion.InvalidL2.EMULATE) {
      return new Outcome.Runs(null);
    }
    Answer runPending = v.nested().mode().runPending();
    if (runPending.isYes()) {
      // Events for L1 wait until hardware has entered L2, which it never will.
      return new Outcome.Refused(Errno.EIO, CallCheck.RUN_PENDING_ENTRY_BUG);
    }
    Answer other = otherExitFirst(v);
    if (other.isYes()) {
      return new Outcome.Runs(null);
    }
    Answer smi = smiFirst(v);
    if (!other.isKnown() || !runPending.isKnown()) {
      return new Outcome.Undecided("which event comes before the VM-Enter");
    }
    return switch (smi) {
      case NO ->
          new Outcome.Runs(
              new TimelineEvent.TripleFaultSynthesized(
                  moment, FaultCause.INVALID_GUEST_STATE, emulation.failed()));
      case YES -> new Outcome.Runs(null);
      case CANNOT_TELL -> new Outcome.Undecided("whether an SMI is pending");
    };
  }

  private static Answer smiFirst(Vcpu v) {
    return v.progress().smiRequested().or(v.events().is(EventsFields.SMI_PENDING, 0).not());
  }

  /** Whether an event makes L2 exit to L1 before KVM looks at L2's state. */
  private static Answer otherExitFirst(Vcpu v) {
    Tracked events = v.events();
    Answer init = events.is(EventsFields.LATCHED_INIT, 0).not();
    Answer nmi =
        events
            .is(EventsFields.NMI_PENDING, 0)
            .not()
            .and(
                v.nested()
                    .vmcs12()
                    .hasAny(
                        Vmcs12.indexOf(VmcsField.PIN_BASED_VM_EXEC_CONTROL),
                        PinControls.NMI_EXITING));
    return init.or(nmi).or(v.nested().mode().mtfPending()).or(mayInterrupt(v));
  }

  /** An interrupt or a timer that L1 wants to have may be due; nobody can tell from outside. */
  private static Answer mayInterrupt(Vcpu v) {
    Tracked vmcs12 = v.nested().vmcs12();
    int pin = Vmcs12.indexOf(VmcsField.PIN_BASED_VM_EXEC_CONTROL);
    Answer interrupts =
        vmcs12.hasAny(pin, PinControls.EXT_INTR_EXITING).and(LapicRules.requests(v));
    Answer timer = vmcs12.hasAny(pin, PinControls.PREEMPTION_TIMER);
    return interrupts.isYes() || timer.isYes() ? Answer.CANNOT_TELL : Answer.NO;
  }

  private static Answer exceptionWaits(Vcpu v) {
    return v.events()
        .is(EventsFields.EXCEPTION_PENDING, 0)
        .not()
        .or(v.events().is(EventsFields.EXCEPTION_INJECTED, 0).not());
  }

  /** Whether KVM runs real mode as virtual-8086 mode, which it does without unrestricted guest. */
  private static Answer emulatedRealMode(Vcpu v) {
    if (v.kernel().unrestrictedGuest().isYes() || v.inGuestMode().isYes()) {
      return Answer.NO;
    }
    return v.registers().sregs().hasAny(SregsFields.CR0, Cr0.PE).not();
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.RunEntered e) {
    return SmramRules.runEntered(start(v, e.input(), e.moment()).vcpu());
  }

  /** The completion of the access that the last KVM_RUN handed to userspace. */
  static Completion completionAfter(RunResult result) {
    if (result.ret() != 0) {
      return Completion.NONE;
    }
    KvmRun run = result.run();
    KvmExit exit = result.exit();
    if (exit == null) {
      return Completion.UNKNOWN;
    }
    return switch (exit) {
      case KVM_EXIT_IO -> run.ioCount() == 1 ? Completion.PORT_IO : Completion.STRING_IO;
      case KVM_EXIT_MMIO -> Completion.MMIO;
      case KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR -> Completion.MSR;
      case KVM_EXIT_HYPERCALL, KVM_EXIT_HYPERV, KVM_EXIT_XEN, KVM_EXIT_OSI -> Completion.OTHER;
      default -> Completion.NONE;
    };
  }
}
