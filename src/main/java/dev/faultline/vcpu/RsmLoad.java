package dev.faultline.vcpu;

import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import dev.faultline.x86.Rflags;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import dev.faultline.x86.SmramMap;
import org.jspecify.annotations.Nullable;

/**
 * SMRAM loaded over the vCPU's registers, value by value, until one is refused.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/emulate.c, rsm_load_state_64(), rsm_load_state_32(),
 * rsm_enter_protected_mode(), emulator_recalc_and_set_mode()}, v6.1.
 */
final class RsmLoad {
  private static final long LOW_32 = 0xffff_ffffL;
  private static final long PCID = 0xfff;
  private static final long NO_FLUSH = 1L << 63;
  private static final long CR0_KEPT =
      Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD
          | Cr0.PG;
  private static final long CR0_PDPTR = Cr0.CD | Cr0.NW | Cr0.PG;
  private static final long CR4_PDPTR = Cr4.PGE | Cr4.PSE | Cr4.PAE | Cr4.SMEP;
  private static final long DR6_VOLATILE = 0x0001_e80fL;
  private static final long DR6_FIXED = 0xfffe_0ff0L;
  private static final long DR6_RTM = 1L << 16;
  private static final long DR6_BUS_LOCK = 1L << 11;
  private static final long DR7_VOLATILE = 0xffff_2bffL;
  private static final long DR7_FIXED = 0x400;
  private static final int BUSY_TSS = 11;
  private static final int ACCESSED = 1;
  private static final int PCID_LEAF = 1;
  private static final int PCID_BIT = 17;
  private static final String PDPTES = "the guest memory that holds the PDPTEs";

  private final Vcpu vcpu;
  private final Tracked map;
  private final boolean wide;
  private final boolean l2;
  private long cr0;
  private long cr3;
  private long cr4;
  private long efer;
  private @Nullable RsmCheck failed;
  private @Nullable String missing;

  private RsmLoad(Vcpu vcpu, Tracked map, boolean l2) {
    this.vcpu = vcpu;
    this.map = map;
    this.wide = map.layout().equals(SmramMap.LAYOUT_64);
    this.l2 = l2;
  }

  /** Loading begins in real mode, with EFER zero. */
  static RsmLoad intoL1(Vcpu v, Tracked map) {
    RsmLoad load = new RsmLoad(v, map, false);
    load.walk();
    return load;
  }

  /** Loading begins in the L2 that the cached vmcs12 describes. */
  static RsmLoad intoL2(Vcpu v, Tracked map) {
    RsmLoad load = new RsmLoad(v, map, true);
    Tracked sregs = v.registers().sregs();
    load.cr0 = sregs.value(SregsFields.CR0);
    load.cr3 = sregs.value(SregsFields.CR3);
    load.cr4 = sregs.value(SregsFields.CR4);
    load.efer = sregs.value(SregsFields.EFER);
    load.walk();
    return load;
  }

  /** The first value that is refused, or null. */
  @Nullable RsmCheck failed() {
    return failed;
  }

  /** What is not known and decides, or null. */
  @Nullable String missing() {
    return missing;
  }

  private void walk() {
    boolean done =
        debugRegisters() && (!wide || loadEfer()) && controlRegisters() && (failed == null);
    if (done && vcpu.kernel().version().rsm().recalculatesMode()) {
      judgeMode();
    }
  }

  private boolean knows(String field) {
    if (map.knows(index(field))) {
      return true;
    }
    missing = "SMRAM's " + field;
    return false;
  }

  private int index(String field) {
    return map.layout().indexOf(field);
  }

  private long value(String field) {
    return map.value(index(field));
  }

  /** True when loading goes on. */
  private boolean demand(Answer violated, RsmCheck check, String what) {
    switch (violated) {
      case YES -> failed = check;
      case CANNOT_TELL -> missing = what;
      case NO -> {}
    }
    return violated.isNo();
  }

  private boolean demand(boolean violated, RsmCheck check) {
    return demand(Answer.of(violated), check, "");
  }

  private boolean debugRegisters() {
    boolean judged = vcpu.kernel().version().rsm().judgesDebugRegisters();
    return !judged
        || (knows("dr6")
            && demand(value("dr6") >>> 32 != 0, RsmCheck.RSM_DR6)
            && knows("dr7")
            && demand(value("dr7") >>> 32 != 0, RsmCheck.RSM_DR7));
  }

