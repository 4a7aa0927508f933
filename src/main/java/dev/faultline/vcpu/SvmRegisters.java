package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbBits;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import dev.faultline.x86.Rflags;
import java.util.List;

/**
 * Registers at the border between L1 and L2 on SVM: those that a VMCB holds change with the level,
 * those that KVM keeps by itself stay as they are.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/svm/nested.c, svm_set_nested_state(), svm_leave_nested(),
 * svm_copy_vmrun_state()}; {@code arch/x86/kvm/svm/svm.c, svm_seg(), svm_set_efer()}, v6.1.
 */
final class SvmRegisters {
  private static final long LOW_32 = 0xffff_ffffL;

  /** KVM knows one kind of interrupt shadow and reports it as both. */
  private static final int SHADOW = 3;

  private static final int DR7 = KvmDebugregs.LAYOUT.indexOf("dr7");
  private static final int VMCB_DR7 = Vmcb.indexOf(VmcbField.DR7);
  private static final int VMCB_G_PAT = Vmcb.indexOf(VmcbField.G_PAT);
  private static final int VMCB_SYSENTER_ESP = Vmcb.indexOf(VmcbField.SYSENTER_ESP);
  private static final int VMCB_SYSENTER_EIP = Vmcb.indexOf(VmcbField.SYSENTER_EIP);
  private static final int VMCB_DBGCTL = Vmcb.indexOf(VmcbField.DBGCTL);
  private static final int VMCB_SPEC_CTRL = Vmcb.indexOf(VmcbField.SPEC_CTRL);

  /** An MSR that the VMCB of L1 holds whichever level runs. */
  private record Shared(int msr, VmcbField field, long mask) {}

  private static final List<Shared> SHARED_MSRS =
      List.of(
          new Shared(Msr.IA32_STAR, VmcbField.STAR, ~0L),
          new Shared(Msr.IA32_LSTAR, VmcbField.LSTAR, ~0L),
          new Shared(Msr.IA32_CSTAR, VmcbField.CSTAR, ~0L),
          new Shared(Msr.IA32_FMASK, VmcbField.SFMASK, ~0L),
          new Shared(Msr.IA32_KERNEL_GS_BASE, VmcbField.KERNEL_GS_BASE, ~0L),
          new Shared(Msr.IA32_SYSENTER_CS, VmcbField.SYSENTER_CS, ~0L),
          new Shared(Msr.IA32_SYSENTER_ESP, VmcbField.SYSENTER_ESP, LOW_32),
          new Shared(Msr.IA32_SYSENTER_EIP, VmcbField.SYSENTER_EIP, LOW_32));

  /** What KVM takes over from the save area that userspace gives. */
  private static final FieldSet TAKEN = taken();

  /** Fields that the vCPU holds elsewhere, as special registers and MSRs. */
  private static final FieldSet ELSEWHERE = elsewhere();

  /** Fields that mean something while L2 is active. */
  private static final FieldSet WHILE_L2 = whileL2();

  /** Fields that are kept while L1 runs, too. */
  static final FieldSet KEPT = FieldSet.all(Vmcb.LAYOUT.count()).minus(ELSEWHERE).minus(WHILE_L2);

  /** Fields of the control area that KVM does not keep, and shows as zero. */
  private static final FieldSet NOT_CACHED = notCached();

  /** Fields that hardware or KVM writes to L1's control area for L2 while L2 runs. */
  private static final FieldSet WRITTEN_BY_RUN =
      of(
          VmcbField.INT_CTL,
          VmcbField.INT_STATE,
          VmcbField.EVENT_INJ,
          VmcbField.EVENT_INJ_ERR,
          VmcbField.NEXT_RIP);

  private SvmRegisters() {}

  private static FieldSet of(VmcbField... fields) {
    FieldSet set = FieldSet.none(Vmcb.LAYOUT.count());
    for (VmcbField field : fields) {
      set = set.with(Vmcb.indexOf(field));
    }
    return set;
  }

  private static FieldSet elsewhere() {
    FieldSet set = FieldSet.none(Vmcb.LAYOUT.count());
    for (SvmSegment segment : SvmSegment.SHARED) {
      set = set.with(segment.selector()).with(segment.limit()).with(segment.base());
    }
    for (Shared shared : SHARED_MSRS) {
      if (shared.mask() == ~0L) {
        set = set.with(Vmcb.indexOf(shared.field()));
      }
    }
    return set;
  }

