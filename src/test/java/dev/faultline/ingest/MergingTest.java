package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.UsageException;
import dev.faultline.store.IntegrityReport;
import dev.faultline.store.TimelineStore;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.ObservationReader;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Real inputs that tell of one machine, merged. */
final class MergingTest {
  @TempDir Path folder;

  private static List<Observation> read(RecordingSource source) {
    List<Observation> all = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      reader.forEachRemaining(all::add);
    }
    return all;
  }

  private static List<String> words(List<Observation> all) {
    return all.stream()
        .map(o ->
            o instanceof Call c
                ? c.name() + c.obj() + c.ret() + c.enterNs() + c.tid() + c.trace().size()
                : o.getClass().getSimpleName())
        .toList();
  }

  private IntegrityReport imported(List<RecordingSource> sources) {
    try (TimelineStore store = TimelineStore.inMemory()) {
      RecordingImport.run(store, Merging.of("m", sources), "m", _ -> {});
      return store.check("m", _ -> {});
    }
  }

  @Test
  void a_migration_is_both_of_its_ends() {
    RecordingSource from = Recordings.shipped("qemu_strace_source");
    RecordingSource to = Recordings.shipped("qemu_strace_destination");
    List<Observation> all = read(Merging.of("m", List.of(from, to)));
    assertThat(all).hasSize(read(from).size() + read(to).size());
    assertThat(all.stream().filter(o -> o instanceof Call).map(o -> ((Call) o).obj()))
        .contains("vm1/vcpu0", "vm2/vcpu0");
    long before = -1;
    for (int i = 0; i < all.size(); i++) {
      assertThat(all.get(i).seq()).isEqualTo(i);
      if (all.get(i) instanceof Call call) {
        assertThat(call.exitNs()).isGreaterThan(before - 2_000_000);
        before = Math.max(before, call.exitNs());
      }
    }
    assertThat(imported(List.of(from, to))).isEqualTo(imported(List.of(to, from)));
  }

  @Test
  void a_trace_named_beside_a_recording_is_its_trace_whatever_they_are_called() throws IOException {
    RecordingSource pair = Recordings.shipped("qemu_strace_ftrace");
    Path calls = folder.resolve("what.xz");
    Path trace = folder.resolve("ever.xz");
    Files.copy(pair.recording(), calls);
    Files.copy(Objects.requireNonNull(pair.trace()), trace);
    List<RecordingSource> both = new ArrayList<>(Inputs.open(trace));
    both.addAll(Inputs.open(calls));
    assertThat(words(read(Merging.of("m", both)))).isEqualTo(words(read(pair)));
  }

  @Test
  void files_of_strace_ff_are_the_one_of_strace_f() throws IOException {
    RecordingSource whole = Recordings.shipped("qemu_strace_source");
    Map<String, StringBuilder> threads = new TreeMap<>();
    try (BufferedReader in =
        new BufferedReader(
            new InputStreamReader(
                CompressedFile.open(whole.recording()), StandardCharsets.UTF_8))) {
      for (String line = in.readLine(); line != null; line = in.readLine()) {
        int blank = line.indexOf(' ');
        threads
            .computeIfAbsent(line.substring(0, blank), _ -> new StringBuilder())
            .append(line.substring(blank).strip())
            .append('\n');
      }
    }
    List<RecordingSource> parts = new ArrayList<>();
    for (Map.Entry<String, StringBuilder> thread : threads.entrySet()) {
      Path file = folder.resolve("vmm.strace." + thread.getKey());
      Files.writeString(file, thread.getValue());
      parts.addAll(Inputs.open(file));
    }
    assertThat(parts.size()).isGreaterThan(2);
    List<Observation> merged = read(Merging.of("m", parts));
    assertThat(words(merged)).isEqualTo(words(read(whole)));
    for (Observation each : merged) {
      String[] place = each.where().split(":", -1);
      String line =
          Files.readAllLines(folder.resolve(place[0])).get(Integer.parseInt(place[1]) - 1);
      assertThat(line).contains(each instanceof Call call ? call.name() : "write(2");
      if (each.seq() > 50) {
        break;
      }
    }
  }

  @Test
  void an_import_of_several_that_was_cut_off_goes_on_and_ends_in_the_same_bytes() {
    List<RecordingSource> both =
        List.of(
            Recordings.shipped("qemu_strace_source"),
            Recordings.shipped("qemu_strace_destination"));
    try (TimelineStore store = TimelineStore.inMemory()) {
      int[] batches = {0};
      ImportListener dies =
          new ImportListener() {
            @Override
            public void read(int lines) {}

            @Override
            public void onDisk(int moment) {
              if (++batches[0] == 2) {
                throw new IllegalStateException("killed");
              }
            }
          };
      RecordingSource merged = Merging.of("m", both);
      assertThatThrownBy(
              () -> new RecordingImport(merged, store.writer("m", 2000), "m", dies).run())
          .hasMessage("killed");
      RecordingImport.Imported done = RecordingImport.run(store, merged, "m", _ -> {});
      assertThat(done.alreadyThere()).isBetween(2000L, done.events() - 2000);
      assertThat(Objects.requireNonNull(done.merged()).sources()).hasSize(2);
      assertThat(store.check("m", _ -> {})).isEqualTo(imported(both));
      try (ObservationReader reader = new StoredTimeline(store, "m").open()) {
        reader.forEachRemaining(_ -> {});
        assertThat(reader.merged()).isEqualTo(done.merged());
      }
    }
  }

  @Test
  void what_is_not_of_one_machine_is_told() {
    RecordingSource vmx = Recordings.shipped("smm_test");
    RecordingSource svm = Recordings.shipped("svm_state_test");
    assertThatThrownBy(() -> Merging.of("m", List.of(vmx, svm)))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("FL-421")
        .hasMessageContaining("smm_test")
        .hasMessageContaining("import them apart");
    try (TimelineStore store = TimelineStore.inMemory()) {
      RecordingImport.run(store, vmx, "t", _ -> {});
      RecordingSource stored = RecordingSource.of(new StoredTimeline(store, "t"));
      assertThatThrownBy(() -> Merging.of("m", List.of(vmx, stored)))
          .isInstanceOf(UsageException.class)
          .hasMessageContaining("a timeline of the store");
    }
  }
}
