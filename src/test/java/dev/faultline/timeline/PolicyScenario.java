package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.MpState;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.InvalidEntry;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Policy.StickyFlag;
import dev.faultline.vcpu.Policy.StickyFlag.Cleared;
import dev.faultline.vcpu.RunInput;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Verdict;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.vmx.PinControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Rflags;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.List;
import org.junit.jupiter.api.Test;

/**
 * Twenty-one stories about an L2 that hardware cannot run, and what each policy makes of them: in
 * the order synthesize-triple-fault, emulate, refuse-ioctl, refuse-run, sticky-flag, intel-rsm.
 */
final class PolicyScenario {
  private static final String OK = "accept";
  private static final String TF = "triple-fault";
  private static final String EMULATE = "emulate";
  private static final String EINVAL = "EINVAL";
  private static final String EIO = "EIO";
  private static final String INTERNAL = "INTERNAL_ERROR";

  private static final List<String> ALL_ACCEPT = List.of(OK, OK, OK, OK, OK, OK);
  private static final List<String> REFUSED_EARLY = List.of(OK, OK, EINVAL, OK, OK, OK);

  /** Userspace stuffed the state, and the policy that refuses ioctls had refused that. */
  private static final List<String> STUFFED = List.of(TF, EMULATE, OK, EINVAL, EINVAL, EMULATE);

  private static final List<String> MISSED_BY_TWO = List.of("emulate R3", "intel-rsm R3");

  @Test
  void s1_state_stuffed_by_an_ioctl_is_found_at_vm_enter() {
    Stage stage = Stage.inL2().setSregs(Stage.broken());
    assertThat(stage.atIoctl()).isEqualTo(REFUSED_EARLY);
    assertThat(stage.run().atRun()).isEqualTo(STUFFED);
    assertThat(stage.held()).isEqualTo(MISSED_BY_TWO);
    assertThat(stage.moments())
        .allSatisfy(m -> assertThat(m.failed()).isEqualTo(GuestStateCheck.TR_UNUSABLE))
        .allSatisfy(m -> assertThat(m.culprit()).isEqualTo(Culprit.USER));
  }

  @Test
  void s2_state_repaired_by_a_second_ioctl_is_punished_only_by_the_policy_that_refuses_ioctls() {
    Stage stage = Stage.inL2().setSregs(Stage.broken()).setSregs(Stage.VALID).run();
    assertThat(stage.atRun()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.held()).containsExactly("refuse-ioctl R1");
  }

  /**
   * The story as told first loads L1's real-mode reset state over L2. Recorded kernels from 6.1 on
   * refuse that for its CR0, so what is left of it is what userspace does with an L2 that it wants
   * to be rid of: recorded in scn_c.
   */
  @Test
  void s3_leaving_l2_afterwards_makes_the_refusal_of_the_ioctl_wrong() {
    KvmSregs reset = Stage.VALID.withCr0(Cr0.CD | Cr0.NW | Cr0.ET).withEfer(0);
    Stage l2 = Stage.inL2();
    assertThat(VcpuModel.decide(l2.vcpu(), new VcpuCommand.SetSregs(9, reset)).outcome())
        .isInstanceOf(Outcome.Refused.class);
    Stage stage = l2.setSregs(Stage.broken()).leaveNested();
    assertThat(stage.held()).containsExactly("refuse-ioctl R1");
    assertThat(stage.run().atRun()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.held()).containsExactly("refuse-ioctl R1");
  }

  @Test
  void s4_a_restore_may_pass_through_an_invalid_state() {
    Stage stage = Stage.inL2().destination().setNestedState(Stage.vmcs12(Stage.broken()), false);
    assertThat(stage.atIoctl()).isEqualTo(REFUSED_EARLY);
    stage.setSregs(Stage.VALID);
    assertThat(stage.run().atRun()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.held()).containsExactly("refuse-ioctl R1");
  }

