package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.UsageException;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.tukaani.xz.LZMA2Options;
import org.tukaani.xz.XZOutputStream;

/** What a named file or folder is. */
final class InputsTest {
  private static final String LINE =
      "{\"seq\":1,\"ev\":\"mark\",\"t_enter\":5,\"tid\":7,\"text\":\"hello\"}\n";

  @TempDir Path folder;

  @ParameterizedTest
  @ValueSource(strings = {"boot.jsonl", "boot.jsonl.gz", "boot.jsonl.xz", "odd.name"})
  void how_a_file_is_compressed_its_content_tells_and_not_its_name(String name) throws IOException {
    for (byte[] content : List.of(plain(LINE), gzip(LINE), xz(LINE))) {
      Path file = Files.write(folder.resolve(name), content);
      assertThat(read(Inputs.open(file).getFirst())).hasSize(1);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "boot.jsonl, boot.ftrace.txt",
    "boot.jsonl.gz, boot.ftrace.txt.gz",
    "boot.jsonl.xz, boot.ftrace.txt.gz",
    "boot.jsonl.gz, boot.ftrace.txt.xz",
    "other.name, other.name.ftrace.txt"
  })
  void trace_and_facts_lie_beside_the_recording(String recording, String trace) throws IOException {
    Files.write(folder.resolve(recording), gzip(LINE));
    Files.write(folder.resolve(trace), gzip("# tracer: nop\n"));
    String base = recording.replaceAll("\\.jsonl.*", "");
    Files.writeString(folder.resolve(base + ".meta.json"), "{\"name\":\"inside\"}");
    RecordingSource source = Inputs.open(folder.resolve(recording)).getFirst();
    assertThat(source.name()).isEqualTo(base);
    assertThat(source.trace()).isEqualTo(folder.resolve(trace));
    assertThat(source.facts()).isEqualTo(folder.resolve(base + ".meta.json"));
    assertThat(source.readFacts().name()).isEqualTo("inside");
    assertThat(read(source)).hasSize(1);
  }

  @Test
  void a_recording_may_lie_alone() throws IOException {
    RecordingSource source =
        Inputs.open(Files.write(folder.resolve("boot.jsonl"), plain(LINE))).getFirst();
    assertThat(source.trace()).isNull();
    assertThat(source.facts()).isNull();
    assertThat(source.readFacts().name()).isEqualTo("boot");
    try (ObservationReader reader = source.open()) {
      assertThat(reader.hasNext()).isTrue();
      assertThat(reader.mergeReport()).isNull();
    }
  }

  @Test
  void a_folder_is_searched_with_its_folders_in_the_order_of_paths() throws IOException {
    Files.createDirectories(folder.resolve("b/c/d"));
    for (String name :
        List.of(
            "z.jsonl",
            "a.jsonl.gz",
            "a.outcome.jsonl.gz",
            "a.meta.json",
            "a.ftrace.txt.gz",
            "b/x.jsonl.xz",
            "b/c/d/y.jsonl",
            "b/README.md")) {
      Files.write(folder.resolve(name), plain(LINE));
    }
    List<RecordingSource> found = Inputs.open(folder);
    assertThat(found.stream().map(RecordingSource::name))
        .containsExactly("a", "b/c/d/y", "b/x", "z");
    assertThat(read(found.get(1)).getFirst().where()).isEqualTo("b/c/d/y.jsonl:1");
    assertThat(read(found.get(3)).getFirst().where()).isEqualTo("z.jsonl:1");
  }

