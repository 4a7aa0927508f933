package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.vmx.ExitReason;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** What L1 finds in vmcs12 and in its registers after an exit of L2. */
class ExitToL1Scenario {
  private static final int MOMENT = VmxGuest.MOMENT + 1;
  private static final Segment NO_TASK = new Segment(0, 0x67, 0x28, 11, 0, 0, 0, 0, 0, 0, 0, 1);

  /** L2 with an unusable TR that userspace wrote, and a vmcs12 with remains of an earlier exit. */
  private static Vcpu invalid() {
    Vmcs12 vmcs12 =
        VmxGuest.vmcs12()
            .with(VmcsField.VM_EXIT_REASON, 30)
            .with(VmcsField.EXIT_QUALIFICATION, 0x1234)
            .with(VmcsField.VM_EXIT_INTR_INFO, 0x8000_0b0eL)
            .with(VmcsField.VM_EXIT_INTR_ERROR_CODE, 0x5)
            .with(VmcsField.IDT_VECTORING_INFO_FIELD, 0x8000_0b0dL)
            .with(VmcsField.IDT_VECTORING_ERROR_CODE, 0x18)
            .with(VmcsField.GUEST_PHYSICAL_ADDRESS, 0x7000);
    Vcpu l2 = VmxGuest.inL2(VmxGuest.kernel(KernelVersion.V6_1), vmcs12);
    Vcpu set =
        VmxGuest.after(
            l2,
            new VcpuCommand.SetSregs(
                VmxGuest.MOMENT, VmxGuest.SREGS.withSegment(SegmentRegister.TR, NO_TASK)));
    return VmxGuest.after(
        set,
        new VcpuCommand.SetRegs(
            VmxGuest.MOMENT, KvmRegs.zero().withRip(0x7777).withRsp(0x8888).withRflags(0x46)));
  }

  private static Vcpu faulted(Vcpu v) {
    Outcome outcome = VcpuModel.decide(v, VmxGuest.run(KvmRun.zero())).outcome();
    Outcome.Runs runs = (Outcome.Runs) outcome;
    return VcpuModel.evolve(v, Objects.requireNonNull(runs.fault()));
  }

  private static void holds(Vcpu v, VmcsField field, long value) {
    assertThat(v.nested().vmcs12().is(Vmcs12.indexOf(field), value))
        .as("%s = 0x%x", field, v.nested().vmcs12().value(Vmcs12.indexOf(field)))
        .isEqualTo(Answer.YES);
  }

  @Test
  void the_exit_information_is_that_of_a_triple_fault() {
    Vcpu v = faulted(invalid());

    holds(v, VmcsField.VM_EXIT_REASON, ExitReason.TRIPLE_FAULT.number());
    holds(v, VmcsField.EXIT_QUALIFICATION, 0);
    holds(v, VmcsField.VM_EXIT_INTR_INFO, 0);
    holds(v, VmcsField.IDT_VECTORING_INFO_FIELD, 0);
    assertThat(v.nested().vmcs12().is(Vmcs12.LAYOUT.indexOf("vmcs12.launch_state"), 1))
        .isEqualTo(Answer.YES);
  }

  @Test
  void what_an_earlier_exit_left_stays_where_this_one_writes_nothing() {
    Vcpu v = faulted(invalid());

    holds(v, VmcsField.VM_EXIT_INTR_ERROR_CODE, 5);
    holds(v, VmcsField.IDT_VECTORING_ERROR_CODE, 0x18);
    holds(v, VmcsField.GUEST_PHYSICAL_ADDRESS, 0x7000);
  }

  @Test
  void what_hardware_left_in_its_own_vmcs_is_not_known() {
    Tracked vmcs12 = faulted(invalid()).nested().vmcs12();

    assertThat(vmcs12.knows(Vmcs12.indexOf(VmcsField.VM_EXIT_INSTRUCTION_LEN))).isFalse();
    assertThat(vmcs12.knows(Vmcs12.indexOf(VmcsField.VMX_INSTRUCTION_INFO))).isFalse();
  }

  @Test
  void the_invalid_state_of_l2_is_saved_for_l1_to_see() {
    Vcpu v = faulted(invalid());

    holds(v, VmcsField.GUEST_RIP, 0x7777);
    holds(v, VmcsField.GUEST_RSP, 0x8888);
    holds(v, VmcsField.GUEST_RFLAGS, 0x46);
    holds(v, VmcsField.GUEST_TR_SELECTOR, 0x28);
    holds(v, VmcsField.GUEST_CR0, VmxGuest.SREGS.cr0());
  }