  @Test
  void s5_virtual_8086_mode_takes_two_ioctls_of_which_the_first_leaves_an_invalid_state() {
    Segment code = new Segment(0, 0xffff_ffffL, 0x10, 11, 1, 0, 1, 1, 0, 1, 0, 0);
    KvmSregs bits32 =
        Stage.VALID.withEfer(0).withCr4(Cr4.VMXE).withSegment(SegmentRegister.CS, code);
    KvmSregs virtual8086 = bits32;
    for (SegmentRegister register :
        List.of(
            SegmentRegister.CS,
            SegmentRegister.DS,
            SegmentRegister.ES,
            SegmentRegister.FS,
            SegmentRegister.GS,
            SegmentRegister.SS)) {
      virtual8086 =
          virtual8086.withSegment(
              register, new Segment(0x10000, 0xffff, 0x1000, 3, 1, 3, 0, 1, 0, 0, 0, 0));
    }
    Stage stage = Stage.inL2().setSregs(bits32).setRegs(Rflags.VM | 0x202);
    assertThat(stage.atIoctl()).isEqualTo(REFUSED_EARLY);
    stage.setSregs(virtual8086);
    assertThat(stage.run().atRun()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.held()).containsExactly("refuse-ioctl R1");
  }

  private static List<String> atRsm(KernelVersion version, KvmSregs loaded) {
    Vcpu v = Stage.afterRsm(version, loaded, true).vcpu();
    return Policy.all().stream()
        .map(p -> p.atRsm(Memory.NOTHING, v).verdict())
        .map(x -> x instanceof Verdict.RefuseRun r ? r.ending().name() : x.word())
        .toList();
  }

  /** Recorded in scn_d: 5.10 emulates, 6.1 to 7.2 end with EIO and a dead VM, 7.3 with SHUTDOWN. */
  @Test
  void s6_a_bad_tr_loaded_by_rsm_ends_as_the_kernel_has_it() {
    List<String> rest = List.of(EMULATE, EMULATE, TF, TF, EMULATE);
    for (KernelVersion version :
        List.of(KernelVersion.V6_1, KernelVersion.V6_12, KernelVersion.V7_2)) {
      assertThat(atRsm(version, Stage.broken()).getFirst()).isEqualTo("DEAD_VM");
      assertThat(atRsm(version, Stage.broken()).subList(1, 6)).isEqualTo(rest);
    }
    assertThat(atRsm(KernelVersion.V7_3, Stage.broken()).getFirst()).isEqualTo("SHUTDOWN");
    assertThat(atRsm(KernelVersion.V5_10, Stage.broken()).getFirst()).isEqualTo(TF);
  }

  @Test
  void s6_an_exit_to_userspace_before_the_vm_enter_makes_it_an_error_that_userspace_sees() {
    Stage stage = Stage.afterRsm(KernelVersion.V6_1, Stage.broken(), true);
    assertThat(stage.run().atRun()).containsExactly(EIO, EMULATE, EMULATE, EINVAL, TF, EMULATE);
    assertThat(stage.held())
        .containsExactly(
            "emulate R3",
            "intel-rsm R3",
            "refuse-ioctl R3",
            "refuse-run R2",
            "synthesize-triple-fault R2");
    assertThat(Stage.afterRsm(KernelVersion.V7_2, Stage.broken(), true).run().atRun().getFirst())
        .isEqualTo(INTERNAL);
  }

  @Test
  void s7_a_bad_rpl_loaded_by_rsm_is_what_intel_processors_heal() {
    KvmSregs loaded = rpl3();
    assertThat(atRsm(KernelVersion.V6_1, loaded))
        .containsExactly("DEAD_VM", EMULATE, EMULATE, TF, TF, "fixed-up");
    Vcpu v = Stage.afterRsm(KernelVersion.V6_1, loaded, true).vcpu();
    assertThat(new Policy.IntelRsm().atRsm(Memory.NOTHING, v).verdict())
        .isEqualTo(new Verdict.FixedUp(List.of("cs.selector 0x13 -> 0x10")));
  }

  private static KvmSregs rpl3() {
    Segment s = Stage.CODE;
    return Stage.with(
        SegmentRegister.CS,
        new Segment(s.base(), s.limit(), 0x13, s.type(), 1, 0, s.db(), 1, s.l(), s.g(), 0, 0));
  }

