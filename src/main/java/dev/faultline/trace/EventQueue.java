package dev.faultline.trace;

import dev.faultline.InvariantViolation;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Events of one thread that wait for their call, oldest first, each with its place in the trace.
 */
final class EventQueue {
  private static final int FIRST_SIZE = 16;

  /** Rings of the same power-of-two length; element i is at (head + i) modulo it. */
  private @Nullable TraceEvent[] events = new @Nullable TraceEvent[FIRST_SIZE];

  private long[] ordinals = new long[FIRST_SIZE];
  private long[] precisionsNs = new long[FIRST_SIZE];
  private int head;
  private int size;

  /** The place of the newest event that was thrown away for want of room; 0 if none was. */
  private long lostUpTo;

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
    return first;
  }

  /** Throws the oldest away for want of room, and remembers it. */
  TraceEvent overwrite() {
    lostUpTo = firstOrdinal();
    return remove();
  }

  long lostUpTo() {
    return lostUpTo;
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