  private boolean loadEfer() {
    if (!knows("efer")) {
      return false;
    }
    long given = value("efer") & ~Efer.LMA;
    boolean paging = (cr0 & Cr0.PG) != 0;
    if (!demand(ControlRegisters.eferValid(vcpu, given).not(), RsmCheck.RSM_EFER, "CPUID")
        || !demand(paging && ((given ^ efer) & Efer.LME) != 0, RsmCheck.RSM_EFER_LME)) {
      return false;
    }
    efer = given | (efer & Efer.LMA);
    return true;
  }

  private boolean controlRegisters() {
    if (!knows("cr0") || !knows("cr3") || !knows("cr4")) {
      return false;
    }
    long newCr4 = value("cr4");
    boolean pcide = (newCr4 & Cr4.PCIDE) != 0;
    long pcid = pcide ? value("cr3") & PCID : 0;
    return loadCr3(pcide ? value("cr3") & ~PCID : value("cr3"))
        && loadCr4(newCr4 & ~Cr4.PCIDE)
        && loadCr0(value("cr0"))
        && (!pcide || (loadPcide(newCr4) && (pcid == 0 || loadCr3(cr3 | pcid))));
  }

  private boolean pae() {
    return SregsRules.paePaging(cr0, cr4, efer);
  }

  private boolean loadCr3(long given) {
    long plain = (cr4 & Cr4.PCIDE) != 0 ? given & ~NO_FLUSH : given;
    if (plain == cr3 && l2 && !pae()) {
      return true;
    }
    if (!demand(GuestCpuid.illegalGpa(vcpu, plain), RsmCheck.RSM_CR3, "the guest's CPUID")) {
      return false;
    }
    if (pae()) {
      missing = PDPTES;
      return false;
    }
    cr3 = plain;
    return true;
  }

  private boolean loadCr4(long given) {
    long next = vcpu.kernel().version().rsm().loadsWideControls() ? given : given & LOW_32;
    Answer reserved =
        ControlRegisters.cr4HostReserved(vcpu, next)
            .or(ControlRegisters.cr4GuestReserved(vcpu, next));
    if (!demand(reserved, RsmCheck.RSM_CR4_RESERVED, "CPUID")) {
      return false;
    }
    boolean vmxon = vcpu.nested().mode().vmxon().isYes();
    if (vmxon
        && !demand(
            ControlRegisters.cr4ValidInVmx(vcpu, next).not(), RsmCheck.RSM_CR4_VMX, "CPUID")) {
      return false;
    }
    if ((efer & Efer.LMA) != 0) {
      boolean bad = (next & Cr4.PAE) == 0 || ((next ^ cr4) & Cr4.LA57) != 0;
      if (!demand(bad, RsmCheck.RSM_CR4_LONG_MODE)) {
        return false;
      }
    } else if ((cr0 & Cr0.PG) != 0 && (next & Cr4.PAE) != 0 && ((next ^ cr4) & CR4_PDPTR) != 0) {
      missing = PDPTES;
      return false;
    }
    cr4 = next;
    return true;
  }

  private boolean loadCr0(long given) {
    long next = vcpu.kernel().version().rsm().loadsWideControls() ? given : given & LOW_32;
    if (!demand((next & Cr0.RESERVED_HIGH) != 0, RsmCheck.RSM_CR0_HIGH)
        || !demand((next & Cr0.NW) != 0 && (next & Cr0.CD) == 0, RsmCheck.RSM_CR0_NW)
        || !demand((next & Cr0.PG) != 0 && (next & Cr0.PE) == 0, RsmCheck.RSM_CR0_PG)
        || !demand(fixedBits(next).not(), RsmCheck.RSM_CR0_VMX, "VMX capabilities")) {
      return false;
    }
    long kept = (next | Cr0.ET) & CR0_KEPT;
    boolean paging = (kept & Cr0.PG) != 0;
    boolean paged = (cr0 & Cr0.PG) != 0;
    boolean lme = (efer & Efer.LME) != 0;
    boolean sixtyFour = l2 && (efer & Efer.LMA) != 0 && codeIsLong();
    boolean noEntry = lme && !paged && paging && ((cr4 & Cr4.PAE) == 0 || (l2 && codeIsLong()));
    if (!demand(noEntry, RsmCheck.RSM_CR0_LONG_MODE)
        || !demand(!paging && (sixtyFour || (cr4 & Cr4.PCIDE) != 0), RsmCheck.RSM_CR0_UNPAGED)) {
      return false;
    }
    if (!lme && paging && (cr4 & Cr4.PAE) != 0 && ((kept ^ cr0) & CR0_PDPTR) != 0) {
      missing = PDPTES;
      return false;
    }
    if (lme && paging) {
      efer |= Efer.LMA;
    } else if (!paging) {
      efer &= ~Efer.LMA;
    }
    cr0 = kept;
    return true;
  }

