package dev.faultline.vcpu;

import java.util.Arrays;

/**
 * The MSRs of a vCPU by index: value, whether it is known, and who wrote it last. Immutable; sorted
 * by unsigned index; one copy for a batch of writes.
 */
public final class MsrState {
  private static final MsrState EMPTY =
      new MsrState(MsrLayout.EMPTY, new long[0], new boolean[0], new int[0]);

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
    return layout.indexAt(position);
  }

  /** The position of an MSR, or a negative number when it was never seen. */
  public int position(int index) {
    return layout.position(index);
  }

  MsrLayout layout() {
    return layout;
  }

  public boolean knows(int index) {
    int at = position(index);
    return at >= 0 && known[at];
  }

  public boolean knowsAt(int position) {
    return known[position];
  }

  public long valueAt(int position) {
    return values[position];
  }

  public int writerAt(int position) {
    return writers[position];
  }

  /** The last value; meaningful only when {@link #knows}. Zero when never seen. */
  public long value(int index) {
    int at = position(index);
    return at >= 0 ? values[at] : 0;
  }

  public Edit edit() {
    return new Edit();
  }

  /** Same known values; writers are not compared. */
  public boolean sameState(MsrState other) {
    int i = 0;
    int j = 0;
    while (true) {
      while (i < values.length && !known[i]) {
        i++;
      }
      while (j < other.values.length && !other.known[j]) {
        j++;
      }
      if (i == values.length || j == other.values.length) {
        return i == values.length && j == other.values.length;
      }
      if (indexAt(i) != other.indexAt(j) || values[i] != other.values[j]) {
        return false;
      }
      i++;
      j++;
    }
  }

  /** A batch of changes. */
  public final class Edit {
    /** The indexes once MSRs were added that the layout does not have; empty before. */
    private int[] index = new int[0];

    private long[] value = values.clone();
    private boolean[] knows = known.clone();
    private int[] writer = writers.clone();
    private int size = values.length;

    /** The MSR is written; its value is known only if {@code certain}. */
    public Edit write(int msr, long data, boolean certain, int moment) {
      return put(slot(msr), data, certain, moment);
    }

    /** The MSR that a list's entry names is written. */
    Edit write(MsrList list, int entry, long data, boolean certain, int moment) {
      int at = index.length == 0 && list.isOf(layout) ? list.position(entry) : -1;
      return put(at < 0 ? slot(list.index(entry)) : at, data, certain, moment);
    }

    private Edit put(int at, long data, boolean certain, int moment) {
      value[at] = data;
      knows[at] = certain;
      writer[at] = moment;
      return this;
    }

    /** A recorded read shows the value; whoever wrote it stays the writer. */
    public Edit learn(int msr, long data) {
      int at = slot(msr);
      value[at] = data;
      knows[at] = true;
      return this;
    }

    /** A recorded read contradicts what was known: doubt it. */
    public Edit doubt(int msr) {
      int at = find(msr);
      if (at >= 0) {
        knows[at] = false;
      }
      return this;
    }

    /** The guest may have written it. */
    public Edit forgetAt(int position, int moment) {
      if (knows[position]) {
        knows[position] = false;
        writer[position] = moment;
      }
      return this;
    }

    public MsrState done() {
      if (index.length == 0) {
        return new MsrState(layout, value, knows, writer);
      }
      return new MsrState(
          new MsrLayout(Arrays.copyOf(index, size)),
          Arrays.copyOf(value, size),
          Arrays.copyOf(knows, size),
          Arrays.copyOf(writer, size));
    }

    private int find(int msr) {
      if (index.length == 0) {
        return layout.position(msr);
      }
      int at = search(msr);
      return at < 0 ? -1 : at;
    }

    private int search(int msr) {
      int low = 0;
      int high = size - 1;
      while (low <= high) {
        int middle = (low + high) >>> 1;
        int order = Integer.compareUnsigned(index[middle], msr);
        if (order < 0) {
          low = middle + 1;
        } else if (order > 0) {
          high = middle - 1;
        } else {
          return middle;
        }
      }
      return -low - 1;
    }

    private int slot(int msr) {
      int at = find(msr);
      if (at >= 0) {
        return at;
      }
      if (size == index.length || index.length == 0) {
        int capacity = Math.max(16, size * 2);
        index = index.length == 0 ? layout.copy(capacity) : Arrays.copyOf(index, capacity);
        value = Arrays.copyOf(value, capacity);
        knows = Arrays.copyOf(knows, capacity);
        writer = Arrays.copyOf(writer, capacity);
      }
      int insert = -search(msr) - 1;
      int moved = size - insert;
      System.arraycopy(index, insert, index, insert + 1, moved);
      System.arraycopy(value, insert, value, insert + 1, moved);
      System.arraycopy(knows, insert, knows, insert + 1, moved);
      System.arraycopy(writer, insert, writer, insert + 1, moved);
      size++;
      index[insert] = msr;
      value[insert] = 0;
      knows[insert] = false;
      writer[insert] = Tracked.NOBODY;
      return insert;
    }
  }
}
