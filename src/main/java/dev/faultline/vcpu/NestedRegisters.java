package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmSegment;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.vmx.EntryControls;
import dev.faultline.vmx.ExitControls;
import dev.faultline.vmx.ExitReason;
import dev.faultline.vmx.InterruptibilityInfo;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import dev.faultline.x86.SegmentRegister;

/**
 * Registers at the border between L1 and L2: loaded from vmcs12 on the way in and out, and written
 * back to it.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/nested.c, prepare_vmcs02(), load_vmcs12_host_state(),
 * sync_vmcs02_to_vmcs12()}, v6.1.
 */
final class NestedRegisters {
  private static final long RFLAGS_FIXED = 2;
  private static final long DR7_FIXED = 0x400;
  private static final long DR7_VOLATILE = 0xffff_2bffL;
  private static final int TABLE_LIMIT = 0xffff;
  private static final int TR_LIMIT = 0x67;
  private static final int CODE_TYPE = 11;
  private static final int DATA_TYPE = 3;
  private static final int AR_P = 1 << 7;
  private static final int AR_UNUSABLE = 1 << 16;
  private static final int SHADOW_MOV_SS = 1;
  private static final int SHADOW_STI = 2;
  private static final long INTR_INFO_INVALID = 0x7fff_ffffL;
  private static final int LAUNCH_STATE = Vmcs12.LAYOUT.indexOf("vmcs12.launch_state");

  private static final String FAILED_ENTRY = "FAILED_VMENTRY";
  private static final long FAILED_ENTRY_BIT = 1L << 31;
  private static final int DR7 = KvmDebugregs.LAYOUT.indexOf("dr7");

  private NestedRegisters() {}

  private static long get(Tracked vmcs12, VmcsField field) {
    return vmcs12.value(Vmcs12.indexOf(field));
  }

  private static boolean knows(Tracked vmcs12, VmcsField field) {
    return vmcs12.knows(Vmcs12.indexOf(field));
  }

  private static Answer has(Tracked vmcs12, VmcsField field, long bit) {
    return vmcs12.hasAny(Vmcs12.indexOf(field), bit);
  }

  /** KVM's cached vmcs12 is filled by userspace; the rest of its page is zero. */
  static Vcpu loaded(Vcpu v, Vmcs12 vmcs12, int moment) {
    Tracked cached = v.nested().vmcs12().replace(vmcs12.raw(), moment);
    Answer restricted = Nested.restricted(cached);
    return v.withNested(
        v.nested().withVmcs12(cached).withMode(v.nested().mode().withRestricted(restricted)));
  }

  /** L2 becomes the running guest, from KVM_SET_NESTED_STATE. */
  static Vcpu enter(Vcpu v, TimelineEvent.NestedEntryRestored e) {
    Tracked vmcs12 = v.nested().vmcs12();
    int moment = e.moment();
    Answer masked = v.events().is(EventsFields.NMI_MASKED, 0).not();
    Nested.Mode mode =
        v.nested()
            .mode()
            .withGuestMode(Answer.YES)
            .withPending(Answer.of(e.runPending()), Answer.of(e.mtfPending()))
            .withRestricted(Nested.restricted(vmcs12))
            .withL1NmiMasked(masked);
    Tracked.Edit header = v.nested().header().edit(moment);
    if (e.deadlineValid()) {
      header.set(NestedFields.VMX_FLAGS, 1).set(NestedFields.DEADLINE, e.deadline());
    } else {
      // KVM computes a deadline from the clock when L1 uses the timer.
      header.forget(NestedFields.VMX_FLAGS).forget(NestedFields.DEADLINE);
    }
    Vcpu next = v.withNested(v.nested().withMode(mode).withHeader(header.done()));
    next = loadGuestRegisters(next, e.runPending(), moment);
    next = next.withEvents(interruptibility(next.events(), vmcs12, e.runPending(), moment));
    next = loadDr7(next, vmcs12, e.runPending(), moment);
    next = loadGuestMsrs(next, vmcs12, e.runPending(), moment);
    return Validity.recompute(next);
  }