  @Test
  void a_folder_that_is_one_recording_has_the_name_of_the_folder() throws IOException {
    Path one = Files.createDirectories(folder.resolve("timelines/smm_test"));
    Files.write(one.resolve("recording.jsonl.xz"), xz(LINE));
    Files.write(one.resolve("other.jsonl"), plain(LINE));
    Files.writeString(one.resolve("recording.meta.json"), "{\"kernel\":\"6.1.0\"}");
    RecordingSource named = Inputs.open(one).getFirst();
    assertThat(named.name()).isEqualTo("smm_test");
    assertThat(named.readFacts().kernel()).isEqualTo("6.1.0");
    assertThat(named.readFacts().name()).isEqualTo("smm_test");
    assertThat(read(named).getFirst().where()).isEqualTo("smm_test/recording.jsonl.xz:1");
    assertThat(Inputs.open(one.resolve("recording.jsonl.xz"))).containsExactly(named);
    List<RecordingSource> found = Inputs.open(folder);
    assertThat(found).hasSize(1);
    assertThat(found.getFirst().name()).isEqualTo("timelines/smm_test");
    assertThat(found.getFirst().recording()).isEqualTo(named.recording());
  }

  @Test
  void the_shipped_recordings_are_found() {
    assertThat(
            Inputs.open(Path.of("timelines")).stream()
                .map(RecordingSource::name)
                .filter(name -> !name.startsWith("cases/")))
        .containsExactly(
            "cr4_cpuid_sync_test",
            "fuzz-restore-order",
            "qemu_perf",
            "qemu_refused_msr",
            "qemu_strace_boot",
            "qemu_strace_destination",
            "qemu_strace_ftrace",
            "qemu_strace_refused_msr",
            "qemu_strace_source",
            "qemu_trace_cmd",
            "scn_a",
            "scn_d",
            "set_sregs_test",
            "smm_test",
            "state_test",
            "svm_state_test",
            "sync_regs_test",
            "triple_fault_event_test",
            "vmx_invalid_nested_guest_state",
            "vmx_set_nested_state_test");
  }

  @Test
  void what_is_not_there_is_a_wrong_command_line() {
    usage(folder.resolve("nothing.jsonl"), "found nothing of this name");
  }

  @Test
  void a_folder_without_recordings_is_a_wrong_command_line() throws IOException {
    Files.writeString(folder.resolve("README.md"), "nothing here");
    usage(folder, "found none in it");
  }

  private static void usage(Path input, String fragment) {
    assertThatExceptionOfType(UsageException.class)
        .isThrownBy(() -> Inputs.open(input))
        .withMessageStartingWith("FL-401 " + input + ": expected ")
        .withMessageContaining(fragment)
        .satisfies(e -> {
          assertThat(e.code()).isEqualTo(ErrorCode.INPUT_NOT_FOUND);
          assertThat(e.exitCode()).isEqualTo(2);
        });
  }

  @Test
  void a_file_that_goes_away_before_it_is_opened_is_told() throws IOException {
    Path file = Files.write(folder.resolve("boot.jsonl"), plain(LINE));
    RecordingSource source = Inputs.open(file).getFirst();
    Files.delete(file);
    assertThatExceptionOfType(UsageException.class)
        .isThrownBy(source::open)
        .withMessageContaining("found that it is gone");
  }

  @Test
  void an_empty_file_holds_no_recording() throws IOException {
    for (byte[] content : List.of(new byte[0], gzip(""), xz(""))) {
      Path file = Files.write(folder.resolve("boot.jsonl"), content);
      assertThatExceptionOfType(FormatException.class)
          .isThrownBy(() -> read(Inputs.open(file).getFirst()))
          .withMessageContaining("boot.jsonl holds no recording");
    }
  }

  @ParameterizedTest
  @CsvSource({"28b52ffd00000000, zstd", "425a683931415926, bzip2", "504b030400000000, zip"})
  void another_compression_is_told_with_the_command_that_undoes_it(String hex, String name)
      throws IOException {
    byte[] content = HexFormat.of().parseHex(hex);
    Path file = Files.write(folder.resolve("boot.jsonl"), content);
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(() -> read(Inputs.open(file).getFirst()))
        .withMessageStartingWith("FL-214 boot.jsonl: expected a plain file or one compressed by")
        .withMessageContaining("found " + name);
  }

