package dev.faultline.timeline;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmExit;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.KernelVersion.InvalidL2;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * Follows the marks of a recorded program from test case to test case, and keeps of each the
 * KVM_RUN that decides: the one in which RSM returned, else the first one with L2 after userspace
 * wrote.
 */
final class VariantOutcomes {
  private static final String KEY = "\"var\":\"";
  private static final int LONGEST = 200;

  private final SequencedMap<String, Cell> cells = new LinkedHashMap<>();
  private String present = "";
  private boolean written;

  /** What is known of a test case so far. */
  private record Cell(RunEnding recorded, List<RunEnding> predicted, boolean rsm) {}

  /** A note may be a mark that names the test case. */
  void note(Recorded.Note note) {
    if (!note.kind().equals("mark")) {
      return;
    }
    String variant = variant(note.text());
    if (!variant.equals(present)) {
      present = variant;
      written = false;
    }
  }

  /** The value of {@code "var"} in a mark that is JSON, else the mark itself. */
  private static String variant(String mark) {
    int from = mark.indexOf(KEY);
    if (from < 0) {
      return mark.length() > LONGEST ? mark.substring(0, LONGEST) : mark;
    }
    int start = from + KEY.length();
    int end = mark.indexOf('"', start);
    return end < 0 ? mark.substring(start) : mark.substring(start, end);
  }

  String present() {
    return present;
  }

  /** A call that is not KVM_RUN. */
  void call(Recorded.VcpuCall call, Vcpu before, Vcpu after, @Nullable Outcome predicted) {
    boolean writes =
        switch (call.command()) {
          case VcpuCommand.SetRegs _,
              VcpuCommand.SetSregs _,
              VcpuCommand.SetSregs2 _,
              VcpuCommand.SetVcpuEvents _,
              VcpuCommand.SetNestedState _,
              VcpuCommand.Smi _ ->
              true;
          default -> false;
        };
    if (!writes || (before.inGuestMode().isNo() && after.inGuestMode().isNo())) {
      return;
    }
    written = true;
    if (call.ret() < 0
        && call.errno() == Errno.EINVAL.number()
        && before.inGuestMode().isYes()
        && !cells.containsKey(present)) {
      List<RunEnding> told =
          switch (predicted) {
            case Outcome.Refused _ -> List.of(RunEnding.EINVAL);
            case Outcome.Returns _ -> List.of(RunEnding.RAN);
            case null, default -> List.of();
          };
      cells.put(present, new Cell(RunEnding.EINVAL, told, false));
    }
  }

  /** A KVM_RUN. */
  void run(
      String vcpu,
      Vcpu before,
      List<TimelineEvent> inside,
      RunResult result,
      @Nullable Outcome predicted) {
    if (present.isEmpty() || !vcpu.contains("/")) {
      return;
    }
    KernelVersion version = before.kernel().version();
    boolean entryProves = version.invalidL2() == InvalidL2.TRIPLE_FAULT;
    int rsm = afterRsm(inside);
    Cell known = cells.get(present);
    if (rsm >= 0 && (known == null || !known.rsm())) {
      RunEnding ending = RunEnding.of(inside, rsm, result, entryProves);
      cells.put(present, new Cell(ending, List.of(), true));
      return;
    }
    if (known != null || !written || !before.inGuestMode().isYes()) {
      return;
    }
    RunEnding ending = RunEnding.of(inside, 0, result, entryProves);
    if (ending != RunEnding.INTERRUPTED && ending != RunEnding.SMI) {
      cells.put(present, new Cell(ending, predicted(before, predicted), false));
    }
  }

  private static int afterRsm(List<TimelineEvent> inside) {
    for (int i = 0; i < inside.size(); i++) {
      if (inside.get(i) instanceof TimelineEvent.SmmLeft) {
        return i + 1;
      }
    }
    return -1;
  }

  private static List<RunEnding> predicted(Vcpu before, @Nullable Outcome outcome) {
    return switch (outcome) {
      case Outcome.Runs r when r.fault() != null -> List.of(RunEnding.TRIPLE_FAULT);
      case Outcome.Runs _ -> running(before);
      case Outcome.Refused r when r.errno() == Errno.EIO -> List.of(RunEnding.DEAD_VM);
      case Outcome.Exits e when e.exit() == KvmExit.KVM_EXIT_INTERNAL_ERROR ->
          List.of(RunEnding.INTERNAL_ERROR);
      case null, default -> List.of();
    };
  }

  /** KVM emulates an invalid L2, if it can; what hardware makes of a valid one is its own. */
  private static List<RunEnding> running(Vcpu before) {
    if (!Policy.invalidL2(before).isKnown()) {
      return List.of();
    }
    if (Policy.invalidL2(before).isNo()) {
      return List.of(RunEnding.RAN, RunEnding.HARDWARE_REFUSED);
    }
    return before.kernel().version().invalidL2() == InvalidL2.EMULATE
        ? List.of(RunEnding.EMULATED, RunEnding.INTERNAL_ERROR)
        : List.of(RunEnding.OTHER_EXIT, RunEnding.SMI);
  }

  List<VariantOutcome> outcomes(String recording, KernelVersion kernel) {
    List<VariantOutcome> outcomes = new ArrayList<>();
    cells.forEach((variant, cell) ->
        outcomes.add(
            new VariantOutcome(
                recording, kernel, variant, cell.recorded(), cell.predicted(), cell.rsm())));
    return List.copyOf(outcomes);
  }
}