  private static FieldSet whileL2() {
    FieldSet set = TAKEN.union(of(VmcbField.RFLAGS, VmcbField.CPL));
    for (VmcbField field : VmcbField.values()) {
      if (field.area() == VmcbField.Area.CONTROL) {
        set = set.with(Vmcb.indexOf(field));
      }
    }
    return set;
  }

  private static FieldSet notCached() {
    FieldSet set = FieldSet.none(Vmcb.LAYOUT.count());
    for (VmcbField field : VmcbField.values()) {
      if (field.area() == VmcbField.Area.CONTROL && !field.isCached()) {
        set = set.with(Vmcb.indexOf(field));
      }
    }
    return set;
  }

  private static FieldSet taken() {
    FieldSet set =
        of(
            VmcbField.GDTR_SELECTOR,
            VmcbField.GDTR_ATTRIB,
            VmcbField.GDTR_LIMIT,
            VmcbField.GDTR_BASE,
            VmcbField.IDTR_SELECTOR,
            VmcbField.IDTR_ATTRIB,
            VmcbField.IDTR_LIMIT,
            VmcbField.IDTR_BASE,
            VmcbField.EFER,
            VmcbField.CR0,
            VmcbField.CR3,
            VmcbField.CR4,
            VmcbField.RAX,
            VmcbField.RSP,
            VmcbField.RIP);
    for (SvmSegment segment : SvmSegment.OF_LEVEL) {
      set =
          set.with(segment.selector())
              .with(segment.attrib())
              .with(segment.limit())
              .with(segment.base());
    }
    return set;
  }

  /** L2 becomes active with the current registers; L1's are those of the payload. */
  static Vcpu restored(Vcpu v, TimelineEvent.L2Restored e) {
    Vmcb given = e.vmcb();
    SvmNested svm = v.nested().svm();
    Tracked.Edit vmcb = svm.vmcb().edit(e.moment());
    for (VmcbField field : VmcbField.values()) {
      if (field.isCached()) {
        vmcb.set(Vmcb.indexOf(field), control(given, field));
      }
    }
    for (int f = TAKEN.next(0); f >= 0; f = TAKEN.next(f + 1)) {
      vmcb.set(f, Vmcb.LAYOUT.get(given.raw(), f));
    }
    vmcb.set(Vmcb.indexOf(VmcbField.RFLAGS), given.get(VmcbField.RFLAGS) | Rflags.FIXED);
    vmcb.set(Vmcb.indexOf(VmcbField.CPL), 0);
    Answer gif = Answer.of(e.gif());
    svm =
        svm.withVmcb(vmcb.done())
            .withHeader(svm.header().edit(e.moment()).set(SvmNested.VMCB_PA, e.vmcb12Pa()).done())
            .withGif(gif, gif)
            .withL1Shadow(l1Shadow(v));
    Nested.Mode mode =
        v.nested()
            .mode()
            .withGuestMode(Answer.YES)
            .withPending(Answer.of(e.runPending()), Answer.NO);
    boolean shadow = (given.get(VmcbField.INT_STATE) & VmcbBits.INTERRUPT_SHADOW) != 0;
    Tracked events =
        v.events().edit(e.moment()).set(EventsFields.INTERRUPT_SHADOW, shadow ? SHADOW : 0).done();
    return v.withNested(v.nested().withMode(mode).withSvm(svm))
        .withEvents(events)
        .withProgress(
            e.complete() ? v.progress().withNestedPagesAwaited(Answer.YES) : v.progress());
  }

  /** The low bits of a bitmap's address do not count. */
  private static long control(Vmcb given, VmcbField field) {
    long value = given.get(field);
    return switch (field) {
      case MSRPM_BASE_PA, IOPM_BASE_PA -> value & ~0xfffL;
      default -> value;
    };
  }

  /** The interrupt shadow that stays in the VMCB of L1. */
  private static Answer l1Shadow(Vcpu v) {
    return switch (v.inGuestMode()) {
      case YES -> v.nested().svm().l1Shadow();
      case NO -> v.events().is(EventsFields.INTERRUPT_SHADOW, 0).not();
      case CANNOT_TELL -> Answer.CANNOT_TELL;
    };
  }

