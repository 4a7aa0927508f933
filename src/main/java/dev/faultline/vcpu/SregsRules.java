package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.SegmentRegister;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * KVM_GET_SREGS, KVM_SET_SREGS and their second versions.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, __set_sregs_common(), kvm_is_valid_sregs()};
 * {@code arch/x86/kvm/vmx/vmx.c, vmx_set_segment(), vmx_get_segment()}, v6.1.
 */
final class SregsRules {
  private static final long CR8_MAX = 15;
  private static final int PDPTRS_VALID = 1;
  private static final long APIC_BASE_RESERVED = 0x2ff;

  /** The RIP and CS of a reset vCPU, by which KVM recognizes old userspace resetting the BSP. */
  private static final long RESET_RIP = 0xfff0;

  private static final int RESET_CS = 0xf000;
  private static final long RESET_CS_BASE = 0xffff_0000L;

  private SregsRules() {}

  static Decision set(Vcpu v, VcpuCommand.SetSregs c) {
    Verdict verdict = judge(v, c.sregs());
    return verdict.decide(
        c.moment(), Ioctl.SET_SREGS, new TimelineEvent.SregsSet(c.moment(), c.sregs()));
  }

  static Decision set2(Vcpu v, VcpuCommand.SetSregs2 c) {
    KvmSregs2 sregs2 = c.sregs();
    Verdict verdict;
    if ((sregs2.flags() & ~PDPTRS_VALID) != 0) {
      verdict = Verdict.failed(SregsCheck.SREGS2_FLAGS);
    } else if ((sregs2.flags() & PDPTRS_VALID) != 0
        && !paePaging(sregs2.cr0(), sregs2.cr4(), sregs2.efer())) {
      verdict = Verdict.failed(SregsCheck.SREGS2_PDPTRS_WITHOUT_PAE);
    } else {
      verdict = judge(v, common(sregs2));
    }
    return verdict.decide(
        c.moment(), Ioctl.SET_SREGS2, new TimelineEvent.Sregs2Set(c.moment(), sregs2));
  }

  /** What the two structs share, as the older one with an empty interrupt bitmap. */
  static KvmSregs common(KvmSregs2 sregs2) {
    int shared = KvmSregs.LAYOUT.field(SregsFields.interruptBitmap(0)).offset();
    return new KvmSregs(Bytes.builder(KvmSregs.SIZE).putBytes(0, sregs2.raw(), 0, shared).build());
  }

  static boolean paePaging(long cr0, long cr4, long efer) {
    return (cr0 & Cr0.PG) != 0 && (cr4 & Cr4.PAE) != 0 && (efer & Efer.LMA) == 0;
  }

  /** The first failing check, or that none fails, or what is missing to tell. */
  private record Verdict(@Nullable SregsCheck failed, @Nullable String missing) {
    static final Verdict PASSED = new Verdict(null, null);

    static Verdict failed(SregsCheck check) {
      return new Verdict(check, null);
    }

    static Verdict missing(String what) {
      return new Verdict(null, what);
    }

    Decision decide(int moment, Ioctl ioctl, TimelineEvent success) {
      if (failed != null) {
        return Decision.of(
            new Outcome.Refused(Errno.EINVAL, failed),
            new TimelineEvent.CallRefused(moment, ioctl, Errno.EINVAL, failed));
      }
      if (missing != null) {
        return Decision.undecided(success, missing);
      }
      return Decision.done(success);
    }
  }

  private static Verdict judge(Vcpu v, KvmSregs s) {
    SregsCheck mode = modeCheck(v, s);
    if (mode != null) {
      return Verdict.failed(mode);
    }
    Unknowns unknowns = new Unknowns();
    SregsCheck failed = cr4Check(v, s.cr4(), unknowns);
    if (failed == null && v.kernel().version().sregsChecksCr0()) {
      failed = cr0Check(v, s.cr0(), unknowns);
    }
    if (failed == null && v.kernel().version().sregsChecksEfer()) {
      failed =
          unknowns.fails(
              ControlRegisters.eferValid(v, s.efer()).not(),
              SregsCheck.EFER_RESERVED,
              "the guest's CPUID");
    }
    if (failed == null) {
      failed = apicBaseCheck(v, s.apicBase(), unknowns);
    }
    if (failed != null) {
      return Verdict.failed(failed);
    }
    if ((s.efer() & Efer.LME) != 0
        && (s.cr0() & Cr0.PG) != 0
        && !GuestCpuid.illegalGpa(v, s.cr3()).isKnown()) {
      unknowns.note("the guest's CPUID");
    }
    return unknowns.missing == null ? Verdict.PASSED : Verdict.missing(unknowns.missing);
  }

  /** Collects what would have to be known to be certain that no check fails. */
  private static final class Unknowns {
    private @Nullable String missing;

