package dev.faultline.vcpu;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The MSRs of a vCPU by index: value, whether it is known, and who wrote it last. Immutable; one
 * copy for a batch of writes.
 *
 * <p>Positions number the MSRs by unsigned index.
 */
public final class MsrState {
  private static final MsrState EMPTY =
      new MsrState(MsrLayout.EMPTY, new long[0], new boolean[0], new int[0]);

  /** Where each MSR is in the three arrays. */
  private final MsrLayout layout;

  private final long[] values;
  private final boolean[] known;
  private final int[] writers;

  private MsrState(MsrLayout layout, long[] values, boolean[] known, int[] writers) {
    this.layout = layout;
    this.values = values;
    this.known = known;
    this.writers = writers;
  }

  public static MsrState empty() {
    return EMPTY;
  }

  public int size() {
    return values.length;
  }

  /** The MSR index at a position, in unsigned order. */
  public int indexAt(int position) {
    return layout.index(layout.slotAt(position));
  }

  /** The position of an MSR, or a negative number when it was never seen. */
  public int position(int index) {
    int slot = layout.slot(index);
    return slot < 0 ? slot : layout.position(slot);
  }

  MsrLayout layout() {
    return layout;
  }

  /** Whether the MSR was ever seen. */
  boolean holds(int index) {
    return layout.slot(index) >= 0;
  }

  public boolean knows(int index) {
    int slot = layout.slot(index);
    return slot >= 0 && known[slot];
  }

  public boolean knowsAt(int position) {
    return known[layout.slotAt(position)];
  }

  public long valueAt(int position) {
    return values[layout.slotAt(position)];
  }

  public int writerAt(int position) {
    return writers[layout.slotAt(position)];
  }

  /** The last value; meaningful only when {@link #knows}. Zero when never seen. */
  public long value(int index) {
    int slot = layout.slot(index);
    return slot >= 0 ? values[slot] : 0;
  }

  public Edit edit() {
    return new Edit();
  }

  /** Same known values; writers are not compared. */
  public boolean sameState(MsrState other) {
    int i = 0;
    int j = 0;
    while (true) {
      while (i < values.length && !knowsAt(i)) {
        i++;
      }
      while (j < other.values.length && !other.knowsAt(j)) {
        j++;
      }
      if (i == values.length || j == other.values.length) {
        return i == values.length && j == other.values.length;
      }
      if (indexAt(i) != other.indexAt(j) || valueAt(i) != other.valueAt(j)) {
        return false;
      }
      i++;
      j++;
    }
  }

  /** A batch of changes. */
  public final class Edit {
    /** MSRs that the layout does not have, in the order in which they came. */
    private int[] added = new int[0];

    private int addedCount;

    /** The remembered layout that all added MSRs so far lead to, if there is one. */
    private @Nullable MsrLayout expected;

    /** The state's own arrays until the first change. */
    private long[] value = values;

    private boolean[] knows = known;
    private int[] writer = writers;
    private boolean copied;

    /** The MSR is written; its value is known only if {@code certain}. */
    public Edit write(int msr, long data, boolean certain, int moment) {
      return put(slot(msr), data, certain, moment);
    }

    /** The MSR that a list's entry names is written. */
    Edit write(MsrList list, int entry, long data, boolean certain, int moment) {
      int slot = list.isOf(layout) ? list.slot(entry) : -1;
      return put(slot < 0 ? slot(list.index(entry)) : slot, data, certain, moment);
    }

    private Edit put(int slot, long data, boolean certain, int moment) {
      open();
      value[slot] = data;
      knows[slot] = certain;
      writer[slot] = moment;
      return this;
    }

    /** A recorded read shows the value; whoever wrote it stays the writer. */
    public Edit learn(int msr, long data) {
      int slot = slot(msr);
      open();
      value[slot] = data;
      knows[slot] = true;
      return this;
    }

    /** A recorded read contradicts what was known: doubt it. */
    public Edit doubt(int msr) {
      int slot = find(msr);
      if (slot >= 0) {
        open();
        knows[slot] = false;
      }
      return this;
    }

    /** The guest may have written the MSR at a position of the state that is changed. */
    public Edit forgetAt(int position, int moment) {
      int slot = layout.slotAt(position);
      if (knows[slot]) {
        open();
        knows[slot] = false;
        writer[slot] = moment;
      }
      return this;
    }

    public MsrState done() {
      if (!copied) {
        return MsrState.this;
      }
      if (addedCount == 0) {
        return new MsrState(layout, value, knows, writer);
      }
      int size = layout.size() + addedCount;
      MsrLayout whole = expected;
      if (whole == null || whole.size() != size) {
        whole = layout.with(added, addedCount);
      }
      return value.length == size
          ? new MsrState(whole, value, knows, writer)
          : new MsrState(
              whole,
              Arrays.copyOf(value, size),
              Arrays.copyOf(knows, size),
              Arrays.copyOf(writer, size));
    }

    private int find(int msr) {
      int slot = layout.slot(msr);
      if (slot >= 0 || addedCount == 0) {
        return slot;
      }
      if (expected != null) {
        int later = expected.slot(msr);
        return later < layout.size() + addedCount ? later : -1;
      }
      for (int i = 0; i < addedCount; i++) {
        if (added[i] == msr) {
          return layout.size() + i;
        }
      }
      return -1;
    }

    private int slot(int msr) {
      int found = find(msr);
      if (found >= 0) {
        return found;
      }
      int slot = layout.size() + addedCount;
      if (addedCount == 0) {
        expected = layout.grownBy(msr);
      } else if (expected != null && (slot == expected.size() || expected.index(slot) != msr)) {
        expected = null;
      }
      if (slot == value.length) {
        grow(expected == null ? slot + Math.max(16, slot / 2) : expected.size());
      }
      if (addedCount == added.length) {
        added = Arrays.copyOf(added, value.length - layout.size());
      }
      added[addedCount] = msr;
      addedCount++;
      writer[slot] = Tracked.NOBODY;
      return slot;
    }

    private void open() {
      if (!copied) {
        grow(values.length);
      }
    }

    private void grow(int capacity) {
      copied = true;
      value = Arrays.copyOf(value, capacity);
      knows = Arrays.copyOf(knows, capacity);
      writer = Arrays.copyOf(writer, capacity);
    }
  }
}
