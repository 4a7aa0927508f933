package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.VcpuEventFlags;
import java.util.List;

/**
 * KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_SMI, KVM_NMI and KVM_INTERRUPT.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_vcpu_ioctl_x86_set_vcpu_events(),
 * kvm_vcpu_ioctl_x86_get_vcpu_events()}, v6.1.
 */
final class EventRules {
  private static final FieldSet ALL = FieldSet.all(KvmVcpuEvents.LAYOUT.count());
  private static final int ALL_FLAGS =
      VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING
          | VcpuEventFlags.KVM_VCPUEVENT_VALID_SIPI_VECTOR
          | VcpuEventFlags.KVM_VCPUEVENT_VALID_SHADOW
          | VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM
          | VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD
          | VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
  private static final int ALWAYS_REPORTED =
      VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING
          | VcpuEventFlags.KVM_VCPUEVENT_VALID_SHADOW
          | VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM;
  private static final int MAX_EXCEPTION = 31;
  private static final int NMI_VECTOR = 2;
  private static final int BREAKPOINT = 3;
  private static final int OVERFLOW = 4;
  private static final int MOST_NMIS = 2;
  private static final String WHETHER_SMM = "whether KVM was built with SMM";
  private static final int SHADOW_MOV_SS = 1;
  private static final int SHADOW_STI = 2;

  private EventRules() {}

  static Decision set(Vcpu v, VcpuCommand.SetVcpuEvents c) {
    KvmVcpuEvents given = c.events();
    int flags = given.flags();
    if ((flags & ~ALL_FLAGS) != 0
        || ((flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT) != 0
            && !v.kernel().version().tripleFaultEvent())) {
      return refused(c, EventsCheck.EVENTS_FLAGS);
    }
    boolean payload = (flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD) != 0;
    Answer payloadCap = v.vm().settings().exceptionPayload();
    if (payload && payloadCap.isNo()) {
      return refused(c, EventsCheck.EVENTS_PAYLOAD_CAP);
    }
    boolean pending = payload && given.exceptionPending() != 0;
    boolean injected = given.exceptionInjected() != 0 && !pending;
    int vector = given.exceptionNr();
    if ((injected || pending) && (vector > MAX_EXCEPTION || vector == NMI_VECTOR)) {
      return refused(c, EventsCheck.EVENTS_EXCEPTION_VECTOR);
    }
    boolean smi =
        (flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM) != 0
            && (given.smiSmm() != 0 || given.smiPending() != 0);
    Answer waiting =
        v.kernel().version().runJudgesInit() ? Answer.NO : MpStateRules.waitsForSipi(v);
    if (smi && waiting.isYes()) {
      return refused(c, EventsCheck.EVENTS_SMM_WHILE_INIT_RECEIVED);
    }
    boolean tripleFault = (flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT) != 0;
    Answer tripleFaultCap = v.vm().settings().tripleFaultEvent();
    TimelineEvent.VcpuEventsSet applied =
        new TimelineEvent.VcpuEventsSet(c.moment(), given, !tripleFault || !tripleFaultCap.isNo());
    if (payload && !payloadCap.isKnown()) {
      return Decision.undecided(applied, "whether KVM_CAP_EXCEPTION_PAYLOAD is enabled");
    }
    if (smi && !waiting.isKnown()) {
      return Decision.undecided(applied, "the vCPU's multiprocessing state");
    }
    if ((smi || smmFlagsInside(given)) && !hasSmm(v).isKnown()) {
      return Decision.undecided(applied, WHETHER_SMM);
    }
    if (tripleFault && tripleFaultCap.isNo()) {
      EventsCheck check = EventsCheck.EVENTS_TRIPLE_FAULT_CAP;
      return new Decision(
          new Outcome.Refused(Errno.EINVAL, check),
          List.of(
              applied,
              new TimelineEvent.CallRefused(
                  c.moment(), Ioctl.SET_VCPU_EVENTS, Errno.EINVAL, check)),
          null);
    }
    if (tripleFault && !tripleFaultCap.isKnown()) {
      return Decision.undecided(applied, "whether KVM_CAP_X86_TRIPLE_FAULT_EVENT is enabled");
    }
    return Decision.done(applied);
  }

