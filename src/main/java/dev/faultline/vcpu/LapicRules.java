package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmVapicAddr;
import dev.faultline.x86.ApicBase;
import java.util.List;

/**
 * KVM_GET_LAPIC and KVM_SET_LAPIC.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/lapic.c, kvm_apic_set_state(), kvm_apic_get_state(),
 * kvm_lapic_reset()}, v6.1.
 */
final class LapicRules {
  private static final StructLayout LAYOUT = KvmLapicState.LAYOUT;
  private static final int ID = LAYOUT.indexOf("id");
  private static final int VERSION = LAYOUT.indexOf("version");
  private static final long KVM_OWN_FROM = 0xfee0_0000L;
  private static final int TPR = LAYOUT.indexOf("tpr");
  private static final int PPR = LAYOUT.indexOf("ppr");
  private static final int LDR = LAYOUT.indexOf("ldr");
  private static final int ICR2 = LAYOUT.indexOf("icr2");
  private static final int TMICT = LAYOUT.indexOf("tmict");
  private static final int TMCCT = LAYOUT.indexOf("tmcct");
  private static final int[] IRR = words("irr");
  private static final int LVT_TIMER = LAYOUT.indexOf("lvt_timer");
  private static final FieldSet COMPUTED = FieldSet.of(LAYOUT.count(), VERSION, PPR, TMCCT);
  private static final int LVT_CMCI = LAYOUT.indexOf("lvt_cmci");
  private static final FieldSet BY_MCE = FieldSet.of(LAYOUT.count(), VERSION, LVT_CMCI);

  /** Version 0x14 with six local vector table entries. */
  private static final long VERSION_AT_RESET = 0x50014;

  /** In x2APIC mode ICR is one register of 64 bits, which is taken apart when it is read. */
  private static final int ICR_HIGH = LAYOUT.indexAt(0x304);

  private static final FieldSet X2APIC = FieldSet.of(LAYOUT.count(), ID, LDR, ICR2, ICR_HIGH);
  private static final int CLUSTER_SHIFT = 4;
  private static final int CLUSTER = 0xf;
  private static final int LDR_SHIFT = 16;
  private static final long LOW_32 = 0xffff_ffffL;
  private static final int TPR_SHIFT = 4;
  private static final int ID_SHIFT = 24;

  private LapicRules() {}

  private static int[] words(String register) {
    int[] fields = new int[KvmLapicState.VECTOR_WORDS];
    for (int word = 0; word < fields.length; word++) {
      fields[word] = LAYOUT.indexOf(register + "[" + word + "]");
    }
    return fields;
  }

  static Decision set(Vcpu v, VcpuCommand.SetLapic c) {
    TimelineEvent.LapicSet done = new TimelineEvent.LapicSet(c.moment(), c.lapic());
    Answer inKernel = v.vm().irqchip().lapicInKernel();
    if (inKernel.isNo()) {
      return DeviceRules.refused(
          c.moment(), Ioctl.SET_LAPIC, Errno.EINVAL, CallCheck.LAPIC_NOT_IN_KERNEL);
    }
    Answer wrongId =
        x2apic(v).and(v.vm().settings().x2apicApi()).and(Answer.of(c.lapic().id() != v.id()));
    if (wrongId.isYes()) {
      return DeviceRules.refused(
          c.moment(), Ioctl.SET_LAPIC, Errno.EINVAL, CallCheck.LAPIC_X2APIC_ID);
    }
    if (!inKernel.isKnown() || !wrongId.isKnown()) {
      return Decision.undecided(done, "the local APIC's mode");
    }
    return Decision.done(done);
  }

  private static Answer x2apic(Vcpu v) {
    return v.registers().sregs().hasAny(SregsFields.APIC_BASE, ApicBase.EXTD);
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.LapicSet e) {
    Tracked before = v.platform().lapic();
    Tracked stored = before.replace(e.lapic().raw(), e.moment()).doubt(COMPUTED);
    stored =
        switch (x2apic(v)) {
          case NO -> stored;
          case CANNOT_TELL -> stored.doubt(X2APIC);
          case YES -> inX2apic(v, stored, e);
        };
    if (before.knows(VERSION)) {
      stored = stored.edit(e.moment()).set(VERSION, before.value(VERSION)).done();
    }
    // KVM computes it before it has counted the interrupts in service that it was just given.
    stored =
        inService(e.lapic())
            ? stored.edit(e.moment()).forget(PPR).done()
            : stored.edit(e.moment()).set(PPR, e.lapic().tpr() & 0xff).done();
    if (e.lapic().tmict() == 0) {
      stored = stored.edit(e.moment()).set(TMCCT, 0).done();
    }
    Tracked sregs = v.registers().sregs();
    long cr8 = (e.lapic().tpr() & 0xff) >> TPR_SHIFT;
    if (!sregs.knows(SregsFields.CR8) || sregs.value(SregsFields.CR8) != cr8) {
      sregs = sregs.edit(e.moment()).set(SregsFields.CR8, cr8).done();
    }
    return v.withPlatform(v.platform().withLapic(stored))
        .withRegisters(v.registers().withSregs(sregs));
  }

