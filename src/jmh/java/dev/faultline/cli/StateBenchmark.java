package dev.faultline.cli;

import dev.faultline.ingest.CheckpointRebuild;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.ingest.StoredTimeline;
import dev.faultline.report.StateAt;
import dev.faultline.report.StateJson;
import dev.faultline.store.StoreLocation;
import dev.faultline.store.TimelineStore;
import dev.faultline.trace.KernelFacts;
import dev.faultline.vcpu.KernelModel;
import java.io.IOException;
import java.io.Writer;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.SplittableRandom;

/**
 * How long {@code state} takes at random moments of a stored timeline, the store being open: the
 * state found, and written as JSON.
 *
 * <p>Arguments: {@code STORE NAME [COUNT]}. As many again go before, to warm up.
 */
public final class StateBenchmark {
  private static final double NANOS_A_MILLI = 1e6;

  private StateBenchmark() {}

  /** Measures. */
  public static void main(String[] args) throws IOException {
    int count = args.length > 2 ? Integer.parseInt(args[2]) : 2000;
    try (TimelineStore store = TimelineStore.open(StoreLocation.of(args[0]))) {
      StoredTimeline stored = new StoredTimeline(store, args[1]);
      RecordingSource source = RecordingSource.of(stored);
      KernelModel kernel = KernelFacts.model(source.readFacts());
      int moments = store.moments(args[1]);
      if (store.resume(args[1], moments - 1) == null) {
        // Imported by another build: its states do not fit this one.
        CheckpointRebuild.run(store, args[1]);
      }
      SplittableRandom random = new SplittableRandom(1);
      long[] found = new long[count];
      long[] written = new long[count];
      for (int i = -count; i < count; i++) {
        AskedMoment moment = new AskedMoment(false, random.nextInt(moments));
        long begun = System.nanoTime();
        List<StateAt> states =
            StateSeek.atStored(
                source, kernel, VcpuFilter.ALL, List.of(new StateSeek.Asked("--at", moment)));
        long there = System.nanoTime();
        StateJson.write(Writer.nullWriter(), states.getFirst());
        if (i >= 0) {
          found[i] = there - begun;
          written[i] = System.nanoTime() - begun;
        }
      }
      System.out.println(String.format(Locale.ROOT, "%,d moments, %,d asked", moments, count));
      say("found", found);
      say("found and written as JSON", written);
    }
  }

  private static void say(String what, long[] times) {
    Arrays.sort(times);
    System.out.println(
        String.format(
            Locale.ROOT,
            "  %s: median %.2f ms, 90 %% %.2f ms, 99 %% %.2f ms, longest %.2f ms",
            what,
            times[times.length / 2] / NANOS_A_MILLI,
            times[times.length * 9 / 10] / NANOS_A_MILLI,
            times[times.length * 99 / 100] / NANOS_A_MILLI,
            times[times.length - 1] / NANOS_A_MILLI));
  }
}
