package dev.faultline.trace;

import java.util.Map;
import java.util.TreeMap;

/**
 * The sequence numbers seen so far, as runs of neighbours, so that a number used twice is noticed
 * however long the recording.
 *
 * <p>A run more stands for each number that is missing or still to come (a call in another thread).
 * Foreign input may have any number of holes; past {@link #MAX_RUNS} the oldest runs are forgotten.
 */
final class SeqSet {
  private static final int MAX_RUNS = 1 << 14;

  /** First number of a run -> its last. */
  private final TreeMap<Long, Long> runs = new TreeMap<>();

  /** The run that the last number fell into; mostly the next one follows it. */
  private long first = Long.MAX_VALUE;

  private long last = Long.MIN_VALUE;

  /** Adds the number; false if it was there. */
  boolean add(long seq) {
    if (seq == last + 1 && last != Long.MIN_VALUE && runs.higherKey(last) == null) {
      last = seq;
      runs.put(first, last);
      return true;
    }
    Map.Entry<Long, Long> before = runs.floorEntry(seq);
    if (before != null && seq <= before.getValue()) {
      return false;
    }
    Map.Entry<Long, Long> after = runs.higherEntry(seq);
    first = before != null && before.getValue() == seq - 1 ? before.getKey() : seq;
    last = after != null && after.getKey() == seq + 1 ? after.getValue() : seq;
    if (last != seq) {
      runs.remove(seq + 1);
    }
    runs.put(first, last);
    if (runs.size() > MAX_RUNS) {
      runs.pollFirstEntry();
    }
    return true;
  }
}
