package dev.faultline.report;

import dev.faultline.Check;
import dev.faultline.report.MomentRow.Result;
import dev.faultline.report.MomentRow.Sort;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.PageShown;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.x86.Msr;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What happened inside a KVM_RUN, as rows. */
final class InsideRows {
  private InsideRows() {}

  /** The row of an event. */
  static MomentRow of(
      int moment, Recorded.VcpuCall run, TimelineEvent event, @Nullable Outcome predicted) {
    return switch (event) {
      case TimelineEvent.VmEntered e ->
          row(moment, run, "vm-enter", "VM-Enter", "rip " + hex(e.rip()));
      case TimelineEvent.VmExited e ->
          row(moment, run, "vm-exit", "VM-Exit " + e.reason(), exit(e.flags(), e.rip()));
      case TimelineEvent.L2Exited e ->
          row(moment, run, "l2-exit", "exit of L2 " + e.reason(), exit(e.flags(), e.rip()));
      case TimelineEvent.NestedVmEntered e ->
          row(
              moment,
              run,
              "nested-vm-enter",
              "L1 enters L2",
              "rip " + hex(e.nestedRip()) + " vmcs12 " + hex(e.vmcs()));
      case TimelineEvent.NestedVmExited e ->
          row(
              moment,
              run,
              "nested-vm-exit",
              "L2 exits to L1 " + e.reason(),
              join(e.flags(), "qualification " + FieldWords.number(e.qualification())));
      case TimelineEvent.InterceptsShown e ->
          row(
              moment,
              run,
              "intercepts",
              "intercepts of L1",
              hex(e.word3()) + " " + hex(e.word4()) + " " + hex(e.word5()));
      case TimelineEvent.NestedVmEntryFailed e ->
          row(moment, run, "nested-vm-enter-failed", "L1 fails to enter L2", e.condition());
      case TimelineEvent.SmmEntered e ->
          row(moment, run, "smi", "SMI enters SMM", "smbase " + hex(e.smbase()));
      case TimelineEvent.SmmLeft e ->
          row(moment, run, "rsm", "RSM leaves SMM", "smbase " + hex(e.smbase()));
      case TimelineEvent.InstructionEmulated e ->
          row(moment, run, "emulated", "instruction emulated", e.text());
      case TimelineEvent.CapabilityRead e ->
          row(moment, run, "rdmsr", "RDMSR " + Msr.name(e.msr()), hex(e.value()));
      case TimelineEvent.TripleFaultSynthesized e -> synthesized(moment, run, e);
      case TimelineEvent.RunReturned e -> returned(moment, run, e.result(), predicted);
      // What a call does is told by the row of the call; whatever else is heard of has its name.
      default -> row(moment, run, "event", event.getClass().getSimpleName(), "");
    };
  }

  private static MomentRow row(
      int moment, Recorded.VcpuCall run, String kind, String name, String text) {
    return new MomentRow(
        moment, run.seq(), -1, run.vcpu(), kind, Sort.INSIDE, name, null, null, List.of(), text);
  }

  private static MomentRow synthesized(
      int moment, Recorded.VcpuCall run, TimelineEvent.TripleFaultSynthesized e) {
    return new MomentRow(
        moment,
        run.seq(),
        -1,
        run.vcpu(),
        "synthesized",
        Sort.SYNTHESIZED,
        "L2 exits to L1 TRIPLE_FAULT, synthesized",
        null,
        e.failed(),
        List.of(),
        e.cause() == FaultCause.REQUESTED ? "a triple fault was requested" : "");
  }

  private static MomentRow returned(
      int moment, Recorded.VcpuCall run, RunResult result, @Nullable Outcome predicted) {
    Check check =
        switch (predicted) {
          case Outcome.Refused r when result.errno() == r.errno().number() -> r.check();
          case Outcome.Exits e when result.ret() == 0 && result.exit() == e.exit() -> e.check();
          case null, default -> null;
        };
    boolean open = run.decided() && predicted instanceof Outcome.Runs;
    return new MomentRow(
        moment,
        run.seq(),
        -1,
        run.vcpu(),
        "run-returned",
        Sort.INSIDE,
        "KVM_RUN",
        open ? null : new Result(result.ret(), result.errno()),
        check,
        List.of(),
        open
            ? "comes back; how, nobody can tell"
            : result.ret() == 0 && result.shown() != PageShown.NOTHING
                ? CallWords.exit(result.run())
                : "");
  }

  private static String exit(String flags, long rip) {
    return join(flags, "rip " + hex(rip));
  }

  private static String join(String flags, String rest) {
    return flags.isEmpty() ? rest : flags + " " + rest;
  }

  private static String hex(long value) {
    return "0x" + Long.toHexString(value);
  }
}