  /**
   * What KVM_GET_LAPIC then shows in x2APIC mode: the identifier without what no identifier has, a
   * logical destination that follows from it, and the upper half of ICR in both its places.
   */
  private static Tracked inX2apic(Vcpu v, Tracked stored, TimelineEvent.LapicSet e) {
    Answer whole = v.vm().settings().x2apicApi();
    long raw = e.lapic().id() & LOW_32;
    long id = whole.isYes() ? raw : raw >>> ID_SHIFT;
    Tracked.Edit edit =
        stored
            .edit(e.moment())
            .set(ID, whole.isYes() ? raw : id << ID_SHIFT, whole.isKnown())
            .set(LDR, logicalId(id), whole.isKnown());
    return switch (wideIcr(v)) {
      case YES -> edit.set(ICR_HIGH, stored.value(ICR2)).done();
      case NO -> edit.done();
      case CANNOT_TELL -> edit.done().doubt(FieldSet.of(LAYOUT.count(), ICR_HIGH));
    };
  }

  /** {@code kvm_apic_calc_x2apic_ldr()}. */
  private static long logicalId(long id) {
    return (id >>> CLUSTER_SHIFT) << LDR_SHIFT | 1L << (id & CLUSTER);
  }

  /** Whether ICR is one register of 64 bits in x2APIC mode: since 5.18, not on all of AMD. */
  private static Answer wideIcr(Vcpu v) {
    boolean old =
        v.kernel().version() == KernelVersion.V5_10 || v.kernel().version() == KernelVersion.V5_17;
    return old ? Answer.NO : v.kernel().isVmx() ? Answer.YES : Answer.CANNOT_TELL;
  }

  /** KVM_SET_VAPIC_ADDR: where the guest has its page of the task priority, 0 for nowhere. */
  static Decision setVapicAddr(Vcpu v, VcpuCommand.Other c) {
    TimelineEvent.CallNoted noted = new TimelineEvent.CallNoted(c.moment(), c.ioctl());
    Answer inKernel = v.vm().irqchip().lapicInKernel();
    if (inKernel.isNo()) {
      return DeviceRules.refused(
          c.moment(), c.ioctl(), Errno.EINVAL, CallCheck.LAPIC_NOT_IN_KERNEL);
    }
    if (!inKernel.isKnown() || c.payload().size() != KvmVapicAddr.SIZE) {
      return Decision.undecided(noted, "whether the local APIC is in the kernel");
    }
    long address = new KvmVapicAddr(c.payload()).vapicAddr();
    List<Vm.Slot> slots = v.vm().slots();
    if (address == 0) {
      return Decision.done(noted);
    }
    // Slots that KVM makes for itself lie right below 4 GiB.
    if (slots == null || (address >= KVM_OWN_FROM && address >>> Integer.SIZE == 0)) {
      return Decision.undecided(noted, "the memory slots");
    }
    long last = address + Integer.BYTES - 1;
    return slots.stream().anyMatch(s -> s.holds(address))
            && slots.stream().anyMatch(s -> s.holds(last))
        ? Decision.done(noted)
        : DeviceRules.refused(c.moment(), c.ioctl(), Errno.EINVAL, CallCheck.VAPIC_NO_MEMORY);
  }

  private static boolean inService(KvmLapicState lapic) {
    int any = 0;
    for (int word = 0; word < KvmLapicState.VECTOR_WORDS; word++) {
      any |= lapic.isr(word);
    }
    return any != 0;
  }

  /** KVM_X86_SETUP_MCE and an irqchip in userspace change what version is reported. */
  static Vcpu versionForgotten(Vcpu v, int moment) {
    Tracked lapic = v.platform().lapic();
    return lapic.seen().isEmpty()
        ? v
        : v.withPlatform(v.platform().withLapic(lapic.forget(BY_MCE, moment)));
  }

  /** CR8 is the upper half of the task priority register. */
  static Vcpu taskPriority(Vcpu v, long cr8, int moment) {
    Tracked lapic = v.platform().lapic();
    long tpr = (cr8 & 0xf) << TPR_SHIFT;
    if (lapic.knows(TPR) && lapic.value(TPR) == tpr) {
      return v;
    }
    if (lapic.seen().isEmpty()) {
      return v;
    }
    return v.withPlatform(
        v.platform().withLapic(lapic.edit(moment).set(TPR, tpr).forget(PPR).done()));
  }

