package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.store.TimelineStore;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.timeline.Verification;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.MergeReport;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every shipped recording, imported and read from the store, is the recording that was imported;
 * with {@code -Dfaultline.store.long=true} every one that is at hand.
 */
final class StoredTimelineConformance {
  static List<RecordingSource> recordings() {
    List<RecordingSource> all = Recordings.all();
    return Boolean.getBoolean("faultline.store.long")
        ? all
        : all.stream().filter(source -> source.recording().startsWith("timelines")).toList();
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void a_stored_timeline_gives_what_its_recording_gives(RecordingSource file) {
    try (TimelineStore store = TimelineStore.inMemory()) {
      RecordingImport.run(store, file, "t", _ -> {});
      RecordingSource stored = RecordingSource.of(new StoredTimeline(store, "t"));
      assertThat(stored.readFacts()).isEqualTo(file.readFacts());
      Reexecution ofFile =
          new Reexecution("t", KernelFacts.model(file.readFacts()), TimelineListener.NONE);
      Reexecution ofStore =
          new Reexecution("t", KernelFacts.model(stored.readFacts()), TimelineListener.NONE);
      @Nullable MergeReport merged;
      try (ObservationReader one = file.open();
          ObservationReader other = stored.open()) {
        while (one.hasNext()) {
          Observation expected = one.next();
          assertThat(other.hasNext()).isTrue();
          Observation found = other.next();
          assertThat(found).isEqualTo(expected);
          ofFile.accept(RecordedCalls.convert(expected, ofFile.nextMoment()));
          ofStore.accept(RecordedCalls.convert(found, ofStore.nextMoment()));
        }
        assertThat(other.hasNext()).isFalse();
        merged = one.mergeReport();
        assertThat(other.mergeReport()).isEqualTo(merged);
      }
      Verification expected = ofFile.result();
      assertThat(ofStore.result()).isEqualTo(expected);
    }
  }
}