  @Test
  void s8_the_next_kvm_run_cannot_know_that_it_was_rsm() {
    Stage stage = Stage.afterRsm(KernelVersion.V6_1, rpl3(), false).run();
    assertThat(stage.atRun()).containsExactly(TF, EMULATE, EMULATE, EINVAL, TF, EMULATE);
    assertThat(stage.held()).contains("refuse-run R2").doesNotContain("sticky-flag R2");

    Stage touched = Stage.afterRsm(KernelVersion.V6_1, rpl3(), false).setRegs(2).run();
    assertThat(touched.atRun()).containsExactly(TF, EMULATE, EMULATE, EINVAL, EINVAL, EMULATE);
    assertThat(touched.held()).contains("refuse-run R2", "sticky-flag R2", "refuse-ioctl R2");
  }

  @Test
  void s8_what_rsm_healed_stays_healed_until_the_vm_enter() {
    Policy intel = new Policy.IntelRsm();
    Stage stage = Stage.afterRsm(KernelVersion.V6_1, rpl3(), false);
    VcpuCommand.Run run = new VcpuCommand.Run(99, new RunInput(0, KvmRun.zero()));
    Memory memory = intel.atRsm(Memory.NOTHING, stage.vcpu()).memory();
    assertThat(intel.atRun(memory, stage.vcpu(), run, InvalidEntry.of(stage.vcpu(), run)).verdict())
        .isEqualTo(new Verdict.Accept());
    assertThat(intel.entered(memory)).isEqualTo(Memory.NOTHING);
  }

  @Test
  void s9_state_stuffed_before_a_migration_is_found_on_the_destination() {
    Vmcs12 vmcs12 = Stage.vmcs12(Stage.broken());
    Stage source = Stage.inL2().setSregs(Stage.broken()).save(Stage.broken(), vmcs12, false);
    Stage destination = source.destination().setNestedState(vmcs12, false);
    assertThat(destination.atIoctl()).isEqualTo(REFUSED_EARLY);
    destination.setSregs(Stage.broken()).run();
    assertThat(destination.atRun()).isEqualTo(STUFFED);
    assertThat(destination.held()).isEqualTo(MISSED_BY_TWO);
  }

  private static Stage migratedAfterRsm(
      KernelVersion version, List<Policy> policies, boolean runPending) {
    Vmcs12 vmcs12 = Stage.vmcs12(Stage.broken());
    Stage source =
        Stage.afterRsm(version, policies, Stage.broken(), runPending)
            .save(Stage.broken(), vmcs12, runPending);
    return source
        .destination()
        .setNestedState(vmcs12, runPending)
        .setSregs(Stage.broken())
        .setRegs(2)
        .run();
  }

  @Test
  void s10_a_migration_loses_what_the_sticky_flag_knew() {
    Stage stage = migratedAfterRsm(KernelVersion.V6_1, Policy.all(), false);
    assertThat(stage.atRun()).isEqualTo(STUFFED);
    assertThat(stage.held())
        .containsExactly(
            "emulate R3",
            "intel-rsm R3",
            "refuse-ioctl R2",
            "refuse-run R2",
            "sticky-flag R2",
            "sticky-flag R4");
  }

  @Test
  void s10_a_flag_saved_with_the_nested_state_would_not_be_lost() {
    Policy saved = new StickyFlag(Cleared.AT_ENTRY, true);
    Stage stage = migratedAfterRsm(KernelVersion.V6_1, List.of(saved), false);
    assertThat(stage.atRun()).containsExactly(TF);
    assertThat(stage.held()).isEmpty();
  }

  @Test
  void s10_a_pending_nested_entry_that_migrates_makes_it_an_error() {
    assertThat(migratedAfterRsm(KernelVersion.V6_1, Policy.all(), true).atRun().getFirst())
        .isEqualTo(EIO);
    Stage newer = migratedAfterRsm(KernelVersion.V6_15, Policy.all(), true);
    assertThat(newer.atRun().getFirst()).isEqualTo(INTERNAL);
    assertThat(newer.held()).contains("synthesize-triple-fault R2");
  }

  @Test
  void s11_a_halted_l2_does_not_run() {
    Stage stage =
        Stage.inL2()
            .where(v ->
                VcpuModel.evolve(v, new TimelineEvent.MpStateSet(9, KvmMpState.of(MpState.HALTED))))
            .setSregs(Stage.broken())
            .run();
    assertThat(stage.atRun()).containsExactly(OK, OK, OK, EINVAL, EINVAL, OK);
    assertThat(stage.held()).containsExactly("refuse-ioctl R1", "refuse-run R1", "sticky-flag R1");
  }

