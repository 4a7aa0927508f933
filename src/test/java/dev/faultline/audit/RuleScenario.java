package dev.faultline.audit;

import static dev.faultline.audit.CaseScript.DEADLINE;
import static dev.faultline.audit.CaseScript.RESTORE;
import static dev.faultline.audit.CaseScript.SAVE;
import static dev.faultline.audit.CaseScript.TSC;
import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmClockData;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.MpState;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.RecordingReader;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Rules without a public bug, styles of VMMs, and orders that are right. */
final class RuleScenario {
  private static final String VMX_ORDER_OF_SELFTESTS =
      "CPUID2 SREGS MSRS XCRS XSAVE VCPU_EVENTS MP_STATE DEBUGREGS REGS NESTED_STATE";

  private static AuditResult audited(CaseScript script) {
    RecordingFacts facts =
        RecordingFacts.read(
            "scenario",
            "scenario.meta.json",
            new ByteArrayInputStream(script.facts("scenario").getBytes(StandardCharsets.UTF_8)));
    Audit audit = new Audit("scenario", KernelFacts.model(facts));
    try (RecordingReader reader =
        new RecordingReader(
            "scenario.jsonl",
            new ByteArrayInputStream(script.text().getBytes(StandardCharsets.UTF_8)))) {
      while (reader.hasNext()) {
        audit.accept(RecordedCalls.convert(reader.next(), audit.nextMoment()));
      }
    }
    return audit.result();
  }

  private static Set<String> found(CaseScript script) {
    return audited(script).found().keySet();
  }

  private static List<String> errors(CaseScript script) {
    return audited(script).findings().stream()
        .filter(f -> f.severity() == Severity.ERROR)
        .map(f -> f.rule().id() + " " + f.message())
        .toList();
  }

  private static CaseScript vmx() {
    CaseScript s = new CaseScript();
    s.sregs = s.sregs.withCr4(0x2020);
    s.nested = CaseStates.l1();
    return s.on("6.1.0", "kvm_intel")
        .with(CaseStates.leaf1(0, CaseStates.USUAL | CaseStates.VMX))
        .msr(0x3a, 5);
  }

