package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.timeline.Verification;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.opentest4j.TestAbortedException;

/**
 * Every call of every recording made on AMD is decided and ends as decided, and every field that
 * the model knows is as it says.
 *
 * <p>Recordings: {@code timelines/svm_state_test}, and the folder {@code svm} of those that the
 * property {@code faultline.recordings}, else the variable {@code FAULTLINE_RECORDINGS} names, else
 * of {@code ../shared/recordings}; without that folder one test says so by being skipped.
 */
class SvmConformance {
  private static final Path BASE = Path.of(System.getProperty("basedir", "."));

  @TestFactory
  Stream<DynamicTest> recordings_made_on_svm_verify_whole() {
    List<DynamicTest> tests = new ArrayList<>();
    List<RecordingSource> sources =
        new ArrayList<>(Inputs.open(BASE.resolve("timelines/svm_state_test")));
    Path folder = others().resolve("svm");
    if (Files.isDirectory(folder)) {
      sources.addAll(Inputs.open(folder));
    } else {
      tests.add(DynamicTest.dynamicTest(folder.toString(), () -> absent(folder)));
    }
    for (RecordingSource source : sources) {
      tests.add(DynamicTest.dynamicTest(source.name(), () -> check(source)));
    }
    return tests.stream();
  }

  private static void absent(Path folder) {
    throw new TestAbortedException("no recordings of SVM in " + folder);
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
    Reexecution replay =
        new Reexecution(
            source.name(), KernelFacts.model(source.readFacts()), new TimelineListener() {});
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        replay.accept(RecordedCalls.convert(reader.next(), replay.nextMoment()));
      }
    }
    Verification verification = replay.result();
    assertThat(verification.divergences()).isEmpty();
    assertThat(verification.calls().compared()).isEqualTo(verification.calls().total());
    assertThat(verification.calls().agree()).isEqualTo(verification.calls().total());
    assertThat(verification.fields().agree()).isEqualTo(verification.fields().compared());
  }
}
