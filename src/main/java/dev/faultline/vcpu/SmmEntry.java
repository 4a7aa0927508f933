package dev.faultline.vcpu;

import dev.faultline.kvm.KvmSregs;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;

/**
 * The registers with which an SMI handler begins.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, enter_smm()}, v6.1.
 */
final class SmmEntry {
  private static final long CR0_CLEARED = Cr0.PE | Cr0.EM | Cr0.TS | Cr0.PG;
  private static final long LIMIT = 0xffff_ffffL;
  private static final long RFLAGS_FIXED = 2;
  private static final long DR7_FIXED = 0x400;
  private static final int DATA = 3;
  private static final int SELECTOR_SHIFT = 4;
  private static final int SELECTOR_MASK = 0xffff;

  private SmmEntry() {}

  static Vcpu registers(Vcpu v, long smbase, int moment) {
    Tracked before = v.registers().sregs();
    Tracked.Edit sregs = before.edit(moment);
    sregs.set(
        SregsFields.CR0,
        before.value(SregsFields.CR0) & ~CR0_CLEARED,
        before.knows(SregsFields.CR0));
    sregs.set(SregsFields.CR4, 0).set(SregsFields.IDT_BASE, 0).set(SregsFields.IDT_LIMIT, 0);
    Answer longMode = GuestCpuid.longMode(v);
    if (longMode.isYes()) {
      sregs.set(SregsFields.EFER, 0);
    } else if (!longMode.isKnown()) {
      sregs.forget(SregsFields.EFER);
    }
    for (SegmentRegister register : SegmentRegister.values()) {
      if (register != SegmentRegister.TR && register != SegmentRegister.LDTR) {
        boolean cs = register == SegmentRegister.CS;
        int selector = cs ? (int) (smbase >> SELECTOR_SHIFT) & SELECTOR_MASK : 0;
        segment(
            sregs,
            SregsFields.uapiName(register),
            new Segment(cs ? smbase : 0, LIMIT, selector, DATA, 1, 0, 0, 1, 0, 1, 0, 0));
      }
    }
    Tracked.Edit regs = v.registers().regs().edit(moment);
    regs.set(RegsFields.RIP, Smram.SMM_ENTRY).set(RegsFields.RFLAGS, RFLAGS_FIXED);
    Tracked.Edit debugregs = v.registers().debugregs().edit(moment);
    Tracked.Edit events = v.events().edit(moment);
    Answer masked = v.events().is(EventsFields.NMI_MASKED, 0).not();
    events.set(EventsFields.SMM_INSIDE_NMI, masked.isYes() ? 1 : 0, masked.isKnown());
    events.set(EventsFields.NMI_MASKED, 1);
    if (v.kernel().version().rsm().keepsShadow()) {
      events.set(EventsFields.INTERRUPT_SHADOW, 0);
    }
    Vcpu next =
        v.withRegisters(
                v.registers()
                    .withSregs(sregs.done())
                    .withRegs(regs.done())
                    .withDebugregs(debugregs.set(SmramRules.DR7, DR7_FIXED).done()))
            .withEvents(events.done());
    return Validity.recompute(next);
  }

  private static void segment(Tracked.Edit sregs, String name, Segment s) {
    set(sregs, name + ".base", s.base());
    set(sregs, name + ".limit", s.limit());
    set(sregs, name + ".selector", s.selector());
    set(sregs, name + ".type", s.type());
    set(sregs, name + ".present", s.present());
    set(sregs, name + ".dpl", s.dpl());
    set(sregs, name + ".db", s.db());
    set(sregs, name + ".s", s.s());
    set(sregs, name + ".l", s.l());
    set(sregs, name + ".g", s.g());
    set(sregs, name + ".avl", s.avl());
    set(sregs, name + ".unusable", s.unusable());
  }

  private static void set(Tracked.Edit sregs, String field, long value) {
    sregs.set(KvmSregs.LAYOUT.indexOf(field), value);
  }
}
