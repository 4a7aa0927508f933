package dev.faultline.vcpu;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.vcpu.Vcpu.Emulation;
import dev.faultline.x86.SegmentRegister;

/**
 * RSM on VMX: from the save map to how the KVM_RUN goes on.
 *
 * <p><em>Order:</em> KVM leaves SMM, goes back to real mode, enters L2 from the cached vmcs12 if
 * the SMI came from there, and only then loads SMRAM over it; so values are judged by the rules of
 * the level that RSM returns to.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/emulate.c, em_rsm()}, v6.1; {@code
 * arch/x86/kvm/vmx/vmx.c, vmx_leave_smm(), __vmx_handle_exit(), handle_invalid_guest_state()},
 * v6.1; {@code arch/x86/kvm/smm.c, emulator_leave_smm()}, v6.12.
 */
final class RsmRules {
  private RsmRules() {}

  /** What RSM does to a vCPU in SMM whose SMRAM begins at {@code smbase}. */
  static RsmVerdict decide(Vcpu v, long smbase, int moment) {
    Smram smram = v.platform().smram();
    Nested.Mode mode = v.nested().mode();
    if (!v.kernel().isVmx()) {
      return undecided(v, "RSM on SVM");
    }
    if (!smram.quiet() || smram.smbase() != smbase || smram.map().known().isEmpty()) {
      return undecided(v, "what SMRAM holds");
    }
    if (!v.inSmm().isYes() || !mode.smmVmxon().isKnown()) {
      return undecided(v, "whether VMX operation is put aside");
    }
    if (mode.smmVmxon().isYes() && !mode.smmGuestMode().isKnown()) {
      return undecided(v, "whether L2 is put aside");
    }
    boolean toL2 = mode.smmVmxon().isYes() && mode.smmGuestMode().isYes();
    Vcpu out = leaveSmm(v, moment);
    return toL2 ? toL2(out, smram, moment) : toL1(out, smram, moment);
  }

  private static RsmVerdict undecided(Vcpu v, String missing) {
    return new RsmVerdict(new Outcome.Undecided(missing), null, v, Answer.CANNOT_TELL);
  }

  /** SMM is left before anything is loaded; VMX operation comes back. */
  private static Vcpu leaveSmm(Vcpu v, int moment) {
    Nested.Mode mode = v.nested().mode();
    Tracked events =
        v.events().edit(moment).set(EventsFields.SMM, 0).set(EventsFields.SMM_INSIDE_NMI, 0).done();
    return v.withEvents(events)
        .withNested(
            v.nested()
                .withMode(
                    mode.withVmxon(mode.smmVmxon())
                        .withGuestMode(Answer.NO)
                        .withPending(Answer.NO, Answer.NO)
                        .withSmm(Answer.NO, Answer.NO)));
  }

  private static RsmVerdict toL1(Vcpu v, Smram smram, int moment) {
    RsmLoad load = RsmLoad.intoL1(v, smram.map());
    return ended(v, smram, load, false, moment);
  }

  private static RsmVerdict toL2(Vcpu v, Smram smram, int moment) {
    TimelineEvent.NestedEntryRestored entry =
        new TimelineEvent.NestedEntryRestored(moment, false, false, false, 0);
    // RSM does not load EFER from what L1 had: KVM has set it to zero on the way to real mode.
    Tracked sregs = v.registers().sregs().edit(moment).set(SregsFields.EFER, 0).done();
    Vcpu inL2 = NestedRegisters.enter(v.withRegisters(v.registers().withSregs(sregs)), entry);
    Tracked entered = inL2.registers().sregs();
    if (!entered.knows(SregsFields.CR0)
        || !entered.knows(SregsFields.CR3)
        || !entered.knows(SregsFields.CR4)
        || !entered.knows(SregsFields.EFER)) {
      return undecided(v, "the vmcs12 that SMI put aside");
    }
    Answer illegal = GuestCpuid.illegalGpa(v, entered.value(SregsFields.CR3));
    if (v.kernel().version().invalidL2() == KernelVersion.InvalidL2.EMULATE) {
      // Before c8607e4a086f an invalid state fails this VM-Enter, too.
      illegal = illegal.or(inL2.registers().emulation().required());
    }
    if (!illegal.isKnown()) {
      return undecided(v, "whether KVM can enter the vmcs12 that SMI put aside");
    }
    if (illegal.isYes()) {
      return failed(v, RsmCheck.RSM_ENTERS_L2, false);
    }
    Answer pending = Answer.of(v.kernel().version() != KernelVersion.V5_10);
    Nested.Mode mode = inL2.nested().mode().withPending(pending, Answer.NO);
    Vcpu ready = inL2.withNested(inL2.nested().withMode(mode));
    return ended(ready, smram, RsmLoad.intoL2(ready, smram.map()), true, moment);
  }

  private static RsmVerdict ended(Vcpu v, Smram smram, RsmLoad load, boolean toL2, int moment) {
    if (load.missing() != null) {
      return undecided(v, load.missing());
    }
    RsmCheck check = load.failed();
    if (check != null && check.compareTo(RsmCheck.RSM_MODE_VM86) < 0) {
      return toL2 && segmentsMatter(v)
          ? failedInL2(v, smram, check, moment)
          : failed(v, check, toL2);
    }
    Vcpu loaded = load.loaded(moment);
    if (check != null) {
      return notEmulated(loaded, check, toL2);
    }
    loaded = load.withGeneralRegisters(loaded, moment);
    Emulation emulation = loaded.registers().emulation();
    Answer rootless = toL2 ? PageRoots.missing(loaded) : PageRoots.shadowedMissing(loaded);
    if (rootless.isYes()) {
      return withoutRoot(loaded, toL2);
    }
    if (toL2 && !emulation.required().isNo()) {
      return invalidL2(loaded, emulation);
    }
    return new RsmVerdict(new Outcome.Runs(null), null, loaded, emulation.required());
  }

