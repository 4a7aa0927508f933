package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.MpState;
import dev.faultline.vmx.ExitReason;

/**
 * KVM_GET_MP_STATE and KVM_SET_MP_STATE.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl_set_mpstate(),
 * kvm_arch_vcpu_ioctl_get_mpstate()}, v6.1.
 */
final class MpStateRules {
  private static final int STATE = 0;

  private MpStateRules() {}

  static Answer is(Vcpu v, MpState state) {
    return v.platform().mpState().is(STATE, state.number());
  }

  /** Whether the vCPU never got an INIT: only its creation, or userspace, makes it so. */
  static Answer uninitialized(Vcpu v) {
    Answer waits = is(v, MpState.UNINITIALIZED);
    return waits.isKnown() || !v.progress().entered().isYes() ? waits : Answer.NO;
  }

  /** Whether the vCPU has got an INIT and waits for a SIPI, which the boot CPU never does. */
  static Answer waitsForSipi(Vcpu v) {
    Answer waits = is(v, MpState.INIT_RECEIVED);
    boolean boot = v.vm().settings().created() && v.vm().settings().bootCpuId() == v.id();
    return waits.isKnown() || !boot ? waits : Answer.NO;
  }

  static Decision set(Vcpu v, VcpuCommand.SetMpState c) {
    int number = c.state().mpState();
    MpState state = MpState.of(number);
    boolean known =
        state != null
            && switch (state) {
              case RUNNABLE, UNINITIALIZED, INIT_RECEIVED, HALTED, SIPI_RECEIVED, AP_RESET_HOLD ->
                  true;
              default -> false;
            };
    if (!known) {
      return refused(c, CallCheck.MP_STATE_UNKNOWN);
    }
    TimelineEvent.MpStateSet done = new TimelineEvent.MpStateSet(c.moment(), c.state());
    Answer lapic = v.vm().irqchip().lapicInKernel();
    if (state != MpState.RUNNABLE && lapic.isNo()) {
      return refused(c, CallCheck.MP_STATE_NEEDS_LAPIC);
    }
    if (state == MpState.INIT_RECEIVED || state == MpState.SIPI_RECEIVED) {
      Answer blocked = initBlocked(v).or(v.events().is(EventsFields.SMI_PENDING, 0).not());
      boolean judged = !v.kernel().version().runJudgesInit();
      if (blocked.isYes() && judged) {
        return refused(c, CallCheck.MP_STATE_BLOCKED);
      }
      if (!blocked.isNo()) {
        return Decision.undecided(
            done, judged ? "whether INIT is blocked" : "whether this kernel leaves it to KVM_RUN");
      }
    }
    if (state != MpState.RUNNABLE && !lapic.isKnown()) {
      return Decision.undecided(done, "whether the local APIC is in the kernel");
    }
    return Decision.done(done);
  }

  private static Answer initBlocked(Vcpu v) {
    Nested.Mode mode = v.nested().mode();
    Answer root = mode.vmxon().and(mode.guestMode().not());
    if (v.kernel().isSvm()) {
      return v.inSmm().or(v.nested().svm().gif().not());
    }
    return v.inSmm().or(root);
  }

  private static Decision refused(VcpuCommand.SetMpState c, CallCheck check) {
    return Decision.of(
        new Outcome.Refused(Errno.EINVAL, check),
        new TimelineEvent.CallRefused(c.moment(), Ioctl.SET_MP_STATE, Errno.EINVAL, check));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.MpStateSet e) {
    boolean sipi = e.state().mpState() == MpState.SIPI_RECEIVED.number();
    KvmMpState kept = sipi ? KvmMpState.of(MpState.INIT_RECEIVED) : e.state();
    Tracked stored = v.platform().mpState().replace(kept.raw(), e.moment());
    Vcpu next = v.withPlatform(v.platform().withMpState(stored));
    return sipi ? next.withProgress(next.progress().withInitOrSipiPossible(Answer.YES)) : next;
  }

  /** The vCPU becomes runnable, if {@code certain}. */
  static Vcpu runnable(Vcpu v, Answer certain, int moment) {
    Tracked state = v.platform().mpState();
    Tracked next =
        certain.isYes()
            ? state.edit(moment).set(STATE, MpState.RUNNABLE.number()).done()
            : state.forgetAll(moment);
    return v.withPlatform(v.platform().withMpState(next));
  }

  /**
   * Reading accepts a latched INIT or SIPI first, so the answer is certain only when there can be
   * none.
   */
  static Decision get(Vcpu v) {
    Tracked state = v.platform().mpState();
    boolean certain = latched(v).isNo() && !is(v, MpState.HALTED).isYes();
    return Decision.reads(
        new Reply.Struct(
            "",
            0,
            KvmMpState.LAYOUT,
            state.bytes(),
            certain ? state.known() : FieldSet.none(KvmMpState.LAYOUT.count())));
  }

  /** Whether an INIT or SIPI may be waiting to be accepted. */
  private static Answer latched(Vcpu v) {
    return v.progress().initOrSipiPossible().or(v.events().is(EventsFields.LATCHED_INIT, 0).not());
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.MpStateRead e) {
    Vcpu next = isAsBefore(e.state()) ? v : acceptInit(v, e.moment());
    Tracked state = next.platform().mpState();
    Tracked learned = state.learn(e.state().raw(), FieldSet.all(KvmMpState.LAYOUT.count()));
    return next.withPlatform(next.platform().withMpState(learned));
  }

  /** Whoever accepts an INIT or SIPI, or exits to L1 for one, is not halted any more. */
  private static boolean isAsBefore(KvmMpState shown) {
    return shown.mpState() == MpState.HALTED.number()
        || shown.mpState() == MpState.UNINITIALIZED.number();
  }

  /**
   * Reading the state accepts a latched INIT: L2 exits to L1 for it, VMX root operation and SMM
   * block it, and otherwise the vCPU is reset.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/lapic.c, kvm_apic_accept_events()}; {@code
   * arch/x86/kvm/vmx/nested.c, vmx_check_nested_events()}, v6.1.
   */
  private static Vcpu acceptInit(Vcpu v, int moment) {
    Answer latched = latched(v);
    boolean mayExit = v.kernel().isSvm() && !v.inGuestMode().isNo();
    if (latched.isNo() || (initBlocked(v).isYes() && !mayExit)) {
      return v;
    }
    if (latched.isYes() && v.inGuestMode().isYes() && !v.kernel().isSvm()) {
      Answer waits = eventsWait(v);
      if (waits.isYes()) {
        return v;
      }
      if (waits.isNo()) {
        Vcpu left = NestedRegisters.exit(v, ExitReason.INIT_SIGNAL, moment);
        Tracked events = left.events().edit(moment).set(EventsFields.LATCHED_INIT, 0).done();
        return left.withEvents(events);
      }
    }
    return latched.isYes() ? DoubtRules.reset(v, moment) : DoubtRules.everything(v, moment, false);
  }

  /** Whether something must be injected into L2 again before it can exit. */
  private static Answer eventsWait(Vcpu v) {
    return EventRules.reinjects(v.events()).or(v.nested().mode().runPending());
  }
}
