package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.trace.TraceEvent.CrAccess;
import dev.faultline.trace.TraceEvent.EmulateInsn;
import dev.faultline.trace.TraceEvent.InjectedException;
import dev.faultline.trace.TraceEvent.InjectedIrq;
import dev.faultline.trace.TraceEvent.Marker;
import dev.faultline.trace.TraceEvent.Mmio;
import dev.faultline.trace.TraceEvent.MsrAccess;
import dev.faultline.trace.TraceEvent.NestedVmEnter;
import dev.faultline.trace.TraceEvent.NestedVmEnterFailed;
import dev.faultline.trace.TraceEvent.NestedVmExit;
import dev.faultline.trace.TraceEvent.NestedVmExitInject;
import dev.faultline.trace.TraceEvent.Other;
import dev.faultline.trace.TraceEvent.PageFault;
import dev.faultline.trace.TraceEvent.Pio;
import dev.faultline.trace.TraceEvent.SmmTransition;
import dev.faultline.trace.TraceEvent.UserspaceExit;
import dev.faultline.trace.TraceEvent.VmEntry;
import dev.faultline.trace.TraceEvent.VmExit;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The texts that kernels 5.10, 6.1, 6.12, 7.2 and 7.3 print, most of them as they stand in
 * recordings.
 */
final class EventTextTest {
  private static final long NO = TraceEvent.NOT_PRINTED;
  private static final long NS = 8_182_478_000L;

