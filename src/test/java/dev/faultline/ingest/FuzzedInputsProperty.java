package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Whatever bytes come in, what comes out is a result or a sentence, within a second and a small
 * heap: the kept inputs one by one, and a short run of Jazzer, which changes them and looks which
 * changes lead to new places in the code. README tells how to run it for long.
 */
final class FuzzedInputsProperty {
  private static final Path KEPT = Path.of("src/test/resources/fuzz");
  private static final int RUNS = Integer.getInteger("faultline.fuzz.runs", 5_000);

  @TempDir Path folder;

  private static List<Path> kept(FuzzTarget target) throws IOException {
    try (Stream<Path> files = Files.list(KEPT.resolve(target.name().toLowerCase(Locale.ROOT)))) {
      return files.sorted().toList();
    }
  }

  @ParameterizedTest
  @EnumSource(FuzzTarget.class)
  void every_kept_input_is_taken(FuzzTarget target) throws IOException {
    List<Path> kept = kept(target);
    assertThat(kept).as("inputs of %s under %s", target, KEPT).isNotEmpty();
    for (Path file : kept) {
      byte[] input = Files.readAllBytes(file);
      assertThat(input)
          .as(file.toString())
          .satisfies(b -> assertThat(b.length).isLessThanOrEqualTo(target.longest()));
      Fuzz.take(target, input);
    }
  }

  @Test
  void a_short_run_finds_nothing() throws IOException, InterruptedException {
    Path all = Files.createDirectory(folder.resolve("all"));
    for (FuzzTarget target : FuzzTarget.values()) {
      for (Path file : kept(target)) {
        ByteArrayOutputStream marked = new ByteArrayOutputStream();
        marked.write(target.ordinal());
        marked.write(Files.readAllBytes(file));
        Files.write(all.resolve(target + "-" + file.getFileName()), marked.toByteArray());
      }
    }
    Path log = folder.resolve("log");
    Process jazzer =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-XX:+EnableDynamicAgentLoading",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-cp",
                System.getProperty("java.class.path"),
                "com.code_intelligence.jazzer.Jazzer",
                "--target_class=" + Fuzz.class.getName(),
                "--instrumentation_includes=dev.faultline.**",
                "--custom_hook_excludes=**",
                "--reproducer_path=" + folder,
                "-artifact_prefix=" + folder + "/",
                "-seed=1",
                "-max_len=16384",
                "-rss_limit_mb=0",
                "-runs=" + RUNS,
                all.toString())
            .redirectErrorStream(true)
            .redirectOutput(log.toFile())
            .start();
    try {
      assertThat(jazzer.waitFor(5, TimeUnit.MINUTES)).as("the run ends").isTrue();
    } finally {
      jazzer.destroyForcibly();
    }
    assertThat(jazzer.exitValue()).as(() -> tail(log)).isZero();
    assertThat(Files.readString(log)).contains("Done " + RUNS + " runs", "Instrumented dev.fault");
  }

  private static String tail(Path log) {
    try {
      String text = Files.readString(log);
      int from = Math.max(text.indexOf("== Java Exception"), text.length() - 6_000);
      return text.substring(Math.max(from, 0));
    } catch (IOException e) {
      return "no log: " + e;
    }
  }
}