  @Test
  void s12_an_event_that_l1_intercepts_comes_first() {
    Vmcs12 vmcs12 =
        Stage.vmcs12(Stage.VALID)
            .with(VmcsField.PIN_BASED_VM_EXEC_CONTROL, PinControls.NMI_EXITING);
    Stage stage =
        Stage.inL2(KernelModel.defaults(), Policy.all(), vmcs12)
            .setSregs(Stage.broken())
            .where(v -> VcpuModel.evolve(v, new TimelineEvent.NmiQueued(9)))
            .run();
    assertThat(stage.atRun()).containsExactly(OK, OK, OK, EINVAL, EINVAL, OK);
  }

  private static Stage withEvents(KernelVersion version, KvmVcpuEvents events) {
    return Stage.inL2(version)
        .where(v -> VcpuModel.evolve(v, new TimelineEvent.VcpuEventsRead(9, events)))
        .where(v -> v.withEvents(Tracked.known(KvmVcpuEvents.LAYOUT, events.raw(), 9)))
        .setSregs(Stage.broken())
        .run();
  }

  /**
   * The story has the policy that emulates give up here, as 5.17 does. The recording of 5.10 shows
   * that the kernel which has that policy emulates.
   */
  @Test
  void s13_an_exception_on_top_of_an_invalid_state_is_an_internal_error() {
    KvmVcpuEvents events = KvmVcpuEvents.zero().withExceptionInjected(1).withExceptionNr(13);
    Stage stage = withEvents(KernelVersion.V6_1, events);
    assertThat(stage.atRun()).containsExactly(INTERNAL, EMULATE, OK, EINVAL, EINVAL, EMULATE);
    assertThat(stage.held()).isEqualTo(MISSED_BY_TWO);
  }

  @Test
  void s14_a_requested_triple_fault_on_top_of_an_invalid_state_is_an_internal_error() {
    Stage stage = withEvents(KernelVersion.V6_1, KvmVcpuEvents.zero().withTripleFaultPending(1));
    assertThat(stage.atRun()).containsExactly(INTERNAL, EMULATE, OK, EINVAL, EINVAL, EMULATE);
  }

  @Test
  void s15_hardware_judges_an_unrestricted_l2() {
    Vmcs12 vmcs12 =
        Stage.vmcs12(Stage.VALID)
            .with(
                VmcsField.SECONDARY_VM_EXEC_CONTROL,
                SecondaryControls.ENABLE_EPT | SecondaryControls.UNRESTRICTED_GUEST);
    Stage stage = Stage.inL2(KernelModel.defaults(), Policy.all(), vmcs12).setSregs(Stage.broken());
    assertThat(stage.atIoctl()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.run().atRun()).isEqualTo(ALL_ACCEPT);
  }

  @Test
  void s16_what_only_hardware_refuses_is_no_matter_of_a_policy() {
    Segment busy16 = new Segment(0, 0x67, 0x28, 3, 1, 0, 0, 0, 0, 0, 0, 0);
    Segment type0 = new Segment(0, 0xffff_ffffL, 0x18, 0, 1, 0, 1, 1, 0, 1, 0, 0);
    Segment longAndBig = new Segment(0, 0xffff_ffffL, 0x10, 11, 1, 0, 1, 1, 1, 1, 0, 0);
    for (KvmSregs sregs :
        List.of(
            Stage.with(SegmentRegister.TR, busy16),
            Stage.with(SegmentRegister.DS, type0),
            Stage.with(SegmentRegister.CS, longAndBig))) {
      Stage stage = Stage.inL2().setSregs(sregs);
      assertThat(stage.atIoctl()).isEqualTo(ALL_ACCEPT);
      assertThat(stage.run().atRun()).isEqualTo(ALL_ACCEPT);
    }
  }

  @Test
  void s17_userspace_that_stuffs_a_pending_nested_entry_hurts_only_its_own_vm() {
    Stage old = Stage.inL2().destination().setNestedState(Stage.vmcs12(Stage.broken()), true);
    assertThat(old.atIoctl()).isEqualTo(REFUSED_EARLY);
    assertThat(old.run().atRun()).containsExactly(EIO, EMULATE, OK, EINVAL, EINVAL, EMULATE);
    assertThat(old.held()).isEqualTo(MISSED_BY_TWO);
    Stage newer =
        Stage.inL2(KernelVersion.V7_2)
            .destination()
            .setNestedState(Stage.vmcs12(Stage.broken()), true)
            .run();
    assertThat(newer.atRun().getFirst()).isEqualTo(INTERNAL);
  }

