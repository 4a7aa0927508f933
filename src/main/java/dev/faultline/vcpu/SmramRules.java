package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSegment;
import dev.faultline.vcpu.Vcpu.Completion;
import dev.faultline.x86.SegmentRegister;
import dev.faultline.x86.SmramMap;
import java.util.List;
import java.util.Locale;

/**
 * The save map in SMRAM: captured by the recorder, or written by an SMI, and known as long as no
 * guest code can have changed it.
 *
 * <p>Tracepoints tell whether code ran: with the first exit at the very instruction at which the
 * guest went on, none did. Between two KVM_RUN userspace may write guest memory, so nothing is
 * known of it then until the recorder captures it again.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, enter_smm(), enter_smm_save_state_64(),
 * enter_smm_save_state_32()}, v6.1; {@code arch/x86/kvm/smm.c}, v6.12.
 */
final class SmramRules {
  private static final String RSM = " 0faa";
  private static final long LOW_32 = 0xffff_ffffL;
  static final List<String> REGISTERS =
      List.of(
          "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
          "r13", "r14", "r15");
  static final int NARROW_REGISTERS = 8;
  static final int DR6 = KvmDebugregs.LAYOUT.indexOf("dr6");
  static final int DR7 = KvmDebugregs.LAYOUT.indexOf("dr7");

  private SmramRules() {}

  private static Vcpu with(Vcpu v, Smram smram) {
    return v.withPlatform(v.platform().withSmram(smram));
  }

  /** The recorder read guest memory as the vCPU entered KVM_RUN. */
  static Vcpu evolve(Vcpu v, TimelineEvent.SmramCaptured e) {
    Answer longMode = GuestCpuid.longMode(v);
    if (!longMode.isKnown() || e.map().size() != SmramMap.SIZE) {
      return with(v, v.platform().smram().forgotten(e.moment()));
    }
    return with(
        v, Smram.of(longMode.isYes(), e.map(), e.smbase(), Smram.NOWHERE, true, e.moment()));
  }

  /** KVM_RUN begins: where the guest goes on, and whether an SMI comes before any of its code. */
  static Vcpu runEntered(Vcpu v) {
    Smram smram = v.platform().smram();
    boolean held = !smram.map().known().isEmpty();
    Answer smi = v.progress().smiRequested().or(v.events().is(EventsFields.SMI_PENDING, 0).not());
    boolean expects = smi.isYes() && v.inSmm().isNo();
    if (!held && !expects && !smram.quiet()) {
      return v;
    }
    Tracked regs = v.registers().regs();
    boolean certain = v.progress().completion() == Completion.NONE && regs.knows(RegsFields.RIP);
    long resume = certain ? regs.value(RegsFields.RIP) : Smram.NOWHERE;
    return with(v, smram.resuming(held || expects, resume));
  }

  /** Hardware enters the guest at this instruction. */
  static Vcpu evolve(Vcpu v, TimelineEvent.VmEntered e) {
    Smram smram = v.platform().smram();
    if (!smram.quiet()) {
      return v;
    }
    return with(
        v, v.inSmm().isYes() ? smram.resuming(true, e.rip()) : smram.resuming(false, e.rip()));
  }

  /**
   * Hardware left the guest at this instruction: at the one where it went on, none was executed.
   */
  static Vcpu exited(Vcpu v, long rip, int moment) {
    Smram smram = v.platform().smram();
    if (!smram.quiet() || (v.inSmm().isYes() && rip == smram.resume())) {
      return v;
    }
    return with(v, smram.forgotten(moment));
  }

  /** KVM emulated an instruction; RSM itself reads SMRAM before it writes anything. */
  static Vcpu evolve(Vcpu v, TimelineEvent.InstructionEmulated e) {
    Smram smram = v.platform().smram();
    if (!smram.quiet()) {
      return v;
    }
    int colon = e.text().indexOf(':');
    boolean rsm = e.text().endsWith(RSM) && colon > 0 && v.inSmm().isYes();
    boolean first =
        rsm
            && (smram.resume() == Smram.NOWHERE
                || Long.toHexString(smram.resume()).contentEquals(e.text().substring(0, colon)));
    return first ? v : with(v, smram.forgotten(e.moment()));
  }

  /** KVM_RUN returned: from here on userspace may write guest memory. */
  static Vcpu runReturned(Vcpu v, int moment) {
    Smram smram = v.platform().smram();
    return smram.quiet() || !smram.map().known().isEmpty() ? with(v, smram.forgotten(moment)) : v;
  }

