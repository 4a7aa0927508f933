package dev.faultline.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Axon would ask its maker for updates; from here nobody is asked. */
final class NoSocketTest {
  private static final Path STRACE = Path.of("/usr/bin/strace");

  @TempDir Path folder;

  private String said(List<String> before, String argument)
      throws IOException, InterruptedException {
    List<String> command = new ArrayList<>(before);
    command.addAll(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Duser.home=" + folder,
            "-cp",
            System.getProperty("java.class.path"),
            NetworkTrap.class.getName(),
            argument));
    Process process =
        new ProcessBuilder(command).redirectError(folder.resolve("err").toFile()).start();
    String said = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(process.waitFor()).as(Files.readString(folder.resolve("err"))).isZero();
    return said;
  }

  @Test
  void axon_as_it_comes_is_caught_and_the_store_is_quiet() throws Exception {
    assertThat(said(List.of(), "axon")).startsWith("caught http");
    assertThat(said(List.of(), folder.resolve("store").toString())).isEqualTo("quiet\n");
  }

  @Test
  void under_strace_a_store_connects_nowhere_and_waits_for_nobody() throws Exception {
    assumeThat(STRACE).exists();
    Path calls = folder.resolve("calls");
    List<String> strace =
        List.of(
            STRACE.toString(),
            "-f",
            "-e",
            // Java makes a socket and closes it to see which protocols there are.
            "trace=connect,bind,listen,sendto,sendmsg",
            "-o",
            calls.toString());
    assertThat(said(strace, folder.resolve("store").toString())).isEqualTo("quiet\n");
    try (Stream<String> lines = Files.lines(calls)) {
      assertThat(lines.filter(line -> line.contains("AF_INET"))).isEmpty();
    }
  }
}