  /** Without unrestricted guest KVM emulates RSM in a loop that looks at the loaded segments. */
  private static boolean segmentsMatter(Vcpu v) {
    return !v.kernel().unrestrictedGuest().isYes() && v.kernel().emulateInvalidGuestState().isYes();
  }

  private static RsmVerdict failed(Vcpu v, RsmCheck check, boolean toL2) {
    Outcome shutdown = new Outcome.Exits(KvmExit.KVM_EXIT_SHUTDOWN, -1, check);
    Outcome end =
        switch (v.kernel().version().rsm().failure()) {
          case EMULATION_FAILS -> toL2 ? new Outcome.Runs(null) : internalError(check);
          case TRIPLE_FAULT -> toL2 ? new Outcome.Refused(Errno.EIO, check) : shutdown;
          case SHUTDOWN -> shutdown;
        };
    return new RsmVerdict(end, check, v, Answer.CANNOT_TELL);
  }

  /**
   * The segments are those of SMM but for TR and LDTR, if loading got that far: with an invalid one
   * the triple fault meets a state that has to be emulated.
   */
  private static RsmVerdict failedInL2(Vcpu v, Smram smram, RsmCheck check, int moment) {
    if (v.kernel().version().rsm().failure() != RsmProfile.LoadFailure.TRIPLE_FAULT) {
      return failed(v, check, true);
    }
    if (!smram.isWide()) {
      return undecided(v, "which segments were loaded before RSM failed");
    }
    boolean systemLoaded = check.compareTo(RsmCheck.RSM_EFER_LME) > 0;
    Answer invalid =
        systemLoaded
            ? RsmSegments.systemInvalid(smram.map(), moment, v.kernel().version())
            : Answer.NO;
    return invalid.isYes()
        ? new RsmVerdict(internalError(check), check, v, Answer.CANNOT_TELL)
        : failed(v, check, true);
  }

  /** KVM asks for a triple fault when it cannot shadow the page tables of the level. */
  private static RsmVerdict withoutRoot(Vcpu v, boolean toL2) {
    RsmCheck check = RsmCheck.RSM_PAGE_ROOT;
    if (v.kernel().version() == KernelVersion.V5_10) {
      return undecided(v, "what a triple fault of L2 ends in on this kernel");
    }
    Outcome end =
        toL2
            ? new Outcome.Refused(Errno.EIO, check)
            : new Outcome.Exits(KvmExit.KVM_EXIT_SHUTDOWN, -1, check);
    return new RsmVerdict(end, check, v, Answer.CANNOT_TELL);
  }

  private static Outcome internalError(RsmCheck check) {
    return new Outcome.Exits(
        KvmExit.KVM_EXIT_INTERNAL_ERROR, KvmRun.KVM_INTERNAL_ERROR_EMULATION, check);
  }

  /**
   * Everything is loaded but RIP, RFLAGS and the general registers, and the instruction counts as
   * one that cannot be emulated.
   */
  private static RsmVerdict notEmulated(Vcpu v, RsmCheck check, boolean toL2) {
    Emulation emulation = v.registers().emulation();
    if (!toL2) {
      Tracked sregs = v.registers().sregs();
      Answer kernelMode =
          sregs.is(RsmSegments.dplOf(SegmentRegister.SS), 0).or(emulation.required());
      return switch (kernelMode) {
        case YES -> new RsmVerdict(internalError(check), check, v, emulation.required());
        case NO -> new RsmVerdict(new Outcome.Runs(null), check, v, emulation.required());
        case CANNOT_TELL -> undecided(v, "the privilege level that RSM returns to");
      };
    }
    return switch (emulation.required()) {
      case NO -> new RsmVerdict(new Outcome.Runs(null), check, v, Answer.NO);
      case YES -> {
        boolean toldBefore =
            v.kernel().version().rsmToInvalidL2() == KernelVersion.RsmToInvalidL2.SHUTDOWN
                || !v.kernel().versionCertain();
        yield segmentsMatter(v) && !toldBefore
            ? new RsmVerdict(internalError(check), check, v, Answer.YES)
            : invalidL2(v, emulation);
      }
      case CANNOT_TELL -> undecided(v, "whether L2's state is valid");
    };
  }

  private static RsmVerdict invalidL2(Vcpu v, Emulation emulation) {
    if (!emulation.required().isYes()) {
      return new RsmVerdict(
          new Outcome.Undecided("whether L2's state is valid"), null, v, Answer.CANNOT_TELL);
    }
    if (!v.kernel().versionCertain() && v.kernel().version() == KernelVersion.V7_2) {
      return undecided(v, "whether this kernel is 7.2 or 7.3");
    }
    RsmCheck check = RsmCheck.RSM_L2_STATE;
    Outcome end =
        switch (v.kernel().version().rsmToInvalidL2()) {
          case EMULATE -> new Outcome.Runs(null);
          case DEAD_VM ->
              segmentsMatter(v) && v.kernel().version().rejectsPendingEntry()
                  ? new Outcome.Undecided("what the emulation loop of this kernel looks at first")
                  : new Outcome.Refused(Errno.EIO, check);
          case SHUTDOWN -> new Outcome.Exits(KvmExit.KVM_EXIT_SHUTDOWN, -1, check);
        };
    return new RsmVerdict(end, check, v, Answer.YES);
  }
}
