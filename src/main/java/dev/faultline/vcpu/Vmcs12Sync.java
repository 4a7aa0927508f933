package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmSegment;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.MpState;
import dev.faultline.vmx.ActivityState;
import dev.faultline.vmx.EntryControls;
import dev.faultline.vmx.ExitControls;
import dev.faultline.vmx.InterruptibilityInfo;
import dev.faultline.vmx.PinControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Efer;
import dev.faultline.x86.SegmentRegister;
import java.util.List;

/**
 * What KVM copies from the running L2 into its cached vmcs12: when userspace asks for the nested
 * state, and when L2 is left.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/nested.c, sync_vmcs02_to_vmcs12()}, v6.1.
 */
final class Vmcs12Sync {
  private static final int ACCESSED = 1;
  private static final int SHADOW_MOV_SS = 1;
  private static final int SHADOW_STI = 2;
  private static final int DR7 = KvmDebugregs.LAYOUT.indexOf("dr7");

  private Vmcs12Sync() {}

  private static long get(Tracked vmcs12, VmcsField field) {
    return vmcs12.value(Vmcs12.indexOf(field));
  }

  private static boolean knows(Tracked vmcs12, VmcsField field) {
    return vmcs12.knows(Vmcs12.indexOf(field));
  }

  private static Answer has(Tracked vmcs12, VmcsField field, long bit) {
    return vmcs12.hasAny(Vmcs12.indexOf(field), bit);
  }

  /** vmcs12 as KVM_GET_NESTED_STATE returns it while L2 is active. */
  static Tracked vmcs12(Vcpu v, int moment) {
    Tracked vmcs12 = v.nested().vmcs12();
    Tracked.Edit edit = vmcs12.edit(moment);
    Tracked sregs = v.registers().sregs();
    Tracked regs = v.registers().regs();
    controlRegister(
        edit, vmcs12, VmcsField.GUEST_CR0, VmcsField.CR0_GUEST_HOST_MASK, sregs, SregsFields.CR0);
    controlRegister(
        edit, vmcs12, VmcsField.GUEST_CR4, VmcsField.CR4_GUEST_HOST_MASK, sregs, SregsFields.CR4);
    edit.copy(Vmcs12.indexOf(VmcsField.GUEST_RSP), regs, RegsFields.RSP);
    edit.copy(Vmcs12.indexOf(VmcsField.GUEST_RIP), regs, RegsFields.RIP);
    edit.copy(Vmcs12.indexOf(VmcsField.GUEST_RFLAGS), regs, RegsFields.RFLAGS);
    for (SegmentFields f : SegmentFields.ALL) {
      edit.copy(f.vmcsBase(), sregs, f.base());
      edit.copy(f.vmcsLimit(), sregs, f.limit());
      edit.copy(f.vmcsSelector(), sregs, f.selector());
    }
    edit.copy(Vmcs12.indexOf(VmcsField.GUEST_GDTR_BASE), sregs, SregsFields.GDT_BASE);
    edit.copy(Vmcs12.indexOf(VmcsField.GUEST_IDTR_BASE), sregs, SregsFields.IDT_BASE);
    edit.forget(Vmcs12.indexOf(VmcsField.GUEST_LINEAR_ADDRESS));
    boolean efer = sregs.knows(SregsFields.EFER);
    long lma = (sregs.value(SregsFields.EFER) & Efer.LMA) != 0 ? EntryControls.IA32E_MODE : 0;
    edit.set(
        Vmcs12.indexOf(VmcsField.VM_ENTRY_CONTROLS),
        (get(vmcs12, VmcsField.VM_ENTRY_CONTROLS) & ~EntryControls.IA32E_MODE) | lma,
        efer && knows(vmcs12, VmcsField.VM_ENTRY_CONTROLS));
    synchronizeSaved(v, vmcs12, edit);
    synchronizeEvents(v, vmcs12, edit);
    return edit.done();
  }

  /** Bits that L1 owns keep vmcs12's value; the others are the register's. */
  private static void controlRegister(
      Tracked.Edit edit,
      Tracked vmcs12,
      VmcsField guest,
      VmcsField mask,
      Tracked sregs,
      int register) {
    long owned = get(vmcs12, mask);
    edit.set(
        Vmcs12.indexOf(guest),
        (get(vmcs12, guest) & owned) | (sregs.value(register) & ~owned),
        knows(vmcs12, guest) && knows(vmcs12, mask) && sregs.knows(register));
  }