  private static boolean smmFlagsInside(KvmVcpuEvents given) {
    return (given.flags() & VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM) != 0
        && given.smiSmmInsideNmi() != 0;
  }

  private static Decision refused(VcpuCommand.SetVcpuEvents c, EventsCheck check) {
    return Decision.of(
        new Outcome.Refused(Errno.EINVAL, check),
        new TimelineEvent.CallRefused(c.moment(), Ioctl.SET_VCPU_EVENTS, Errno.EINVAL, check));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.VcpuEventsSet e) {
    KvmVcpuEvents given = e.events();
    int flags = given.flags();
    boolean payload = (flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD) != 0;
    boolean pending = payload && given.exceptionPending() != 0;
    Tracked before = v.events();
    Tracked.Edit edit = before.edit(e.moment());
    edit.set(EventsFields.EXCEPTION_INJECTED, given.exceptionInjected() != 0 && !pending ? 1 : 0);
    edit.set(EventsFields.EXCEPTION_PENDING, pending ? 1 : 0);
    edit.set(EventsFields.EXCEPTION_NR, given.exceptionNr());
    edit.set(EventsFields.EXCEPTION_HAS_ERROR_CODE, given.exceptionHasErrorCode() != 0 ? 1 : 0);
    edit.set(EventsFields.EXCEPTION_ERROR_CODE, given.exceptionErrorCode());
    edit.set(EventsFields.HAS_PAYLOAD, pending && given.exceptionHasPayload() != 0 ? 1 : 0);
    edit.set(EventsFields.PAYLOAD, given.exceptionPayload());
    edit.set(EventsFields.INTERRUPT_INJECTED, given.interruptInjected() != 0 ? 1 : 0);
    edit.set(EventsFields.INTERRUPT_NR, given.interruptNr());
    edit.set(EventsFields.INTERRUPT_SOFT, given.interruptSoft() != 0 ? 1 : 0);
    if ((flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_SHADOW) != 0) {
      edit.set(EventsFields.INTERRUPT_SHADOW, shadow(v, given.interruptShadow()));
    }
    edit.set(EventsFields.NMI_INJECTED, given.nmiInjected() != 0 ? 1 : 0);
    if ((flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING) != 0) {
      edit.set(EventsFields.NMI_PENDING, pendingNmis(v, given.nmiPending()));
    }
    edit.set(EventsFields.NMI_MASKED, given.nmiMasked() != 0 ? 1 : 0);
    boolean smm = (flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM) != 0;
    boolean stays = smm && v.inSmm().isKnown() && (v.inSmm().isYes() ? 1 : 0) == given.smiSmm();
    if (stays) {
      smi(v, given, edit);
    }
    Answer fromUserspace = Answer.of(pending);
    Vcpu.Progress progress = v.progress();
    Vcpu next = v.withEvents(edit.done());
    if (progress.exceptionFromUserspace() != fromUserspace) {
      next = next.withProgress(progress.withExceptionFromUserspace(fromUserspace));
    }
    if (smm && !stays) {
      next = toggleSmm(next, given, e.moment());
    }
    if (e.complete() && (flags & VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT) != 0) {
      next =
          next.withEvents(
              next.events()
                  .edit(e.moment())
                  .set(EventsFields.TRIPLE_FAULT, given.tripleFaultPending() != 0 ? 1 : 0)
                  .done());
    }
    return next;
  }

  /** Before 6.4 only whether one is pending is shown; since then there may be two. */
  private static int pendingNmis(Vcpu v, int given) {
    int most = v.kernel().version().countsPendingNmis() ? MOST_NMIS : 1;
    return Math.min(given, most);
  }

