package dev.faultline.reorder;

/**
 * One call as a function on packed states: which bits it reads, and for each of their values which
 * bits it writes.
 */
final class PackedCall {
  private static final int FIRST_SLOTS = 16;

  private final Transitions transitions;
  private final Packing packing;
  private final int call;
  private final int words;

  /** Replaced whole, so that other threads see all of it or nothing. */
  private volatile Table table;

  private static final class Table {
    final long footprint;
    final long[] mask;
    final boolean[] used;
    final long[] keys;
    final long[] keep;
    final long[] put;
    int count;

    Table(long footprint, long[] mask, int slots, int words) {
      this.footprint = footprint;
      this.mask = mask;
      this.used = new boolean[slots];
      this.keys = new long[slots * words];
      this.keep = new long[slots * words];
      this.put = new long[slots * words];
    }
  }

  PackedCall(Transitions transitions, Packing packing, int call) {
    this.transitions = transitions;
    this.packing = packing;
    this.call = call;
    this.words = packing.words();
    this.table = empty(FIRST_SLOTS);
  }

  private Table empty(int slots) {
    long footprint = transitions.reads(call);
    long[] mask = new long[words];
    for (int cell = 0; cell < Cell.COUNT; cell++) {
      if ((footprint & 1L << cell) != 0) {
        packing.cover(mask, cell);
      }
    }
    return new Table(footprint, mask, slots, words);
  }

  /** Writes the state after the call to {@code to}; asks the model where that is not known yet. */
  void apply(long[] states, int from, long[] to) {
    if (!applyKnown(states, from, to)) {
      learn(states, from);
      applyKnown(states, from, to);
    }
  }

  /** Writes the state after the call to {@code to}; false where the model must be asked first. */
  boolean applyKnown(long[] states, int from, long[] to) {
    Table t = table;
    int slot = slot(t, states, from);
    if (!t.used[slot]) {
      return false;
    }
    int at = slot * words;
    for (int w = 0; w < words; w++) {
      to[w] = (states[from + w] & t.keep[at + w]) | t.put[at + w];
    }
    return true;
  }

  private int slot(Table t, long[] states, int from) {
    long hash = 0;
    for (int w = 0; w < words; w++) {
      hash = (hash ^ (states[from + w] & t.mask[w])) * 0x9E3779B97F4A7C15L;
    }
    int slots = t.used.length - 1;
    int slot = (int) (hash >>> 40) & slots;
    while (t.used[slot] && !matches(t, slot, states, from)) {
      slot = slot + 1 & slots;
    }
    return slot;
  }

  private boolean matches(Table t, int slot, long[] states, int from) {
    for (int w = 0; w < words; w++) {
      if (t.keys[slot * words + w] != (states[from + w] & t.mask[w])) {
        return false;
      }
    }
    return true;
  }

  private synchronized void learn(long[] states, int from) {
    Table old = table;
    if (old.used[slot(old, states, from)]) {
      return;
    }
    Transitions.Effect effect = transitions.effect(call, packing.numbers(states, from));
    Table grown;
    if (transitions.reads(call) != old.footprint) {
      grown = empty(FIRST_SLOTS);
    } else {
      int slots = old.used.length;
      grown = empty(old.count * 2 < slots ? slots : slots * 2);
      for (int slot = 0; slot < slots; slot++) {
        if (old.used[slot]) {
          copy(old, slot, grown);
        }
      }
    }
    int slot = slot(grown, states, from);
    fill(grown, slot, states, from, effect);
    table = grown;
  }

  private void copy(Table old, int oldSlot, Table to) {
    int slot = slot(to, old.keys, oldSlot * words);
    to.used[slot] = true;
    to.count++;
    System.arraycopy(old.keys, oldSlot * words, to.keys, slot * words, words);
    System.arraycopy(old.keep, oldSlot * words, to.keep, slot * words, words);
    System.arraycopy(old.put, oldSlot * words, to.put, slot * words, words);
  }

  private void fill(Table t, int slot, long[] states, int from, Transitions.Effect effect) {
    long[] cleared = new long[words];
    long[] put = new long[words];
    for (int cell = 0; cell < Cell.COUNT; cell++) {
      if ((effect.written() & 1L << cell) != 0) {
        packing.cover(cleared, cell);
        packing.set(put, cell, effect.to()[cell]);
      }
    }
    packing.cover(cleared, Packing.answerField(call));
    packing.set(put, Packing.answerField(call), effect.answer());
    for (int w = 0; w < words; w++) {
      int at = slot * words + w;
      t.keys[at] = states[from + w] & t.mask[w];
      t.keep[at] = ~cleared[w];
      t.put[at] = put[w];
    }
    t.used[slot] = true;
    t.count++;
  }
}