  private Answer fixedBits(long next) {
    if (l2) {
      return ControlRegisters.cr0ValidInGuestMode(vcpu, next);
    }
    return vcpu.nested().mode().vmxon().isYes()
        ? ControlRegisters.cr0ValidInVmx(vcpu, next)
        : Answer.YES;
  }

  private boolean codeIsLong() {
    Tracked sregs = vcpu.registers().sregs();
    return sregs.value(KvmSregs.LAYOUT.indexOf("cs.l")) != 0;
  }

  private boolean loadPcide(long given) {
    Answer feature = GuestCpuid.has(vcpu, PCID_LEAF, 0, 'c', PCID_BIT);
    Answer bad = Answer.of((efer & Efer.LMA) == 0).or(feature.not());
    return demand(bad, RsmCheck.RSM_PCIDE, "the guest's CPUID") && loadCr4(given);
  }

  private void judgeMode() {
    if ((cr0 & Cr0.PE) == 0) {
      return;
    }
    String flags = wide ? "rflags" : "eflags";
    if (!knows(flags)) {
      return;
    }
    if ((value(flags) & Rflags.VM) != 0) {
      demand((efer & Efer.LMA) != 0, RsmCheck.RSM_MODE_VM86);
      return;
    }
    if (!RsmSegments.known(map, SegmentRegister.CS)) {
      missing = "SMRAM's cs";
      return;
    }
    Segment cs = RsmSegments.read(map, SegmentRegister.CS, vcpu.kernel().version());
    demand(cs.present() == 0, RsmCheck.RSM_MODE_CS);
  }

  /** The vCPU with control, debug and segment registers loaded. */
  Vcpu loaded(int moment) {
    Tracked.Edit sregs = vcpu.registers().sregs().edit(moment);
    sregs.set(SregsFields.CR0, cr0).set(SregsFields.CR3, cr3).set(SregsFields.CR4, cr4);
    sregs.set(SregsFields.EFER, efer);
    copy(sregs, SregsFields.GDT_BASE, "gdtr.base");
    copy(sregs, SregsFields.IDT_BASE, "idtr.base");
    copyTableLimit(sregs, SregsFields.GDT_LIMIT, "gdtr.limit");
    copyTableLimit(sregs, SregsFields.IDT_LIMIT, "idtr.limit");
    Answer unrestricted = Validity.unrestricted(vcpu);
    for (SegmentRegister register : SegmentRegister.values()) {
      segment(sregs, register, unrestricted);
    }
    Tracked.Edit debugregs = vcpu.registers().debugregs().edit(moment);
    boolean fixed = vcpu.platform().cpuid() != null;
    long dr6 = value("dr6") & DR6_VOLATILE;
    debugregs.set(SmramRules.DR6, dr6 | dr6Fixed(), fixed && map.knows(index("dr6")));
    debugregs.set(
        SmramRules.DR7, (value("dr7") & DR7_VOLATILE) | DR7_FIXED, map.knows(index("dr7")));
    Vcpu next =
        vcpu.withRegisters(
            vcpu.registers().withSregs(sregs.done()).withDebugregs(debugregs.done()));
    return Validity.recompute(
        next.withPlatform(next.platform().withMsrs(smbase(next.platform().msrs(), moment))));
  }

  private MsrState smbase(MsrState msrs, int moment) {
    if (msrs.position(Msr.IA32_SMBASE) < 0) {
      return msrs;
    }
    boolean known = map.knows(index("smbase"));
    return msrs.edit().write(Msr.IA32_SMBASE, value("smbase"), known, moment).done();
  }