  /** One of two pending NMIs is dropped while NMIs are masked or one is being injected. */
  private static void nmis(Tracked events, Tracked.Edit reply) {
    if (!events.is(EventsFields.NMI_PENDING, MOST_NMIS).isYes()) {
      return;
    }
    Answer blocked =
        events
            .is(EventsFields.NMI_MASKED, 0)
            .not()
            .or(events.is(EventsFields.NMI_INJECTED, 0).not());
    reply.set(EventsFields.NMI_PENDING, blocked.isYes() ? 1 : MOST_NMIS, blocked.isKnown());
  }

  /** VMX keeps one of the two kinds of interrupt shadow; SVM has only one kind. */
  private static int shadow(Vcpu v, int given) {
    if (v.kernel().isSvm()) {
      return given != 0 ? SHADOW_MOV_SS | SHADOW_STI : 0;
    }
    if ((given & SHADOW_MOV_SS) != 0) {
      return SHADOW_MOV_SS;
    }
    return given & SHADOW_STI;
  }

  /**
   * SMM set by userspace. KVM compares the raw byte, so any value but the current one drops nested
   * state; what that forced exit clears was set earlier by this very call.
   */
  private static Vcpu toggleSmm(Vcpu v, KvmVcpuEvents given, int moment) {
    Answer current = v.inSmm();
    Vcpu next = v;
    boolean smm = given.smiSmm() != 0;
    if (!current.isKnown()) {
      // KVM leaves nested operation if this toggles SMM.
      next = DoubtRules.mayLeave(next, moment);
    } else if (v.kernel().version() != KernelVersion.V5_10) {
      next = NestedRules.leave(next, moment);
    } else {
      next = next.withNested(next.nested().withMode(Nested.Mode.UNKNOWN));
    }
    Tracked.Edit edit = next.events().edit(moment);
    if (!smm && current.isKnown()) {
      edit.set(EventsFields.SMM_INSIDE_NMI, 0);
    } else if (!smm) {
      edit.forget(EventsFields.SMM_INSIDE_NMI);
    }
    smi(next, given, edit);
    return next.withEvents(edit.done());
  }

  /** The part on SMIs, but for what toggling SMM does besides. */
  private static void smi(Vcpu v, KvmVcpuEvents given, Tracked.Edit edit) {
    boolean smm = given.smiSmm() != 0;
    edit.set(EventsFields.SMM, smm ? 1 : 0);
    edit.set(EventsFields.SMI_PENDING, given.smiPending() != 0 ? 1 : 0);
    if (smm) {
      edit.set(EventsFields.SMM_INSIDE_NMI, given.smiSmmInsideNmi() != 0 ? 1 : 0);
    }
    Answer lapic = v.vm().irqchip().lapicInKernel();
    if (lapic.isYes()) {
      edit.set(EventsFields.LATCHED_INIT, given.smiLatchedInit() != 0 ? 1 : 0);
    } else if (!lapic.isKnown()) {
      edit.forget(EventsFields.LATCHED_INIT);
    }
  }

