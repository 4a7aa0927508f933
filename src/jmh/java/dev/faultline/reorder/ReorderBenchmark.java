package dev.faultline.reorder;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Every order of a recorded restore, and beside it SPIN's verifier on the same question ({@link
 * SpinModel}, written to {@code target/spin}); that needs {@code spin} and {@code gcc}.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 12)
@Measurement(iterations = 11)
@Fork(1)
public class ReorderBenchmark {
  private static final long BYTES = 256L << 20;
  private static final Path FOLDER = Path.of("target", "spin");

  /** The windows. */
  @State(Scope.Benchmark)
  public static class Windows {
    private Window eleven = RecordedRestore.eleven();
    private Window twenty = RecordedRestore.twenty();
  }

  /** The verifier, compiled. */
  @State(Scope.Benchmark)
  public static class Verifier {
    /** Writes the model, lets SPIN make a verifier of it, and compiles that. */
    @Setup
    public void compile() throws IOException, InterruptedException {
      Files.createDirectories(FOLDER);
      Files.writeString(FOLDER.resolve("orders.pml"), SpinModel.of(RecordedRestore.twenty()));
      run(List.of("spin", "-a", "orders.pml"));
      run(
          List.of(
              "gcc", "-O2", "-w", "-DSAFETY", "-DNOFAIR", "-DMEMLIM=8000", "-o", "pan", "pan.c"));
    }

    static void run(List<String> command) throws IOException, InterruptedException {
      Process process =
          new ProcessBuilder(command)
              .directory(FOLDER.toFile())
              .redirectErrorStream(true)
              .redirectOutput(FOLDER.resolve("log").toFile())
              .start();
      if (process.waitFor() != 0) {
        throw new IOException(command + ": " + Files.readString(FOLDER.resolve("log")));
      }
    }
  }

  @Benchmark
  public Reordering elevenCalls(Windows windows) {
    return Reorder.of(windows.eleven, BYTES, () -> false);
  }

  @Benchmark
  public Reordering twentyCalls(Windows windows) {
    return Reorder.of(windows.twenty, BYTES, () -> false);
  }

  @Benchmark
  @Warmup(iterations = 0)
  @Measurement(iterations = 3)
  public void twentyCallsBySpin(Verifier verifier) throws IOException, InterruptedException {
    Verifier.run(List.of("./pan", "-m10000", "-w26"));
  }
}