  /** What L1 asked to be saved on exit, and what hardware saves only when L2 has run. */
  private static void synchronizeSaved(Vcpu v, Tracked vmcs12, Tracked.Edit edit) {
    Answer saveDebug = has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.SAVE_DEBUG_CONTROLS);
    int dr7 = Vmcs12.indexOf(VmcsField.GUEST_DR7);
    if (saveDebug.isYes()) {
      edit.copy(dr7, v.registers().debugregs(), DR7);
    } else if (!saveDebug.isKnown()) {
      edit.forget(dr7);
    }
    Answer saveEfer = has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.SAVE_IA32_EFER);
    int efer = Vmcs12.indexOf(VmcsField.GUEST_IA32_EFER);
    if (saveEfer.isYes()) {
      edit.copy(efer, v.registers().sregs(), SregsFields.EFER);
    } else if (!saveEfer.isKnown()) {
      edit.forget(efer);
    }
    Answer timer =
        has(vmcs12, VmcsField.PIN_BASED_VM_EXEC_CONTROL, PinControls.PREEMPTION_TIMER)
            .and(has(vmcs12, VmcsField.VM_EXIT_CONTROLS, ExitControls.SAVE_PREEMPTION_TIMER))
            .and(v.nested().mode().runPending().not());
    if (!timer.isNo()) {
      edit.forget(Vmcs12.indexOf(VmcsField.VMX_PREEMPTION_TIMER_VALUE));
    }
    if (!v.kernel().ept().isNo()) {
      Answer pae = pae(v.registers().sregs());
      if (!pae.isNo()) {
        for (VmcsField pdptr : PDPTRS) {
          edit.forget(Vmcs12.indexOf(pdptr));
        }
      }
    }
  }

  private static final List<VmcsField> PDPTRS =
      List.of(
          VmcsField.GUEST_PDPTR0,
          VmcsField.GUEST_PDPTR1,
          VmcsField.GUEST_PDPTR2,
          VmcsField.GUEST_PDPTR3);

  private static Answer pae(Tracked sregs) {
    if (!sregs.knows(SregsFields.CR0)
        || !sregs.knows(SregsFields.CR4)
        || !sregs.knows(SregsFields.EFER)) {
      return Answer.CANNOT_TELL;
    }
    return Answer.of(
        SregsRules.paePaging(
            sregs.value(SregsFields.CR0),
            sregs.value(SregsFields.CR4),
            sregs.value(SregsFields.EFER)));
  }

  private static void synchronizeEvents(Vcpu v, Tracked vmcs12, Tracked.Edit edit) {
    Tracked events = v.events();
    Answer runPending = v.nested().mode().runPending();
    boolean known =
        events.knows(EventsFields.INTERRUPT_SHADOW)
            && events.knows(EventsFields.NMI_MASKED)
            && runPending.isKnown()
            && (runPending.isNo() || knows(vmcs12, VmcsField.GUEST_INTERRUPTIBILITY_INFO));
    // A pending VM-Enter took over all of vmcs12's bits; KVM_SET_VCPU_EVENTS changes three.
    long others =
        runPending.isYes()
            ? get(vmcs12, VmcsField.GUEST_INTERRUPTIBILITY_INFO)
                & ~(InterruptibilityInfo.STI
                    | InterruptibilityInfo.MOV_SS
                    | InterruptibilityInfo.NMI)
            : 0;
    long shadow = events.value(EventsFields.INTERRUPT_SHADOW);
    long info =
        ((shadow & SHADOW_STI) != 0 ? InterruptibilityInfo.STI : 0)
            | ((shadow & SHADOW_MOV_SS) != 0 ? InterruptibilityInfo.MOV_SS : 0)
            | (events.value(EventsFields.NMI_MASKED) != 0 ? InterruptibilityInfo.NMI : 0);
    edit.set(Vmcs12.indexOf(VmcsField.GUEST_INTERRUPTIBILITY_INFO), info | others, known);
    Tracked mp = v.platform().mpState();
    long state = mp.value(0);
    long activity =
        state == MpState.HALTED.number()
            ? ActivityState.HLT
            : state == MpState.INIT_RECEIVED.number()
                ? ActivityState.WAIT_SIPI
                : ActivityState.ACTIVE;
    edit.set(Vmcs12.indexOf(VmcsField.GUEST_ACTIVITY_STATE), activity, mp.knows(0));
  }

  /**
   * While L2 is active a segment write goes to vmcs02, which keeps what KVM_GET_SREGS does not
   * show: whether an unusable segment was marked present, and 32 bits of a table's limit.
   */
  static Tracked accessRights(Vcpu v, KvmSregs given, int moment) {
    Tracked.Edit edit = v.nested().vmcs12().edit(moment);
    Bytes raw = given.raw();
    Answer restricted = v.nested().mode().restricted();
    for (SegmentFields f : SegmentFields.ALL) {
      int ar = KvmSegment.read(raw, SregsFields.offset(f.register())).accessRights();
      boolean ldtr = f.register() == SegmentRegister.LDTR;
      if (restricted.isNo() && !ldtr) {
        ar |= ACCESSED;
      }
      edit.set(f.vmcsAr(), ar, restricted.isKnown() || ldtr || (ar & ACCESSED) != 0);
    }
    edit.set(Vmcs12.indexOf(VmcsField.GUEST_GDTR_LIMIT), given.gdt().limit());
    edit.set(Vmcs12.indexOf(VmcsField.GUEST_IDTR_LIMIT), given.idt().limit());
    return edit.done();
  }
}