  @Test
  void the_registers_are_those_that_vmcs12_gives_to_l1() {
    Vcpu v = faulted(invalid());

    Tracked regs = v.registers().regs();
    assertThat(regs.is(RegsFields.RIP, VmxGuest.L1_RIP)).isEqualTo(Answer.YES);
    assertThat(regs.is(RegsFields.RFLAGS, 2)).isEqualTo(Answer.YES);
    assertThat(v.registers().sregs().knowsEverything()).isTrue();
    KvmSregs sregs = new KvmSregs(v.registers().sregs().bytes());
    assertThat(sregs.cr0()).isEqualTo(Cr0.PG | Cr0.NE | Cr0.ET | Cr0.PE);
    assertThat(sregs.cr3()).isEqualTo(0x8000);
    assertThat(sregs.efer()).isEqualTo(Efer.LME | Efer.LMA);
    assertThat(sregs.tr()).isEqualTo(new Segment(0, 0x67, 0x28, 11, 1, 0, 0, 0, 0, 0, 0, 0));
    assertThat(sregs.cs().l()).isEqualTo(1);
    assertThat(sregs.segment(SegmentRegister.LDTR).unusable()).isEqualTo(1);
    assertThat(v.inGuestMode()).isEqualTo(Answer.NO);
    assertThat(v.registers().emulation()).isEqualTo(Vcpu.Emulation.NO);
  }

  @Test
  void the_requested_triple_fault_is_used_up() {
    Vcpu l2 = VmxGuest.inL2();
    Vcpu asked = l2.withEvents(l2.events().edit(MOMENT).set(EventsFields.TRIPLE_FAULT, 1).done());

    Vcpu v = faulted(asked);

    assertThat(v.events().is(EventsFields.TRIPLE_FAULT, 0)).isEqualTo(Answer.YES);
    holds(v, VmcsField.VM_EXIT_REASON, ExitReason.TRIPLE_FAULT.number());
    assertThat(v.registers().regs().is(RegsFields.RIP, VmxGuest.L1_RIP)).isEqualTo(Answer.YES);
  }

  @Test
  void the_trace_that_confirms_it_changes_nothing() {
    Vcpu v = faulted(invalid());

    Vcpu confirmed =
        VcpuModel.evolve(v, new TimelineEvent.NestedVmExited(MOMENT, "TRIPLE_FAULT", "", 0));

    assertThat(confirmed.nested().vmcs12()).isSameAs(v.nested().vmcs12());
    assertThat(confirmed.registers()).isSameAs(v.registers());
  }

  @Test
  void after_an_exit_of_an_l2_that_ran_only_what_l1_gets_is_known() {
    Vcpu l2 = VcpuModel.evolve(VmxGuest.inL2(), new TimelineEvent.VmEntered(MOMENT, 0x1000));
    assertThat(l2.registers().regs().known().isEmpty()).isTrue();

    Vcpu v = VcpuModel.evolve(l2, new TimelineEvent.NestedVmExited(MOMENT, "CPUID", "", 0x42));

    holds(v, VmcsField.VM_EXIT_REASON, ExitReason.CPUID.number());
    holds(v, VmcsField.EXIT_QUALIFICATION, 0x42);
    holds(v, VmcsField.HOST_RIP, VmxGuest.L1_RIP);
    assertThat(v.nested().vmcs12().knows(Vmcs12.indexOf(VmcsField.GUEST_RIP))).isFalse();
    assertThat(v.registers().regs().is(RegsFields.RIP, VmxGuest.L1_RIP)).isEqualTo(Answer.YES);
    assertThat(v.registers().regs().knows(RegsFields.RAX)).isFalse();
    assertThat(v.registers().sregs().is(SregsFields.CR3, 0x8000)).isEqualTo(Answer.YES);
    // Without "load IA32_EFER" L1 keeps most of L2's, which is not known.
    assertThat(v.registers().sregs().knows(SregsFields.EFER)).isFalse();
  }

  @Test
  void a_vm_entry_that_hardware_refused_leaves_the_other_exit_information() {
    Vmcs12 earlier =
        VmxGuest.vmcs12()
            .with(VmcsField.VM_EXIT_INTR_INFO, 0x8000_0b0eL)
            .with(VmcsField.VM_EXIT_INSTRUCTION_LEN, 3);
    Vcpu l2 = VmxGuest.inL2(VmxGuest.kernel(KernelVersion.V6_1), earlier);

    Vcpu v =
        VcpuModel.evolve(
            l2, new TimelineEvent.NestedVmExited(MOMENT, "INVALID_STATE", "FAILED_VMENTRY", 0));

    holds(v, VmcsField.VM_EXIT_REASON, 0x8000_0021L);
    holds(v, VmcsField.VM_EXIT_INTR_INFO, 0x8000_0b0eL);
    holds(v, VmcsField.VM_EXIT_INSTRUCTION_LEN, 3);
    assertThat(v.nested().vmcs12().is(Vmcs12.LAYOUT.indexOf("vmcs12.launch_state"), 0))
        .isEqualTo(Answer.YES);
  }

  @Test
  void an_l1_that_runs_may_write_its_vmcs() {
    Vcpu l1 = faulted(invalid());

    Vcpu v = VcpuModel.evolve(l1, new TimelineEvent.VmEntered(MOMENT, VmxGuest.L1_RIP));

    assertThat(v.nested().vmcs12().known().isEmpty()).isTrue();
    assertThat(v.nested().header().knows(NestedFields.VMCS12_PA)).isFalse();
  }

  @Test
  void the_check_that_failed_is_part_of_the_event() {
    Outcome.Runs runs =
        (Outcome.Runs) VcpuModel.decide(invalid(), VmxGuest.run(KvmRun.zero())).outcome();

    assertThat(Objects.requireNonNull(runs.fault()).failed())
        .isEqualTo(GuestStateCheck.TR_UNUSABLE);
  }
}
