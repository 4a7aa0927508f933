package dev.faultline.record;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.Inputs;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Assumptions;

/** Programs that tests start: a VMM's stand-in, the recorder in a JVM of its own, strace. */
public final class Program {
  private static final Path BASE = Path.of(System.getProperty("basedir", "."));
  private static final int PATIENCE_SECONDS = 180;

  private Program() {}

  /** Ends the test loudly where a tool is missing or ptrace is not permitted. */
  public static void need(String... words) {
    try {
      Process tried = started(new ProcessBuilder(words).redirectErrorStream(true));
      tried.getInputStream().readAllBytes();
      if (tried.waitFor() == 0) {
        return;
      }
    } catch (IOException | UncheckedIOException e) {
      skip(words[0] + " is not installed");
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    skip(String.join(" ", words) + " does not work here");
  }

  public static void skip(String why) {
    System.err.println("SKIPPED, nothing was shown: " + why);
    Assumptions.abort(why);
  }

  /** The stand-in for a VMM, statically linked. */
  static Path compiled(Path folder) {
    need("strace", "-o", "/dev/null", "true");
    return compiled(folder, "ioctls", "-static", "-mno-red-zone");
  }

  /** A VMM that runs guests, statically linked, to any address. */
  public static Path vmm(Path folder) {
    needKvm();
    return compiled(folder, "vmm", "-static-pie");
  }

  /** Ends the test loudly where there is no KVM. */
  public static void needKvm() {
    Path kvm = Path.of("/dev/kvm");
    if (!Files.isReadable(kvm) || !Files.isWritable(kvm)) {
      skip("there is no /dev/kvm here, or it is not ours");
    }
  }

  private static Path compiled(Path folder, String name, String... options) {
    Path program = folder.resolve(name);
    List<String> words = new ArrayList<>(List.of("gcc", "-O1", "-pthread"));
    words.addAll(List.of(options));
    words.addAll(List.of("-o", program.toString()));
    words.add(BASE.resolve("src/test/resources/record/" + name + ".c").toString());
    need(words.toArray(String[]::new));
    return program;
  }

  /** The command line of {@code faultline record} with these words. */
  public static List<String> recorder(Object... words) {
    List<String> command =
        new ArrayList<>(
            List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
                "-Xmx256m",
                "-cp",
                classPath(),
                "dev.faultline.cli.Main",
                "record"));
    for (Object word : words) {
      command.add(word.toString());
    }
    return command;
  }

  /** Surefire may start its JVM with one jar that names the others. */
  private static String classPath() {
    return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
  }

  public static Process started(ProcessBuilder builder) {
    try {
      return builder.start();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  public static Process start(List<String> command, Path output) {
    return started(
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile()));
  }

  /** Waits for its end; its exit status. */
  public static int ended(Process process) {
    try {
      assertThat(process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)).isTrue();
      return process.exitValue();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
  }

  public static String text(Path file) {
    try {
      return Files.readString(file);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Everything that a recording holds, as whoever reads it later gets it. */
  public static List<Observation> read(Path recording) {
    List<Observation> all = new ArrayList<>();
    try (ObservationReader reader = Inputs.open(recording).getFirst().open()) {
      reader.forEachRemaining(all::add);
    }
    return all;
  }

  /** The state letter of a process, {@code t} for one that a tracer holds; 0 if it is gone. */
  static char state(long pid) {
    try {
      String stat = Files.readString(Path.of("/proc/" + pid + "/stat"));
      return stat.charAt(stat.lastIndexOf(')') + 2);
    } catch (IOException e) {
      return 0;
    }
  }
}