    @Nullable SregsCheck fails(Answer violated, SregsCheck check, String what) {
      if (violated.isYes()) {
        return check;
      }
      if (!violated.isKnown()) {
        note(what);
      }
      return null;
    }

    void note(String what) {
      if (missing == null) {
        missing = what;
      }
    }
  }

  private static @Nullable SregsCheck modeCheck(Vcpu v, KvmSregs s) {
    boolean longMode = (s.efer() & Efer.LME) != 0 && (s.cr0() & Cr0.PG) != 0;
    boolean lma = (s.efer() & Efer.LMA) != 0;
    if (!longMode) {
      if (lma) {
        return SregsCheck.LMA_OUTSIDE_LONG_MODE;
      }
      return s.cs().l() != 0 ? SregsCheck.CS_L_OUTSIDE_LONG_MODE : null;
    }
    if ((s.cr4() & Cr4.PAE) == 0) {
      return SregsCheck.LONG_MODE_WITHOUT_PAE;
    }
    if (!lma) {
      return SregsCheck.LONG_MODE_WITHOUT_LMA;
    }
    return GuestCpuid.illegalGpa(v, s.cr3()).isYes() ? SregsCheck.LONG_MODE_CR3 : null;
  }

  private static @Nullable SregsCheck cr4Check(Vcpu v, long cr4, Unknowns unknowns) {
    SregsCheck failed =
        unknowns.fails(
            ControlRegisters.cr4HostReserved(v, cr4),
            SregsCheck.CR4_HOST_RESERVED,
            "the host's KVM_GET_SUPPORTED_CPUID");
    if (failed == null) {
      failed =
          unknowns.fails(
              ControlRegisters.cr4GuestReserved(v, cr4),
              SregsCheck.CR4_GUEST_RESERVED,
              "the guest's CPUID");
    }
    if (failed != null || v.kernel().isSvm()) {
      return failed;
    }
    Answer vmxe = Answer.of((cr4 & Cr4.VMXE) != 0);
    failed = unknowns.fails(vmxe.and(v.inSmm()), SregsCheck.CR4_VMXE_IN_SMM, "SMM");
    if (failed != null) {
      return failed;
    }
    return unknowns.fails(
        v.nested().mode().vmxon().and(ControlRegisters.cr4ValidInVmx(v, cr4).not()),
        SregsCheck.CR4_VMX_FIXED,
        "whether the guest is in VMX operation");
  }

  private static @Nullable SregsCheck cr0Check(Vcpu v, long cr0, Unknowns unknowns) {
    if (cr0 >>> 32 != 0) {
      return SregsCheck.CR0_HIGH_BITS;
    }
    if ((cr0 & Cr0.NW) != 0 && (cr0 & Cr0.CD) == 0) {
      return SregsCheck.CR0_NW_WITHOUT_CD;
    }
    if ((cr0 & Cr0.PG) != 0 && (cr0 & Cr0.PE) == 0) {
      return SregsCheck.CR0_PG_WITHOUT_PE;
    }
    if (v.kernel().isSvm()) {
      return null;
    }
    Answer guestMode = v.inGuestMode();
    SregsCheck failed =
        unknowns.fails(
            guestMode.and(ControlRegisters.cr0ValidInGuestMode(v, cr0).not()),
            SregsCheck.CR0_GUEST_FIXED,
            "whether L2 is active");
    if (failed != null || guestMode.isYes()) {
      return failed;
    }
    return unknowns.fails(
        v.nested().mode().vmxon().and(ControlRegisters.cr0ValidInVmx(v, cr0).not()),
        SregsCheck.CR0_VMX_FIXED,
        "whether the guest is in VMX operation");
  }

  private static @Nullable SregsCheck apicBaseCheck(Vcpu v, long apicBase, Unknowns unknowns) {
    if ((apicBase & APIC_BASE_RESERVED) != 0) {
      return SregsCheck.APIC_BASE_RESERVED;
    }
    SregsCheck failed =
        unknowns.fails(
            GuestCpuid.illegalGpa(v, apicBase), SregsCheck.APIC_BASE_RESERVED, "the guest's CPUID");
    boolean x2apic = (apicBase & ApicBase.EXTD) != 0;
    if (failed == null && x2apic) {
      failed =
          unknowns.fails(
              GuestCpuid.x2apic(v).not(), SregsCheck.APIC_BASE_RESERVED, "the guest's CPUID");
    }
    if (failed == null && x2apic && (apicBase & ApicBase.EN) == 0) {
      return SregsCheck.APIC_BASE_MODE;
    }
    return failed;
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.SregsSet e) {
    Vcpu next = load(v, e.sregs(), e.moment());
    int vector = lowestBit(e.sregs().raw());
    return vector < 0 ? next : EventRules.queueInterrupt(next, vector, e.moment());
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.Sregs2Set e) {
    return load(v, common(e.sregs()), e.moment());
  }

