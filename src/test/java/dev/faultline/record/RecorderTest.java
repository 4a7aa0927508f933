package dev.faultline.record;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.faultline.trace.Observation;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Records a program that issues KVM's ioctls on {@code /dev/null}: they fail, but they are made by
 * threads and children among signals and job control, as those of a VMM.
 *
 * <p>{@code -Dfaultline.record.kills=100} kills recorder and program more often.
 */
final class RecorderTest {
  private static final int KILLS = Integer.getInteger("faultline.record.kills", 2);
  private static final int KILLED = 128 + 9;
  private static final String TOLD = "signals 50 child 6 stopped 1 continued 1\n";

  @TempDir private static Path folder;
  private static Path program;

  @BeforeAll
  static void compile() {
    program = Program.compiled(folder);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "--seccomp"})
  void every_ioctl_is_recorded_that_strace_sees_and_the_program_notices_nothing(String option)
      throws IOException {
    Path trace = folder.resolve("strace.txt");
    Path told = folder.resolve("told");
    String[] strace = {"strace", "-f", "-e", "trace=ioctl", "-o"};
    List<String> traced = new ArrayList<>(List.of(strace));
    traced.addAll(List.of(trace.toString(), program.toString()));
    assertThat(Program.ended(Program.start(traced, told))).isEqualTo(7);
    assertThat(Program.text(told)).isEqualTo(TOLD);

    Path recording = folder.resolve("all.jsonl.gz");
    List<String> command =
        option.isEmpty()
            ? Program.recorder("-o", recording, "--", program)
            : Program.recorder("-o", recording, option, "--", program);
    assertThat(Program.ended(Program.start(command, told))).isEqualTo(7);

    assertThat(Program.text(told)).isEqualTo(TOLD);
    List<Observation> all = Program.read(recording);
    assertThat(StraceCalls.of(all)).isEqualTo(StraceCalls.of(Files.readString(trace)));
    assertThat(StraceCalls.of(all)).hasSize(5);
    assertPayloads(all);
  }

  @Test
  void the_end_by_a_signal_is_the_programs_own() {
    Path recording = folder.resolve("signal.jsonl.gz");
    List<String> command = Program.recorder("-o", recording, "--", "sh", "-c", "kill -TERM $$");

    assertThat(Program.ended(Program.start(command, folder.resolve("told")))).isEqualTo(128 + 15);
    assertThat(Program.read(recording))
        .anyMatch(o -> o instanceof Observation.Exited exited && exited.signal() == 15);
  }

  @Test
  void a_full_disk_ends_the_recording_with_a_sentence_and_not_the_program() {
    Path told = folder.resolve("full");
    List<String> command = Program.recorder("-o", "/dev/full", "--", program);

    assertThat(Program.ended(Program.start(command, told))).isEqualTo(7);
    assertThat(Program.text(told))
        .contains("FL-311 /dev/full: expected room", "No space left", "the program runs on")
        .contains(TOLD);
  }

  @Test
  void a_program_that_is_not_there_costs_a_sentence() {
    Path told = folder.resolve("none");
    List<String> command =
        Program.recorder("-o", folder.resolve("none.jsonl.gz"), "--", "no-such-vmm");

    assertThat(Program.ended(Program.start(command, told))).isEqualTo(2);
    assertThat(Program.text(told)).startsWith("faultline: FL-411").contains("no-such-vmm");
  }

  @Test
  void a_running_program_is_attached_to_and_let_go() throws IOException {
    Path beats = folder.resolve("attached");
    Path recording = folder.resolve("attached.jsonl.gz");
    Process spinning =
        Program.start(List.of(program.toString(), "spin", beats.toString()), folder.resolve("s"));
    Process recorder = null;
    try {
      awaitBeat(beats, 0);
      recorder =
          Program.start(
              Program.recorder("-o", recording, "--pid", spinning.pid()), folder.resolve("told"));
      awaitSize(recording, 1 << 12);

      recorder.destroy();
      assertThat(Program.ended(recorder)).isEqualTo(128 + 15);

      runsOn(spinning.toHandle(), beats);
      List<Observation> all = Program.read(recording);
      assertThat(all)
          .filteredOn(Observation.Call.class::isInstance)
          .extracting(o -> ((Observation.Call) o).tid())
          .contains(spinning.pid())
          .anyMatch(tid -> tid != spinning.pid());
      assertThat(all.getLast())
          .isInstanceOfSatisfying(
              Observation.UnknownLine.class, end -> assertThat(end.kind()).isEqualTo("end"));
    } finally {
      kill(recorder);
      kill(spinning);
    }
  }

  @Test
  void a_vcpu_that_is_probed_keeps_its_threads_registers_and_tells_its_state() throws IOException {
    if (!hasKvm()) {
      Program.skip("there is no /dev/kvm here, or it is not ours");
    }
    Path beats = folder.resolve("probed");
    Path recording = folder.resolve("probed.jsonl.gz");
    Process recorder =
        Program.start(
            Program.recorder("-o", recording, "--probe", "--", program, "kvm", beats),
            folder.resolve("told"));
    List<ProcessHandle> left = new ArrayList<>();
    try {
      awaitBeat(beats, 500);
      ProcessHandle probed = recorder.children().findFirst().orElseThrow();
      left.add(probed);
      assertThat(Program.state(probed.pid())).isNotIn('Z', '\0');
      recorder.destroy();

      assertThat(Program.ended(recorder)).isEqualTo(128 + 15);
      List<String> names =
          Program.read(recording).stream()
              .filter(Observation.Call.class::isInstance)
              .map(o -> ((Observation.Call) o).name())
              .toList();
      assertThat(names).filteredOn("KVM_GET_SREGS"::equals).hasSizeGreaterThan(500);
      assertThat(names).filteredOn("KVM_GET_VCPU_EVENTS"::equals).hasSizeGreaterThan(500);
    } finally {
      end(recorder);
      left.forEach(ProcessHandle::destroyForcibly);
    }
  }

  private static boolean hasKvm() {
    Path kvm = Path.of("/dev/kvm");
    return Files.isReadable(kvm) && Files.isWritable(kvm);
  }

  @Test
  void the_program_survives_the_death_of_its_recorder() throws IOException {
    Random random = new Random(7);
    for (int i = 0; i < KILLS; i++) {
      Path beats = folder.resolve("beats" + i);
      Path recording = folder.resolve("killed" + i + ".jsonl.gz");
      // Every other time a vCPU is probed, and most often killed in the middle of that.
      Process recorder =
          Program.start(
              i % 2 == 1 && hasKvm()
                  ? Program.recorder("-o", recording, "--probe", "--", program, "kvm", beats)
                  : Program.recorder("-o", recording, "--", program, "spin", beats),
              folder.resolve("told"));
      ProcessHandle spinning = null;
      try {
        awaitBeat(beats, random.nextInt(400));
        spinning = recorder.children().findFirst().orElseThrow();

        recorder.destroyForcibly();
        assertThat(Program.ended(recorder)).isEqualTo(KILLED);

        runsOn(spinning, beats);
        assertSound(recording);
      } finally {
        end(recorder);
        if (spinning != null) {
          spinning.destroyForcibly();
        }
      }
    }
  }

  @Test
  void the_recording_survives_the_death_of_the_program() throws IOException {
    Random random = new Random(11);
    for (int i = 0; i < KILLS; i++) {
      Path beats = folder.resolve("died" + i);
      Path recording = folder.resolve("died" + i + ".jsonl.gz");
      Process recorder =
          Program.start(
              Program.recorder("-o", recording, "--", program, "spin", beats),
              folder.resolve("told"));
      try {
        awaitBeat(beats, random.nextInt(400));
        recorder.children().findFirst().orElseThrow().destroyForcibly();

        assertThat(Program.ended(recorder)).isEqualTo(KILLED);
        assertSound(recording);
        assertThat(Program.read(recording))
            .anyMatch(o -> o instanceof Observation.Exited exited && exited.signal() == 9);
      } finally {
        end(recorder);
      }
    }
  }

  /** True sizes; nothing where the pointer is bad. */
  private static void assertPayloads(List<Observation> all) {
    List<Observation.Call> calls =
        all.stream()
            .filter(Observation.Call.class::isInstance)
            .map(Observation.Call.class::cast)
            .toList();

    assertThat(calls)
        .filteredOn(call -> call.name().equals("KVM_SET_MSRS"))
        .isNotEmpty()
        .allSatisfy(call -> assertThat(call.in().size()).isEqualTo(8 + 2 * 16))
        .allSatisfy(call -> assertThat(call.in().u64(32)).isEqualTo(2));
    assertThat(calls)
        .filteredOn(call -> call.name().equals("KVM_SET_REGS") && call.arg() != 8)
        .isNotEmpty()
        .allSatisfy(call -> assertThat(call.in().size()).isEqualTo(144))
        .allSatisfy(call -> assertThat(call.in().u8(143)).isEqualTo(0x5a));
    assertThat(calls)
        .filteredOn(call -> call.name().equals("KVM_SET_REGS") && call.arg() == 8)
        .isNotEmpty()
        .allSatisfy(call -> assertThat(call.in().isEmpty()).isTrue());
  }

  /** Read to its end without an error; that is what it is to be readable. */
  private static void assertSound(Path recording) {
    assertThat(Program.read(recording).getFirst()).isInstanceOf(Observation.Started.class);
  }

  private static void runsOn(ProcessHandle process, Path beats) throws IOException {
    awaitBeat(beats, beat(beats) + 50);
    assertThat(process.isAlive()).isTrue();
    assertThat(Program.state(process.pid())).isNotIn('t', 'T', 'Z');
  }

  private static void awaitBeat(Path beats, long least) {
    await()
        .atMost(Duration.ofMinutes(2))
        .pollInterval(Duration.ofMillis(5))
        .until(() -> beat(beats) > least);
  }

  private static void awaitSize(Path file, long least) {
    await()
        .atMost(Duration.ofMinutes(2))
        .pollInterval(Duration.ofMillis(5))
        .until(() -> Files.exists(file) && Files.size(file) > least);
  }

  private static long beat(Path beats) throws IOException {
    if (!Files.exists(beats)) {
      return -1;
    }
    byte[] count = Files.readAllBytes(beats);
    return count.length < Long.BYTES
        ? -1
        : ByteBuffer.wrap(count).order(ByteOrder.LITTLE_ENDIAN).getLong();
  }

  /** Ends a recorder and what it records, which would survive it. */
  private static void end(Process recorder) {
    recorder.descendants().forEach(ProcessHandle::destroyForcibly);
    kill(recorder);
  }

  private static void kill(@Nullable Process process) {
    if (process != null) {
      process.destroyForcibly();
    }
  }
}
