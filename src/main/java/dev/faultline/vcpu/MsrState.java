package dev.faultline.vcpu;

import java.util.Arrays;

/**
 * The MSRs of a vCPU by index: value, whether it is known, and who wrote it last. Immutable; sorted
 * by unsigned index; one copy for a batch of writes.
 */
public final class MsrState {
  private static final MsrState EMPTY =
      new MsrState(new int[0], new long[0], new boolean[0], new int[0]);

  private final int[] indexes;
  private final long[] values;
  private final boolean[] known;
  private final int[] writers;

  private MsrState(int[] indexes, long[] values, boolean[] known, int[] writers) {
    this.indexes = indexes;
    this.values = values;
    this.known = known;
    this.writers = writers;
  }

  public static MsrState empty() {
    return EMPTY;
  }

  public int size() {
    return indexes.length;
  }

  /** The MSR index at a position, in unsigned order. */
  public int indexAt(int position) {
    return indexes[position];
  }

  /** The position of an MSR, or a negative number when it was never seen. */
  public int position(int index) {
    int low = 0;
    int high = indexes.length - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      int order = Integer.compareUnsigned(indexes[middle], index);
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
      while (i < indexes.length && !known[i]) {
        i++;
      }
      while (j < other.indexes.length && !other.known[j]) {
        j++;
      }
      if (i == indexes.length || j == other.indexes.length) {
        return i == indexes.length && j == other.indexes.length;
      }
      if (indexes[i] != other.indexes[j] || values[i] != other.values[j]) {
        return false;
      }
      i++;
      j++;
    }
  }

  /** A batch of changes. */
  public final class Edit {
    private int[] index = indexes.clone();
    private long[] value = values.clone();
    private boolean[] knows = known.clone();
    private int[] writer = writers.clone();
    private int size = indexes.length;

    /** The MSR is written; its value is known only if {@code certain}. */
    public Edit write(int msr, long data, boolean certain, int moment) {
      int at = slot(msr);
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
      return new MsrState(
          trim(index, size),
          Arrays.copyOf(value, size),
          Arrays.copyOf(knows, size),
          trim(writer, size));
    }

    private int find(int msr) {
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
      int insert = -at - 1;
      if (size == index.length) {
        int capacity = Math.max(16, size * 2);
        index = Arrays.copyOf(index, capacity);
        value = Arrays.copyOf(value, capacity);
        knows = Arrays.copyOf(knows, capacity);
        writer = Arrays.copyOf(writer, capacity);
      }
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

    private static int[] trim(int[] array, int length) {
      return array.length == length ? array : Arrays.copyOf(array, length);
    }
  }
}
