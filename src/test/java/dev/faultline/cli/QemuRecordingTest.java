package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.faultline.cli.CommandLines.Ended;
import dev.faultline.record.Program;
import dev.faultline.record.StraceCalls;
import java.io.IOException;
import java.io.Writer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Records QEMU with two vCPUs on {@code /dev/kvm}: boot, migration to a file, and back from it. */
final class QemuRecordingTest {
  private static final int EXITS = 300;
  private static final byte[] LOOP = {
    (byte) 0xe6,
    (byte) 0x80, // out 0x80, al
    0x66,
    0x49, // dec ecx
    0x75,
    (byte) 0xfa, // jnz
    (byte) 0xba,
    (byte) 0xf8,
    3, // mov dx, 0x3f8
    (byte) 0xb0,
    'D',
    (byte) 0xee, // mov al, 'D'; out dx, al
    (byte) 0xf4,
    (byte) 0xeb,
    (byte) 0xf7 // hlt; jmp back to the mov after each interrupt
  };

  @TempDir private static Path folder;

  @BeforeAll
  static void need() throws IOException {
    Program.needKvm();
    Program.need("qemu-system-x86_64", "--version");
    Program.need("strace", "-o", "/dev/null", "true");
    Files.write(folder.resolve("disk"), disk());
  }

  /**
   * A boot sector that leaves the guest by port I/O, then writes to the serial port at each timer
   * interrupt.
   */
  private static byte[] disk() {
    ByteBuffer sector = ByteBuffer.allocate(1 << 16).order(ByteOrder.LITTLE_ENDIAN);
    sector.put((byte) 0x66).put((byte) 0xb9).putInt(EXITS).put(LOOP);
    sector.putShort(510, (short) 0xaa55);
    return sector.array();
  }

  private static List<String> qemu(String serial, String... more) {
    List<String> words = new ArrayList<>(List.of("qemu-system-x86_64", "-accel", "kvm"));
    words.addAll(List.of("-M", "pc,smm=off", "-cpu", "host,-arch-capabilities"));
    words.addAll(List.of("-m", "32", "-smp", "2", "-nodefaults", "-display", "none"));
    words.addAll(List.of("-monitor", "stdio", "-serial", "file:" + folder.resolve(serial)));
    words.add("-drive");
    words.add("file=" + folder.resolve("disk") + ",format=raw,if=ide,snapshot=on");
    words.addAll(List.of(more));
    return words;
  }

  private static List<String> recorded(Path recording, List<String> command) {
    List<Object> words = new ArrayList<>(List.of("-o", recording, "--"));
    words.addAll(command);
    return Program.recorder(words.toArray());
  }

  private static List<String> traced(Path trace, List<String> command) {
    List<String> words = new ArrayList<>(List.of("strace", "-f", "-e", "trace=ioctl", "-o"));
    words.add(trace.toString());
    words.addAll(command);
    return words;
  }

  /**
   * Starts it, tells it {@code again} until the guest writes to the serial port, and then {@code
   * last}.
   */
  private static void run(List<String> command, String again, String serial, String last)
      throws IOException {
    Process process =
        Program.started(
            new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("monitor").toFile()));
    try (Writer monitor = process.outputWriter(StandardCharsets.UTF_8)) {
      if (!serial.isEmpty()) {
        await()
            .atMost(Duration.ofMinutes(2))
            .pollInterval(Duration.ofMillis(300))
            .until(() -> {
              monitor.write(again);
              monitor.flush();
              return Program.text(folder.resolve(serial)).contains("D");
            });
      }
      monitor.write(last);
      monitor.flush();
      assertThat(Program.ended(process)).isZero();
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
  }

  private static String migrate(String to) {
    return "stop\nmigrate \"exec:cat > " + folder.resolve(to) + "\"\nquit\n";
  }

  @Test
  void the_recording_equals_one_by_strace_call_for_call() throws IOException {
    List<String> command = qemu("still.serial", "-S");
    Path recording = folder.resolve("still.jsonl.gz");
    Path trace = folder.resolve("still.strace");

    run(traced(trace, command), "", "", migrate("still.traced"));
    run(recorded(recording, command), "", "", migrate("still.recorded"));

    List<List<String>> calls = timeless(StraceCalls.of(Program.read(recording)));
    assertThat(calls).isEqualTo(timeless(StraceCalls.of(Files.readString(trace))));
    assertThat(calls).hasSizeGreaterThanOrEqualTo(3);
    assertThat(calls.getLast()).contains("KVM_SET_IRQCHIP = 0").hasSizeGreaterThan(100);
  }

  /** How often a migration looks for dirty pages depends on how fast it gets on. */
  private static List<List<String>> timeless(List<List<String>> threads) {
    return threads.stream()
        .map(calls -> calls.stream().filter(call -> !call.contains("DIRTY_LOG")).toList())
        .toList();
  }

  @Test
  void boot_and_migration_there_and_back_are_as_the_model_predicts() throws IOException {
    Path source = folder.resolve("source.jsonl.gz");
    Path destination = folder.resolve("destination.jsonl.gz");
    Files.createFile(folder.resolve("source.serial"));
    Files.createFile(folder.resolve("destination.serial"));
    String state = folder.resolve("state").toString();

    run(recorded(source, qemu("source.serial")), "", "source.serial", migrate("state"));
    run(
        recorded(destination, qemu("destination.serial", "-incoming", "exec:cat " + state, "-S")),
        "cont\n",
        "destination.serial",
        "quit\n");

    Ended verified = CommandLines.run("verify", source, destination);
    assertThat(verified.err()).isEmpty();
    assertThat(verified.out())
        .contains("Linux " + kernel())
        .contains("2 recordings verified")
        .contains("no divergence");
    assertThat(verified.status()).isZero();
    // Whatever it finds, it comes to its end; QEMU writes a TSC twice, and so on.
    assertThat(CommandLines.run("audit", source, destination).status()).isIn(0, 1);
    Ended shown = CommandLines.run("show", source, "--vcpu", "0");
    assertThat(shown.out().lines().filter(line -> line.contains("io.port 0x80 ")))
        .hasSizeGreaterThanOrEqualTo(EXITS);
  }

  /** As the header of the recording has it from the machine. */
  private static String kernel() throws IOException {
    String[] parts = Files.readString(Path.of("/proc/sys/kernel/osrelease")).split("[.-]", -1);
    return parts[0] + "." + parts[1];
  }
}