  /**
   * Switching the APIC on, or to x2APIC mode, sets its identifiers to that of the vCPU.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/lapic.c, kvm_lapic_set_base(), kvm_apic_set_xapic_id(),
   * kvm_apic_set_x2apic_id()}, v6.1.
   */
  static Vcpu modeSet(Vcpu v, Tracked before, long apicBase, int moment) {
    Tracked lapic = v.platform().lapic();
    if (lapic.seen().isEmpty()) {
      return v;
    }
    boolean known = before.knows(SregsFields.APIC_BASE);
    long changed = (before.value(SregsFields.APIC_BASE) ^ apicBase) & (ApicBase.EN | ApicBase.EXTD);
    if (known && changed == 0) {
      return v;
    }
    boolean intoX2apic = (changed & apicBase) == ApicBase.EXTD;
    Answer whole = v.vm().settings().x2apicApi();
    if (!known || !intoX2apic || v.id() < 0) {
      return v.withPlatform(v.platform().withLapic(lapic.forget(X2APIC, moment)));
    }
    Tracked.Edit edit =
        lapic
            .edit(moment)
            .set(ID, whole.isYes() ? v.id() : (long) v.id() << ID_SHIFT, whole.isKnown())
            .set(LDR, logicalId(v.id()));
    Tracked switched =
        switch (wideIcr(v)) {
          case YES -> edit.set(ICR2, lapic.value(ICR_HIGH), lapic.knows(ICR_HIGH)).done();
          case NO -> edit.done();
          case CANNOT_TELL ->
              edit.done().forget(FieldSet.of(LAYOUT.count(), ICR2, ICR_HIGH), moment);
        };
    return v.withPlatform(v.platform().withLapic(switched));
  }

  static Decision get(Vcpu v, VcpuCommand.GetLapic c) {
    if (v.vm().irqchip().lapicInKernel().isNo()) {
      return DeviceRules.refused(
          c.moment(), Ioctl.GET_LAPIC, Errno.EINVAL, CallCheck.LAPIC_NOT_IN_KERNEL);
    }
    Tracked lapic = v.platform().lapic();
    FieldSet known = lapic.known();
    if (!lapic.is(TMICT, 0).isYes()) {
      known = known.without(TMCCT);
    }
    return Decision.reads(new Reply.Struct("", 0, LAYOUT, lapic.bytes(), known));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.LapicRead e) {
    Bytes raw = e.lapic().raw();
    return v.withPlatform(v.platform().withLapic(DeviceRules.learnAll(v.platform().lapic(), raw)));
  }

  /** Whether the local APIC is known to hold a requested interrupt. */
  static Answer requests(Vcpu v) {
    Tracked lapic = v.platform().lapic();
    boolean requested = false;
    for (int word = 0; word < KvmLapicState.VECTOR_WORDS; word++) {
      int field = IRR[word];
      if (!lapic.knows(field)) {
        return Answer.CANNOT_TELL;
      }
      requested |= lapic.value(field) != 0;
    }
    return Answer.of(requested);
  }

  /** The timer mode bits of the LVT timer entry, or -1 when they are not known. */
  static long timerEntry(Vcpu v) {
    Tracked lapic = v.platform().lapic();
    return lapic.knows(LVT_TIMER) ? lapic.value(LVT_TIMER) : -1;
  }

  /** The local APIC of a new vCPU. */
  static Tracked atReset(int id, Answer bootCpu, int moment) {
    Tracked.Edit edit = Tracked.known(LAYOUT, Bytes.zero(LAYOUT.size()), moment).edit(moment);
    long masked = 1 << 16;
    long extInt = 7 << 8;
    edit.set(ID, (long) id << ID_SHIFT & 0xffff_ffffL);
    edit.set(VERSION, VERSION_AT_RESET);
    edit.set(LAYOUT.indexOf("dfr"), 0xffff_ffffL);
    edit.set(LAYOUT.indexOf("spiv"), 0xff);
    edit.set(LVT_TIMER, masked);
    edit.set(LAYOUT.indexOf("lvt_thermal"), masked);
    edit.set(LAYOUT.indexOf("lvt_pc"), masked);
    edit.set(LAYOUT.indexOf("lvt1"), masked);
    edit.set(LAYOUT.indexOf("lvt_error"), masked);
    edit.set(LAYOUT.indexOf("lvt0"), bootCpu.isYes() ? extInt : masked, bootCpu.isKnown());
    return edit.done();
  }
}
