package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;

/**
 * What remains known after a recorded result contradicts the model, or when the model cannot tell
 * what a call did: the recording is the fact, so whatever the call may have written is unknown.
 */
final class DoubtRules {
  private static final FieldSet EXCEPTION =
      FieldSet.of(
          KvmVcpuEvents.LAYOUT.count(),
          EventsFields.EXCEPTION_PENDING,
          EventsFields.EXCEPTION_INJECTED,
          EventsFields.EXCEPTION_NR,
          EventsFields.EXCEPTION_HAS_ERROR_CODE,
          EventsFields.EXCEPTION_ERROR_CODE,
          EventsFields.HAS_PAYLOAD,
          EventsFields.PAYLOAD);

  private DoubtRules() {}

  /** What a trace prints of the general or special registers. */
  static Vcpu evolve(Vcpu v, TimelineEvent.FieldsShown e) {
    Vcpu.Registers r = v.registers();
    ShownFields shown = e.shown();
    return switch (e.ioctl()) {
      case SET_REGS, GET_REGS ->
          Validity.recompute(
              v.withRegisters(r.withRegs(r.regs().learn(shown.bytes(), shown.fields()))));
      case SET_SREGS, GET_SREGS ->
          Validity.recompute(
              v.withRegisters(r.withSregs(r.sregs().learn(shown.bytes(), shown.fields()))));
      default -> v;
    };
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.CallDoubted e) {
    int m = e.moment();
    Vcpu.Registers r = v.registers();
    return switch (e.ioctl()) {
      case SET_REGS ->
          Validity.recompute(
              v.withRegisters(r.withRegs(r.regs().forgetAll(m)))
                  .withEvents(v.events().edit(m).forget(EventsFields.EXCEPTION_PENDING).done()));
      case SET_SREGS, SET_SREGS2 -> sregs(v, m);
      case SET_VCPU_EVENTS -> everything(v, m, false);
      case SET_NESTED_STATE -> everything(v, m, true);
      case SET_MP_STATE, GET_MP_STATE ->
          v.withPlatform(v.platform().withMpState(v.platform().mpState().forgetAll(m)));
      case SET_DEBUGREGS -> v.withRegisters(r.withDebugregs(r.debugregs().forgetAll(m)));
      case SET_XCRS -> v.withRegisters(r.withXcrs(r.xcrs().forgetAll(m)));
      case SET_XSAVE, SET_FPU -> v.withRegisters(r.withXsave(r.xsave().forgetAll(m)));
      case SET_LAPIC ->
          v.withPlatform(v.platform().withLapic(v.platform().lapic().forgetAll(m)))
              .withRegisters(
                  r.withSregs(
                      r.sregs().forget(FieldSet.of(KvmSregs.LAYOUT.count(), SregsFields.CR8), m)));
      case SET_MSRS -> Validity.recompute(MsrRules.doubt(v, m));
      case SET_CPUID2 -> cpuid(v, m);
      case SET_TSC_KHZ -> v.withPlatform(v.platform().withTscKhz(0));
      case SMI -> v.withProgress(v.progress().withSmiRequested(Answer.CANNOT_TELL));
      case NMI, INTERRUPT -> v.withEvents(v.events().forgetAll(m));
      case ENABLE_CAP -> v.withProgress(v.progress().withEnlightenedVmcs(Answer.CANNOT_TELL));
      case RUN -> GuestRunRules.doubted(v, m);
      case SET_GUEST_DEBUG -> v.withEvents(v.events().forget(EXCEPTION, m));
      default -> v;
    };
  }

  /** MSRs and the local APIC's version follow the table. */
  private static Vcpu cpuid(Vcpu v, int m) {
    Tracked lapic = v.platform().lapic();
    return v.withPlatform(
        v.platform()
            .withCpuid(null, Answer.CANNOT_TELL)
            .withMsrs(MsrRules.doubt(v, m).platform().msrs())
            .withLapic(lapic.seen().isEmpty() ? lapic : lapic.forgetAll(m)));
  }

  private static Vcpu sregs(Vcpu v, int m) {
    Vcpu.Registers r = v.registers();
    Vcpu next = v.withRegisters(r.withSregs(r.sregs().forgetAll(m)));
    if (!v.inGuestMode().isNo()) {
      // A segment set while L2 is active is written to the cached vmcs12 as well.
      Nested nested = next.nested();
      next =
          next.withNested(nested.withVmcs12(nested.vmcs12().forget(NestedFields.ACCESS_RIGHTS, m)));
    }
    next =
        next.withPlatform(
            next.platform()
                .withLapic(next.platform().lapic().forgetAll(m))
                .withMpState(next.platform().mpState().forgetAll(m)));
    FieldSet interrupt =
        FieldSet.of(
            KvmVcpuEvents.LAYOUT.count(),
            EventsFields.INTERRUPT_INJECTED,
            EventsFields.INTERRUPT_NR,
            EventsFields.INTERRUPT_SOFT);
    return Validity.recompute(next.withEvents(next.events().forget(interrupt, m)));
  }

  /** A call that may have made KVM leave nested operation, if there was any. */
  static Vcpu mayLeave(Vcpu v, int m) {
    Nested.Mode mode = v.nested().mode();
    return mode.vmxonAnywhere().isNo() && mode.guestMode().isNo() ? v : everything(v, m, true);
  }