  private static CaseScript svm() {
    CaseScript s = new CaseScript();
    s.sregs = s.sregs.withEfer(0x1500);
    s.nested = CaseStates.svm(true);
    return s.on("6.1.0", "kvm_amd")
        .with(new CpuidEntry(0x80000001, 0, 0, 0, 0, 1 << 2, 1 << 29 | 1 << 20 | 1 << 11));
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        // Firecracker
        "TSC_KHZ CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS LAPIC MSRS VCPU_EVENTS",
        // crosvm
        "CPUID2 LAPIC MP_STATE REGS SREGS DEBUGREGS XCRS MSRS XSAVE VCPU_EVENTS",
        // KVM's selftests
        "CPUID2 SREGS MSRS XCRS XSAVE VCPU_EVENTS MP_STATE DEBUGREGS REGS",
        // Cloud Hypervisor, without DEBUGREGS, which it leaves out
        "CPUID2 MP_STATE REGS SREGS XSAVE XCRS LAPIC TSC_KHZ MSRS VCPU_EVENTS",
        // openvmm
        "CPUID2 REGS SREGS MP_STATE VCPU_EVENTS XSAVE LAPIC XCRS MSRS DEBUGREGS",
        // QEMU
        "CPUID2 SREGS TSC_KHZ REGS XSAVE XCRS MSRS VCPU_EVENTS MP_STATE DEBUGREGS LAPIC"
      })
  void the_order_of_a_vmm_is_no_error(String order) {
    assertThat(errors(new CaseScript().restored(order).run())).isEmpty();
  }

  @Test
  void crosvm_and_the_selftests_may_restore_nested_state_last() {
    assertThat(
            errors(
                vmx()
                    .restored(
                        "CPUID2 LAPIC MP_STATE REGS SREGS DEBUGREGS XCRS MSRS XSAVE VCPU_EVENTS"
                            + " NESTED_STATE")
                    .run()))
        .isEmpty();
    assertThat(errors(vmx().restored(VMX_ORDER_OF_SELFTESTS).run())).isEmpty();
  }

  @Test
  void the_deadline_may_be_written_in_a_call_of_its_own_after_the_local_apic() {
    CaseScript s = new CaseScript();
    assertThat(
            found(
                s.restored("CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS")
                    .setMsrs(1, DEADLINE, 0x6000000)
                    .set("MSRS LAPIC VCPU_EVENTS")
                    .setMsrs(1, DEADLINE, 0x6000000)
                    .run()))
        .doesNotContain("R31", "R32");
  }

  @Test
  void a_second_vm_and_a_hot_plugged_vcpu_are_judged_on_their_own() {
    CaseScript s = new CaseScript().msr(DEADLINE, 0x6000000);
    s.restored(RESTORE).run();
    s.with(CaseStates.leaf1(1, CaseStates.USUAL)).vcpu(1).set("CPUID2 REGS SREGS").run();
    s.restored("CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS MSRS LAPIC VCPU_EVENTS").run();
    AuditResult result = audited(s);
    assertThat(result.found()).containsOnlyKeys("R31");
    assertThat(result.findings().getFirst().lane()).startsWith("vm2");
  }

  @Test
  void a_vcpu_that_was_not_created_in_the_recording_is_judged_by_what_is_there() {
    CaseScript s = new CaseScript().msr(DEADLINE, 0x6000000);
    s.restored("CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS MSRS LAPIC VCPU_EVENTS").run();
    String whole = s.text();
    AuditResult result;
    Audit audit = new Audit("cut", KernelFacts.model(RecordingFacts.unknown("cut")));
    String cut = String.join("\n", whole.lines().skip(5).toList()) + "\n";
    try (RecordingReader reader =
        new RecordingReader(
            "cut.jsonl", new ByteArrayInputStream(cut.getBytes(StandardCharsets.UTF_8)))) {
      while (reader.hasNext()) {
        audit.accept(RecordedCalls.convert(reader.next(), audit.nextMoment()));
      }
    }
    result = audit.result();
    assertThat(result.found()).containsKey("R31").doesNotContainKey("R05");
  }

  @Test
  void a_restore_in_place_after_the_vcpu_ran_is_judged_again() {
    CaseScript s = new CaseScript().msr(DEADLINE, 0x6000000);
    s.restored(RESTORE).run();
    s.set("MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS MSRS LAPIC VCPU_EVENTS").run();
    assertThat(audited(s).found()).containsEntry("R31", 1);
  }

  @Test
  void the_boot_cpu_is_chosen_before_vcpus() {
    assertThat(
            found(new CaseScript().fresh().vmCall(Ioctl.SET_BOOT_CPU_ID, 0, -Errno.EBUSY.number())))
        .contains("R02");
  }

  @Test
  void feature_msrs_are_frozen_by_kvm_run() {
    CaseScript s = new CaseScript().on("6.8.0", "kvm_intel").fresh().set("CPUID2 SREGS REGS");
    s.setMsrs(1, 0x10a, 1).run().setMsrs(0, 0x10a, 3);
    assertThat(found(s)).contains("R07");
  }

  @Test
  void a_timer_without_deadline_and_interrupt_may_be_lost() {
    assertThat(found(new CaseScript().msr(DEADLINE, 0).restored(RESTORE).run())).contains("R19");
  }

  @Test
  void what_a_vcpu_gives_back_is_what_was_restored() {
    CaseScript s = new CaseScript().msr(0x1d9, 1).restored(RESTORE);
    assertThat(found(s.getMsrs(1, 0x1d9, 0).run())).contains("R18");
    CaseScript same = new CaseScript().msr(0x1d9, 1).restored(RESTORE);
    assertThat(found(same.getMsrs(1, 0x1d9, 1).run())).doesNotContain("R18");
  }

  @Test
  void the_apic_base_msr_does_not_come_after_the_local_apic() {
    assertThat(found(new CaseScript().msr(0x1b, 0xfee00900L).restored(RESTORE).run()))
        .contains("R34");
  }

  @Test
  void a_tsc_of_0_is_no_value() {
    assertThat(found(new CaseScript().msr(TSC, 0).restored(RESTORE).run())).contains("R63");
  }

  @Test
  void a_clock_with_realtime_needs_a_time() {
    CaseScript s = new CaseScript().restored(RESTORE);
    s.vmCall(
        Ioctl.SET_CLOCK,
        0x7000,
        0,
        KvmClockData.zero().withClock(7).withFlags(KvmClockData.KVM_CLOCK_REALTIME).raw());
    assertThat(found(s.run())).contains("R64");
  }

  @Test
  void a_large_extended_state_is_read_whole() {
    CaseScript s =
        new CaseScript().with(new CpuidEntry(7, 0, 1, 0, 0, 0, 1 << 24)).extension(208, 11008);
    assertThat(found(s.saved(SAVE))).contains("R16");
  }

  @Test
  void msrs_that_cannot_all_be_read_are_told() {
    CaseScript s = new CaseScript().fresh().set("CPUID2 SREGS REGS").run();
    assertThat(found(s.getMsrs(1, 0x174, 0, 0x4b564df1L, 0))).contains("R44");
  }

  @Test
  void waiting_for_sipi_and_smm_exclude_each_other() {
    CaseScript s = new CaseScript().on("6.1.0", "kvm_intel");
    s.events = s.events.withSmiSmm(1);
    s.mpState = KvmMpState.of(MpState.INIT_RECEIVED);
    s.fresh().set("CPUID2 SREGS REGS VCPU_EVENTS").refused("MP_STATE", Errno.EINVAL);
    assertThat(found(s)).contains("R41");
  }

  @Test
  void registers_do_not_come_after_a_pending_exception() {
    CaseScript s = new CaseScript();
    s.events = s.events.withFlags(0x1d).withExceptionPending(1).withExceptionNr(14);
    assertThat(found(s.restored("CPUID2 SREGS MSRS XSAVE VCPU_EVENTS MP_STATE REGS").run()))
        .contains("R40");
  }

  @Test
  void nothing_is_injected_into_a_restored_vcpu_before_it_runs() {
    CaseScript s = new CaseScript().restored(RESTORE);
    assertThat(found(s.vcpuCall(Ioctl.NMI, 0, 0, null, null).run())).contains("R49");
  }

  @Test
  void nested_state_is_not_part_of_a_sync_at_run_time() {
    CaseScript s = vmx().restored(VMX_ORDER_OF_SELFTESTS).run();
    assertThat(found(s.set("REGS SREGS NESTED_STATE VCPU_EVENTS").run())).contains("R38");
  }

  @Test
  void smm_does_not_change_while_nested_state_is_live() {
    CaseScript s = vmx().fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE");
    s.events = s.events.withSmiSmm(1);
    assertThat(found(s.set("VCPU_EVENTS").run())).contains("R36", "R87");
  }

  @Test
  void an_invalid_nested_state_is_told_by_its_check() {
    CaseScript s = vmx();
    s.nested = CaseStates.l1().withVmcs12Pa(0x10000);
    AuditResult result =
        audited(s.fresh().set("CPUID2 SREGS").refused("NESTED_STATE", Errno.EINVAL));
    assertThat(result.found()).containsKey("R46");
    assertThat(result.findings().getFirst().message()).contains("NESTED_VMCS12_PA");
  }

  @Test
  void an_event_flag_needs_its_capability() {
    CaseScript s = new CaseScript().on("6.1.0", "kvm_intel");
    s.events = s.events.withFlags(0x2d).withTripleFaultPending(1);
    assertThat(found(s.fresh().set("CPUID2").refused("VCPU_EVENTS", Errno.EINVAL))).contains("R47");
  }

  @Test
  void the_pat_of_an_active_l2_is_not_written() {
    CaseScript s = svm().fresh().set("CPUID2 SREGS REGS NESTED_STATE");
    assertThat(found(s.setMsrs(1, 0x277, 0x7040600070406L).run())).contains("R43");
  }

  @Test
  void an_smi_in_an_interrupt_shadow_is_lost_before_6_2() {
    CaseScript s = new CaseScript().on("6.1.0", "kvm_intel");
    s.events = s.events.withInterruptShadow(2);
    assertThat(found(s.restored(RESTORE).vcpuCall(Ioctl.SMI, 0, 0, null, null).run()))
        .contains("R86");
  }

  @Test
  void an_exception_cannot_wait_for_a_state_that_is_emulated() {
    CaseScript s = vmx();
    s.nested = CaseStates.l2();
    s.fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE");
    s.sregs = CaseStates.withoutTask(s.sregs);
    s.events = s.events.withExceptionInjected(1).withExceptionNr(13);
    s.set("SREGS VCPU_EVENTS").run(KvmExit.KVM_EXIT_INTERNAL_ERROR);
    assertThat(found(s)).contains("R83");
  }

  @Test
  void memory_is_there_before_the_pdptrs_are_read_from_it() {
    CaseScript s = new CaseScript();
    s.sregs = s.sregs.withEfer(0);
    s.sregs =
        s.sregs.withSegment(
            dev.faultline.x86.SegmentRegister.CS,
            s.sregs.segment(dev.faultline.x86.SegmentRegister.DS));
    s.bareVm().vcpu(0).set("CPUID2 SREGS").memory();
    assertThat(found(s)).contains("R70");
  }

  @Test
  void memory_of_an_audit_does_not_grow_with_the_number_of_vms() {
    CaseScript s = new CaseScript();
    for (int i = 0; i < 400; i++) {
      s.restored("CPUID2 MP_STATE REGS SREGS XSAVE").run();
    }
    assertThat(audited(s).moments()).isGreaterThan(400 * 8);
  }
}
