package dev.faultline.vcpu;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Which moment wrote each slot of an {@link MsrState} last. Immutable.
 *
 * <p><i>Shape</i>: layers, each the slots that one moment wrote, above a flat table of what was
 * written before. Sets of slots are bits, that of slot 0 first; what a shorter one lacks is not in
 * it.
 */
final class MsrWriters {
  /** With more layers than this looking a writer up would cost more than laying them flat. */
  private static final int MOST = 12;

  private final int @Nullable [] flat;
  private final @Nullable Layer top;

  private record Layer(Slots slots, int moment, @Nullable Layer below, int depth) {}

  /** A set of slots. */
  private static final class Slots {
    private final long[] bits;

    private Slots(long[] bits) {
      this.bits = bits;
    }

    private boolean has(int slot) {
      int word = slot / Long.SIZE;
      return word < bits.length && (bits[word] & 1L << slot) != 0;
    }

    private boolean containsAll(Slots others) {
      for (int word = 0; word < others.bits.length; word++) {
        long own = word < bits.length ? bits[word] : 0;
        if ((others.bits[word] & ~own) != 0) {
          return false;
        }
      }
      return true;
    }
  }

  private MsrWriters(int @Nullable [] flat, @Nullable Layer top) {
    this.flat = flat;
    this.top = top;
  }

  /** The moment that wrote a slot last, or {@link Tracked#NOBODY}. */
  int writer(int slot) {
    for (Layer layer = top; layer != null; layer = layer.below) {
      if (layer.slots.has(slot)) {
        return layer.moment;
      }
    }
    return flat != null && slot < flat.length ? flat[slot] : Tracked.NOBODY;
  }

  /**
   * The writers after a moment wrote some slots.
   *
   * @param before null if nobody wrote any
   * @param bits the slots; given away
   */
  static MsrWriters written(@Nullable MsrWriters before, long[] bits, int moment) {
    Slots slots = new Slots(bits);
    Layer below = before == null ? null : before.top;
    while (below != null && slots.containsAll(below.slots)) {
      below = below.below;
    }
    Layer above = new Layer(slots, moment, below, below == null ? 1 : below.depth + 1);
    MsrWriters written = new MsrWriters(before == null ? null : before.flat, above);
    return above.depth <= MOST ? written : written.laidFlat(bits.length * Long.SIZE);
  }

  private MsrWriters laidFlat(int slots) {
    int[] all = new int[Math.max(slots, flat == null ? 0 : flat.length)];
    Arrays.setAll(all, this::writer);
    return new MsrWriters(all, null);
  }
}