  static Stream<Arguments> texts() {
    return Stream.of(
        // Every kernel before 7.2; older than 5.10 without rip.
        text("kvm_entry: vcpu 0", new VmEntry(NS, 0, NO, NO, NO, false)),
        text("kvm_entry: vcpu 0, rip 0x401a50", new VmEntry(NS, 0, 0x401a50, NO, NO, false)),
        text(
            "kvm_entry: vcpu 3, rip 0xfff0[immediate exit]",
            new VmEntry(NS, 3, 0xfff0, NO, NO, true)),
        // 7.2 and 7.3.
        text(
            "kvm_entry: vcpu 0, rip 0x40895b intr_info 0x80000b0e error_code 0x00000010",
            new VmEntry(NS, 0, 0x40895b, 0x80000b0eL, 0x10, false)),
        text(
            "kvm_entry: vcpu 0, rip 0x40895b intr_info 0x00000000 error_code 0x00000000[immediate"
                + " exit]",
            new VmEntry(NS, 0, 0x40895b, 0, 0, true)),
        text(
            "kvm_exit: vcpu 0 reason EPT_VIOLATION rip 0x401ab0 info1 0x0000000000000082 info2"
                + " 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000",
            new VmExit(NS, 0, "EPT_VIOLATION", "", 0x401ab0, 0x82, 0, 0, 0, NO)),
        text(
            "kvm_exit: vcpu 0 reason VMON rip 0x42076b info1 0xfffffffffffffff8 info2"
                + " 0x0000000000000000 intr_info 0x800000ec error_code 0x00000000 requests"
                + " 0x0000000000000004",
            new VmExit(NS, 0, "VMON", "", 0x42076b, -8, 0, 0x800000ecL, 0, 4)),
        text(
            "kvm_exit: vcpu 0 reason INVALID_STATE FAILED_VMENTRY rip 0x404446 info1"
                + " 0x0000000000000000 info2 0x0000000000000000 intr_info 0x00000000 error_code"
                + " 0x00000000",
            new VmExit(NS, 0, "INVALID_STATE", "FAILED_VMENTRY", 0x404446, 0, 0, 0, 0, NO)),
        text(
            "kvm_exit: vcpu 0 reason 0x63 0x8000000 rip 0x0 info1 0x0000000000000000 info2"
                + " 0x0000000000000000 intr_info 0x00000000 error_code 0x00000000",
            new VmExit(NS, 0, "0x63", "0x8000000", 0, 0, 0, 0, 0, NO)),
        text(
            "kvm_exit: vcpu 0 reason npf rip 0x408020 info1 0x0000000200000006 info2"
                + " 0x0000000000181000 intr_info 0x00000000 error_code 0x00000000",
            new VmExit(NS, 0, "npf", "", 0x408020, 0x200000006L, 0x181000, 0, 0, NO)),
        text(
            "kvm_exit: vcpu 0 reason PF excp rip 0x408020 info1 0x0000000000000006 info2"
                + " 0x0000000000181000 intr_info 0x00000000 error_code 0x00000000",
            new VmExit(NS, 0, "PF excp", "", 0x408020, 6, 0x181000, 0, 0, NO)),
        text(
            "kvm_nested_vmexit: vcpu 0 reason EXCEPTION_NMI rip 0x404440 info1 0x0000000000404440"
                + " info2 0x0000000000000000 intr_info 0x80000b0e error_code 0x00000010",
            new NestedVmExit(
                NS, 0, "EXCEPTION_NMI", "", 0x404440, 0x404440, 0, 0x80000b0eL, 0x10, NO)),
        text(
            "kvm_nested_vmexit: vcpu 0 reason EXTERNAL_INTERRUPT rip 0x404440 info1"
                + " 0x0000000000000000 info2 0x0000000000000000 intr_info 0x800000ec error_code"
                + " 0x00000000 requests 0x0000000000000000",
            new NestedVmExit(NS, 0, "EXTERNAL_INTERRUPT", "", 0x404440, 0, 0, 0x800000ecL, 0, 0)),
        text(
            "kvm_nested_vmenter: rip: 0x0000000000401d7e vmcs: 0x000000000010d000 nested_rip:"
                + " 0x00000000004019c0 int_ctl: 0x00000000 event_inj: 0x00000000 nested_ept=n"
                + " guest_cr3: 0x0000000000180000",
            new NestedVmEnter(
                NS, false, 0x401d7e, 0x10d000, 0x4019c0, 0, 0, false, "guest_cr3", 0x180000)),
        text(
            "kvm_nested_vmenter: rip: 0x0000000000401d7e vmcs: 0x000000000010d000 nested_rip:"
                + " 0x00000000004019c0 int_ctl: 0x00000000 event_inj: 0x80000b0e nested_ept=y"
                + " nested_eptp: 0x000000000018501e",
            new NestedVmEnter(
                NS,
                false,
                0x401d7e,
                0x10d000,
                0x4019c0,
                0,
                0x80000b0eL,
                true,
                "nested_eptp",
                0x18501e)),
        text(
            "kvm_nested_vmenter: rip: 0x0000000000401d7e vmcb: 0x000000000010d000 nested_rip:"
                + " 0x00000000004019c0 int_ctl: 0x01000000 event_inj: 0x00000000 nested_npt=y"
                + " nested_cr3: 0x0000000000180000",
            new NestedVmEnter(
                NS,
                true,
                0x401d7e,
                0x10d000,
                0x4019c0,
                0x1000000,
                0,
                true,
                "nested_cr3",
                0x180000)),
        text(
            "kvm_nested_vmrun: rip: 0x0000000000401d7e vmcb: 0x000000000010d000 nrip:"
                + " 0x00000000004019c0 int_ctl: 0x00000000 event_inj: 0x00000000 npt: on",
            new NestedVmEnter(NS, true, 0x401d7e, 0x10d000, 0x4019c0, 0, 0, true, "", NO)),
        text(
            "kvm_nested_vmexit_inject: reason: TRIPLE_FAULT ext_inf1: 0x0000000000000000 ext_inf2:"
                + " 0x0000000000000000 ext_int: 0x00000000 ext_int_err: 0x00000010",
            new NestedVmExitInject(NS, "TRIPLE_FAULT", "", 0, 0, 0, 0x10)),
        text(
            "kvm_nested_vmexit_inject: reason: INVALID_STATE FAILED_VMENTRY ext_inf1:"
                + " 0x0000000000000000 ext_inf2: 0x0000000000000000 ext_int: 0x00000000"
                + " ext_int_err: 0x00000000",
            new NestedVmExitInject(NS, "INVALID_STATE", "FAILED_VMENTRY", 0, 0, 0, 0)),
        text(
            "kvm_nested_vmenter_failed: from_vmentry && !vmx_guest_state_valid(vcpu)",
            new NestedVmEnterFailed(NS, "from_vmentry && !vmx_guest_state_valid(vcpu)")),
        text(
            "kvm_nested_vmenter_failed: hardware VM-instruction error:"
                + " VMENTRY_INVALID_CONTROL_FIELD",
            new NestedVmEnterFailed(
                NS, "hardware VM-instruction error: VMENTRY_INVALID_CONTROL_FIELD")),
        text(
            "kvm_smm_transition: vcpu 0: entering SMM, smbase 0x1000000",
            new SmmTransition(NS, 0, true, 0x1000000)),
        text(
            "kvm_smm_transition: vcpu 1: leaving SMM, smbase 0x30000",
            new SmmTransition(NS, 1, false, 0x30000)),
        text(
            "kvm_enter_smm: vcpu 0: entering SMM, smbase 0x1000000",
            new SmmTransition(NS, 0, true, 0x1000000)),
        text("kvm_userspace_exit: reason KVM_EXIT_IO (2)", new UserspaceExit(NS, "KVM_EXIT_IO", 2)),
        text("kvm_userspace_exit: reason restart (4)", new UserspaceExit(NS, "restart", 4)),
        text("kvm_userspace_exit: reason error (5)", new UserspaceExit(NS, "error", 5)),
        text("kvm_userspace_exit: reason 0x25 (37)", new UserspaceExit(NS, "0x25", 37)),
        // 5.10 prints an error code always.
        text("kvm_inj_exception: #UD (0x0)", new InjectedException(NS, "#UD", 0, false)),
        text(
            "kvm_inj_exception: #UD (0x0) [reinjected]", new InjectedException(NS, "#UD", 0, true)),
        text("kvm_inj_exception: #UD", new InjectedException(NS, "#UD", NO, false)),
        text("kvm_inj_exception: #UD [reinjected]", new InjectedException(NS, "#UD", NO, true)),
        text("kvm_inj_exception: #PF (0x10)", new InjectedException(NS, "#PF", 0x10, false)),
        text(
            "kvm_inj_exception: #CP (0x1) [reinjected]", new InjectedException(NS, "#CP", 1, true)),
        text("kvm_inj_exception: 0x16", new InjectedException(NS, "0x16", NO, false)),
        text("kvm_inj_virq: irq 64", new InjectedIrq(NS, 64, false, false)),
        text("kvm_inj_virq: IRQ 0x40 [reinjected]", new InjectedIrq(NS, 0x40, false, true)),
        text("kvm_inj_virq: Soft/INTn 0x20", new InjectedIrq(NS, 0x20, true, false)),
        text(
            "kvm_msr: msr_read c0000080 = 0xd00",
            new MsrAccess(NS, false, 0xc0000080, 0xd00, false)),
        text("kvm_msr: msr_write 3a = 0x5 (#GP)", new MsrAccess(NS, true, 0x3a, 5, true)),
        text("kvm_cr: cr_write 4 = 0x2220", new CrAccess(NS, true, 4, 0x2220)),
        text("kvm_cr: cr_read 3 = 0x180000", new CrAccess(NS, false, 3, 0x180000)),
        text(
            "kvm_pio: pio_read at 0x1000 size 1 count 1 val 0x0 ",
            new Pio(NS, false, 0x1000, 1, 1, 0)),
        text(
            "kvm_pio: pio_write at 0xcf8 size 4 count 2 val 0x80000000 (...)",
            new Pio(NS, true, 0xcf8, 4, 2, 0x80000000L)),
        text("kvm_mmio: mmio write len 2 gpa 0xfffe val 0x2", new Mmio(NS, "write", 2, 0xfffe, 2)),
        text(
            "kvm_mmio: mmio unsatisfied-read len 4 gpa 0xfee00020 val 0x0",
            new Mmio(NS, "unsatisfied-read", 4, 0xfee00020L, 0)),
        text(
            "kvm_emulate_insn: 1000000:8004:0f aa (real)",
            new EmulateInsn(NS, 0x1000000, 0x8004, insn("0faa"), "real", false)),
        text(
            "kvm_emulate_insn: ffff0000:fff0: (real) failed",
            new EmulateInsn(NS, 0xffff0000L, 0xfff0, Bytes.EMPTY, "real", true)),
        text(
            "kvm_emulate_insn: 0:40444c:0f 01 c1 (prot64)",
            new EmulateInsn(NS, 0, 0x40444c, insn("0f01c1"), "prot64", false)),
        text(
            "kvm_page_fault: address 180000 error_code 82",
            new PageFault(NS, -1, NO, 0x180000, 0x82)),
        text(
            "kvm_page_fault: vcpu 0 rip 0x408020 address 0x0000000000180000 error_code 0x200000006",
            new PageFault(NS, 0, 0x408020, 0x180000, 0x200000006L)),
        text(
            "tracing_mark_write: kvmrec seq=3 mark {\"step\":\"BEGIN\"}",
            new Marker(NS, "kvmrec seq=3 mark {\"step\":\"BEGIN\"}")),
        text(
            "kvm_apicv_inhibit_changed: set reason=2, inhibits=0x4 ABSENT",
            new Other(NS, "kvm_apicv_inhibit_changed", "set reason=2, inhibits=0x4 ABSENT")));
  }

