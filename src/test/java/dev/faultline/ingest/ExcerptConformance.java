package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.store.TimelineStore;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.ObservationReader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every shipped recording that was imported, written from the store as files again, is the
 * recording that was imported: lines, trace and facts.
 */
final class ExcerptConformance {
  @TempDir Path folder;

  static List<RecordingSource> recordings() {
    return Recordings.all().stream()
        .filter(source -> source.recording().startsWith("timelines"))
        .filter(source -> {
          try (ObservationReader reader = source.open()) {
            return reader.format() == InputFormat.RECORDING;
          }
        })
        .toList();
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void what_is_written_from_a_store_is_what_was_imported(RecordingSource file) {
    try (TimelineStore store = TimelineStore.inMemory()) {
      RecordingImport.run(store, file, "t", _ -> {});
      RecordingSource stored = RecordingSource.of(new StoredTimeline(store, "t"));
      List<Observation> all = read(stored);
      RecordingSource written =
          RecordingExcerpt.write(stored, all, folder.resolve("t.jsonl"), file.trace() != null);
      assertThat(written.readFacts().params()).isEqualTo(file.readFacts().params());
      assertThat(written.readFacts().kernel()).isEqualTo(file.readFacts().kernel());
      List<Observation> found = read(written);
      assertThat(found).hasSameSizeAs(all);
      for (int i = 0; i < all.size(); i++) {
        assertThat(bare(found.get(i))).isEqualTo(bare(all.get(i)));
      }
    }
  }

  private static List<Observation> read(RecordingSource source) {
    List<Observation> all = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      reader.forEachRemaining(all::add);
    }
    return all;
  }

  /** Without its place, which is another one. */
  private static Object bare(Observation o) {
    return o instanceof Call c
        ? new Call(
            c.seq(),
            c.enterNs(),
            c.exitNs(),
            c.caller(),
            c.target(),
            c.request(),
            c.result(),
            c.payload(),
            c.traced(),
            "")
        : o.seq();
  }
}