  /**
   * The VMCB of L1 becomes the current one, if {@code guestMode} is certain: it brings its
   * segments, descriptor tables and flags; everything else stays as L2 had it.
   */
  static Vcpu leave(Vcpu v, Answer guestMode, int moment) {
    Tracked vmcb = v.nested().svm().vmcb();
    boolean certain = guestMode.isYes();
    Tracked.Edit sregs = v.registers().sregs().edit(moment);
    for (SvmSegment segment : SvmSegment.OF_LEVEL) {
      segment.load(vmcb, sregs, certain);
    }
    copy(sregs, SregsFields.GDT_BASE, vmcb, VmcbField.GDTR_BASE, certain);
    copy(sregs, SregsFields.GDT_LIMIT, vmcb, VmcbField.GDTR_LIMIT, certain);
    copy(sregs, SregsFields.IDT_BASE, vmcb, VmcbField.IDTR_BASE, certain);
    copy(sregs, SregsFields.IDT_LIMIT, vmcb, VmcbField.IDTR_LIMIT, certain);
    Tracked.Edit regs = v.registers().regs().edit(moment);
    copy(regs, RegsFields.RFLAGS, vmcb, VmcbField.RFLAGS, certain);
    Answer shadow = certain ? v.nested().svm().l1Shadow() : Answer.CANNOT_TELL;
    Tracked events =
        v.events()
            .edit(moment)
            .set(EventsFields.INTERRUPT_SHADOW, shadow.isYes() ? SHADOW : 0, shadow.isKnown())
            .done();
    SvmNested svm = v.nested().svm();
    return v.withRegisters(v.registers().withSregs(sregs.done()).withRegs(regs.done()))
        .withEvents(events)
        .withNested(v.nested().withSvm(svm.withVmcb(vmcb.forget(WHILE_L2, moment))));
  }

  private static void copy(
      Tracked.Edit edit, int field, Tracked vmcb, VmcbField from, boolean certain) {
    int at = Vmcb.indexOf(from);
    edit.set(field, vmcb.value(at), certain && vmcb.knows(at));
  }

  /** The VMCB as KVM_GET_NESTED_STATE shows it while L2 is active. */
  static Tracked shownVmcb(Vcpu v, int moment) {
    Tracked kept = v.nested().svm().vmcb();
    Tracked.Edit edit = kept.edit(moment);
    for (SvmSegment segment : SvmSegment.SHARED) {
      segment.store(v.registers().sregs(), edit);
    }
    MsrState msrs = v.platform().msrs();
    for (Shared shared : SHARED_MSRS) {
      if (msrs.knows(shared.msr())) {
        edit.set(Vmcb.indexOf(shared.field()), msrs.value(shared.msr()) & shared.mask());
      }
    }
    if (v.kernel().ept().isYes() && msrs.knows(Msr.IA32_PAT)) {
      edit.set(VMCB_G_PAT, msrs.value(Msr.IA32_PAT));
    }
    for (int f = NOT_CACHED.next(0); f >= 0; f = NOT_CACHED.next(f + 1)) {
      edit.set(f, 0);
    }
    return edit.done();
  }

  /** What a recorded VMCB shows and was not known, the MSRs in it among that. */
  static Vcpu learn(Vcpu before, Vmcb vmcb) {
    SvmNested svm = before.nested().svm();
    FieldSet unknown = FieldSet.all(Vmcb.LAYOUT.count()).minus(svm.vmcb().known()).minus(ELSEWHERE);
    Vcpu v =
        before.withNested(
            before.nested().withSvm(svm.withVmcb(svm.vmcb().learn(vmcb.raw(), unknown))));
    MsrState msrs = v.platform().msrs();
    MsrState.Edit edit = msrs.edit();
    for (Shared shared : SHARED_MSRS) {
      if (!msrs.knows(shared.msr()) && shared.mask() == ~0L) {
        edit.learn(shared.msr(), vmcb.get(shared.field()));
      }
    }
    if (v.kernel().ept().isYes() && !msrs.knows(Msr.IA32_PAT)) {
      edit.learn(Msr.IA32_PAT, vmcb.get(VmcbField.G_PAT));
    }
    return v.withPlatform(v.platform().withMsrs(edit.done()));
  }