  @ParameterizedTest
  @MethodSource("texts")
  void a_known_text_becomes_its_event(String text, TraceEvent expected) {
    try (FtraceReader reader = reader(text)) {
      assertThat(reader.advance()).isEqualTo(FtraceReader.Step.EVENT);
      assertThat(reader.event()).isEqualTo(expected);
      assertThat(reader.report().unread()).isZero();
    }
  }

  @Test
  void a_longer_tail_of_a_later_kernel_does_not_hide_an_entry_or_exit() {
    try (FtraceReader reader =
        reader("kvm_entry: vcpu 0, rip 0x10 intr_info 0x00000000 error_code 0x00000000 more 0x1")) {
      reader.advance();
      assertThat(reader.event()).isInstanceOf(VmEntry.class);
    }
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "kvm_entry: vcpu 0, rip 0x",
        "kvm_entry: vcpu 0, rip 0x10zz",
        "kvm_exit: vcpu 0 reason EPT_VIOLATION rip 0x401ab0 info1 0x00",
        "kvm_exit: vcpu 0 reason EPT_VIOLATION",
        "kvm_nested_vmenter: rip: 0x10 vmcs: 0x10 nested_rip: 0x10 int_ctl: 0x0 event_inj: 0x0"
            + " nested_ept=n",
        "kvm_nested_vmexit_inject: reason: TRIPLE_FAULT",
        "kvm_userspace_exit: reason KVM_EXIT_IO",
        "kvm_userspace_exit: reason KVM_EXIT_IO (99999999999)",
        "kvm_smm_transition: vcpu 0: stopping SMM, smbase 0x0",
        "kvm_inj_exception:",
        "kvm_inj_virq: NMI 0x2",
        "kvm_msr: msr_read c0000080 = 0xd00 (#UD)",
        "kvm_msr: msr_read c0000080 = 0x11112222333344445",
        "kvm_mmio: mmio write",
        "kvm_emulate_insn: 0:40444c:0f 01 c1",
        "kvm_emulate_insn: 0:40444c:0f 01 c (prot64)",
        "kvm_emulate_insn: 0:40444c:0f xx c1 (prot64)",
        "kvm_page_fault: gva 0x10"
      })
  void a_text_of_no_known_shape_is_passed_on_as_it_is_and_counted(String text) {
    String name = text.substring(0, text.indexOf(':'));
    String rest = text.substring(text.indexOf(':') + 1).stripLeading();
    try (FtraceReader reader = reader(text)) {
      assertThat(reader.advance()).isEqualTo(FtraceReader.Step.EVENT);
      assertThat(reader.event()).isEqualTo(new Other(NS, name, rest));
      assertThat(reader.report().unread()).isEqualTo(1);
      assertThat(reader.report().places().getFirst())
          .startsWith("boot.ftrace.txt:1 has a text of " + name + " that is not known");
    }
  }

  /** As trace-cmd 3.1.6 with libtraceevent 1.7.1 printed events that were made for it. */
  static Stream<Arguments> reprinted() {
    return Stream.of(
        text("kvm_entry: vcpu 1 rip 0xfff0", new VmEntry(NS, 1, 0xfff0, NO, NO, false)),
        text(
            "kvm_exit: reason EXTERNAL_INTERRUPT rip 0xffffffff81000000 info 0 800000fc",
            new VmExit(
                NS, -1, "EXTERNAL_INTERRUPT", "", 0xffffffff81000000L, 0, 0x800000fcL, NO, NO, NO)),
        text(
            "kvm_exit: reason UNKNOWN (2147483681) rip 0x401000 info 0 0",
            new VmExit(NS, -1, "INVALID_STATE", "FAILED_VMENTRY", 0x401000, 0, 0, NO, NO, NO)),
        text(
            "kvm_exit: reason UNKNOWN (99) rip 0x401000",
            new VmExit(NS, -1, "0x63", "", 0x401000, NO, NO, NO, NO, NO)),
        text(
            "kvm_exit: reason UNKNOWN ( rip 0x401000",
            new VmExit(NS, -1, "UNKNOWN (", "", 0x401000, NO, NO, NO, NO, NO)),
        text(
            "kvm_exit: reason UNKNOWN () rip 0x401000",
            new VmExit(NS, -1, "UNKNOWN ()", "", 0x401000, NO, NO, NO, NO, NO)),
        text(
            "kvm_exit: reason PENDING_INTERRUPT rip 0x401000 info 0 0",
            new VmExit(NS, -1, "INTERRUPT_WINDOW", "", 0x401000, 0, 0, NO, NO, NO)),
        text(
            "kvm_exit: reason EXIT_EXCP_PF rip 0x401000 info 1 2",
            new VmExit(NS, -1, "PF excp", "", 0x401000, 1, 2, NO, NO, NO)),
        text(
            "kvm_exit: reason EXIT_NPF rip 0x401000 info 1 2",
            new VmExit(NS, -1, "npf", "", 0x401000, 1, 2, NO, NO, NO)),
        text(
            "kvm_exit: reason EXIT_IDTR_READ rip 0x401000 info 1 2",
            new VmExit(NS, -1, "read_idtr", "", 0x401000, 1, 2, NO, NO, NO)),
        text(
            "kvm_exit: reason EXIT_WRITE_CR0 rip 0x401000 info 1 2",
            new VmExit(NS, -1, "write_cr0", "", 0x401000, 1, 2, NO, NO, NO)),
        text(
            "kvm_nested_vmexit: <CANT FIND FIELD rip>vcpu 0 reason TRIPLE_FAULT rip 0x401000 info1"
                + " 0x0000000000000003 info2 0x0000000000000004 intr_info 0x00000005 error_code"
                + " 0x00000006 requests 0x0000000000000000",
            new NestedVmExit(NS, 0, "TRIPLE_FAULT", "", 0x401000, 3, 4, 5, 6, 0)),
        text(
            "kvm_nested_vmexit_inject: reason TRIPLE_FAULT info1 1 info2 2 int_info 3"
                + " int_info_err 4",
            new NestedVmExitInject(NS, "TRIPLE_FAULT", "", 1, 2, 3, 4)),
        text(
            "kvm_nested_vmexit_inject: reason UNKNOWN (2147483681) info1 1 info2 2 int_info 3"
                + " int_info_err 4",
            new NestedVmExitInject(NS, "INVALID_STATE", "FAILED_VMENTRY", 1, 2, 3, 4)),
        text(
            "kvm_inj_exception: [FAILED TO PARSE] exception=14 has_error=1 error_code=2"
                + " reinjected=1",
            new InjectedException(NS, "#PF", 2, true)),
        text(
            "kvm_inj_exception: [FAILED TO PARSE] exception=6 has_error=0 error_code=0",
            new InjectedException(NS, "#UD", NO, false)),
        text(
            "kvm_emulate_insn: f0000:e05b: 2e 66 83 FAIL",
            new EmulateInsn(NS, 0xf0000, 0xe05b, insn("2e6683"), "", true)),
        text(
            "kvm_emulate_insn: 0:ea58d: 39 d0",
            new EmulateInsn(NS, 0, 0xea58d, insn("39d0"), "", false)),
        text(
            "kvm_emulate_insn: 0:ea58d: cmp eax, edx",
            new EmulateInsn(NS, 0, 0xea58d, Bytes.EMPTY, "", false)));
  }

  @ParameterizedTest
  @MethodSource("reprinted")
  void what_trace_cmd_prints_in_its_own_words_becomes_the_same_event(
      String text, TraceEvent expected) {
    try (FtraceReader reader = reader(text)) {
      assertThat(reader.advance()).isEqualTo(FtraceReader.Step.EVENT);
      assertThat(reader.event()).isEqualTo(expected);
      assertThat(reader.report().unread()).isZero();
    }
  }

  private static Arguments text(String text, TraceEvent expected) {
    return Arguments.of(text, expected);
  }

  private static Bytes insn(String hex) {
    byte[] bytes = HexFormat.of().parseHex(hex);
    return Bytes.wrap(bytes);
  }

  private static FtraceReader reader(String text) {
    String line = "             scn-114     [000] d..1.     8.182478: " + text + "\n";
    return new FtraceReader(
        "boot.ftrace.txt", new ByteArrayInputStream(line.getBytes(StandardCharsets.UTF_8)));
  }
}
