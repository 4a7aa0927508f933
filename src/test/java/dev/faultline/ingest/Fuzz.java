package dev.faultline.ingest;

import dev.faultline.FaultlineException;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.util.Arrays;
import java.util.Locale;

/**
 * Where Jazzer enters: makes of each input what {@link FuzzTarget} makes of it, and fails where
 * anything but a {@link FaultlineException} comes of it, or it takes a second of processor time.
 *
 * <p>The property {@code faultline.fuzz} names the target; without it the first byte of each input
 * does.
 */
public final class Fuzz {
  private static final long MOST_NS = 1_000_000_000L;
  private static final long NS_PER_MS = 1_000_000L;
  private static final ThreadMXBean THREADS = ManagementFactory.getThreadMXBean();
  private static final FuzzTarget[] TARGETS = FuzzTarget.values();
  private static final String ASKED = System.getProperty("faultline.fuzz", "");

  private Fuzz() {}

  /** Called by Jazzer with each input that it makes. */
  public static void fuzzerTestOneInput(byte[] input) {
    if (!ASKED.isEmpty()) {
      take(FuzzTarget.valueOf(ASKED.toUpperCase(Locale.ROOT).replace('-', '_')), input);
    } else if (input.length > 0) {
      take(TARGETS[(input[0] & 0xff) % TARGETS.length], Arrays.copyOfRange(input, 1, input.length));
    }
  }

  /** Takes one input in. */
  static void take(FuzzTarget target, byte[] input) {
    long took = time(target, input);
    if (took > MOST_NS) {
      // The first input of its kind pays for the loading of classes.
      took = time(target, input);
    }
    if (took > MOST_NS) {
      throw new AssertionError(target + " took " + took / NS_PER_MS + " ms over one input");
    }
  }

  private static long time(FuzzTarget target, byte[] input) {
    long begun = THREADS.getCurrentThreadCpuTime();
    try {
      target.take(input);
    } catch (FaultlineException _) {
      // Told in a sentence, which is all that is asked for here.
    }
    return THREADS.getCurrentThreadCpuTime() - begun;
  }
}