  @Test
  void s18_kvm_emulates_l1_whatever_the_policy_for_l2() {
    Stage stage =
        Stage.inL1(KernelModel.defaults().withUnrestrictedGuest(Answer.NO))
            .setSregs(Stage.broken());
    assertThat(stage.vcpu().registers().emulation().required()).isEqualTo(Answer.YES);
    assertThat(stage.atIoctl()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.run().atRun()).isEqualTo(ALL_ACCEPT);
  }

  @Test
  void s19_cs_and_ss_need_the_same_rpl_even_where_ss_is_unusable() {
    Segment ss = new Segment(0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    Stage stage = Stage.inL2().setSregs(Stage.with(SegmentRegister.SS, ss)).run();
    assertThat(stage.atRun()).isEqualTo(STUFFED);
    assertThat(stage.moments().getLast().failed()).isEqualTo(GuestStateCheck.CS_SS_RPL);
  }

  @Test
  void s20_registers_in_the_shared_page_set_the_sticky_flag_without_harm() {
    KvmRun page = KvmRun.zero().withDirtyRegs(KvmRun.KVM_SYNC_X86_REGS).withSyncRegs(Stage.regs(2));
    Stage stage = Stage.inL2().run(page);
    assertThat(stage.atRun()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.held()).isEmpty();
  }

  @Test
  void s20_invalid_registers_in_the_shared_page_are_refused_by_the_policy_that_refuses_ioctls() {
    KvmRun page =
        KvmRun.zero().withDirtyRegs(KvmRun.KVM_SYNC_X86_SREGS).withSyncSregs(Stage.broken());
    assertThat(Stage.inL2().run(page).atRun())
        .containsExactly(TF, EMULATE, EINVAL, EINVAL, EINVAL, EMULATE);
  }

  @Test
  void s21_without_emulate_invalid_guest_state_nothing_is_ever_found() {
    KernelModel kernel = KernelModel.defaults().withEmulateInvalidGuestState(Answer.NO);
    Stage stage =
        Stage.inL2(kernel, Policy.all(), Stage.vmcs12(Stage.VALID)).setSregs(Stage.broken());
    assertThat(stage.atIoctl()).isEqualTo(ALL_ACCEPT);
    assertThat(stage.run().atRun()).isEqualTo(ALL_ACCEPT);
  }

  @Test
  void a_flag_cleared_whenever_kvm_run_returns_forgets_what_immediate_exit_came_between() {
    Policy forgetful = new StickyFlag(Cleared.AT_RETURN, false);
    Stage stage =
        Stage.inL2(
                KernelModel.defaults(),
                List.of(forgetful, StickyFlag.DEFAULT),
                Stage.vmcs12(Stage.VALID))
            .setSregs(Stage.broken())
            .run(KvmRun.zero().withImmediateExit(1));
    assertThat(stage.atRun()).containsExactly(EINVAL, EINVAL);
    assertThat(stage.run().atRun()).containsExactly(TF, EINVAL);
    assertThat(stage.held()).isEmpty();
  }

  @Test
  void a_kvm_run_that_only_completes_io_is_no_reason_to_punish_what_is_healed_after_it() {
    Stage stage =
        Stage.inL2()
            .setSregs(Stage.broken())
            .run(KvmRun.zero().withImmediateExit(1))
            .setSregs(Stage.VALID)
            .run();
    assertThat(stage.held()).containsExactly("refuse-ioctl R1", "refuse-run R1", "sticky-flag R1");
  }

  @Test
  void the_model_of_a_kernel_without_the_commit_ends_as_the_policy_that_emulates() {
    Stage stage = Stage.inL2(KernelVersion.V5_10).setSregs(Stage.broken()).run();
    assertThat(stage.atRun()).isEqualTo(STUFFED);
    assertThat(stage.moments().getLast().recorded()).isEqualTo(RunEnding.EMULATED);
  }
}