  /** The reply is KVM's internal state with some of it hidden or merged. */
  static Decision get(Vcpu v, VcpuCommand.GetVcpuEvents c) {
    Tracked.Edit reply = v.events().edit(c.moment());
    Tracked events = v.events();
    Answer payloadCap = v.vm().settings().exceptionPayload();
    boolean soft = softVector(events);
    if (!events.knows(EventsFields.EXCEPTION_NR)) {
      reply.forget(EventsFields.EXCEPTION_INJECTED);
      reply.forget(EventsFields.EXCEPTION_PENDING);
    } else if (soft) {
      reply.set(EventsFields.EXCEPTION_INJECTED, 0);
      reply.set(EventsFields.EXCEPTION_PENDING, 0);
    } else if (!payloadCap.isYes()) {
      Answer queued = events.is(EventsFields.EXCEPTION_INJECTED, 0).not();
      Answer waiting = events.is(EventsFields.EXCEPTION_PENDING, 0).not();
      // Old userspace is shown a pending exception as an injected one.
      Answer shown = queued.or(waiting.and(payloadCap.not()));
      reply.set(EventsFields.EXCEPTION_INJECTED, shown.isYes() ? 1 : 0, shown.isKnown());
    }
    Answer injected = events.is(EventsFields.INTERRUPT_INJECTED, 0).not();
    Answer hard = injected.and(events.is(EventsFields.INTERRUPT_SOFT, 0));
    reply.set(EventsFields.INTERRUPT_INJECTED, hard.isYes() ? 1 : 0, hard.isKnown());
    reply.set(EventsFields.INTERRUPT_SOFT, 0);
    nmis(events, reply);
    reply.set(EventsFields.SIPI_VECTOR, 0);
    Answer smi = v.progress().smiRequested().or(events.is(EventsFields.SMI_PENDING, 0).not());
    reply.set(EventsFields.SMI_PENDING, smi.isYes() ? 1 : 0, smi.isKnown());
    reportFlags(v, reply);
    Tracked answer = reply.done();
    return Decision.reads(
        new Reply.Struct(
            "", 0, KvmVcpuEvents.LAYOUT, answer.bytes(), answer.known().union(PADDING)));
  }

  private static void reportFlags(Vcpu v, Tracked.Edit reply) {
    Answer payloadCap = v.vm().settings().exceptionPayload();
    Answer tripleFaultCap = v.vm().settings().tripleFaultEvent();
    int flags = ALWAYS_REPORTED;
    if (payloadCap.isYes()) {
      flags |= VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD;
    }
    if (tripleFaultCap.isYes()) {
      flags |= VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
    } else if (tripleFaultCap.isNo()) {
      reply.set(EventsFields.TRIPLE_FAULT, 0);
    }
    reply.set(EventsFields.FLAGS, flags, payloadCap.isKnown() && tripleFaultCap.isKnown());
  }

  private static final FieldSet PADDING = ALL.minus(KvmVcpuEvents.LAYOUT.values());

  /** A software exception is not reported: without the instruction length nobody can inject it. */
  private static boolean softVector(Tracked events) {
    long vector = events.value(EventsFields.EXCEPTION_NR);
    return vector == BREAKPOINT || vector == OVERFLOW;
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.VcpuEventsRead e) {
    Tracked events = v.events();
    Bytes raw = e.events().raw();
    FieldSet hidden =
        FieldSet.of(KvmVcpuEvents.LAYOUT.count(), EventsFields.FLAGS, EventsFields.SIPI_VECTOR);
    FieldSet unknown = ALL.minus(hidden).minus(PADDING).minus(events.known());
    Tracked learned = unknown.isEmpty() ? events : events.learn(raw, unknown);
    if (!v.vm().settings().tripleFaultEvent().isYes() && !events.knows(EventsFields.TRIPLE_FAULT)) {
      learned = learned.doubt(FieldSet.of(KvmVcpuEvents.LAYOUT.count(), EventsFields.TRIPLE_FAULT));
    }
    if (events.knows(EventsFields.NMI_PENDING)
        && e.events().nmiPending() < events.value(EventsFields.NMI_PENDING)) {
      learned =
          learned.edit(e.moment()).set(EventsFields.NMI_PENDING, e.events().nmiPending()).done();
    }
    Vcpu next = v.withEvents(learned);
    if (v.progress().smiRequested().isYes()) {
      next =
          next.withEvents(next.events().edit(e.moment()).set(EventsFields.SMI_PENDING, 1).done())
              .withProgress(next.progress().withSmiRequested(Answer.NO));
    } else if (!v.progress().smiRequested().isKnown()) {
      next = next.withProgress(next.progress().withSmiRequested(Answer.NO));
    }
    return next;
  }

