package dev.faultline.vcpu;

import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.MpState;
import dev.faultline.svm.Intercept;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbBits;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * KVM_RUN on SVM: what KVM does before guest code runs, and what a run leaves of nested state.
 *
 * <p>There is no check of L2's registers: KVM hands them to hardware, whose verdict is the guest's.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, vcpu_enter_guest()}; {@code
 * arch/x86/kvm/svm/nested.c, nested_svm_triple_fault(), svm_get_nested_state_pages(),
 * nested_svm_vmexit(), enter_svm_guest_mode()}; {@code arch/x86/kvm/svm/svm.c, svm_vcpu_run()},
 * v6.1.
 */
final class SvmRunRules {
  private SvmRunRules() {}

  /** What becomes of the state at VM-Enter. */
  static Outcome atEntry(Vcpu v, int moment) {
    if (!MpStateRules.is(v, MpState.RUNNABLE).isYes() && v.platform().mpState().knows(0)) {
      return new Outcome.Runs(null);
    }
    Outcome stopped = pages(v);
    if (stopped != null) {
      return stopped;
    }
    Answer tripleFault = v.events().is(EventsFields.TRIPLE_FAULT, 0).not();
    if (!tripleFault.isYes()) {
      return new Outcome.Runs(null);
    }
    return switch (v.inGuestMode().and(intercepts(v, Intercept.SHUTDOWN))) {
      case YES ->
          new Outcome.Runs(
              new TimelineEvent.TripleFaultSynthesized(moment, FaultCause.REQUESTED, null));
      case NO ->
          new Outcome.Exits(
              KvmExit.KVM_EXIT_SHUTDOWN,
              -1,
              v.inGuestMode().isNo()
                  ? CallCheck.RUN_TRIPLE_FAULT_L1
                  : CallCheck.RUN_TRIPLE_FAULT_NOT_INTERCEPTED);
      case CANNOT_TELL ->
          new Outcome.Undecided("whether L2 is active and L1 intercepts its shutdown");
    };
  }

  /** A restored L2 has its PDPTEs and L1's MSR bitmap read first; null if nothing is amiss. */
  private static @Nullable Outcome pages(Vcpu v) {
    if (v.progress().nestedPagesAwaited().isNo() || !v.inGuestMode().isYes()) {
      return null;
    }
    Tracked vmcb = v.nested().svm().vmcb();
    if (!pae(v).isNo() && !nestedPaging(vmcb).isYes()) {
      return new Outcome.Undecided("the guest memory that holds L2's PDPTEs");
    }
    int bitmap = Vmcb.indexOf(VmcbField.MSRPM_BASE_PA);
    List<Vm.Slot> slots = v.vm().slots();
    boolean reads =
        v.progress().nestedPagesAwaited().isYes()
            && intercepts(v, Intercept.MSR_PROT).isYes()
            && vmcb.knows(bitmap);
    if (!reads || slots == null) {
      return null;
    }
    for (Vm.Slot slot : slots) {
      if (slot.holds(vmcb.value(bitmap))) {
        return null;
      }
    }
    return new Outcome.Exits(
        KvmExit.KVM_EXIT_INTERNAL_ERROR,
        KvmRun.KVM_INTERNAL_ERROR_EMULATION,
        CallCheck.RUN_MSR_BITMAP_MISSING);
  }

  private static Answer nestedPaging(Tracked vmcb) {
    return vmcb.hasAny(Vmcb.indexOf(VmcbField.NESTED_CTL), VmcbBits.NP_ENABLE);
  }

  private static Answer pae(Vcpu v) {
    Tracked sregs = v.registers().sregs();
    return sregs
        .hasAny(SregsFields.CR0, Cr0.PG)
        .and(sregs.hasAny(SregsFields.CR4, Cr4.PAE))
        .and(sregs.hasAny(SregsFields.EFER, Efer.LMA).not());
  }

  /** Whether L1 wants an exit of L2 for this. */
  static Answer intercepts(Vcpu v, Intercept intercept) {
    return v.nested().svm().vmcb().hasAny(Vmcb.indexOf(intercept.word()), intercept.mask());
  }

