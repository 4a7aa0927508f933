package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.trace.FtraceReader;
import dev.faultline.trace.MergeReport;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Started;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.RecordingReader;
import dev.faultline.trace.TraceCoverage;
import dev.faultline.trace.TraceEvent;
import dev.faultline.trace.TraceEvent.UserspaceExit;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Every recording at hand is read whole, and its trace says of each call what the recording says.
 */
final class RecordingsConformance {
  private static final int EXIT_REASON = 8;

  static Stream<RecordingSource> recordings() {
    return Recordings.all().stream();
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void the_recording_and_its_trace_agree(RecordingSource source) {
    Tally tally = new Tally();
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        Observation observation = reader.next();
        tally.inProcess |= observation instanceof Started started && !started.recorder().isEmpty();
        if (observation instanceof Call call) {
          tally.calls++;
          check(call, tally);
        }
      }
      MergeReport report = reader.mergeReport();
      if (report == null) {
        assertThat(tally.absent).isEqualTo(tally.calls);
      } else {
        check(report, tally);
      }
    }
  }

  /** What is counted over one recording. */
  private static final class Tally {
    private long calls;
    private long absent;
    private long partial;
    private boolean inProcess;
  }

  private static void check(Call call, Tally tally) {
    switch (call.coverage()) {
      case ABSENT -> {
        tally.absent++;
        assertThat(call.trace()).isEmpty();
      }
      case PARTIAL -> tally.partial++;
      case COMPLETE -> checkWhole(call);
      case FILTERED -> {}
    }
    for (TraceEvent event : call.trace()) {
      if (event instanceof UserspaceExit exit) {
        checkExit(call, exit);
      }
    }
  }

  private static void checkExit(Call call, UserspaceExit exit) {
    assertThat(call.name()).as(call.where()).isEqualTo("KVM_RUN");
    if (exit.failed()) {
      assertThat(call.ret()).as(call.where()).isEqualTo(-1);
      assertThat(exit.errno()).as(call.where()).isEqualTo(call.errno());
    } else {
      assertThat(call.ret()).as(call.where()).isZero();
      assertThat(exit.number()).as(call.where()).isEqualTo(call.runOut().i32(EXIT_REASON));
    }
  }

  /** A KVM_RUN that came to run at all tells why it returns, once and at its end. */
  private static void checkWhole(Call call) {
    long exits = call.trace().stream().filter(UserspaceExit.class::isInstance).count();
    boolean ran = call.name().equals("KVM_RUN");
    boolean dead = call.ret() == -1 && call.errno() == 5;
    assertThat(exits).as(call.where()).isBetween(ran && !dead ? 1L : 0L, ran ? 1L : 0L);
    if (exits == 1) {
      assertThat(call.trace().getLast()).as(call.where()).isInstanceOf(UserspaceExit.class);
    }
  }

  private static void check(MergeReport report, Tally tally) {
    assertThat(report.trace().unread()).as("%s", report).isZero();
    assertThat(report.trace().damaged()).as("%s", report).isZero();
    assertThat(report.mismatched()).as("%s", report).isZero();
    assertThat(report.overwritten()).as("%s", report).isZero();
    if (tally.inProcess) {
      assertThat(report.enters() + report.exits()).isZero();
      assertThat(report.outside()).as("events in no call").isZero();
      assertThat(tally.absent + tally.partial).isZero();
    } else if (report.trace().overwritten()) {
      assertThat(tally.partial).isLessThanOrEqualTo(1);
      assertThat(report.exits()).isEqualTo(tally.calls - tally.absent);
    } else {
      assertThat(tally.absent + tally.partial).isZero();
      assertThat(report.enters()).isEqualTo(tally.calls);
      assertThat(report.exits()).isEqualTo(tally.calls);
    }
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void the_facts_beside_it_can_be_read(RecordingSource source) {
    RecordingFacts facts = source.readFacts();
    if (source.facts() == null) {
      assertThat(facts).isEqualTo(RecordingFacts.unknown(source.name()));
    } else {
      assertThat(facts.name()).isNotEmpty();
      assertThat(facts.params()).isNotEmpty();
    }
  }

  /**
   * Both ways of merging come to the same result where both can be taken: without its markers, a
   * trace is merged by the clock. The events that happen in a call only by chance (the host's page
   * tables change) are left out.
   */
  @ParameterizedTest
  @ValueSource(strings = {"scn_a", "smm_test", "state_test", "vmx_invalid_nested_guest_state"})
  void merged_by_clock_each_call_has_the_events_that_the_markers_give_it(String name)
      throws IOException {
    RecordingSource source = Recordings.shipped(name);
    List<List<TraceEvent>> byMarkers = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      traces(reader, byMarkers);
    }
    List<List<TraceEvent>> byClock = new ArrayList<>();
    try (InputStream lines = CompressedFile.open(source.recording());
        ObservationReader reader =
            new RecordingReader(name, lines, new FtraceReader(name, withoutMarkers(source)))) {
      traces(reader, byClock);
    }
    assertThat(byClock).isEqualTo(byMarkers);
  }

  private static void traces(ObservationReader reader, List<List<TraceEvent>> traces) {
    while (reader.hasNext()) {
      if (reader.next() instanceof Call call) {
        traces.add(
            call.trace().stream().filter(event -> !(event instanceof TraceEvent.Other)).toList());
      }
    }
  }

  private static InputStream withoutMarkers(RecordingSource source) throws IOException {
    if (source.trace() == null) {
      throw new AssertionError("expected a trace beside " + source.name());
    }
    try (InputStream trace = CompressedFile.open(source.trace())) {
      String text = new String(trace.readAllBytes(), StandardCharsets.UTF_8);
      String rest =
          text.lines()
              .filter(line -> !line.contains(": tracing_mark_write: "))
              .collect(Collectors.joining("\n", "", "\n"));
      return new ByteArrayInputStream(rest.getBytes(StandardCharsets.UTF_8));
    }
  }

  @Test
  void an_overwritten_beginning_is_told_from_a_whole_trace() {
    List<TraceCoverage> coverages = new ArrayList<>();
    try (ObservationReader reader = Recordings.shipped("vmx_invalid_nested_guest_state").open()) {
      while (reader.hasNext()) {
        if (reader.next() instanceof Call call) {
          coverages.add(call.coverage());
        }
      }
    }
    assertThat(coverages).hasSize(28).containsOnly(TraceCoverage.COMPLETE);
  }
}
