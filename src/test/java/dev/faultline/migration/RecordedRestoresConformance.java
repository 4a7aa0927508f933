package dev.faultline.migration;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.Ioctl;
import dev.faultline.migration.Migration.Moved;
import dev.faultline.migration.RecordedRestores.Restore;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A plan with the order of a recorded restore predicts what the recorded destination showed: how
 * each call ended, what the vCPU was then, and how its KVM_RUN ended. {@code
 * -Dfaultline.migration.recordings=FOLDER} adds the recordings of a folder.
 */
final class RecordedRestoresConformance {

  static Stream<RecordingSource> recordings() {
    List<RecordingSource> found = new ArrayList<>();
    for (String name : List.of("state_test", "smm_test", "fuzz-restore-order", "svm_state_test")) {
      found.addAll(Inputs.open(Path.of("timelines", name)));
    }
    String folder = System.getProperty("faultline.migration.recordings");
    if (folder != null && Files.isDirectory(Path.of(folder))) {
      found.addAll(Inputs.open(Path.of(folder)));
    }
    return found.stream();
  }

  /** What was compared, and what was wrong. */
  private static final class Result {
    private int restores;
    private int calls;
    private int fields;
    private int runs;
    private final List<String> wrong = new ArrayList<>();
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void the_recorded_order_as_a_plan_predicts_the_recorded_destination(RecordingSource source) {
    RecordedRestores restores = new RecordedRestores(source);
    Result result = new Result();
    for (Restore restore : restores.find()) {
      compare(restores, restore, result);
    }
    assertThat(result.wrong)
        .as(
            "%d restores, %d calls, %d fields, %d runs",
            result.restores, result.calls, result.fields, result.runs)
        .isEmpty();
    if (source.recording().startsWith("timelines")) {
      assertThat(result.restores).isGreaterThanOrEqualTo(7);
      assertThat(result.calls).isGreaterThanOrEqualTo(10 * result.restores);
      assertThat(result.fields).isGreaterThanOrEqualTo(400 * result.restores);
      assertThat(result.runs).isGreaterThanOrEqualTo(result.restores * 9 / 10);
    }
  }

  private static void compare(RecordedRestores restores, Restore restore, Result result) {
    Vcpu recorded = Objects.requireNonNull(restore.arrived);
    Plan plan = restore.plan();
    Migration migration = new Migration(plan, restores.kernel(), _ -> false, null);
    Moved moved =
        migration.migrate(Objects.requireNonNull(restore.from).vcpu, Policy.Memory.NOTHING);
    result.restores++;
    for (Arrival.Step step : moved.arrival().steps()) {
      Recorded.VcpuCall call = restore.writes.get(step.number());
      String predicted =
          switch (step.end()) {
            case ACCEPTED, ASSUMED ->
                call.command() instanceof VcpuCommand.SetMsrs c
                    ? Integer.toString(c.msrs().held())
                    : "0";
            case REFUSED ->
                step.errno() != null ? step.errno().name() : Integer.toString(step.processed());
            case OPEN -> "";
          };
      if (!predicted.isEmpty()) {
        result.calls++;
        check(
            result,
            restore,
            call,
            VcpuModel.ioctl(call.command()).uapiName(),
            predicted,
            Restore.ending(call));
      }
    }
    for (Difference d : Comparison.of(recorded, moved.vcpu(), moved.arrival(), _ -> false)) {
      if (d.certain() && d.stayed().known() && d.arrived().known()) {
        result.wrong.add(
            restore.vcpu
                + " seq "
                + restore.writes.getLast().seq()
                + " "
                + d.field()
                + " recorded "
                + Long.toHexString(d.stayed().bits())
                + " predicted "
                + Long.toHexString(d.arrived().bits()));
      }
    }
    result.fields += known(recorded, moved.vcpu());
    run(moved, restore, result);
  }

  /** How many fields of the structs are known on both sides. */
  private static int known(Vcpu a, Vcpu b) {
    int count = 0;
    List<Tracked> one = structs(a);
    List<Tracked> other = structs(b);
    for (int i = 0; i < one.size(); i++) {
      count += one.get(i).known().intersect(other.get(i).known()).count();
    }
    return count;
  }

  private static List<Tracked> structs(Vcpu v) {
    Vcpu.Registers r = v.registers();
    return List.of(
        r.regs(),
        r.sregs(),
        r.debugregs(),
        r.xcrs(),
        r.xsave(),
        v.events(),
        v.platform().lapic(),
        v.platform().mpState(),
        v.nested().vmcs12());
  }

  private static void run(Moved moved, Restore restore, Result result) {
    Recorded.VcpuCall call = restore.run;
    if (call == null || call.run() == null || !(call.command() instanceof VcpuCommand.Run run)) {
      return;
    }
    Outcome outcome = VcpuModel.decide(moved.vcpu(), run).outcome();
    boolean injected = call.run().firstExitInjected();
    String predicted =
        switch (outcome) {
          case Outcome.Refused r -> r.errno().name();
          case Outcome.Exits e -> e.exit().name();
          case Outcome.Runs r -> r.fault() != null ? "TRIPLE_FAULT" : "runs";
          default -> "";
        };
    if (predicted.isEmpty()) {
      return;
    }
    result.runs++;
    String recorded =
        call.ret() < 0
            ? Restore.ending(call)
            : predicted.startsWith("KVM_EXIT")
                ? String.valueOf(call.run().result().run().exit())
                : injected ? "TRIPLE_FAULT" : "runs";
    if (predicted.equals("runs") && call.ret() < 0) {
      return;
    }
    check(result, restore, call, Ioctl.RUN.uapiName(), predicted, recorded);
  }

  private static void check(
      Result result,
      Restore restore,
      Recorded.VcpuCall call,
      String what,
      String predicted,
      String recorded) {
    if (!predicted.equals(recorded)) {
      result.wrong.add(
          restore.vcpu
              + " seq "
              + call.seq()
              + " "
              + what
              + " recorded "
              + recorded
              + " predicted "
              + predicted);
    }
  }
}
