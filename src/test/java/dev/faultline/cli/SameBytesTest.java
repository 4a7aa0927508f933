package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The same input gives the same bytes, in whichever JVM: hash codes differ between them. */
final class SameBytesTest {
  private static final long PATIENCE_S = 120;

  @TempDir Path folder;

  private static List<List<String>> commands() {
    String small = CommandLines.timeline("smm_test").toString();
    String policies = CommandLines.timeline("scn_a").toString();
    return List.of(
        List.of("verify", "--coverage", "--format", "json", small, policies),
        List.of("show", "--format", "json", small),
        List.of("state", "--format", "json", "--at", "200", small),
        List.of("policies", "--format", "json", policies));
  }

  private byte[] inAnotherJvm(List<String> command) throws Exception {
    Path out = folder.resolve("out");
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    line.addAll(List.of("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"));
    line.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
    line.addAll(command);
    Process process =
        new ProcessBuilder(line)
            .redirectOutput(out.toFile())
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    assertThat(process.waitFor(PATIENCE_S, TimeUnit.SECONDS)).as("%s", command).isTrue();
    assertThat(process.exitValue()).as("%s", command).isZero();
    return Files.readAllBytes(out);
  }

  @Test
  void another_jvm_writes_the_same_bytes_as_this_one() throws Exception {
    for (List<String> command : commands()) {
      byte[] here = CommandLines.run(command.toArray()).out().getBytes(StandardCharsets.UTF_8);
      assertThat(here).isNotEmpty();
      assertThat(inAnotherJvm(command)).as("%s", command).isEqualTo(here);
    }
  }

  @Test
  void the_same_jvm_writes_the_same_bytes_twice() throws IOException {
    for (List<String> command : commands()) {
      assertThat(CommandLines.run(command.toArray()).out())
          .isEqualTo(CommandLines.run(command.toArray()).out());
    }
  }
}
