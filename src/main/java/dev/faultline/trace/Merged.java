package dev.faultline.trace;

import java.util.List;
import java.util.Locale;

/**
 * How several inputs became one timeline.
 *
 * @param clock the clock that they have in common, in words
 * @param uncertaintyNs calls of different inputs that are nearer than this may have returned in the
 *     other order
 * @param near how many neighbours of different inputs are as near as that, up to now
 * @param sources the inputs by name, in the order in which their VMs are numbered when they tie
 */
public record Merged(String clock, long uncertaintyNs, long near, List<String> sources) {
  private static final double NS_PER_MS = 1e6;

  /** Takes the list as it is now. */
  public Merged {
    sources = List.copyOf(sources);
  }

  /** A sentence of it. */
  public String sentence() {
    return sources.size()
        + " inputs merged by "
        + clock
        + ": the order between them is certain to "
        + String.format(Locale.ROOT, "%.1f", uncertaintyNs / NS_PER_MS)
        + " ms, "
        + near
        + (near == 1 ? " neighbour is nearer" : " neighbours are nearer");
  }
}
