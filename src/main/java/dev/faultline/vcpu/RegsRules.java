package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.x86.Rflags;

/**
 * KVM_GET_REGS and KVM_SET_REGS.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, __set_regs(), __get_regs()}, v6.1.
 */
final class RegsRules {
  private static final int RFLAGS_OFFSET = KvmRegs.LAYOUT.field(RegsFields.RFLAGS).offset();

  private RegsRules() {}

  static Vcpu evolve(Vcpu v, TimelineEvent.RegsSet e) {
    Bytes raw = e.regs().raw();
    long rflags = e.regs().rflags();
    if ((rflags & Rflags.FIXED) == 0) {
      raw = raw.with(RFLAGS_OFFSET, Long.BYTES, rflags | Rflags.FIXED);
    }
    Tracked before = v.registers().regs();
    Vcpu next = v.withRegisters(v.registers().withRegs(before.replace(raw, e.moment())));
    Tracked events = next.events();
    if (!events.is(EventsFields.EXCEPTION_PENDING, 0).isYes()) {
      next = next.withEvents(events.edit(e.moment()).set(EventsFields.EXCEPTION_PENDING, 0).done());
    }
    boolean toggled =
        !before.knows(RegsFields.RFLAGS)
            || ((before.value(RegsFields.RFLAGS) ^ rflags) & Rflags.VM) != 0;
    return toggled ? Validity.recompute(next) : next;
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.RegsRead e) {
    Tracked learned = DeviceRules.learnAll(v.registers().regs(), e.regs().raw());
    Vcpu next = v.withRegisters(v.registers().withRegs(learned));
    return next.registers().emulation().required().isKnown() ? next : Validity.recompute(next);
  }
}
