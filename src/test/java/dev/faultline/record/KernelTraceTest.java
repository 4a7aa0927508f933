package dev.faultline.record;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.faultline.trace.Observation;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.zip.GZIPInputStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Records with {@code --ftrace}, on a machine with tracefs and KVM. */
final class KernelTraceTest {
  @TempDir private static Path folder;
  private static Path vmm;
  private static @Nullable Path instances;

  @BeforeAll
  static void need() throws IOException {
    for (String mount : Files.readAllLines(Path.of("/proc/self/mounts"))) {
      String[] words = mount.split(" ", 4);
      if (words[2].equals("tracefs")) {
        instances = Path.of(words[1], "instances");
      }
    }
    Path found = instances;
    if (found == null || !Files.isWritable(found)) {
      Program.skip("there is no tracefs here, or it is not ours");
    }
    vmm = Program.vmm(folder);
  }

  private static Path instance(long pid) {
    return Objects.requireNonNull(instances).resolve("faultline-" + pid);
  }

  @Test
  void each_call_is_marked_and_has_what_the_kernel_traced_of_it() throws IOException {
    // As a recorder leaves it that was killed together with its guard; no process has this number.
    Path left = Files.createDirectory(instance(4_194_305));
    Path recording = folder.resolve("traced.jsonl.gz");
    Path told = folder.resolve("traced");
    Process recorder =
        Program.start(Program.recorder("--ftrace", "-o", recording, "--", vmm), told);

    assertThat(Program.ended(recorder)).isEqualTo(7);

    assertThat(left).doesNotExist();
    assertThat(instance(recorder.pid())).doesNotExist();
    List<String> trace = lines(folder.resolve("traced.ftrace.txt.gz"));
    List<Observation.Call> calls = new ArrayList<>();
    for (Observation observation : Program.read(recording)) {
      if (observation instanceof Observation.Call call) {
        calls.add(call);
        String marked = ": kvmrec seq=" + call.seq() + " exit " + call.name() + " ret=";
        assertThat(trace).filteredOn(line -> line.contains(marked)).hasSize(1);
      }
    }
    assertThat(calls).hasSizeGreaterThan(200);
    // KVM writes an event whenever a guest's OUT is emulated, whatever else the host traces.
    assertThat(calls)
        .filteredOn(call -> call.name().equals("KVM_RUN") && call.ret() == 0)
        .isNotEmpty()
        .allSatisfy(call -> assertThat(call.traced().events()).isNotEmpty());
    boolean entriesTraced = trace.stream().anyMatch(line -> line.contains(": kvm_entry:"));
    assertThat(Program.text(told).contains("does not trace kvm_entry")).isNotEqualTo(entriesTraced);
    assertThat(trace.stream().anyMatch(line -> line.startsWith("# not traced by this host:")))
        .isNotEqualTo(entriesTraced);
  }

  @Test
  void a_recorder_that_is_killed_leaves_no_instance_and_the_vmm_alive() throws IOException {
    Path goOn = folder.resolve("goOn");
    Path told = folder.resolve("killed");
    Path recording = folder.resolve("killed.jsonl.gz");
    Process recorder =
        Program.start(
            Program.recorder("--ftrace", "-o", recording, "--", vmm, "until", goOn), told);
    try {
      await()
          .atMost(Duration.ofMinutes(1))
          .until(() -> Files.exists(recording) && Files.size(recording) > 1 << 16);
      assertThat(instance(recorder.pid())).exists();
    } finally {
      recorder.destroyForcibly();
    }
    assertThat(Program.ended(recorder)).isEqualTo(128 + 9);

    await().until(() -> !Files.exists(instance(recorder.pid())));
    Files.createFile(goOn);
    await().until(() -> Program.text(told).contains("exits 40\n"));
    assertThat(Program.read(recording)).hasSizeGreaterThan(10);
  }

  private static List<String> lines(Path file) throws IOException {
    try (InputStream in = new GZIPInputStream(Files.newInputStream(file))) {
      return new String(in.readAllBytes(), StandardCharsets.ISO_8859_1).lines().toList();
    }
  }
}
