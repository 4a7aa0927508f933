package dev.faultline.trace;

import dev.faultline.trace.Observation.Call;
import java.io.IOException;
import java.io.Writer;
import java.util.Locale;

/**
 * Writes what the kernel traced during calls as the text of tracefs, which {@link RecordingReader}
 * gives back to the same calls.
 *
 * <p><i>Shape</i>: the events of a call stand between the recorder's markers; a call that was
 * traced in part has a note of lost events between them. Where only some kinds of events were
 * traced there are no markers, and the events belong to calls by their time.
 */
public final class TraceText {
  private static final long NS_A_US = 1000;
  private static final long NS_A_SECOND = 1_000_000_000;

  private final Writer out;

  /** Lines to {@code out}, which stays open. */
  public TraceText(Writer out) throws IOException {
    this.out = out;
    line("# tracer: nop");
    line("# entries-in-buffer/entries-written: 0/0   #P:1");
  }

  /** Writes the events of a call. */
  public void write(Call call) throws IOException {
    TraceCoverage coverage = call.coverage();
    if (coverage == TraceCoverage.ABSENT) {
      return;
    }
    boolean marked = coverage != TraceCoverage.FILTERED;
    if (marked) {
      mark(call, call.enterNs(), "enter " + call.name());
    }
    if (coverage == TraceCoverage.PARTIAL) {
      line("CPU:0 [LOST 1 EVENTS]");
    }
    for (TraceEvent event : call.trace()) {
      event(call.tid(), event.ns(), name(event) + ": " + text(event));
    }
    if (marked) {
      mark(call, call.exitNs(), "exit " + call.name() + " ret=" + call.ret());
    }
  }

  private void mark(Call call, long ns, String what) throws IOException {
    event(call.tid(), ns, "tracing_mark_write: kvmrec seq=" + call.seq() + " " + what);
  }

  private void event(long tid, long ns, String text) throws IOException {
    boolean whole = ns % NS_A_US == 0;
    long fraction = whole ? ns % NS_A_SECOND / NS_A_US : ns % NS_A_SECOND;
    line(
        String.format(
            Locale.ROOT,
            whole ? "  vcpu-%d [000] ..... %5d.%06d: %s" : "  vcpu-%d [000] ..... %5d.%09d: %s",
            tid,
            ns / NS_A_SECOND,
            fraction,
            text));
  }

  private void line(String text) throws IOException {
    out.write(text);
    out.write('\n');
  }

  private static String name(TraceEvent event) {
    return switch (event) {
      case TraceEvent.VmEntry _ -> "kvm_entry";
      case TraceEvent.VmExit _ -> "kvm_exit";
      case TraceEvent.NestedVmExit _ -> "kvm_nested_vmexit";
      case TraceEvent.NestedVmEnter e ->
          e.rootName().isEmpty() ? "kvm_nested_vmrun" : "kvm_nested_vmenter";
      case TraceEvent.NestedIntercepts _ -> "kvm_nested_intercepts";
      case TraceEvent.NestedVmEnterFailed _ -> "kvm_nested_vmenter_failed";
      case TraceEvent.NestedVmExitInject _ -> "kvm_nested_vmexit_inject";
      case TraceEvent.SmmTransition _ -> "kvm_smm_transition";
      case TraceEvent.UserspaceExit _ -> "kvm_userspace_exit";
      case TraceEvent.InjectedException _ -> "kvm_inj_exception";
      case TraceEvent.InjectedIrq _ -> "kvm_inj_virq";
      case TraceEvent.MsrAccess _ -> "kvm_msr";
      case TraceEvent.CrAccess _ -> "kvm_cr";
      case TraceEvent.Pio _ -> "kvm_pio";
      case TraceEvent.Mmio _ -> "kvm_mmio";
      case TraceEvent.EmulateInsn _ -> "kvm_emulate_insn";
      case TraceEvent.PageFault _ -> "kvm_page_fault";
      case TraceEvent.IoctlEntered _ -> "sys_enter_ioctl";
      case TraceEvent.IoctlReturned _ -> "sys_exit_ioctl";
      case TraceEvent.Marker _ -> "tracing_mark_write";
      case TraceEvent.Other e -> e.name();
    };
  }

  private static String text(TraceEvent event) {
    return switch (event) {
      case TraceEvent.VmEntry e ->
          "vcpu "
              + e.vcpu()
              + printed(", rip 0x", e.rip())
              + (e.intrInfo() == TraceEvent.NOT_PRINTED
                  ? ""
                  : " intr_info 0x" + hex(e.intrInfo()) + " error_code 0x" + hex(e.errorCode()))
              + (e.immediateExit() ? "[immediate exit]" : "");
      case TraceEvent.VmExit e ->
          exit(e.vcpu(), e.reason(), e.flags(), e.rip(), e.info1(), e.info2())
              + interrupted(e.intrInfo(), e.errorCode(), e.requests());
      case TraceEvent.NestedVmExit e ->
          exit(e.vcpu(), e.reason(), e.flags(), e.rip(), e.info1(), e.info2())
              + interrupted(e.intrInfo(), e.errorCode(), e.requests());
      case TraceEvent.NestedVmEnter e -> nestedEnter(e);
      case TraceEvent.NestedVmEnterFailed e -> e.message();
      case TraceEvent.NestedVmExitInject e ->
          "reason: "
              + word(e.reason(), e.flags())
              + (" ext_inf1: 0x" + hex(e.info1()))
              + (" ext_inf2: 0x" + hex(e.info2()))
              + (" ext_int: 0x" + hex(e.intrInfo()))
              + (" ext_int_err: 0x" + hex(e.errorCode()));
      case TraceEvent.SmmTransition e ->
          "vcpu "
              + e.vcpu()
              + (e.entering() ? ": entering" : ": leaving")
              + " SMM, smbase 0x"
              + hex(e.smbase());
      case TraceEvent.UserspaceExit e -> "reason " + e.reason() + " (" + e.number() + ")";
      case TraceEvent.InjectedException e ->
          e.exception()
              + (e.errorCode() == TraceEvent.NOT_PRINTED ? "" : " (0x" + hex(e.errorCode()) + ")")
              + again(e.reinjected());
      default -> textBesides(event);
    };
  }