  private static Vcpu loadGuestRegisters(Vcpu v, boolean runPending, int moment) {
    Tracked vmcs12 = v.nested().vmcs12();
    Tracked before = v.registers().sregs();
    Tracked.Edit sregs = before.edit(moment);
    boolean entersLongMode =
        before.knows(SregsFields.EFER)
            && before.knows(SregsFields.CR0)
            && (before.value(SregsFields.EFER) & Efer.LME) != 0
            && (before.value(SregsFields.CR0) & Cr0.PG) == 0
            && (get(vmcs12, VmcsField.GUEST_CR0) & Cr0.PG) != 0;
    Answer fromRealMode = leavesRealMode(v);
    for (SegmentFields f : SegmentFields.ALL) {
      if (!fromRealMode.isNo() && f.register() != SegmentRegister.LDTR) {
        keepRealModeSegment(f, before, vmcs12, sregs, fromRealMode);
      } else if (f.knownIn(vmcs12)) {
        int ar = (int) vmcs12.value(f.vmcsAr());
        if (entersLongMode && f.register() == SegmentRegister.TR) {
          ar = (ar & ~15) | CODE_TYPE;
        }
        f.write(
            sregs,
            vmcs12.value(f.vmcsBase()),
            vmcs12.value(f.vmcsLimit()),
            vmcs12.value(f.vmcsSelector()),
            ar);
      } else {
        f.forget(sregs);
      }
    }
    sregs.copy(SregsFields.GDT_BASE, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_GDTR_BASE));
    sregs.copy(SregsFields.IDT_BASE, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_IDTR_BASE));
    sregs.copy(SregsFields.GDT_LIMIT, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_GDTR_LIMIT));
    sregs.copy(SregsFields.IDT_LIMIT, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_IDTR_LIMIT));
    sregs.copy(SregsFields.CR0, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_CR0));
    sregs.copy(SregsFields.CR3, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_CR3));
    sregs.copy(SregsFields.CR4, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_CR4));
    guestEfer(before, vmcs12, runPending, sregs);
    Tracked.Edit regs = v.registers().regs().edit(moment);
    regs.copy(RegsFields.RSP, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_RSP));
    regs.copy(RegsFields.RIP, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_RIP));
    regs.copy(RegsFields.RFLAGS, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_RFLAGS));
    Vcpu next = v.withRegisters(v.registers().withSregs(sregs.done()).withRegs(regs.done()));
    return fromRealMode.isNo() ? next : storeRealModeRights(next, before, fromRealMode, moment);
  }

  /** What {@link #keepRealModeSegment} put into vmcs02 is what KVM will copy to vmcs12. */
  private static Vcpu storeRealModeRights(Vcpu v, Tracked before, Answer certain, int moment) {
    Tracked.Edit vmcs12 = v.nested().vmcs12().edit(moment);
    for (SegmentFields f : SegmentFields.ALL) {
      if (f.register() != SegmentRegister.LDTR) {
        int ar = KvmSegment.read(before.bytes(), SregsFields.offset(f.register())).accessRights();
        vmcs12.set(
            f.vmcsAr(), ar, certain.isYes() && before.knowsAll(SregsFields.segment(f.register())));
      }
    }
    return v.withNested(v.nested().withVmcs12(vmcs12.done()));
  }

  /** Without unrestricted guest KVM runs real mode as virtual-8086 mode, and leaves that first. */
  private static Answer leavesRealMode(Vcpu v) {
    Answer realMode = v.registers().sregs().hasAny(SregsFields.CR0, Cr0.PE).not();
    return v.kernel().unrestrictedGuest().not().and(realMode);
  }

  /**
   * Leaving virtual-8086 mode puts KVM's cached real-mode segments over those that were just loaded
   * from vmcs12; only selector and base are taken from there, and only if the selector differs.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/vmx/vmx.c, enter_pmode(), vmx_get_segment()}, v6.1.
   */
  private static void keepRealModeSegment(
      SegmentFields f, Tracked before, Tracked vmcs12, Tracked.Edit sregs, Answer certain) {
    FieldSet fields = SregsFields.segment(f.register());
    boolean known =
        certain.isYes()
            && before.knowsAll(fields)
            && vmcs12.knows(f.vmcsSelector())
            && vmcs12.knows(f.vmcsBase());
    if (!known) {
      f.forget(sregs);
      return;
    }
    boolean other =
        f.register() != SegmentRegister.TR
            && before.value(f.selector()) != vmcs12.value(f.vmcsSelector());
    int ar = KvmSegment.read(before.bytes(), SregsFields.offset(f.register())).accessRights();
    f.write(
        sregs,
        other ? vmcs12.value(f.vmcsBase()) : before.value(f.base()),
        before.value(f.limit()),
        other ? vmcs12.value(f.vmcsSelector()) : before.value(f.selector()),
        ar);
  }

  private static void guestEfer(
      Tracked before, Tracked vmcs12, boolean runPending, Tracked.Edit sregs) {
    Answer load = has(vmcs12, VmcsField.VM_ENTRY_CONTROLS, EntryControls.LOAD_IA32_EFER);
    if (runPending && load.isYes()) {
      sregs.copy(SregsFields.EFER, vmcs12, Vmcs12.indexOf(VmcsField.GUEST_IA32_EFER));
      return;
    }
    Answer ia32e = has(vmcs12, VmcsField.VM_ENTRY_CONTROLS, EntryControls.IA32E_MODE);
    long efer = before.value(SregsFields.EFER);
    long mode = Efer.LMA | Efer.LME;
    sregs.set(
        SregsFields.EFER,
        ia32e.isYes() ? efer | mode : efer & ~mode,
        ia32e.isKnown() && before.knows(SregsFields.EFER) && (!runPending || load.isKnown()));
  }

  private static Tracked interruptibility(
      Tracked events, Tracked vmcs12, boolean runPending, int moment) {
    Tracked.Edit edit = events.edit(moment);
    if (!runPending) {
      // A restored L2 starts with a new vmcs02, whose interruptibility is clear.
      return edit.set(EventsFields.INTERRUPT_SHADOW, 0).set(EventsFields.NMI_MASKED, 0).done();
    }
    boolean known = knows(vmcs12, VmcsField.GUEST_INTERRUPTIBILITY_INFO);
    long info = get(vmcs12, VmcsField.GUEST_INTERRUPTIBILITY_INFO);
    int shadow =
        ((info & InterruptibilityInfo.STI) != 0 ? SHADOW_STI : 0)
            | ((info & InterruptibilityInfo.MOV_SS) != 0 ? SHADOW_MOV_SS : 0);
    boolean masked = (info & InterruptibilityInfo.NMI) != 0;
    return edit.set(EventsFields.INTERRUPT_SHADOW, shadow, known)
        .set(EventsFields.NMI_MASKED, masked ? 1 : 0, known)
        .done();
  }

  private static Vcpu loadDr7(Vcpu v, Tracked vmcs12, boolean runPending, int moment) {
    Answer load = has(vmcs12, VmcsField.VM_ENTRY_CONTROLS, EntryControls.LOAD_DEBUG_CONTROLS);
    Tracked debugregs = v.registers().debugregs();
    boolean fromVmcs12 = runPending && load.isYes();
    long dr7 = fromVmcs12 ? get(vmcs12, VmcsField.GUEST_DR7) : debugregs.value(DR7);
    boolean known =
        fromVmcs12
            ? knows(vmcs12, VmcsField.GUEST_DR7)
            : debugregs.knows(DR7) && (!runPending || load.isKnown());
    return withDr7(v, (dr7 & DR7_VOLATILE) | DR7_FIXED, known, moment);
  }

  private static Vcpu withDr7(Vcpu v, long dr7, boolean known, int moment) {
    Tracked debugregs = v.registers().debugregs();
    if (known && debugregs.knows(DR7) && debugregs.value(DR7) == dr7) {
      return v;
    }
    return v.withRegisters(
        v.registers().withDebugregs(debugregs.edit(moment).set(DR7, dr7, known).done()));
  }

  private static Vcpu loadGuestMsrs(Vcpu v, Tracked vmcs12, boolean runPending, int moment) {
    MsrState.Edit edit = v.platform().msrs().edit();
    copy(edit, Msr.IA32_SYSENTER_CS, vmcs12, VmcsField.GUEST_SYSENTER_CS, moment);
    copy(edit, Msr.IA32_SYSENTER_ESP, vmcs12, VmcsField.GUEST_SYSENTER_ESP, moment);
    copy(edit, Msr.IA32_SYSENTER_EIP, vmcs12, VmcsField.GUEST_SYSENTER_EIP, moment);
    if (runPending) {
      load(
          edit,
          vmcs12,
          EntryControls.LOAD_IA32_PAT,
          Msr.IA32_PAT,
          VmcsField.GUEST_IA32_PAT,
          moment);
      load(
          edit,
          vmcs12,
          EntryControls.LOAD_DEBUG_CONTROLS,
          Msr.IA32_DEBUGCTL,
          VmcsField.GUEST_IA32_DEBUGCTL,
          moment);
      load(
          edit,
          vmcs12,
          EntryControls.LOAD_BNDCFGS,
          Msr.IA32_BNDCFGS,
          VmcsField.GUEST_BNDCFGS,
          moment);
    }
    return v.withPlatform(v.platform().withMsrs(edit.done()));
  }

  private static void load(
      MsrState.Edit edit, Tracked vmcs12, long control, int msr, VmcsField field, int moment) {
    Answer load = has(vmcs12, VmcsField.VM_ENTRY_CONTROLS, control);
    if (load.isYes()) {
      copy(edit, msr, vmcs12, field, moment);
    } else if (!load.isKnown()) {
      edit.write(msr, 0, false, moment);
    }
  }

  private static void copy(
      MsrState.Edit edit, int msr, Tracked vmcs12, VmcsField field, int moment) {
    edit.write(msr, get(vmcs12, field), knows(vmcs12, field), moment);
  }

  /** L2 is left without an exit: its state goes to vmcs12, L1's host state is loaded. */
  static Vcpu leave(Vcpu v, int moment) {
    return leaveFrom(v.withNested(v.nested().withVmcs12(Vmcs12Sync.vmcs12(v, moment))), moment);
  }

  private static Vcpu leaveFrom(Vcpu v, int moment) {
    Vcpu next = v.withEvents(EventRules.clearQueues(v.events(), moment));
    next = MpStateRules.runnable(next, Answer.YES, moment);
    Answer masked = next.nested().mode().l1NmiMasked();
    Nested.Mode mode =
        next.nested()
            .mode()
            .withGuestMode(Answer.NO)
            .withPending(Answer.NO, Answer.NO)
            .withLazyFields(Answer.YES);
    next = next.withNested(next.nested().withMode(mode));
    next =
        next.withEvents(
            next.events()
                .edit(moment)
                .set(EventsFields.INTERRUPT_SHADOW, 0)
                .set(EventsFields.NMI_MASKED, masked.isYes() ? 1 : 0, masked.isKnown())
                .done());
    return loadHostState(next, moment);
  }

  /**
   * KVM makes L2 exit to L1 before L2 runs, with this reason and no qualification. The error code
   * of an interruption and of a vectored event keep what an earlier exit left.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/vmx/nested.c, nested_vmx_vmexit(), prepare_vmcs12(),
   * vmcs12_save_pending_event()}, v6.1.
   */
  static Vcpu exit(Vcpu v, ExitReason reason, int moment) {
    Tracked vmcs12 = Vmcs12Sync.vmcs12(v, moment);
    Tracked.Edit edit = vmcs12.edit(moment);
    edit.set(Vmcs12.indexOf(VmcsField.VM_EXIT_REASON), reason.number());
    edit.set(Vmcs12.indexOf(VmcsField.EXIT_QUALIFICATION), 0);
    edit.set(LAUNCH_STATE, 1);
    edit.set(
        Vmcs12.indexOf(VmcsField.VM_ENTRY_INTR_INFO_FIELD),
        get(vmcs12, VmcsField.VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_INVALID,
        knows(vmcs12, VmcsField.VM_ENTRY_INTR_INFO_FIELD));
    edit.set(Vmcs12.indexOf(VmcsField.VM_EXIT_INTR_INFO), 0);
    if (reason == ExitReason.TRIPLE_FAULT || EventRules.reinjects(v.events()).isNo()) {
      edit.set(Vmcs12.indexOf(VmcsField.IDT_VECTORING_INFO_FIELD), 0);
    } else {
      edit.forget(Vmcs12.indexOf(VmcsField.IDT_VECTORING_INFO_FIELD));
      edit.forget(Vmcs12.indexOf(VmcsField.IDT_VECTORING_ERROR_CODE));
      edit.forget(Vmcs12.indexOf(VmcsField.VM_ENTRY_INSTRUCTION_LEN));
    }
    // Hardware's, of the last exit of L2.
    edit.forget(Vmcs12.indexOf(VmcsField.VM_EXIT_INSTRUCTION_LEN));
    edit.forget(Vmcs12.indexOf(VmcsField.VMX_INSTRUCTION_INFO));
    return exited(v.withNested(v.nested().withVmcs12(edit.done())), moment);
  }

  /** An exit leaves vmcs02 behind, from which KVM copies the rest of L2's state on demand. */
  private static Vcpu exited(Vcpu v, int moment) {
    Vcpu next = leaveFrom(v, moment);
    Nested nested = next.nested();
    return next.withNested(nested.withMode(nested.mode().withLazyFields(Answer.CANNOT_TELL)));
  }

  private static final FieldSet EXIT_FIELDS = exitFields();

  private static FieldSet exitFields() {
    FieldSet set = FieldSet.none(Vmcs12.LAYOUT.count());
    for (VmcsField field : VmcsField.values()) {
      if (field.area() == VmcsField.Area.EXIT_INFORMATION) {
        set = set.with(Vmcs12.indexOf(field));
      }
    }
    return set;
  }

  /**
   * L1 receives an exit of L2, which may have run: L2's registers are not known, those that vmcs12
   * gives to L1 are.
   */
  static Vcpu exit(Vcpu v, TimelineEvent.NestedVmExited e) {
    int moment = e.moment();
    ExitReason reason = ExitReason.ofTraceName(e.reason());
    boolean failed = e.flags().contains(FAILED_ENTRY);
    Nested nested = v.nested();
    Tracked vmcs12 = nested.vmcs12().forget(GuestRunRules.GUEST_AREA, moment);
    if (!failed) {
      vmcs12 = vmcs12.forget(EXIT_FIELDS, moment);
    }
    Tracked.Edit edit = vmcs12.edit(moment);
    long flag = failed ? FAILED_ENTRY_BIT : 0;
    edit.set(
        Vmcs12.indexOf(VmcsField.VM_EXIT_REASON),
        reason == null ? 0 : reason.number() | flag,
        reason != null && (failed || e.flags().isEmpty()));
    edit.set(Vmcs12.indexOf(VmcsField.EXIT_QUALIFICATION), e.qualification());
    if (!failed) {
      edit.set(LAUNCH_STATE, 1);
    }
    edit.forget(Vmcs12.indexOf(VmcsField.VM_ENTRY_CONTROLS));
    edit.forget(Vmcs12.indexOf(VmcsField.GUEST_LINEAR_ADDRESS));
    Vcpu.Registers r = v.registers();
    Vcpu next =
        v.withNested(nested.withVmcs12(edit.done()))
            .withRegisters(
                new Vcpu.Registers(
                    r.regs().forgetAll(moment),
                    r.sregs().forgetAll(moment),
                    r.debugregs().forgetAll(moment),
                    r.xcrs().forgetAll(moment),
                    r.xsave().forgetAll(moment),
                    r.emulation()))
            .withPlatform(v.platform().withMsrs(MsrRules.afterGuestRan(v, moment, true)));
    return exited(next, moment);
  }

  private static Vcpu loadHostState(Vcpu v, int moment) {
    Tracked vmcs12 = v.nested().vmcs12();
    Tracked before = v.registers().sregs();
    Tracked.Edit sregs = before.edit(moment);
    hostEfer(before, vmcs12, sregs);
    sregs.copy(SregsFields.CR0, vmcs12, Vmcs12.indexOf(VmcsField.HOST_CR0));
    sregs.copy(SregsFields.CR3, vmcs12, Vmcs12.indexOf(VmcsField.HOST_CR3));
    sregs.copy(SregsFields.CR4, vmcs12, Vmcs12.indexOf(VmcsField.HOST_CR4));
    sregs.copy(SregsFields.GDT_BASE, vmcs12, Vmcs12.indexOf(VmcsField.HOST_GDTR_BASE));
    sregs.copy(SregsFields.IDT_BASE, vmcs12, Vmcs12.indexOf(VmcsField.HOST_IDTR_BASE));
    sregs.set(SregsFields.GDT_LIMIT, TABLE_LIMIT).set(SregsFields.IDT_LIMIT, TABLE_LIMIT);
    for (SegmentFields f : SegmentFields.ALL) {
      hostSegment(f, vmcs12, sregs);
    }
    Tracked.Edit regs = v.registers().regs().edit(moment);
    regs.copy(RegsFields.RSP, vmcs12, Vmcs12.indexOf(VmcsField.HOST_RSP));
    regs.copy(RegsFields.RIP, vmcs12, Vmcs12.indexOf(VmcsField.HOST_RIP));
    regs.set(RegsFields.RFLAGS, RFLAGS_FIXED);
    Vcpu next = v.withRegisters(v.registers().withSregs(sregs.done()).withRegs(regs.done()));
    next = withDr7(next, DR7_FIXED, true, moment);
    return Validity.recompute(loadHostMsrs(next, vmcs12, moment));
  }

  private static void hostEfer(Tracked before, Tracked vmcs12, Tracked.Edit sregs) {
    Answer load = has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.LOAD_IA32_EFER);
    Answer wide = has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.HOST_ADDR_SPACE_SIZE);
    if (load.isYes()) {
      sregs.copy(SregsFields.EFER, vmcs12, Vmcs12.indexOf(VmcsField.HOST_IA32_EFER));
      return;
    }
    long mode = Efer.LMA | Efer.LME;
    long efer = before.value(SregsFields.EFER);
    sregs.set(
        SregsFields.EFER,
        wide.isYes() ? efer | mode : efer & ~mode,
        load.isKnown() && wide.isKnown() && before.knows(SregsFields.EFER));
  }

  private static void hostSegment(SegmentFields f, Tracked vmcs12, Tracked.Edit sregs) {
    if (f.register() == SegmentRegister.LDTR) {
      f.write(sregs, 0, 0, 0, AR_UNUSABLE);
      return;
    }
    Answer wide = has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.HOST_ADDR_SPACE_SIZE);
    boolean known =
        vmcs12.knows(f.hostSelector())
            && (f.hostBase() == SegmentFields.NONE || vmcs12.knows(f.hostBase()))
            && (f.register() != SegmentRegister.CS || wide.isKnown());
    if (!known) {
      f.forget(sregs);
      return;
    }
    int l = 1 << 13;
    int db = 1 << 14;
    int g = 1 << 15;
    int s = 1 << 4;
    int ar =
        switch (f.register()) {
          case CS -> CODE_TYPE | s | AR_P | g | (wide.isYes() ? l : db);
          case TR -> CODE_TYPE | AR_P;
          default -> DATA_TYPE | s | AR_P | g | db;
        };
    f.write(
        sregs,
        f.hostBase() == SegmentFields.NONE ? 0 : vmcs12.value(f.hostBase()),
        f.register() == SegmentRegister.TR ? TR_LIMIT : 0xffff_ffffL,
        vmcs12.value(f.hostSelector()),
        ar);
  }

  private static Vcpu loadHostMsrs(Vcpu v, Tracked vmcs12, int moment) {
    MsrState.Edit edit = v.platform().msrs().edit();
    copy(edit, Msr.IA32_SYSENTER_CS, vmcs12, VmcsField.HOST_IA32_SYSENTER_CS, moment);
    copy(edit, Msr.IA32_SYSENTER_ESP, vmcs12, VmcsField.HOST_IA32_SYSENTER_ESP, moment);
    copy(edit, Msr.IA32_SYSENTER_EIP, vmcs12, VmcsField.HOST_IA32_SYSENTER_EIP, moment);
    edit.write(Msr.IA32_DEBUGCTL, 0, true, moment);
    Answer clearBnd = has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.CLEAR_BNDCFGS);
    if (!clearBnd.isNo()) {
      edit.write(Msr.IA32_BNDCFGS, 0, clearBnd.isYes(), moment);
    }
    Answer loadPat = has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.LOAD_IA32_PAT);
    if (loadPat.isYes()) {
      copy(edit, Msr.IA32_PAT, vmcs12, VmcsField.HOST_IA32_PAT, moment);
    } else if (!loadPat.isKnown()) {
      edit.write(Msr.IA32_PAT, 0, false, moment);
    }
    MsrState msrs = edit.done();
    Answer list = vmcs12.is(Vmcs12.indexOf(VmcsField.VM_EXIT_MSR_LOAD_COUNT), 0).not();
    if (!list.isNo()) {
      // Which MSRs the list names is in guest memory; none of them is the SMIs'.
      Vcpu loaded = v.withPlatform(v.platform().withMsrs(msrs));
      msrs = MsrRules.afterGuestRan(loaded, moment, true);
    }
    return v.withPlatform(v.platform().withMsrs(msrs));
  }

  /** The special registers that L1 and L2 do not share. */
  private static final FieldSet BY_LEVEL =
      KvmSregs.LAYOUT
          .all()
          .minus(
              FieldSet.of(
                  KvmSregs.LAYOUT.count(),
                  SregsFields.CR2,
                  SregsFields.CR8,
                  SregsFields.APIC_BASE));

  /** Which level the registers belong to is not known any more, so neither are they. */
  static Vcpu forget(Vcpu v, int moment) {
    Tracked sregs = v.registers().sregs();
    Tracked.Edit regs = v.registers().regs().edit(moment);
    regs.forget(RegsFields.RSP).forget(RegsFields.RIP).forget(RegsFields.RFLAGS);
    Tracked.Edit debugregs = v.registers().debugregs().edit(moment).forget(DR7);
    return v.withRegisters(
            v.registers()
                .withSregs(sregs.forget(BY_LEVEL, moment))
                .withRegs(regs.done())
                .withDebugregs(debugregs.done()))
        .withEvents(forgetQueues(v.events(), moment))
        .withPlatform(v.platform().withMsrs(MsrRules.afterGuestRan(v.platform().msrs(), moment)));
  }

  private static final int[] QUEUES = {
    EventsFields.EXCEPTION_INJECTED,
    EventsFields.EXCEPTION_PENDING,
    EventsFields.INTERRUPT_INJECTED,
    EventsFields.NMI_INJECTED
  };

  /** An exit of L2 empties the queues; it and a VM-Enter change what blocks events. */
  private static Tracked forgetQueues(Tracked events, int moment) {
    Tracked.Edit edit = events.edit(moment);
    for (int field : QUEUES) {
      if (!events.is(field, 0).isYes()) {
        edit.forget(field);
      }
    }
    return edit.forget(EventsFields.INTERRUPT_SHADOW).forget(EventsFields.NMI_MASKED).done();
  }

  /** KVM_SET_NESTED_STATE failed half-way into L2: control registers are mixed. */
  static Vcpu abandon(Vcpu v, int moment) {
    Vcpu next = forget(v, moment);
    Nested.Mode mode =
        next.nested()
            .mode()
            .withGuestMode(Answer.NO)
            .withPending(Answer.NO, Answer.NO)
            .withLazyFields(Answer.NO);
    Tracked.Edit vmcs12 = next.nested().vmcs12().edit(moment);
    vmcs12.set(Vmcs12.indexOf(VmcsField.EXIT_QUALIFICATION), 0);
    if (v.kernel().version() == KernelVersion.V5_10) {
      // There L1 is given the exit of a VM-Enter that fails.
      vmcs12.forget(Vmcs12.indexOf(VmcsField.VM_EXIT_REASON));
    }
    return Validity.recompute(
        next.withNested(next.nested().withVmcs12(vmcs12.done()).withMode(mode)));
  }
}
