package dev.faultline.audit;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The public bugs as text of strace shows them: names, arguments that are numbers, results. */
final class NamesOnlyScenario {
  private static final Path CASES =
      Path.of(System.getProperty("basedir", "."), "timelines", "cases");

  static Stream<PublicCase> cases() {
    return CasesConformance.cases();
  }

  private static AuditResult audited(String id, boolean isBad) {
    RecordingSource source =
        Inputs.open(CASES.resolve(id).resolve((isBad ? "bad" : "good") + ".jsonl.gz")).getFirst();
    Audit audit = new Audit(id, KernelFacts.model(source.readFacts()));
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        audit.accept(RecordedCalls.convert(stripped(reader.next()), audit.nextMoment()));
      }
    }
    return audit.result();
  }

  private static Observation stripped(Observation observation) {
    if (!(observation instanceof Observation.Call c)) {
      return observation;
    }
    Observation.Payload payload =
        c.name().equals("KVM_RUN")
            ? new Observation.Payload(
                Bytes.EMPTY,
                Bytes.EMPTY,
                Bytes.EMPTY,
                c.runOut(),
                Observation.Extras.NONE,
                Observation.Holding.EXIT_REASON)
            : Observation.Payload.UNSEEN;
    return new Observation.Call(
        c.seq(),
        c.enterNs(),
        c.exitNs(),
        c.caller(),
        c.target(),
        c.request(),
        c.result(),
        payload,
        c.traced(),
        c.where());
  }

  @ParameterizedTest
  @CsvSource({
    "C01, R31",
    "C05, R60",
    "C11, R33",
    "C21, R05",
    "C26, R06",
    "C31, R04",
    "C34, R05",
    "C37, R12",
    "C38, R12",
    "C39, R30",
    "C43, R10",
    "C47, R01",
    "C49, R36",
    "C53, R35",
    "C66, R67",
    "C67, R68",
    "C72, R03",
    "C73, R01"
  })
  void an_order_that_names_show_is_found_without_payloads(String id, String rule) {
    assertThat(audited(id, true).found()).containsKey(rule);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void without_payloads_a_good_timeline_has_no_error(PublicCase c) {
    assertThat(audited(c.id(), false).findings())
        .as(c.id())
        .noneMatch(f -> f.severity() == Severity.ERROR);
  }
}