  private long dr6Fixed() {
    // Bits that are fixed to one because the guest lacks the feature that clears them.
    boolean rtm = GuestCpuid.has(vcpu, 7, 0, 'b', 11).isYes();
    boolean busLock = GuestCpuid.has(vcpu, 7, 0, 'c', 24).isYes();
    return DR6_FIXED | (rtm ? 0 : DR6_RTM) | (busLock ? 0 : DR6_BUS_LOCK);
  }

  private void copy(Tracked.Edit sregs, int field, String name) {
    sregs.set(field, value(name), map.knows(index(name)));
  }

  private void copyTableLimit(Tracked.Edit sregs, int field, String name) {
    sregs.set(field, value(name) & 0xffff, map.knows(index(name)));
  }

  private void segment(Tracked.Edit sregs, SegmentRegister register, Answer unrestricted) {
    String name = SregsFields.uapiName(register);
    Segment s = RsmSegments.read(map, register, vcpu.kernel().version());
    boolean known = RsmSegments.known(map, register);
    boolean ldtr = register == SegmentRegister.LDTR;
    int type = s.type();
    boolean typeKnown = known;
    if (!ldtr && unrestricted.isYes()) {
      type |= ACCESSED;
    } else if (!ldtr && !unrestricted.isKnown() && (type & ACCESSED) == 0) {
      typeKnown = false;
    }
    if (register == SegmentRegister.TR && !l2 && (efer & Efer.LMA) != 0) {
      // enter_lmode() turns whatever TR is into a busy 64-bit TSS.
      type = BUSY_TSS;
    }
    set(sregs, name + ".base", s.base(), known);
    set(sregs, name + ".limit", s.limit(), known);
    set(sregs, name + ".selector", s.selector(), known);
    set(sregs, name + ".type", type, typeKnown);
    set(sregs, name + ".present", s.present(), known);
    set(sregs, name + ".dpl", s.dpl(), known);
    set(sregs, name + ".db", s.db(), known);
    set(sregs, name + ".s", s.s(), known);
    set(sregs, name + ".l", s.l(), known);
    set(sregs, name + ".g", s.g(), known);
    set(sregs, name + ".avl", s.avl(), known);
    set(sregs, name + ".unusable", s.unusable(), known);
  }

  private static void set(Tracked.Edit sregs, String field, long value, boolean known) {
    sregs.set(KvmSregs.LAYOUT.indexOf(field), value, known);
  }

  /** The vCPU with RIP, RFLAGS and the general registers, too. */
  Vcpu withGeneralRegisters(Vcpu loaded, int moment) {
    Tracked.Edit regs = loaded.registers().regs().edit(moment);
    if (wide) {
      for (String register : SmramRules.REGISTERS) {
        int field = index(register);
        regs.set(KvmRegs.LAYOUT.indexOf(register), map.value(field), map.knows(field));
      }
      regs.set(RegsFields.RIP, value("rip"), map.knows(index("rip")));
      long mask = vcpu.kernel().version().rsm().keepsShadow() ? -1 : LOW_32;
      regs.set(RegsFields.RFLAGS, (value("rflags") & mask) | 2, map.knows(index("rflags")));
    } else {
      for (int i = 0; i < SmramRules.NARROW_REGISTERS; i++) {
        String register = SmramRules.REGISTERS.get(i);
        int field = index("e" + register.substring(1));
        regs.set(KvmRegs.LAYOUT.indexOf(register), map.value(field), map.knows(field));
      }
      regs.set(RegsFields.RIP, value("eip"), map.knows(index("eip")));
      regs.set(RegsFields.RFLAGS, value("eflags") | 2, map.knows(index("eflags")));
    }
    Vcpu next = loaded.withRegisters(loaded.registers().withRegs(regs.done()));
    Tracked.Edit events = next.events().edit(moment);
    if (vcpu.kernel().version().rsm().keepsShadow()) {
      int shadow = index("int_shadow");
      events.set(EventsFields.INTERRUPT_SHADOW, map.value(shadow) & 3, map.knows(shadow));
    } else {
      events.forget(EventsFields.INTERRUPT_SHADOW);
    }
    return Validity.recompute(next.withEvents(events.forget(EventsFields.NMI_MASKED).done()));
  }
}