  static Decision smi(Vcpu v, VcpuCommand.Smi c) {
    TimelineEvent.SmiRequested done = new TimelineEvent.SmiRequested(c.moment());
    return hasSmm(v).isYes() ? Decision.done(done) : Decision.undecided(done, WHETHER_SMM);
  }

  /**
   * Whether KVM has SMM at all: since 6.2 it can be built without. Then KVM_CAP_X86_SMM is 0; but
   * so it is where real mode is emulated, and there SMM works.
   */
  private static Answer hasSmm(Vcpu v) {
    MsrState told = v.vm().host().extensions();
    int cap = KvmCap.KVM_CAP_X86_SMM.number();
    boolean denied = told.knows(cap) && told.value(cap) == 0;
    return denied && v.kernel().version().compareTo(KernelVersion.V6_8) >= 0
        ? Answer.CANNOT_TELL
        : Answer.YES;
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.SmiRequested e) {
    return v.withProgress(v.progress().withSmiRequested(Answer.YES));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.NmiQueued e) {
    Tracked events = v.events();
    if (!v.kernel().version().countsPendingNmis()
        || events.is(EventsFields.NMI_PENDING, 0).isYes()) {
      return v.withEvents(events.edit(e.moment()).set(EventsFields.NMI_PENDING, 1).done());
    }
    Tracked.Edit edit = events.edit(e.moment());
    return v.withEvents(
        events.knows(EventsFields.NMI_PENDING)
            ? edit.set(EventsFields.NMI_PENDING, MOST_NMIS).done()
            : edit.forget(EventsFields.NMI_PENDING).done());
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.InterruptQueued e) {
    return queueInterrupt(v, e.vector(), e.moment());
  }

  static Vcpu queueInterrupt(Vcpu v, int vector, int moment) {
    return v.withEvents(
        v.events()
            .edit(moment)
            .set(EventsFields.INTERRUPT_INJECTED, 1)
            .set(EventsFields.INTERRUPT_NR, vector)
            .set(EventsFields.INTERRUPT_SOFT, 0)
            .done());
  }

  /** What every nested exit drops: events queued for L2. */
  static Tracked clearQueues(Tracked events, int moment) {
    return events
        .edit(moment)
        .set(EventsFields.EXCEPTION_INJECTED, 0)
        .set(EventsFields.EXCEPTION_PENDING, 0)
        .set(EventsFields.INTERRUPT_INJECTED, 0)
        .set(EventsFields.NMI_INJECTED, 0)
        .done();
  }

  /** Whether an event whose delivery was cut short is to be delivered again. */
  static Answer reinjects(Tracked events) {
    return events
        .is(EventsFields.EXCEPTION_INJECTED, 0)
        .not()
        .or(events.is(EventsFields.NMI_INJECTED, 0).not())
        .or(events.is(EventsFields.INTERRUPT_INJECTED, 0).not());
  }

  static Decision interrupt(Vcpu v, VcpuCommand.Interrupt c) {
    if (c.irq() < 0 || c.irq() > 255) {
      return Decision.of(
          new Outcome.Refused(Errno.EINVAL, CallCheck.INTERRUPT_VECTOR),
          new TimelineEvent.CallRefused(
              c.moment(), Ioctl.INTERRUPT, Errno.EINVAL, CallCheck.INTERRUPT_VECTOR));
    }
    return switch (v.vm().irqchip()) {
      case KERNEL ->
          Decision.of(
              new Outcome.Refused(Errno.ENXIO, CallCheck.INTERRUPT_CONTROLLER),
              new TimelineEvent.CallRefused(
                  c.moment(), Ioctl.INTERRUPT, Errno.ENXIO, CallCheck.INTERRUPT_CONTROLLER));
      case NONE -> Decision.done(new TimelineEvent.InterruptQueued(c.moment(), (int) c.irq()));
      case SPLIT, UNKNOWN ->
          Decision.undecided(
              new TimelineEvent.CallDoubted(c.moment(), Ioctl.INTERRUPT),
              "whether an external interrupt is pending already");
    };
  }
}