  private static int lowestBit(Bytes raw) {
    int at = KvmSregs.LAYOUT.field(SregsFields.interruptBitmap(0)).offset();
    for (int word = 0; word < SregsFields.bitmapWords(); word++) {
      long bits = raw.u64(at + word * Long.BYTES);
      if (bits != 0) {
        return word * Long.SIZE + Long.numberOfTrailingZeros(bits);
      }
    }
    return -1;
  }

  private static Vcpu load(Vcpu v, KvmSregs s, int moment) {
    Tracked before = v.registers().sregs();
    Bytes.Builder stored = s.raw().toBuilder();
    for (int word = 0; word < SregsFields.bitmapWords(); word++) {
      int field = SregsFields.interruptBitmap(word);
      stored.put(KvmSregs.LAYOUT.field(field).offset(), Long.BYTES, 0);
    }
    boolean certain = storeSegments(v, s, stored);
    boolean cr8Ignored = Long.compareUnsigned(s.cr8(), CR8_MAX) > 0;
    if (cr8Ignored) {
      stored.put(
          KvmSregs.LAYOUT.field(SregsFields.CR8).offset(),
          Long.BYTES,
          before.value(SregsFields.CR8));
    }
    clearTablePadding(stored);
    Tracked sregs = before.replace(stored.build(), moment);
    if (cr8Ignored && !before.knows(SregsFields.CR8)) {
      sregs = sregs.doubt(FieldSet.of(KvmSregs.LAYOUT.count(), SregsFields.CR8));
    }
    if (!certain) {
      sregs = sregs.doubt(TYPES);
    }
    if (v.kernel().version() == KernelVersion.V5_10 && (s.apicBase() & ApicBase.BSP) == 0) {
      // 5.10 may set the bit itself.
      sregs = sregs.doubt(FieldSet.of(KvmSregs.LAYOUT.count(), SregsFields.APIC_BASE));
    }
    Vcpu next = v.withRegisters(v.registers().withSregs(sregs));
    if (v.kernel().isSvm()) {
      next = SvmRegisters.sregsSet(v, next, s, moment);
    } else if (v.inGuestMode().isYes()) {
      Tracked vmcs12 = Vmcs12Sync.accessRights(v, s, moment);
      next = next.withNested(v.nested().withVmcs12(vmcs12));
    }
    next = LapicRules.modeSet(next, before, s.apicBase(), moment);
    if (!cr8Ignored && v.vm().irqchip().lapicInKernel().isYes()) {
      next = LapicRules.taskPriority(next, s.cr8(), moment);
    }
    next = wakeResetBsp(next, s, moment);
    return Validity.recompute(next);
  }

  /** The segments' types, which KVM may change when it cannot be told whether L2 is restricted. */
  private static final FieldSet TYPES = types();

  private static FieldSet types() {
    FieldSet set = FieldSet.none(KvmSregs.LAYOUT.count());
    for (SegmentRegister register : SegmentRegister.values()) {
      if (register != SegmentRegister.LDTR) {
        set = set.with(KvmSregs.LAYOUT.indexOf(SregsFields.uapiName(register) + ".type"));
      }
    }
    return set;
  }

  private static final int[] TABLE_PADDING = {
    KvmSregs.LAYOUT.field(SregsFields.GDT_LIMIT).offset() + Short.BYTES,
    KvmSregs.LAYOUT.field(SregsFields.IDT_LIMIT).offset() + Short.BYTES
  };

  private static void clearTablePadding(Bytes.Builder stored) {
    for (int at : TABLE_PADDING) {
      stored.put(at, Short.BYTES, 0);
      stored.put(at + Short.BYTES, Integer.BYTES, 0);
    }
  }

  /** Stores the segments as KVM gives them back. False when a type depends on what is unknown. */
  private static boolean storeSegments(Vcpu v, KvmSregs s, Bytes.Builder stored) {
    if (v.kernel().isSvm()) {
      for (SegmentRegister register : ALL_SEGMENTS) {
        SegmentBytes.normalizeSvm(s.raw(), SregsFields.offset(register), stored, register);
      }
      return true;
    }
    Answer unrestricted = Validity.unrestricted(v);
    boolean realMode = v.kernel().unrestrictedGuest().isNo() && (s.cr0() & Cr0.PE) == 0;
    boolean certain = true;
    for (SegmentRegister register : ALL_SEGMENTS) {
      int at = SregsFields.offset(register);
      boolean ldtr = register == SegmentRegister.LDTR;
      if (realMode && !ldtr) {
        // Kept in KVM's own cache exactly as given, while hardware sees a virtual-8086 segment.
        continue;
      }
      SegmentBytes.normalize(s.raw(), at, stored, unrestricted.isYes() && !ldtr);
      if (!ldtr && !unrestricted.isKnown() && !SegmentBytes.accessed(s.raw(), at)) {
        certain = false;
      }
    }
    return certain;
  }

