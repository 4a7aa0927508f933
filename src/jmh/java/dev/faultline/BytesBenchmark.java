package dev.faultline;

import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/** Reading, comparing and changing a payload of the size of a vmcs12, which every decision does. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class BytesBenchmark {
  private static final int SIZE = 4096;

  private final Bytes page = Bytes.zero(SIZE);
  private final Bytes samePage = Bytes.zero(SIZE).with(8, 8, 0);

  /** One field. */
  @Benchmark
  public long readsAField() {
    return page.u64(800);
  }

  /** All of two equal payloads. */
  @Benchmark
  public boolean comparesEqualPages() {
    return page.equals(samePage);
  }

  /** A copy with one field changed. */
  @Benchmark
  public Bytes changesAField() {
    return page.with(800, 8, 0x33);
  }
}
