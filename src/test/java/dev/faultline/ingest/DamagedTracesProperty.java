package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.FormatException;
import dev.faultline.trace.FtraceReader;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.KernelTraceReader;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.trace.StraceReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Text of other tracers, cut and garbled by seed: what is left is read, and nothing crashes. */
final class DamagedTracesProperty {
  private static final int SEEDS = Integer.getInteger("faultline.damage.seeds", 150);
  private static final int SIZE = 60_000;
  private static final String INTERESTING = "(){}[]<>,=\"'|./-+*\n\r\0x0123456789 KVM_";

  @ParameterizedTest
  @ValueSource(
      strings = {
        "qemu_strace_boot/recording.strace.xz",
        "qemu_strace_destination/recording.strace.xz",
        "qemu_strace_ftrace/recording.ftrace.txt.xz",
        "qemu_perf/recording.perf.txt.xz"
      })
  void a_damaged_trace_costs_lines_and_nothing_else(String name) throws IOException {
    byte[] whole;
    try (InputStream in = CompressedFile.open(Path.of("timelines", name))) {
      whole = in.readNBytes(SIZE);
    }
    long intact = read(whole);
    for (int seed = 0; seed < SEEDS; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      byte[] damaged = damage(whole, random);
      assertThat(read(damaged)).as("%s, seed %d", name, seed).isBetween(-1L, 2 * intact);
    }
  }

  private static byte[] damage(byte[] whole, SplittableRandom random) {
    byte[] damaged = Arrays.copyOf(whole, random.nextInt(whole.length / 2, whole.length));
    int changes = 1 << random.nextInt(1, 11);
    for (int i = 0; i < changes; i++) {
      int at = random.nextInt(damaged.length);
      damaged[at] =
          random.nextBoolean()
              ? (byte) random.nextInt(256)
              : (byte) INTERESTING.charAt(random.nextInt(INTERESTING.length()));
    }
    return damaged;
  }

  /** How many observations there are; -1 when the input is told to be none. */
  private static long read(byte[] text) {
    long count = 0;
    InputStream in = new ByteArrayInputStream(text);
    try (ObservationReader reader =
        InputFormat.of(text, text.length) == InputFormat.KERNEL_TRACE
            ? new KernelTraceReader("damaged", new FtraceReader("damaged", in))
            : new StraceReader("damaged", in)) {
      while (reader.hasNext()) {
        RecordedCalls.convert(reader.next(), (int) count);
        count++;
      }
      return count;
    } catch (FormatException e) {
      assertThat(e.getMessage()).contains("damaged");
      return -1;
    }
  }
}
