package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.svm.Intercept;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import dev.faultline.x86.SegmentRegister;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What KVM_SET_NESTED_STATE and the other ways in and out of L2 do to a vCPU on SVM. */
class SvmNestedScenario {
  private static final KvmVcpuEvents SHADOW =
      KvmVcpuEvents.zero().withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_SHADOW);
  private static final KvmVcpuEvents SMM =
      KvmVcpuEvents.zero().withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM);

  private static Answer gif(SvmGuest guest) {
    return guest.vcpu().nested().svm().gif();
  }

  @Test
  void a_new_vcpu_has_its_global_interrupt_flag_and_no_l2() {
    KvmNestedState shown = SvmGuest.created().shown();

    assertThat(shown).isEqualTo(SvmGuest.l1State(SvmGuest.GIF_SET));
  }

  @Test
  void the_current_registers_become_those_of_l2() {
    SvmGuest guest = SvmGuest.withL2Registers();
    KvmSregs before = guest.sregs();

    guest.accepts(SvmGuest.l2State());

    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.YES);
    assertThat(guest.sregs()).isEqualTo(before);
    assertThat(guest.regs().rip()).isEqualTo(SvmGuest.L2_RIP);
    assertThat(guest.vcpu().progress().nestedPagesAwaited()).isEqualTo(Answer.YES);
  }

  @Test
  void what_was_set_is_shown_but_for_what_the_vcpu_holds_elsewhere() {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.call(
        new VcpuCommand.SetMsrs(guest.next(), KvmMsrs.of(Msr.IA32_LSTAR, 0xffff_8000_0000_1234L)));

    guest.accepts(
        SvmGuest.state(
            SvmGuest.GUEST_MODE | SvmGuest.RUN_PENDING,
            SvmGuest.vmcb().with(VmcbField.MSRPM_BASE_PA, 0x8123).with(VmcbField.CLEAN, 7)));

    KvmNestedState shown = guest.shown();
    Vmcb vmcb = java.util.Objects.requireNonNull(shown.vmcb());
    assertThat(shown.flags()).isEqualTo(SvmGuest.GUEST_MODE | SvmGuest.RUN_PENDING);
    assertThat(shown.vmcbPa()).isEqualTo(SvmGuest.VMCB12);
    assertThat(vmcb.get(VmcbField.MSRPM_BASE_PA)).isEqualTo(0x8000);
    assertThat(vmcb.get(VmcbField.CLEAN)).isZero();
    assertThat(vmcb.get(VmcbField.RIP)).isEqualTo(0x415c99);
    assertThat(vmcb.get(VmcbField.RFLAGS)).isEqualTo(SvmGuest.L1_RFLAGS | 2);
    assertThat(vmcb.get(VmcbField.CS_ATTRIB)).isEqualTo(0x29b);
    assertThat(vmcb.get(VmcbField.DR7)).isEqualTo(0x400);
    assertThat(vmcb.get(VmcbField.LSTAR)).isEqualTo(0xffff_8000_0000_1234L);
    assertThat(vmcb.get(VmcbField.FS_BASE))
        .isEqualTo(SvmGuest.l2Sregs().segment(SegmentRegister.FS).base());
    assertThat(vmcb.get(VmcbField.FS_ATTRIB)).isEqualTo(0xc93);
    assertThat(vmcb.get(VmcbField.TR_ATTRIB)).isEqualTo(0x8b);
  }

  @Test
  void debug_registers_set_before_l2_are_those_of_l1_and_later_ones_are_not() {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.succeeds(new VcpuCommand.SetDebugregs(guest.next(), KvmDebugregs.zero().withDr7(0x401)));
    guest.accepts(SvmGuest.l2State());

    guest.succeeds(new VcpuCommand.SetDebugregs(guest.next(), KvmDebugregs.zero().withDr7(0x455)));

    Vmcb vmcb = java.util.Objects.requireNonNull(guest.shown().vmcb());
    assertThat(vmcb.get(VmcbField.DR7)).isEqualTo(0x401);
  }

  @Test
  void the_interrupt_shadow_of_l2_is_that_of_its_control_area() {
    SvmGuest guest = SvmGuest.withL2Registers();

    guest.accepts(SvmGuest.l2State(vmcb -> vmcb.with(VmcbField.INT_STATE, 1)));

    assertThat(guest.vcpu().events().value(EventsFields.INTERRUPT_SHADOW)).isEqualTo(3);
  }

  @Test
  void without_guest_mode_the_vcpu_keeps_the_registers_of_l2_but_for_those_of_the_vmcb() {
    SvmGuest guest = SvmGuest.inL2();

    guest.accepts(SvmGuest.l1State(SvmGuest.GIF_SET));

    KvmSregs left = guest.sregs();
    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.NO);
    assertThat(guest.regs().rip()).isEqualTo(SvmGuest.L2_RIP);
    assertThat(guest.regs().rflags()).isEqualTo(SvmGuest.L1_RFLAGS | 2);
    assertThat(left.cr3()).isEqualTo(SvmGuest.L2_CR3);
    assertThat(left.gdt().base()).isEqualTo(SvmGuest.L1_GDT);
    assertThat(left.gdt().limit()).isEqualTo(0x47);
    assertThat(left.cs().selector()).isEqualTo(0x10);
    assertThat(left.cs().l()).isEqualTo(1);
    assertThat(left.ss().dpl()).isZero();
    assertThat(left.ss().g()).isZero();
    assertThat(left.es().type()).isEqualTo(3);
    assertThat(left.ds().unusable()).isEqualTo(1);
    assertThat(left.fs()).isEqualTo(SvmGuest.l2Sregs().fs());
    assertThat(left.tr().base()).isEqualTo(SvmGuest.l2Sregs().tr().base());
    assertThat(guest.shown()).isEqualTo(SvmGuest.l1State(SvmGuest.GIF_SET));
  }

  @Test
  void without_guest_mode_the_global_interrupt_flag_is_as_given() {
    SvmGuest guest = SvmGuest.inL2();

    guest.accepts(SvmGuest.l1State(0));

    assertThat(gif(guest)).isEqualTo(Answer.NO);
    assertThat(guest.shown()).isEqualTo(SvmGuest.l1State(0));
  }

  @Test
  void a_second_restore_in_l2_keeps_the_registers_of_l2_and_replaces_those_of_l1() {
    SvmGuest guest = SvmGuest.inL2();
    KvmSregs before = guest.sregs();

    guest.accepts(SvmGuest.l2State(vmcb -> vmcb.with(VmcbField.RIP, 0x1234)));

    assertThat(guest.sregs()).isEqualTo(before);
    Vmcb vmcb = java.util.Objects.requireNonNull(guest.shown().vmcb());
    assertThat(vmcb.get(VmcbField.RIP)).isEqualTo(0x1234);
  }

  @Test
  void an_illegal_cr3_is_refused_when_l2_is_active_already() {
    SvmGuest guest = SvmGuest.withL2Registers();
    KvmSregs unpaged =
        SvmGuest.l2Sregs()
            .withCr0(0x11)
            .withCr3(1L << 40)
            .withEfer(Efer.SVME)
            .withSegment(SegmentRegister.CS, SvmGuest.l2Sregs().ds());
    guest.set(unpaged);

    guest.refuses(SvmGuest.l2State(), SvmNestedCheck.SVM_L2_CR3);

    assertThat(guest.shown().flags()).isEqualTo(SvmGuest.GUEST_MODE | SvmGuest.GIF_SET);
    assertThat(guest.vcpu().progress().nestedPagesAwaited()).isEqualTo(Answer.NO);
  }

  @Test
  void smm_by_ioctl_leaves_l2_and_brings_back_the_interrupt_shadow_of_l1() {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.set(SHADOW.withInterruptShadow(1));
    guest.accepts(SvmGuest.l2State());
    assertThat(guest.vcpu().events().value(EventsFields.INTERRUPT_SHADOW)).isZero();

    guest.set(SMM.withSmiSmm(1));

    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.NO);
    assertThat(guest.vcpu().events().value(EventsFields.INTERRUPT_SHADOW)).isEqualTo(3);
    assertThat(guest.sregs().gdt().base()).isEqualTo(SvmGuest.L1_GDT);
    assertThat(gif(guest)).isEqualTo(Answer.YES);
  }

  @Test
  void sregs_without_svme_leave_l2_and_lose_the_descriptor_tables() {
    SvmGuest guest = SvmGuest.inL2();
    guest.accepts(SvmGuest.l2State().withFlags(SvmGuest.GUEST_MODE));
    assertThat(gif(guest)).isEqualTo(Answer.NO);

    guest.set(SvmGuest.l2Sregs().withEfer(Efer.LMA | Efer.LME));

    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.NO);
    assertThat(gif(guest)).isEqualTo(Answer.YES);
    assertThat(guest.sregs().gdt().base()).isEqualTo(SvmGuest.L1_GDT);
    assertThat(guest.sregs().cs()).isEqualTo(SvmGuest.l2Sregs().cs());
    assertThat(guest.regs().rflags()).isEqualTo(SvmGuest.L1_RFLAGS | 2);
  }

  @Test
  void efer_without_svme_among_msrs_leaves_l2() {
    SvmGuest guest = SvmGuest.inL2();

    guest.call(
        new VcpuCommand.SetMsrs(guest.next(), KvmMsrs.of(Msr.IA32_EFER, Efer.LMA | Efer.LME)));

    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.NO);
    assertThat(guest.sregs().cs().selector()).isEqualTo(0x10);
    assertThat(guest.sregs().efer()).isEqualTo(Efer.LMA | Efer.LME);
  }

  @Test
  void sregs_with_svme_stay_in_l2() {
    SvmGuest guest = SvmGuest.inL2();

    guest.set(SvmGuest.l2Sregs().withCr2(0x1000));

    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.YES);
    assertThat(guest.sregs().gdt().base()).isEqualTo(SvmGuest.L2_GDT);
  }

  @Test
  void fs_base_is_the_same_register_for_l1_and_l2() {
    SvmGuest guest = SvmGuest.inL2();

    guest.call(new VcpuCommand.SetMsrs(guest.next(), KvmMsrs.of(Msr.IA32_FS_BASE, 0x5550)));

    assertThat(guest.sregs().fs().base()).isEqualTo(0x5550);
    Vmcb vmcb = java.util.Objects.requireNonNull(guest.shown().vmcb());
    assertThat(vmcb.get(VmcbField.FS_BASE)).isEqualTo(0x5550);
  }

  @Test
  void init_is_blocked_while_the_global_interrupt_flag_is_clear() {
    SvmGuest guest = SvmGuest.withL2Registers();
    VcpuCommand init =
        new VcpuCommand.SetMpState(guest.next(), KvmMpState.of(MpState.INIT_RECEIVED));
    guest.accepts(SvmGuest.l1State(0));
    assertThat(guest.call(init))
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, CallCheck.MP_STATE_BLOCKED));

    guest.accepts(SvmGuest.l1State(SvmGuest.GIF_SET));

    guest.succeeds(init);
  }

  @Test
  void a_buffer_without_room_for_the_vmcb_is_refused_while_l2_is_active() {
    SvmGuest guest = SvmGuest.inL2();
    Outcome refused = new Outcome.Refused(Errno.E2BIG, CallCheck.NESTED_BUFFER);

    assertThat(guest.call(new VcpuCommand.GetNestedState(guest.next(), 4223))).isEqualTo(refused);
    assertThat(guest.call(new VcpuCommand.GetNestedState(guest.next(), 4224)))
        .isEqualTo(Outcome.ZERO);
    SvmGuest l1 = SvmGuest.created();
    assertThat(l1.call(new VcpuCommand.GetNestedState(l1.next(), 127))).isEqualTo(refused);
    assertThat(l1.call(new VcpuCommand.GetNestedState(l1.next(), 128))).isEqualTo(Outcome.ZERO);
  }

  @Test
  void reading_teaches_what_l1_goes_on_with() {
    SvmGuest source = SvmGuest.inL2();
    KvmNestedState shown = source.shown();
    SvmGuest reader = SvmGuest.withL2Registers();
    reader.become(v -> DoubtRules.everything(v, 9, true));
    reader.set(SvmGuest.l2Sregs());
    reader.set(SvmGuest.l2Regs());

    reader.become(v -> VcpuModel.evolve(v, new TimelineEvent.NestedStateRead(10, shown)));

    assertThat(reader.shown()).isEqualTo(shown);
    reader.accepts(SvmGuest.l1State(SvmGuest.GIF_SET));
    assertThat(reader.sregs().gdt().base()).isEqualTo(SvmGuest.L1_GDT);
  }

  private static Outcome run(SvmGuest guest) {
    return guest.call(
        new VcpuCommand.Run(guest.next(), new RunInput(0, new KvmRun(Bytes.zero(KvmRun.SIZE)))));
  }

  private static SvmGuest withTripleFault(Vmcb vmcb) {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.accepts(SvmGuest.state(SvmGuest.GUEST_MODE | SvmGuest.GIF_SET, vmcb));
    guest.become(v -> v.withEvents(v.events().edit(9).set(EventsFields.TRIPLE_FAULT, 1).done()));
    return guest;
  }

  @Test
  void a_triple_fault_of_l2_goes_to_an_l1_that_intercepts_shutdown() {
    SvmGuest guest = withTripleFault(SvmGuest.vmcb().intercepting(Intercept.SHUTDOWN));

    assertThat(run(guest))
        .isInstanceOfSatisfying(
            Outcome.Runs.class,
            runs ->
                assertThat(java.util.Objects.requireNonNull(runs.fault()).cause())
                    .isEqualTo(FaultCause.REQUESTED));
  }

  @Test
  void a_triple_fault_of_l2_that_l1_does_not_intercept_shuts_down() {
    SvmGuest guest = withTripleFault(SvmGuest.vmcb());

    assertThat(run(guest))
        .isEqualTo(
            new Outcome.Exits(
                KvmExit.KVM_EXIT_SHUTDOWN, -1, CallCheck.RUN_TRIPLE_FAULT_NOT_INTERCEPTED));
  }

  @Test
  void a_restored_l2_whose_msr_bitmap_is_nowhere_cannot_run() {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.become(v -> v.withVm(v.vm().withSlots(List.of(new Vm.Slot(0, 0, 0x8000)))));
    guest.accepts(SvmGuest.l2State(vmcb -> vmcb.intercepting(Intercept.MSR_PROT)));
    assertThat(run(guest))
        .isEqualTo(
            new Outcome.Exits(
                KvmExit.KVM_EXIT_INTERNAL_ERROR, 1, CallCheck.RUN_MSR_BITMAP_MISSING));

    guest.become(v -> v.withVm(v.vm().withSlots(List.of(new Vm.Slot(0, 0, 0x9000)))));

    assertThat(run(guest)).isEqualTo(new Outcome.Runs(null));
  }

  @Test
  void an_l2_with_segments_that_vmx_would_refuse_just_runs() {
    SvmGuest guest = SvmGuest.inL2();
    KvmSregs invalid = SvmGuest.l2Sregs();
    invalid =
        invalid.withSegment(SegmentRegister.TR, SvmGuest.l2Sregs().segment(SegmentRegister.LDTR));
    guest.set(invalid);

    assertThat(guest.vcpu().registers().emulation()).isEqualTo(Vcpu.Emulation.NO);
    assertThat(run(guest)).isEqualTo(new Outcome.Runs(null));
  }

  private static RunResult ended(Answer ranL1) {
    KvmRun page =
        new KvmRun(Bytes.builder(KvmRun.SIZE).put(8, 4, 2).put(24, 8, 0xfee0_0900L).build());
    return new RunResult(0, 0, page, Answer.YES, ranL1, true);
  }

  private static void happens(SvmGuest guest, TimelineEvent event) {
    guest.become(v -> VcpuModel.evolve(v, event));
  }

  @Test
  void while_only_l2_runs_the_state_of_l1_stays_and_the_flag_stays_if_l1_intercepts_clgi() {
    SvmGuest kept = SvmGuest.withL2Registers();
    kept.accepts(SvmGuest.l2State(vmcb -> vmcb.intercepting(Intercept.CLGI)));
    SvmGuest lost = SvmGuest.inL2();

    happens(kept, new TimelineEvent.RunReturned(20, ended(Answer.NO)));
    happens(lost, new TimelineEvent.RunReturned(20, ended(Answer.NO)));

    Tracked vmcb = kept.vcpu().nested().svm().vmcb();
    assertThat(gif(kept)).isEqualTo(Answer.YES);
    assertThat(gif(lost)).isEqualTo(Answer.CANNOT_TELL);
    assertThat(vmcb.is(Vmcb.indexOf(VmcbField.GDTR_BASE), SvmGuest.L1_GDT)).isEqualTo(Answer.YES);
    assertThat(vmcb.knows(Vmcb.indexOf(VmcbField.INT_CTL))).isFalse();
    assertThat(vmcb.knows(Vmcb.indexOf(VmcbField.FS_ATTRIB))).isFalse();
  }

  @Test
  void tracepoints_tell_the_vmcb_and_the_intercepts_of_a_vmrun() {
    SvmGuest guest = SvmGuest.withL2Registers();

    happens(guest, new TimelineEvent.NestedVmEntered(20, 0x415c99, 0x9000, 0x4041ea, Answer.NO));
    happens(guest, new TimelineEvent.InterceptsShown(21, 1, 0, 1L << 31, 3, 0));

    SvmNested svm = guest.vcpu().nested().svm();
    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.YES);
    assertThat(guest.vcpu().nested().mode().runPending()).isEqualTo(Answer.YES);
    assertThat(svm.gif()).isEqualTo(Answer.YES);
    assertThat(svm.header().value(SvmNested.VMCB_PA)).isEqualTo(0x9000);
    assertThat(SvmRunRules.intercepts(guest.vcpu(), Intercept.SHUTDOWN)).isEqualTo(Answer.YES);
    assertThat(SvmRunRules.intercepts(guest.vcpu(), Intercept.CLGI)).isEqualTo(Answer.NO);
    assertThat(svm.vmcb().value(Vmcb.indexOf(VmcbField.RIP))).isEqualTo(0x415c99);
  }

  @Test
  void an_exit_to_l1_clears_the_global_interrupt_flag_and_l1_may_set_it() {
    SvmGuest guest = SvmGuest.inL2();

    happens(guest, new TimelineEvent.NestedVmExited(20, "hypercall", "", 0));
    assertThat(gif(guest)).isEqualTo(Answer.NO);
    happens(guest, new TimelineEvent.RunReturned(21, ended(Answer.YES)));

    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.NO);
    assertThat(gif(guest)).isEqualTo(Answer.CANNOT_TELL);
  }

  @Test
  void an_smi_in_l2_sets_the_flag_and_rsm_says_itself_whether_it_goes_back_to_l2() {
    SvmGuest guest = SvmGuest.inL2();

    happens(guest, new TimelineEvent.NestedVmExited(20, "0x400000000", "", 0));
    happens(guest, new TimelineEvent.SmmEntered(21, 0x30000));
    assertThat(gif(guest)).isEqualTo(Answer.YES);
    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.NO);
    happens(guest, new TimelineEvent.SmmLeft(22, 0x30000));
    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.NO);
    happens(guest, new TimelineEvent.NestedVmEntered(23, 0x1, SvmGuest.VMCB12, 0x2, Answer.NO));

    assertThat(guest.vcpu().inGuestMode()).isEqualTo(Answer.YES);
  }

  @Test
  void a_guest_without_svm_keeps_its_flag_whatever_it_runs() {
    SvmGuest guest = SvmGuest.created();
    guest.become(v -> v.withPlatform(v.platform().withCpuid(MsrStates.NO_VMX, Answer.YES)));

    happens(guest, new TimelineEvent.RunReturned(20, ended(Answer.YES)));

    assertThat(guest.shown()).isEqualTo(SvmGuest.l1State(SvmGuest.GIF_SET));
  }
}
