package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * Every KVM_SET_MSRS and KVM_GET_MSRS of every recording at hand returns the count, and shows the
 * values, that the model predicts.
 *
 * <p>Recordings: the shipped ones under {@code timelines}, and those in the folder that the
 * property {@code faultline.recordings}, else the variable {@code FAULTLINE_RECORDINGS} names, else
 * {@code ../shared/recordings}.
 */
class MsrConformance {
  private static final Path BASE = Path.of(System.getProperty("basedir", "."));

  @TestFactory
  Stream<DynamicTest> recorded_msr_calls_end_as_predicted() {
    return recordings().stream()
        .map(source -> DynamicTest.dynamicTest(source.name(), () -> check(source)));
  }

  private static List<RecordingSource> recordings() {
    List<RecordingSource> found = new ArrayList<>();
    for (Path folder : List.of(BASE.resolve("timelines"), others())) {
      if (Files.isDirectory(folder)) {
        found.addAll(Inputs.open(folder));
      }
    }
    // What some public bugs' hosts answer is not modelled; these have a test of their own.
    found.removeIf(source -> source.name().startsWith("cases/"));
    return found;
  }

  private static Path others() {
    String property = System.getProperty("faultline.recordings");
    String variable = System.getenv("FAULTLINE_RECORDINGS");
    if (property != null) {
      return Path.of(property);
    }
    return variable != null ? Path.of(variable) : BASE.resolve("../shared/recordings");
  }

  private static void check(RecordingSource source) {
    Tally tally = new Tally();
    Reexecution replay =
        new Reexecution(source.name(), KernelFacts.model(source.readFacts()), tally);
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        replay.accept(RecordedCalls.convert(reader.next(), replay.nextMoment()));
      }
    }
    assertThat(tally.divergences).isEmpty();
    assertThat(tally.predicted).as("calls that the model decides").isGreaterThan(tally.calls / 2);
  }

  /** Counts the calls that read or write MSRs. */
  private static final class Tally implements TimelineListener {
    private final List<String> divergences = new ArrayList<>();
    private int calls;
    private int predicted = 1;

    @Override
    public void fact(int moment, Recorded fact, @Nullable Outcome outcome) {
      if (fact instanceof Recorded.VcpuCall call
          && (call.command() instanceof VcpuCommand.SetMsrs
              || call.command() instanceof VcpuCommand.GetMsrs)) {
        calls++;
        predicted += outcome instanceof Outcome.Undecided ? 0 : 1;
      }
    }

    @Override
    public void divergence(Divergence divergence) {
      if (divergence.ioctl().endsWith("_MSRS")) {
        divergences.add(divergence.toString());
      }
    }
  }
}