  /**
   * An SMI put the vCPU into SMM. Where no code has run before it in this KVM_RUN the registers are
   * those that it saves.
   */
  static Vcpu smmEntered(Vcpu before, Vcpu entered, TimelineEvent.SmmEntered e) {
    if (!before.platform().smram().quiet()) {
      return with(entered, before.platform().smram().forgotten(e.moment()));
    }
    Vcpu completed = GuestRunRules.complete(before, e.moment());
    Smram saved = saved(completed, e.smbase(), e.moment());
    Vcpu l1 =
        completed.kernel().isVmx() && completed.inGuestMode().isYes()
            ? NestedRegisters.leave(completed, e.moment())
            : completed;
    Tracked vmcs12 = completed.kernel().isVmx() ? l1.nested().vmcs12() : before.nested().vmcs12();
    Vcpu inSmm =
        entered
            .withRegisters(l1.registers())
            .withNested(entered.nested().withVmcs12(vmcs12))
            .withProgress(entered.progress().withCompletion(Completion.NONE));
    return with(SmmEntry.registers(inSmm, e.smbase(), e.moment()), saved);
  }

  /** RSM loaded what is known of the map; the rest of the story is in the recording. */
  static Vcpu smmLeft(Vcpu before, Vcpu left, TimelineEvent.SmmLeft e) {
    RsmVerdict verdict = RsmRules.decide(before, e.smbase(), e.moment());
    Smram spent = before.platform().smram().forgotten(e.moment());
    boolean runs = verdict.end() instanceof Outcome.Runs;
    boolean loaded = (runs && verdict.failed() == null) || !verdict.emulates().isNo();
    if (verdict.end() instanceof Outcome.Undecided || !loaded || left.kernel().isSvm()) {
      return with(left, spent);
    }
    return with(verdict.loaded(), spent);
  }

  /** The SMI saves the registers of whichever level runs; what is not known of them stays so. */
  static Smram saved(Vcpu v, long smbase, int moment) {
    Smram before = v.platform().smram();
    Answer longMode = GuestCpuid.longMode(v);
    if (!before.quiet() || !longMode.isKnown()) {
      return before.forgotten(moment);
    }
    boolean wide = longMode.isYes();
    StructLayout layout = wide ? SmramMap.LAYOUT_64 : SmramMap.LAYOUT_32;
    Tracked map = Tracked.known(layout, Bytes.zero(SmramMap.SIZE), moment);
    Tracked saved = wide ? wide(v, map, smbase, moment) : narrow(v, map, smbase, moment);
    return new Smram(saved, smbase, Smram.SMM_ENTRY, true);
  }

  private static Tracked wide(Vcpu v, Tracked map, long smbase, int moment) {
    Tracked.Edit edit = map.edit(moment);
    common(v, map.layout(), edit, smbase);
    Tracked sregs = v.registers().sregs();
    StructLayout layout = map.layout();
    for (String register : REGISTERS) {
      edit.copy(layout.indexOf(register), v.registers().regs(), KvmRegs.LAYOUT.indexOf(register));
    }
    edit.copy(layout.indexOf("rip"), v.registers().regs(), RegsFields.RIP);
    copyLow(edit, layout.indexOf("rflags"), v.registers().regs(), RegsFields.RFLAGS, rflags(v));
    edit.copy(layout.indexOf("efer"), sregs, SregsFields.EFER);
    for (SegmentRegister register : SegmentRegister.values()) {
      String name = register.name().toLowerCase(Locale.ROOT);
      SegmentCopy copy = SegmentCopy.of(sregs, register);
      edit.set(layout.indexOf(name + ".selector"), copy.segment.selector(), copy.known);
      edit.set(
          layout.indexOf(name + ".attributes"),
          copy.flags >>> SmramMap.FLAGS_SHIFT & 0xffff,
          copy.known);
      edit.set(layout.indexOf(name + ".limit"), copy.segment.limit(), copy.known);
      edit.set(layout.indexOf(name + ".base"), copy.segment.base(), copy.known);
    }
    edit.set(layout.indexOf("smm_revision"), SmramMap.REVISION_64);
    if (v.kernel().isSvm()) {
      svm(v, layout, edit);
    }
    return edit.done();
  }

  /** What KVM on SVM adds for an L2. */
  private static void svm(Vcpu v, StructLayout layout, Tracked.Edit edit) {
    Answer guest = v.inGuestMode();
    edit.set(layout.indexOf("svm_guest_flag"), guest.isYes() ? 1 : 0, guest.isKnown());
    Tracked header = v.nested().svm().header();
    boolean known = guest.isNo() || (guest.isYes() && header.knows(SvmNested.VMCB_PA));
    edit.set(
        layout.indexOf("svm_guest_vmcb_gpa"),
        guest.isYes() ? header.value(SvmNested.VMCB_PA) : 0,
        known);
  }

