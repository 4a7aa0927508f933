package dev.faultline.record;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.faultline.trace.Observation;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Types Ctrl-Z, {@code fg} and Ctrl-C at a shell with job control on a terminal of its own. */
final class TerminalTest {
  private static final String CTRL_C = "\u0003";
  private static final String CTRL_Z = "\u001a";

  @TempDir private static Path folder;
  private static Path program;

  @BeforeAll
  static void compile() {
    Program.need("script", "-qec", "true", "/dev/null");
    program = Program.compiled(folder);
  }

  @Test
  void keys_reach_the_program_as_without_a_recorder() throws IOException {
    List<String> recorder = Program.recorder("-o", folder.resolve("typed.jsonl.gz"), "--");

    List<String> plain = typed("plain", List.of());
    List<String> recorded = typed("recorded", recorder);

    assertThat(plain).containsExactly("ready", "Stopped", "continued", "interrupted", "status 9");
    assertThat(recorded).isEqualTo(plain);
    assertThat(Program.read(folder.resolve("typed.jsonl.gz")))
        .anyMatch(o -> o instanceof Observation.Exited exited && exited.code() == 9);
  }

  /** What program and shell said. */
  private static List<String> typed(String told, List<String> before) throws IOException {
    Path output = folder.resolve(told);
    List<String> command = new ArrayList<>(before);
    command.addAll(List.of(program.toString(), "keys"));
    // A terminal takes no line that is as long as a class path.
    Path file = folder.resolve(told + ".sh");
    Files.writeString(file, "exec '" + String.join("' '", command) + "'\n");
    Process terminal = Program.start(List.of("script", "-qec", "sh -i", "/dev/null"), output);
    try (Writer keys = terminal.outputWriter(StandardCharsets.US_ASCII)) {
      type(keys, "PS1=; set -m; sh " + file + "\n", output, "ready");
      type(keys, CTRL_Z, output, "Stopped");
      type(keys, "fg\n", output, "continued");
      type(keys, CTRL_C, output, "interrupted");
      type(keys, "echo status $?\n", output, "status 9");
      keys.write("exit\n");
      keys.flush();
      assertThat(Program.ended(terminal)).isZero();
    } finally {
      terminal.descendants().forEach(ProcessHandle::destroyForcibly);
      terminal.destroyForcibly();
    }
    List<String> said = new ArrayList<>();
    for (String line : Program.text(output).lines().toList()) {
      for (String word : List.of("ready", "Stopped", "continued", "interrupted", "status 9")) {
        if (line.contains(word) && !said.contains(word)) {
          said.add(word);
        }
      }
    }
    return said;
  }

  private static void type(Writer keys, String text, Path output, String awaited)
      throws IOException {
    keys.write(text);
    keys.flush();
    await()
        .atMost(Duration.ofMinutes(1))
        .pollInterval(Duration.ofMillis(20))
        .until(() -> Program.text(output).contains(awaited));
  }
}
