package dev.faultline.ingest;

import dev.faultline.trace.FtraceReader;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordingReader;
import dev.faultline.trace.StraceReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
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
 * Reading the largest shipped recording (scn_a: 3.5 MB of lines, 3.1 MB of trace), beside
 * decompressing it alone.
 *
 * <p>Megabytes a second are the sizes divided by the times.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class ReadingBenchmark {
  private static final int STRACE_SIZE = 16 << 20;

  private final RecordingSource source = Inputs.open(Path.of("timelines/scn_a")).getFirst();
  private final Path traceFile = Path.of("timelines/scn_a/recording.ftrace.txt.gz");
  private final Path straceFile = Path.of("timelines/qemu_strace_source/recording.strace.xz");
  private byte[] calls = new byte[0];
  private byte[] lines = new byte[0];
  private byte[] trace = new byte[0];

  /** Decompresses both files once. */
  @Setup
  public void decompress() throws IOException {
    try (InputStream in = CompressedFile.open(source.recording())) {
      lines = in.readAllBytes();
    }
    try (InputStream in = CompressedFile.open(traceFile)) {
      trace = in.readAllBytes();
    }
    byte[] log;
    try (InputStream in = CompressedFile.open(straceFile)) {
      log = ioctls(in.readAllBytes());
    }
    ByteArrayOutputStream repeated = new ByteArrayOutputStream();
    while (repeated.size() < STRACE_SIZE) {
      repeated.writeBytes(log);
    }
    calls = repeated.toByteArray();
  }

  private static byte[] ioctls(byte[] log) {
    return new String(log, StandardCharsets.ISO_8859_1)
        .lines()
        .filter(line -> line.contains(" ioctl(") && line.contains("KVM_"))
        .collect(Collectors.joining("\n", "", "\n"))
        .getBytes(StandardCharsets.ISO_8859_1);
  }

  /** The lines alone, from memory. */
  @Benchmark
  public int readsLines() {
    try (ObservationReader reader = new RecordingReader("scn_a", new ByteArrayInputStream(lines))) {
      return count(reader);
    }
  }

  /** Text of strace from memory, nothing but ioctls; 16 MiB. */
  @Benchmark
  public int readsStrace() {
    try (StraceReader reader = new StraceReader("strace", new ByteArrayInputStream(calls))) {
      return count(reader);
    }
  }

  /** The trace alone, from memory. */
  @Benchmark
  public int readsTrace() {
    try (FtraceReader reader = new FtraceReader("scn_a", new ByteArrayInputStream(trace))) {
      int count = 0;
      while (reader.advance() != FtraceReader.Step.END) {
        count++;
      }
      return count;
    }
  }

  /** Both files from disk, decompressed and merged, as every verb does it. */
  @Benchmark
  public int readsTheWholeRecording() {
    try (ObservationReader reader = source.open()) {
      return count(reader);
    }
  }

  /** Both files from disk, only decompressed. */
  @Benchmark
  public int decompressesOnly() throws IOException {
    try (InputStream first = CompressedFile.open(source.recording());
        InputStream second = CompressedFile.open(traceFile)) {
      return first.readAllBytes().length + second.readAllBytes().length;
    }
  }

  private static int count(ObservationReader reader) {
    int count = 0;
    while (reader.hasNext()) {
      reader.next();
      count++;
    }
    return count;
  }
}