  private static String textBesides(TraceEvent event) {
    return switch (event) {
      case TraceEvent.NestedIntercepts e ->
          ("cr_read: " + hex(e.crRead()) + " cr_write: " + hex(e.crWrite()))
              + (" excp: " + hex(e.exceptions()) + " intercepts: " + hex(e.word3()))
              + (" " + hex(e.word4()) + " " + hex(e.word5()));
      case TraceEvent.InjectedIrq e ->
          (e.soft() ? "Soft/INTn 0x" : "IRQ 0x") + hex(e.vector()) + again(e.reinjected());
      case TraceEvent.MsrAccess e ->
          (e.write() ? "msr_write " : "msr_read ")
              + Integer.toHexString(e.index())
              + " = 0x"
              + hex(e.value())
              + (e.faulted() ? " (#GP)" : "");
      case TraceEvent.CrAccess e ->
          (e.write() ? "cr_write " : "cr_read ")
              + Integer.toHexString(e.register())
              + " = 0x"
              + hex(e.value());
      case TraceEvent.Pio e ->
          (e.write() ? "pio_write at 0x" : "pio_read at 0x")
              + Integer.toHexString(e.port())
              + (" size " + e.size() + " count " + e.count() + " val 0x" + hex(e.value()))
              + (e.count() > 1 ? " (...)" : "");
      case TraceEvent.Mmio e ->
          ("mmio " + e.kind() + " len " + e.size())
              + (" gpa 0x" + hex(e.gpa()) + " val 0x" + hex(e.value()));
      case TraceEvent.EmulateInsn e ->
          (hex(e.csBase()) + ":" + hex(e.rip()) + ":" + insn(e) + " (" + e.mode() + ")")
              + (e.failed() ? " failed" : "");
      case TraceEvent.PageFault e ->
          (e.vcpu() == TraceEvent.NOT_PRINTED
                  ? "address "
                  : "vcpu " + e.vcpu() + " rip 0x" + hex(e.rip()) + " address 0x")
              + hex(e.address())
              + " error_code 0x"
              + hex(e.errorCode());
      case TraceEvent.IoctlEntered e ->
          ("fd: 0x" + Integer.toHexString(e.fd()) + ", cmd: 0x" + Integer.toHexString(e.cmd()))
              + (", arg: 0x" + hex(e.arg()));
      case TraceEvent.IoctlReturned e -> e.ret() < 0 ? "-0x" + hex(-e.ret()) : "0x" + hex(e.ret());
      case TraceEvent.Marker e -> e.text();
      case TraceEvent.Other e -> e.text();
      case TraceEvent.VmEntry _,
          TraceEvent.VmExit _,
          TraceEvent.NestedVmExit _,
          TraceEvent.NestedVmEnter _,
          TraceEvent.NestedVmEnterFailed _,
          TraceEvent.NestedVmExitInject _,
          TraceEvent.SmmTransition _,
          TraceEvent.UserspaceExit _,
          TraceEvent.InjectedException _ ->
          text(event);
    };
  }

  private static String exit(
      int vcpu, String reason, String flags, long rip, long info1, long info2) {
    return ("vcpu " + vcpu + " reason " + word(reason, flags) + " rip 0x" + hex(rip))
        + (" info1 0x" + hex(info1) + " info2 0x" + hex(info2));
  }

  private static String interrupted(long intrInfo, long errorCode, long requests) {
    return (" intr_info 0x" + hex(intrInfo) + " error_code 0x" + hex(errorCode))
        + printed(" requests 0x", requests);
  }

  private static String nestedEnter(TraceEvent.NestedVmEnter e) {
    if (e.rootName().isEmpty()) {
      return ("rip: 0x" + hex(e.rip()) + " vmcb: 0x" + hex(e.vmcs()))
          + (" nrip: 0x" + hex(e.nestedRip()) + " int_ctl: 0x" + hex(e.intCtl()))
          + (" event_inj: 0x" + hex(e.eventInj()) + " npt: " + (e.nestedPaging() ? "on" : "off"));
    }
    return ("rip: 0x" + hex(e.rip()) + (e.svm() ? " vmcb: 0x" : " vmcs: 0x") + hex(e.vmcs()))
        + (" nested_rip: 0x" + hex(e.nestedRip()) + " int_ctl: 0x" + hex(e.intCtl()))
        + (" event_inj: 0x" + hex(e.eventInj()))
        + (e.svm() ? " nested_npt=" : " nested_ept=")
        + (e.nestedPaging() ? "y " : "n ")
        + (e.rootName() + ": 0x" + hex(e.root()));
  }

  private static String word(String reason, String flags) {
    return flags.isEmpty() ? reason : reason + " " + flags;
  }

  private static String printed(String before, long value) {
    return value == TraceEvent.NOT_PRINTED ? "" : before + hex(value);
  }

  private static String again(boolean reinjected) {
    return reinjected ? " [reinjected]" : "";
  }

  private static String insn(TraceEvent.EmulateInsn e) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < e.insn().size(); i++) {
      text.append(i == 0 ? "" : " ").append(String.format("%02x", e.insn().u8(i)));
    }
    return text.toString();
  }

  private static String hex(long value) {
    return Long.toHexString(value);
  }
}
