package dev.faultline.trace;

import dev.faultline.InvariantViolation;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Events of one thread that wait for their call, oldest first, each with its place in the trace.
 */
final class EventQueue {
  private static final int FIRST_SIZE = 16;

  /**
   * A larger ring is given up as soon as it is empty: one long call must not hold memory for all
   * that follow.
   */
  private static final int KEPT_SIZE = 4096;

  /** Rings of the same power-of-two length; element i is at (head + i) modulo it. */
  private @Nullable TraceEvent[] events = new @Nullable TraceEvent[FIRST_SIZE];

  private long[] ordinals = new long[FIRST_SIZE];
  private long[] precisionsNs = new long[FIRST_SIZE];
  private int head;
  private int size;

  int size() {
    return size;
  }

  boolean isEmpty() {
    return size == 0;
  }

  void add(TraceEvent event, long ordinal, long precisionNs) {
    if (size == events.length) {
      grow();
    }
    int tail = (head + size) & (events.length - 1);
    events[tail] = event;
    ordinals[tail] = ordinal;
    precisionsNs[tail] = precisionNs;
    size++;
  }

  /** The place of the oldest. */
  long firstOrdinal() {
    return ordinals[head];
  }

  /** How far from its printed time the oldest may have happened. */
  long firstPrecisionNs() {
    return precisionsNs[head];
  }

  /** The oldest, which stays. */
  TraceEvent first() {
    TraceEvent first = events[head];
    if (first == null) {
      throw new InvariantViolation("EventQueue.first() of an empty queue");
    }
    return first;
  }

  /** The oldest, which goes. */
  TraceEvent remove() {
    TraceEvent first = first();
    events[head] = null;
    head = (head + 1) & (events.length - 1);
    size--;
    if (size == 0 && events.length > KEPT_SIZE) {
      events = new @Nullable TraceEvent[FIRST_SIZE];
      ordinals = new long[FIRST_SIZE];
      precisionsNs = new long[FIRST_SIZE];
      head = 0;
    }
    return first;
  }

  private void grow() {
    int length = events.length;
    @Nullable TraceEvent[] newEvents = Arrays.copyOf(events, 2 * length);
    long[] newOrdinals = new long[2 * length];
    long[] newPrecisionsNs = new long[2 * length];
    for (int i = 0; i < length; i++) {
      int at = (head + i) & (length - 1);
      newEvents[i] = events[at];
      newOrdinals[i] = ordinals[at];
      newPrecisionsNs[i] = precisionsNs[at];
    }
    Arrays.fill(newEvents, length, 2 * length, null);
    events = newEvents;
    ordinals = newOrdinals;
    precisionsNs = newPrecisionsNs;
    head = 0;
  }
}
