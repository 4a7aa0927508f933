package dev.faultline.store;

/**
 * Where a page of a timeline ends: the same places whoever appends, and however often it begins
 * anew. A page holds whole lines of the recording, about as many as can be decoded and decided
 * again within a few milliseconds.
 */
public final class PageRule {
  private static final int EVENTS = 2048;
  private static final int WEIGHT = 1 << 20;

  private int events;
  private int weight;

  /** Takes note of the next event; true if a new page begins before it. */
  public boolean begins(StoredEvent event) {
    boolean full = isFull() && event.type().isFirstOfLine();
    if (full) {
      restart();
    }
    events++;
    weight += event.weight();
    return full;
  }

  /** True if a page begins before the next line. */
  public boolean isFull() {
    return events >= EVENTS || weight >= WEIGHT;
  }

  /** The next event begins a page in any case. */
  public void restart() {
    events = 0;
    weight = 0;
  }
}
