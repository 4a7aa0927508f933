package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.store.CheckpointProbe;
import dev.faultline.store.ReplayState;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.timeline.Verification;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Vcpu;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A state that was kept before line k, read back, and fed the rest, ends as a replay from the
 * beginning does. By default k goes through every shipped recording in strides; with {@code
 * -Dfaultline.store.long=true} it is every line of every recording.
 */
final class CheckpointProperty {
  private static final int POINTS = 12;

  static List<RecordingSource> recordings() {
    List<RecordingSource> all = Recordings.all();
    return Boolean.getBoolean("faultline.store.long")
        ? all
        : all.stream()
            .filter(source -> source.recording().startsWith("timelines"))
            .filter(source -> !source.name().startsWith("fuzz"))
            .toList();
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void a_kept_state_and_the_rest_are_the_whole(RecordingSource source) {
    List<Observation> lines = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      reader.forEachRemaining(lines::add);
    }
    Reexecution whole =
        new Reexecution("t", KernelFacts.model(source.readFacts()), TimelineListener.NONE);
    List<Kept> kept = new ArrayList<>();
    int stride =
        Boolean.getBoolean("faultline.store.long") ? 1 : Math.max(1, lines.size() / POINTS);
    for (int k = 0; k < lines.size(); k++) {
      if (k % stride == 0) {
        keep(whole, k, kept);
      }
      whole.accept(RecordedCalls.convert(lines.get(k), whole.nextMoment()));
      // Few at a time, or long recordings would not fit.
      if (kept.size() > POINTS * 2) {
        kept.removeFirst();
      }
    }
    Verification expected = whole.result();
    assertThat(kept).isNotEmpty();
    for (Kept each : kept) {
      Reexecution rest = each.state().reexecution().fork(TimelineListener.NONE);
      for (Observation line : lines.subList(each.line(), lines.size())) {
        rest.accept(RecordedCalls.convert(line, rest.nextMoment()));
      }
      Verification found = rest.result();
      assertThat(found.calls()).as("from line %s", each.line()).isEqualTo(expected.calls());
      assertThat(found.runs()).as("from line %s", each.line()).isEqualTo(expected.runs());
      assertThat(found.fields()).as("from line %s", each.line()).isEqualTo(expected.fields());
      assertThat(expected.divergences())
          .endsWith(found.divergences().toArray(new dev.faultline.timeline.Divergence[0]));
      assertThat(words(rest)).as("from line %s", each.line()).isEqualTo(words(whole));
    }
  }

  /** A state, and the line that is next. */
  private record Kept(int line, ReplayState state) {}

  private static void keep(Reexecution whole, int line, List<Kept> kept) {
    ReplayState back =
        CheckpointProbe.keepAndReadBack(
            new ReplayState(whole.withoutFindings(), List.of("a"), "b"), whole.index());
    if (back != null) {
      kept.add(new Kept(line, back));
    }
  }

  /** The states as bytes: two that are equal are kept alike. */
  private static List<String> words(Reexecution reexecution) {
    List<String> words = new ArrayList<>();
    for (Vcpu vcpu : reexecution.vcpus().values()) {
      words.add(vcpu.name() + " " + CheckpointProbe.plain(vcpu));
    }
    return words;
  }
}