  private static Tracked narrow(Vcpu v, Tracked map, long smbase, int moment) {
    Tracked.Edit edit = map.edit(moment);
    common(v, map.layout(), edit, smbase);
    StructLayout layout = map.layout();
    Tracked regs = v.registers().regs();
    Tracked sregs = v.registers().sregs();
    for (int i = 0; i < NARROW_REGISTERS; i++) {
      String wide = REGISTERS.get(i);
      copyLow(
          edit,
          layout.indexOf("e" + wide.substring(1)),
          regs,
          KvmRegs.LAYOUT.indexOf(wide),
          LOW_32);
    }
    copyLow(edit, layout.indexOf("eip"), regs, RegsFields.RIP, LOW_32);
    copyLow(edit, layout.indexOf("eflags"), regs, RegsFields.RFLAGS, LOW_32);
    for (SegmentRegister register : SegmentRegister.values()) {
      String name = register.name().toLowerCase(Locale.ROOT);
      SegmentCopy copy = SegmentCopy.of(sregs, register);
      edit.set(layout.indexOf(name + ".selector"), copy.segment.selector(), copy.known);
      edit.set(layout.indexOf(name + ".flags"), copy.flags, copy.known);
      edit.set(layout.indexOf(name + ".limit"), copy.segment.limit(), copy.known);
      edit.set(layout.indexOf(name + ".base"), copy.segment.base() & LOW_32, copy.known);
    }
    edit.set(layout.indexOf("smm_revision"), SmramMap.REVISION_32);
    return edit.done();
  }

  /** The fields that both maps have; the 32-bit map cuts them. */
  private static void common(Vcpu v, StructLayout layout, Tracked.Edit edit, long smbase) {
    Tracked sregs = v.registers().sregs();
    Tracked debugregs = v.registers().debugregs();
    long mask = layout.equals(SmramMap.LAYOUT_64) ? -1 : LOW_32;
    copyLow(edit, layout.indexOf("dr6"), debugregs, DR6, mask);
    copyLow(edit, layout.indexOf("dr7"), debugregs, DR7, mask);
    copyLow(edit, layout.indexOf("cr0"), sregs, SregsFields.CR0, mask);
    copyLow(edit, layout.indexOf("cr3"), sregs, SregsFields.CR3, mask);
    copyLow(edit, layout.indexOf("cr4"), sregs, SregsFields.CR4, mask);
    copyLow(edit, layout.indexOf("gdtr.base"), sregs, SregsFields.GDT_BASE, mask);
    copyLow(edit, layout.indexOf("idtr.base"), sregs, SregsFields.IDT_BASE, mask);
    edit.copy(layout.indexOf("gdtr.limit"), sregs, SregsFields.GDT_LIMIT);
    edit.copy(layout.indexOf("idtr.limit"), sregs, SregsFields.IDT_LIMIT);
    edit.set(layout.indexOf("smbase"), smbase);
    if (v.kernel().version().rsm().keepsShadow()) {
      edit.copy(layout.indexOf("int_shadow"), v.events(), EventsFields.INTERRUPT_SHADOW);
    }
  }

  private static long rflags(Vcpu v) {
    return v.kernel().version().rsm().keepsShadow() ? -1 : LOW_32;
  }

  private static void copyLow(
      Tracked.Edit edit, int field, Tracked from, int fromField, long mask) {
    edit.set(field, from.value(fromField) & mask, from.knows(fromField));
  }

  /** A segment as KVM saves it: what is unusable is saved as not present. */
  private record SegmentCopy(dev.faultline.x86.Segment segment, int flags, boolean known) {
    static SegmentCopy of(Tracked sregs, SegmentRegister register) {
      dev.faultline.x86.Segment s = KvmSegment.read(sregs.bytes(), SregsFields.offset(register));
      int flags =
          (s.g() & 1) << 23
              | (s.db() & 1) << 22
              | (s.l() & 1) << 21
              | (s.avl() & 1) << 20
              | (s.present() & 1) << 15
              | (s.dpl() & 3) << 13
              | (s.s() & 1) << 12
              | (s.type() & 15) << 8;
      return new SegmentCopy(s, flags, sregs.knowsAll(SregsFields.segment(register)));
    }
  }
}