  @ParameterizedTest
  @CsvSource({
    "1708447472616369, 6e67, trace-cmd report -i boot.dat",
    "50455246494c4532, 6800, perf script -i boot.dat"
  })
  void what_a_tracer_records_is_told_with_the_command_that_prints_it(
      String first, String second, String told) throws IOException {
    byte[] content = HexFormat.of().parseHex(first + second);
    Path file = Files.write(folder.resolve("boot.dat"), content);
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(() -> read(Inputs.open(file).getFirst()))
        .withMessageStartingWith("FL-214 boot.dat: expected text, found what ")
        .withMessageContaining(told);
  }

  @ParameterizedTest
  @ValueSource(strings = {"1f8b", "1f8b08000000", "fd377a585a00", "fd377a585a000004"})
  void a_header_that_is_cut_is_told(String hex) throws IOException {
    byte[] content = HexFormat.of().parseHex(hex);
    Path file = Files.write(folder.resolve("boot.jsonl"), content);
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(() -> read(Inputs.open(file).getFirst()))
        .withMessageStartingWith("FL-215 boot.jsonl")
        .satisfies(e -> assertThat(e.exitCode()).isEqualTo(65));
  }

  @Test
  void a_trace_without_kvm_events_is_told_what_it_lacks() throws IOException {
    Path file = Files.write(folder.resolve("boot.ftrace.txt.gz"), gzip("# tracer: nop\n"));
    assertThatExceptionOfType(FormatException.class)
        .isThrownBy(() -> read(Inputs.open(file).getFirst()))
        .withMessageContaining("expected kvm_userspace_exit or KVM ioctls in the trace");
  }

  @Test
  void traces_in_a_folder_are_found_but_for_those_beside_another_input() throws IOException {
    for (String name :
        List.of("a.strace", "a.ftrace.txt", "b.ftrace.txt.xz", "c.perf.txt.gz", "d.jsonl")) {
      Files.writeString(folder.resolve(name), "{}");
    }
    Files.writeString(folder.resolve("d.ftrace.txt.gz"), "");

    assertThat(Inputs.open(folder))
        .extracting(RecordingSource::name)
        .containsExactly("a", "b", "c", "d");
    assertThat(Inputs.open(folder).getFirst().trace()).isEqualTo(folder.resolve("a.ftrace.txt"));
  }

  @Test
  void a_recording_can_be_opened_again() throws IOException {
    Path file = Files.write(folder.resolve("boot.jsonl"), xz(LINE));
    RecordingSource source = Inputs.open(file).getFirst();
    assertThat(read(source)).isEqualTo(read(source));
  }

  @Test
  void a_million_characters_without_a_newline_end_in_one_sentence() throws IOException {
    Path file = Files.write(folder.resolve("boot.jsonl"), gzip("{\"seq\":" + "1".repeat(1 << 20)));
    assertThatExceptionOfType(TraceSyntaxException.class)
        .isThrownBy(() -> read(Inputs.open(file).getFirst()))
        .withMessageStartingWith("FL-103 boot.jsonl:1: ");
    byte[] bomb = gzip("x".repeat(64 << 20));
    Files.write(file, bomb);
    assertThatExceptionOfType(TraceSyntaxException.class)
        .isThrownBy(() -> read(Inputs.open(file).getFirst()))
        .withMessageStartingWith("FL-101 boot.jsonl:1: ");
  }

  private static List<Observation> read(RecordingSource source) {
    try (ObservationReader reader = source.open()) {
      List<Observation> observations = new ArrayList<>();
      reader.forEachRemaining(observations::add);
      return observations;
    }
  }

  private static byte[] plain(String text) {
    return text.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] gzip(String text) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (OutputStream out = new GZIPOutputStream(bytes)) {
      out.write(plain(text));
    }
    return bytes.toByteArray();
  }

  private static byte[] xz(String text) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (OutputStream out = new XZOutputStream(bytes, new LZMA2Options(0))) {
      out.write(plain(text));
    }
    return bytes.toByteArray();
  }
}