  private static final List<SegmentRegister> ALL_SEGMENTS = List.of(SegmentRegister.values());

  /** Old userspace resets the BSP by its registers alone; KVM then lets it run. */
  private static Vcpu wakeResetBsp(Vcpu v, KvmSregs s, int moment) {
    boolean resetCs =
        s.cs().selector() == RESET_CS && s.cs().base() == RESET_CS_BASE && (s.cr0() & Cr0.PE) == 0;
    if (!resetCs) {
      return v;
    }
    Answer resetRip =
        v.registers().regs().is(RegsFields.RIP, RESET_RIP).and(v.vm().settings().isBootCpu(v.id()));
    return resetRip.isNo() ? v : MpStateRules.runnable(v, resetRip, moment);
  }

  /** KVM_GET_SREGS. */
  static Decision get(Vcpu v, VcpuCommand.GetSregs c) {
    Tracked sregs = v.registers().sregs();
    Bytes.Builder reply = sregs.bytes().toBuilder();
    FieldSet known = sregs.known();
    Tracked events = v.events();
    Answer injected = injectedExternal(events);
    if (injected.isYes()) {
      int vector = (int) events.value(EventsFields.INTERRUPT_NR);
      int field = SregsFields.interruptBitmap(vector / Long.SIZE);
      reply.put(KvmSregs.LAYOUT.field(field).offset(), Long.BYTES, 1L << (vector % Long.SIZE));
    }
    boolean bitmapKnown =
        injected.isNo() || (injected.isYes() && events.knows(EventsFields.INTERRUPT_NR));
    for (int word = 0; word < SregsFields.bitmapWords(); word++) {
      int field = SregsFields.interruptBitmap(word);
      known = bitmapKnown ? known.with(field) : known.without(field);
    }
    return Decision.reads(new Reply.Struct("", 0, KvmSregs.LAYOUT, reply.build(), known));
  }

  private static Answer injectedExternal(Tracked events) {
    Answer injected = events.is(EventsFields.INTERRUPT_INJECTED, 0).not();
    Answer soft = events.is(EventsFields.INTERRUPT_SOFT, 0).not();
    return injected.and(soft.not());
  }

  /** KVM_GET_SREGS2: PDPTRs come from guest memory, which a recording does not hold. */
  static Decision get2(Vcpu v, VcpuCommand.GetSregs2 c) {
    Tracked sregs = v.registers().sregs();
    int shared = KvmSregs.LAYOUT.field(SregsFields.interruptBitmap(0)).offset();
    Bytes reply = Bytes.builder(KvmSregs2.SIZE).putBytes(0, sregs.bytes(), 0, shared).build();
    FieldSet known = FieldSet.none(KvmSregs2.LAYOUT.count());
    for (int f = 0; f < KvmSregs2.LAYOUT.count(); f++) {
      int at = KvmSregs2.LAYOUT.field(f).offset();
      if (at < shared && sregs.knows(f)) {
        known = known.with(f);
      }
    }
    boolean paging =
        sregs.knows(SregsFields.CR0)
            && sregs.knows(SregsFields.CR4)
            && sregs.knows(SregsFields.EFER);
    boolean pae =
        paePaging(
            sregs.value(SregsFields.CR0),
            sregs.value(SregsFields.CR4),
            sregs.value(SregsFields.EFER));
    if (paging && !pae) {
      for (int f = 0; f < KvmSregs2.LAYOUT.count(); f++) {
        if (KvmSregs2.LAYOUT.field(f).offset() >= shared) {
          known = known.with(f);
        }
      }
    }
    return Decision.reads(new Reply.Struct("", 0, KvmSregs2.LAYOUT, reply, known));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.SregsRead e) {
    return learn(v, e.sregs());
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.Sregs2Read e) {
    return learn(v, common(e.sregs()));
  }

  private static final FieldSet ALL_BUT_BITMAP = allButBitmap();

  private static FieldSet allButBitmap() {
    FieldSet set = FieldSet.all(KvmSregs.LAYOUT.count());
    for (int word = 0; word < SregsFields.bitmapWords(); word++) {
      int field = SregsFields.interruptBitmap(word);
      set = set.without(field);
    }
    return set;
  }

  private static Vcpu learn(Vcpu v, KvmSregs s) {
    Tracked sregs = v.registers().sregs();
    FieldSet unknown = ALL_BUT_BITMAP.minus(sregs.known());
    if (unknown.isEmpty()) {
      return v;
    }
    Vcpu next = v.withRegisters(v.registers().withSregs(sregs.learn(s.raw(), unknown)));
    return next.registers().emulation().required().isKnown() ? next : Validity.recompute(next);
  }
}
