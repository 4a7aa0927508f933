package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.FaultlineException;
import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * However a recording or its trace is cut or garbled: what is read is a beginning of it, or an
 * error is told.
 */
final class DamageProperty {
  private static final long SEED = 20261122;
  private static final int ROUNDS = 60;

  @TempDir Path folder;

  /** What a reading came to. */
  private record Reading(List<Observation> observations, @Nullable FaultlineException error) {}

  @ParameterizedTest
  @ValueSource(strings = {"smm_test", "vmx_invalid_nested_guest_state"})
  void a_recording_cut_anywhere_gives_its_beginning_and_an_error(String name) throws IOException {
    RecordingSource source = Recordings.shipped(name);
    byte[] whole = Files.readAllBytes(source.recording());
    List<Observation> expected =
        read(Files.write(folder.resolve("cut.jsonl"), whole)).observations();
    SplittableRandom random = new SplittableRandom(SEED);
    for (int round = 0; round < ROUNDS; round++) {
      int size = random.nextInt(whole.length);
      Reading reading = read(Files.write(folder.resolve("cut.jsonl"), head(whole, size)));
      String as = name + " cut after " + size;
      assertThat(reading.error()).as(as).isNotNull();
      checkError(as, reading);
      assertBeginning(as, reading.observations(), expected);
    }
  }

  @Test
  void a_plain_recording_cut_anywhere_gives_its_beginning() throws IOException {
    byte[] whole = plain(Recordings.shipped("vmx_invalid_nested_guest_state").recording());
    List<Observation> expected =
        read(Files.write(folder.resolve("cut.jsonl"), whole)).observations();
    SplittableRandom random = new SplittableRandom(SEED);
    for (int round = 0; round < ROUNDS; round++) {
      int size = random.nextInt(whole.length);
      Reading reading = read(Files.write(folder.resolve("cut.jsonl"), head(whole, size)));
      String as = "cut after " + size;
      checkError(as, reading);
      assertBeginning(as, reading.observations(), expected);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"smm_test/recording.jsonl.gz", "fuzz-restore-order/recording.jsonl.xz"})
  void a_compressed_recording_garbled_anywhere_is_read_or_told(String path) throws IOException {
    byte[] whole = Files.readAllBytes(Path.of("timelines").resolve(path));
    SplittableRandom random = new SplittableRandom(SEED);
    for (int round = 0; round < 20; round++) {
      int at = random.nextInt(whole.length);
      byte[] garbled = whole.clone();
      garbled[at] ^= (byte) (1 << random.nextInt(8));
      checkError(
          path + " garbled at " + at, read(Files.write(folder.resolve("garbled.jsonl"), garbled)));
    }
  }

  @Test
  void a_plain_recording_garbled_anywhere_is_read_or_told() throws IOException {
    byte[] whole = plain(Recordings.shipped("vmx_invalid_nested_guest_state").recording());
    SplittableRandom random = new SplittableRandom(SEED);
    for (int round = 0; round < 300; round++) {
      byte[] garbled = whole.clone();
      int at = random.nextInt(whole.length);
      int count = 1 + random.nextInt(4);
      for (int i = at; i < Math.min(at + count, whole.length); i++) {
        garbled[i] = (byte) random.nextInt(256);
      }
      checkError("garbled at " + at, read(Files.write(folder.resolve("garbled.jsonl"), garbled)));
    }
  }

  @Test
  void a_garbled_trace_costs_its_lines_and_never_the_recording() throws IOException {
    RecordingSource source = Recordings.shipped("vmx_invalid_nested_guest_state");
    Path trace = source.trace();
    assertThat(trace).isNotNull();
    byte[] lines = Files.readAllBytes(source.recording());
    byte[] whole = plain(trace);
    Path recording = Files.write(folder.resolve("boot.jsonl.gz"), lines);
    SplittableRandom random = new SplittableRandom(SEED);
    for (int round = 0; round < ROUNDS; round++) {
      byte[] garbled = whole.clone();
      int at = random.nextInt(whole.length);
      for (int i = at; i < Math.min(at + 100, whole.length); i++) {
        garbled[i] = (byte) random.nextInt(256);
      }
      Files.write(folder.resolve("boot.ftrace.txt"), garbled);
      Reading reading = read(recording);
      assertThat(reading.error()).as("garbled at %d", at).isNull();
      assertThat(reading.observations()).as("garbled at %d", at).hasSize(38);
    }
  }

  @Test
  void a_cut_trace_is_told_by_its_name() throws IOException {
    RecordingSource source = Recordings.shipped("vmx_invalid_nested_guest_state");
    Path trace = source.trace();
    assertThat(trace).isNotNull();
    Path recording = folder.resolve("boot.jsonl.gz");
    Files.copy(source.recording(), recording);
    byte[] whole = Files.readAllBytes(trace);
    for (int size = 30; size < whole.length; size += whole.length / 20) {
      Files.write(folder.resolve("boot.ftrace.txt.gz"), head(whole, size));
      Reading reading = read(recording);
      assertThat(reading.error()).as("cut after %d", size).isInstanceOf(FormatException.class);
      assertThat(reading.error()).hasMessageContaining("boot.ftrace.txt.gz");
    }
  }

  private static Reading read(Path path) {
    List<Observation> observations = new ArrayList<>();
    try (ObservationReader reader = Inputs.open(path).getFirst().open()) {
      while (reader.hasNext()) {
        observations.add(reader.next());
      }
    } catch (FaultlineException e) {
      return new Reading(observations, e);
    }
    return new Reading(observations, null);
  }

  private static void checkError(String as, Reading reading) {
    FaultlineException error = reading.error();
    if (error != null) {
      assertThat(error)
          .as(as)
          .isInstanceOfAny(FormatException.class, TraceSyntaxException.class)
          .hasMessageMatching("FL-\\d{3} (cut|garbled)\\.jsonl(:\\d+: | holds no |: expected ).*");
      assertThat(error.exitCode()).as(as).isEqualTo(65);
    }
  }

  private static void assertBeginning(
      String as, List<Observation> beginning, List<Observation> whole) {
    assertThat(beginning).as(as).hasSizeLessThanOrEqualTo(whole.size());
    assertThat(beginning).as(as).isEqualTo(whole.subList(0, beginning.size()));
  }

  private static byte[] head(byte[] whole, int size) {
    byte[] head = new byte[size];
    System.arraycopy(whole, 0, head, 0, size);
    return head;
  }

  private static byte[] plain(Path path) throws IOException {
    try (InputStream in = CompressedFile.open(path)) {
      return in.readAllBytes();
    }
  }
}