  /** Nested state after guest code ran; {@code before} is the vCPU as it was at VM-Enter. */
  static Nested afterRun(Vcpu before, Nested nested, RunResult result, int moment) {
    if (impossible(before)) {
      return nested;
    }
    if (!result.shutDown().isNo() || !result.traced()) {
      return new Nested(
          Nested.Mode.UNKNOWN,
          nested.header(),
          nested.vmcs12(),
          nested.shadowVmcs12(),
          nested.svm().forgotten(moment));
    }
    SvmNested svm = nested.svm();
    Answer guestMode = nested.mode().guestMode();
    if (result.ranL1().isNo()) {
      return guestMode.isNo() ? nested : nested.withSvm(afterL2(svm, moment));
    }
    if (guestMode.isYes() && result.ranL1().isYes()) {
      // L1 entered L2 in this very run, which forgot what was known before.
      return nested.withSvm(afterL2(svm, moment));
    }
    Nested.Mode mode =
        guestMode.isNo() ? nested.mode().withPending(Answer.NO, Answer.NO) : nested.mode();
    return nested.withMode(mode).withSvm(svm.forgotten(moment));
  }

  /** Without EFER.SVME there is no nested SVM, and the guest cannot set it without the feature. */
  private static boolean impossible(Vcpu before) {
    Answer enabled = before.registers().sregs().hasAny(SregsFields.EFER, Efer.SVME);
    return before
        .kernel()
        .nested()
        .and(GuestCpuid.svm(before).or(enabled).or(before.inGuestMode()))
        .isNo();
  }

  /** L2 can execute CLGI and STGI unless L1 intercepts them. */
  private static SvmNested afterL2(SvmNested svm, int moment) {
    Intercept change = svm.gif().isYes() ? Intercept.CLGI : Intercept.STGI;
    Answer kept = svm.vmcb().hasAny(Vmcb.indexOf(change.word()), change.mask());
    return svm.withGif(kept.isYes() ? svm.gif() : Answer.CANNOT_TELL, svm.l1Gif())
        .withVmcb(SvmRegisters.afterL2Ran(svm.vmcb(), moment));
  }

  /** VMRUN, or RSM, made L2 the running guest: what KVM knows of L1 comes from guest memory. */
  static Vcpu entered(Vcpu v, TimelineEvent.NestedVmEntered e) {
    SvmNested svm = v.nested().svm();
    Tracked vmcb = svm.vmcb().forgetAll(e.moment());
    svm =
        new SvmNested(
            Answer.YES,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            svm.header().edit(e.moment()).set(SvmNested.VMCB_PA, e.vmcs()).done(),
            vmcb.edit(e.moment()).set(Vmcb.indexOf(VmcbField.RIP), e.rip()).done());
    Nested.Mode mode =
        v.nested().mode().withGuestMode(Answer.YES).withPending(Answer.YES, Answer.NO);
    return v.withNested(v.nested().withMode(mode).withSvm(svm));
  }

  /** L1 received an exit of L2: its global interrupt flag is clear. */
  static Nested exited(Vcpu v) {
    Nested.Mode mode = v.nested().mode().withGuestMode(Answer.NO).withPending(Answer.NO, Answer.NO);
    return v.nested().withMode(mode).withSvm(v.nested().svm().withGif(Answer.NO, Answer.NO));
  }

  /** A tracepoint shows what L1 intercepts. */
  static Vcpu evolve(Vcpu v, TimelineEvent.InterceptsShown e) {
    SvmNested svm = v.nested().svm();
    Tracked vmcb =
        svm.vmcb()
            .edit(e.moment())
            .set(Vmcb.indexOf(VmcbField.INTERCEPT_CR), e.controlRegisters())
            .set(Vmcb.indexOf(VmcbField.INTERCEPT_EXCEPTION), e.exceptions())
            .set(Vmcb.indexOf(VmcbField.INTERCEPT_WORD3), e.word3())
            .set(Vmcb.indexOf(VmcbField.INTERCEPT_WORD4), e.word4())
            .set(Vmcb.indexOf(VmcbField.INTERCEPT_WORD5), e.word5())
            .done();
    return v.withNested(v.nested().withSvm(svm.withVmcb(vmcb)));
  }

  /** An SMI was delivered: EFER is zero, which ends nested operation and sets the flag. */
  static Nested smmEntered(Vcpu v) {
    Nested left = exited(v);
    Answer gif = GuestCpuid.longMode(v).isYes() ? Answer.YES : Answer.CANNOT_TELL;
    return left.withSvm(left.svm().withGif(gif, gif));
  }
}