  /**
   * KVM_SET_SREGS carries out EFER between the descriptor tables and the segments: without SVME the
   * tables went to the VMCB of L2, which is gone then.
   *
   * @param before the vCPU before the call
   * @param v the same with the given registers
   */
  static Vcpu sregsSet(Vcpu before, Vcpu v, KvmSregs given, int moment) {
    Tracked.Edit attributes = v.nested().svm().vmcb().edit(moment);
    for (SvmSegment segment : SvmSegment.SHARED) {
      attributes.set(segment.attrib(), SvmSegment.attributes(segment.given(given)));
    }
    SvmNested svm = v.nested().svm().withVmcb(attributes.done());
    Vcpu next = v.withNested(v.nested().withSvm(svm));
    if ((given.efer() & Efer.SVME) != 0) {
      return next;
    }
    Vcpu left = SvmNestedRules.disabled(next, moment);
    if (before.inGuestMode().isNo()) {
      return left;
    }
    Tracked written = next.registers().sregs();
    Tracked.Edit sregs = left.registers().sregs().edit(moment);
    for (SvmSegment segment : SvmSegment.OF_LEVEL) {
      FieldSet fields = SregsFields.segment(segment.register());
      for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
        sregs.copy(f, written, f);
      }
    }
    return left.withRegisters(left.registers().withSregs(sregs.done()));
  }

  /**
   * KVM_SET_MSRS changed what the VMCB of L1 holds, or took EFER.SVME away.
   *
   * @param v the vCPU with the given MSRs
   */
  static Vcpu msrsSet(Vcpu v, TimelineEvent.MsrsSet e) {
    KvmMsrs msrs = e.msrs();
    Vcpu next = v;
    int done = Math.min(e.processed(), msrs.held());
    int touched = e.certain() ? done : msrs.held();
    for (int i = 0; i < touched; i++) {
      boolean certain = i < done;
      long data = msrs.data(i);
      switch (msrs.index(i)) {
        case Msr.IA32_EFER -> {
          if ((data & Efer.SVME) == 0) {
            next =
                certain
                    ? SvmNestedRules.disabled(next, e.moment())
                    : SvmNestedRules.maybeDisabled(next, e.moment());
          }
        }
        case Msr.IA32_PAT -> next = written(next, VMCB_G_PAT, data, certain, e.moment());
        case Msr.IA32_SYSENTER_ESP ->
            next = written(next, VMCB_SYSENTER_ESP, data & LOW_32, certain, e.moment());
        case Msr.IA32_SYSENTER_EIP ->
            next = written(next, VMCB_SYSENTER_EIP, data & LOW_32, certain, e.moment());
        case Msr.IA32_DEBUGCTL ->
            next = written(next, VMCB_DBGCTL, 0, certain && data == 0, e.moment());
        case Msr.IA32_SPEC_CTRL ->
            next = written(next, VMCB_SPEC_CTRL, 0, certain && data == 0, e.moment());
        default -> {}
      }
    }
    return next;
  }

  private static Vcpu written(Vcpu v, int field, long value, boolean certain, int moment) {
    SvmNested svm = v.nested().svm();
    Tracked vmcb = svm.vmcb();
    if (certain && vmcb.knows(field) && vmcb.value(field) == value) {
      return v;
    }
    return v.withNested(
        v.nested().withSvm(svm.withVmcb(vmcb.edit(moment).set(field, value, certain).done())));
  }

  /** KVM_SET_DEBUGREGS writes DR7 to the VMCB of the level that runs. */
  static Vcpu debugregsSet(Vcpu v, int moment) {
    Tracked debugregs = v.registers().debugregs();
    return switch (v.inGuestMode()) {
      case YES -> v;
      case NO -> written(v, VMCB_DR7, debugregs.value(DR7), debugregs.knows(DR7), moment);
      case CANNOT_TELL -> written(v, VMCB_DR7, 0, false, moment);
    };
  }

  /** L2 ran, and L1 did not: the VMCB of L1 keeps what VMLOAD does not load. */
  static Tracked afterL2Ran(Tracked vmcb, int moment) {
    FieldSet lost = WRITTEN_BY_RUN.with(VMCB_G_PAT).with(VMCB_SPEC_CTRL);
    for (SvmSegment segment : SvmSegment.SHARED) {
      lost = lost.with(segment.attrib());
    }
    for (Shared shared : SHARED_MSRS) {
      lost = lost.with(Vmcb.indexOf(shared.field()));
    }
    return vmcb.forget(lost, moment);
  }
}