  /** INIT was accepted: it resets the vCPU, but for what only power-on resets. */
  static Vcpu reset(Vcpu v, int m) {
    Vcpu next = sregs(everything(v, m, false), m);
    Vcpu.Registers r = next.registers();
    return MsrRules.doubt(
        next.withRegisters(
            r.withDebugregs(r.debugregs().forgetAll(m)).withXsave(r.xsave().forgetAll(m))),
        m);
  }

  /** A call that may have left L2: registers, queues and nested state are all in doubt. */
  static Vcpu everything(Vcpu v, int m, boolean nestedOnly) {
    Vcpu next = NestedRegisters.forget(v, m);
    next = next.withProgress(next.progress().withNestedPagesAwaited(Answer.CANNOT_TELL));
    Nested nested = next.nested();
    next =
        next.withNested(
            new Nested(
                Nested.Mode.UNKNOWN,
                nested.header().forgetAll(m),
                nested.vmcs12().forgetAll(m),
                nested.shadowVmcs12().forgetAll(m),
                nested.svm().forgotten(m)));
    next = next.withPlatform(next.platform().withMpState(next.platform().mpState().forgetAll(m)));
    if (!nestedOnly) {
      Vcpu.Registers r = next.registers();
      next =
          next.withEvents(next.events().forgetAll(m))
              .withRegisters(r.withRegs(r.regs().forgetAll(m)));
    }
    return Validity.recompute(next);
  }

  /** A read contradicts what was known: those fields are not known, whoever is right. */
  static Vcpu evolve(Vcpu v, TimelineEvent.ReadDoubted e) {
    return switch (e.doubted()) {
      case Reply.Struct s -> struct(v, s, e.fields(), e.moment());
      case Reply.Parts p -> parts(v, p, e.fields(), e.moment());
      case Reply.Msrs m -> Validity.recompute(MsrRules.doubt(v, m, e.fields()));
      case Reply.Cpuid _ -> v.withPlatform(v.platform().withCpuid(null, Answer.CANNOT_TELL));
    };
  }

  /** Nested state: a wrong header puts the mode in doubt, a wrong vmcs12 only its fields. */
  private static Vcpu parts(Vcpu v, Reply.Parts reply, FieldSet fields, int m) {
    Reply.Struct header = reply.parts().get(0);
    int first = fields.next(0);
    if (first >= 0 && first < header.count()) {
      return everything(v, m, true);
    }
    Vcpu next = v;
    int base = header.count();
    for (Reply.Struct part : reply.parts().subList(1, reply.parts().size())) {
      FieldSet local = FieldSet.none(part.count());
      for (int f = fields.next(base); f >= 0 && f < base + part.count(); f = fields.next(f + 1)) {
        local = local.with(f - base);
      }
      Nested nested = next.nested();
      next =
          next.withNested(
              v.kernel().isSvm()
                  ? nested.withSvm(nested.svm().withVmcb(nested.svm().vmcb().doubt(local)))
                  : base == header.count()
                      ? nested.withVmcs12(nested.vmcs12().doubt(local))
                      : nested.withShadowVmcs12(nested.shadowVmcs12().doubt(local)));
      base += part.count();
    }
    return next;
  }

  private static Vcpu struct(Vcpu v, Reply.Struct s, FieldSet fields, int m) {
    Vcpu.Registers r = v.registers();
    String name = s.layout().name();
    return switch (name) {
      case "kvm_regs" -> Validity.recompute(v.withRegisters(r.withRegs(r.regs().doubt(fields))));
      case "kvm_sregs" -> doubtSregs(v, fields);
      case "kvm_sregs2" -> doubtSregs(v, FieldSet.all(KvmSregs.LAYOUT.count()));
      case "kvm_vcpu_events" -> v.withEvents(v.events().doubt(fields));
      case "kvm_debugregs" -> v.withRegisters(r.withDebugregs(r.debugregs().doubt(fields)));
      case "kvm_xcrs" -> v.withRegisters(r.withXcrs(r.xcrs().doubt(fields)));
      case "kvm_xsave" -> v.withRegisters(r.withXsave(r.xsave().doubt(fields)));
      case "kvm_lapic_state" ->
          v.withPlatform(v.platform().withLapic(v.platform().lapic().doubt(fields)));
      case "kvm_mp_state" ->
          v.withPlatform(v.platform().withMpState(v.platform().mpState().doubt(fields)));
      default -> everything(v, m, true);
    };
  }

  private static Vcpu doubtSregs(Vcpu v, FieldSet fields) {
    Vcpu.Registers r = v.registers();
    Vcpu next = v.withRegisters(r.withSregs(r.sregs().doubt(fields)));
    boolean bitmap = false;
    for (int word = 0; word < SregsFields.bitmapWords(); word++) {
      int field = SregsFields.interruptBitmap(word);
      bitmap |= fields.has(field);
    }
    if (bitmap) {
      FieldSet interrupt =
          FieldSet.of(
              KvmVcpuEvents.LAYOUT.count(),
              EventsFields.INTERRUPT_INJECTED,
              EventsFields.INTERRUPT_NR,
              EventsFields.INTERRUPT_SOFT);
      next = next.withEvents(next.events().doubt(interrupt));
    }
    return Validity.recompute(next);
  }
}
