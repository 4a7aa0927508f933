package dev.faultline.vcpu;

import dev.faultline.kvm.KvmMsrs;
import dev.faultline.vmx.VmxCapabilities;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The MSRs of a vCPU by index: value, whether it is known, and who wrote it last. Immutable; a
 * batch of writes copies those chunks of values that it changes.
 *
 * <p>Positions number the MSRs by unsigned index; slots, by the order in which they came.
 */
public final class MsrState {
  private static final MsrState EMPTY =
      new MsrState(MsrLayout.EMPTY, new long[0][], new long[0], null);

  /** How many values there are in a chunk, as a power of two. */
  private static final int CHUNK_BITS = 4;

  private static final int CHUNK = 1 << CHUNK_BITS;

  /** Where each MSR is in what follows, which may have room for more. */
  private final MsrLayout layout;

  /** The values in chunks. */
  private final long[][] values;

  /** One bit for each slot whose value is known. */
  private final long[] known;

  /** Null while nobody wrote any. */
  private final @Nullable MsrWriters writers;

  private MsrState(MsrLayout layout, long[][] values, long[] known, @Nullable MsrWriters writers) {
    this.layout = layout;
    this.values = values;
    this.known = known;
    this.writers = writers;
  }

  private static int chunks(int slots) {
    return (slots + CHUNK - 1) >>> CHUNK_BITS;
  }

  private static int words(int slots) {
    return (slots + Long.SIZE - 1) / Long.SIZE;
  }

  public static MsrState empty() {
    return EMPTY;
  }

  public int size() {
    return layout.size();
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
    return slot >= 0 && has(known, slot);
  }

  /** The slot of an MSR, or a negative number when it was never seen. */
  int slot(int index) {
    return layout.slot(index);
  }

  long valueIn(int slot) {
    return values[slot >>> CHUNK_BITS][slot & (CHUNK - 1)];
  }

  boolean knowsIn(int slot) {
    return has(known, slot);
  }

  public boolean knowsAt(int position) {
    return has(known, layout.slotAt(position));
  }

  private static boolean has(long[] bits, int slot) {
    return (bits[slot / Long.SIZE] & 1L << slot) != 0;
  }

  public long valueAt(int position) {
    return valueIn(layout.slotAt(position));
  }

  public int writerAt(int position) {
    return writers == null ? Tracked.NOBODY : writers.writer(layout.slotAt(position));
  }

  /** The last value; meaningful only when {@link #knows}. Zero when never seen. */
  public long value(int index) {
    int slot = layout.slot(index);
    return slot >= 0 ? valueIn(slot) : 0;
  }

  /**
   * The VMX capability MSRs, as far as they are known. What nobody ever wrote is as KVM offers it
   * everywhere.
   */
  VmxCapabilities capabilities() {
    long[] found = new long[VmxCapabilities.count()];
    int foundKnown = 0;
    for (int n = 0; n < found.length; n++) {
      int slot = layout.capability(n);
      if (slot >= 0 && has(known, slot)) {
        found[n] = valueIn(slot);
        foundKnown |= 1 << n;
      }
    }
    return VmxCapabilities.wrap(found, foundKnown).orDefaults();
  }

  public Edit edit() {
    return new Edit();
  }

  /** Same known values; writers are not compared. */
  public boolean sameState(MsrState other) {
    int i = 0;
    int j = 0;
    while (true) {
      while (i < size() && !knowsAt(i)) {
        i++;
      }
      while (j < other.size() && !other.knowsAt(j)) {
        j++;
      }
      if (i == size() || j == other.size()) {
        return i == size() && j == other.size();
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
    private long[][] value = values;

    private long[] knows = known;
    private @Nullable MsrWriters writer = writers;
    private boolean copied;

    /** The slots written so far by one moment. */
    private long[] written = new long[0];

    private int writing = Tracked.NOBODY;

    /** The MSR is written; its value is known only if {@code certain}. */
    public Edit write(int msr, long data, boolean certain, int moment) {
      return put(slot(msr), data, certain, moment);
    }

    /** The values that a plan keeps as they are written, in slots of this layout. */
    void putAll(MsrList.Plan plan, KvmMsrs msrs, int moment) {
      open();
      begin(moment);
      for (int slot = 0; slot < layout.size(); slot += CHUNK) {
        chunk(slot);
      }
      plan.put(msrs, value, CHUNK_BITS);
      plan.mark(knows);
      plan.mark(written);
    }

    /** The MSR in a slot of the state's layout is written. */
    Edit put(int slot, long data, boolean certain, int moment) {
      open();
      chunk(slot)[slot & (CHUNK - 1)] = data;
      know(slot, certain);
      wrote(slot, moment);
      return this;
    }

    /** A recorded read shows the value; whoever wrote it stays the writer. */
    public Edit learn(int msr, long data) {
      int slot = slot(msr);
      open();
      chunk(slot)[slot & (CHUNK - 1)] = data;
      know(slot, true);
      return this;
    }

    /** A recorded read contradicts what was known: doubt it. */
    public Edit doubt(int msr) {
      int slot = find(msr);
      if (slot >= 0) {
        open();
        know(slot, false);
      }
      return this;
    }

    /** The guest may have written the MSR at a position of the state that is changed. */
    public Edit forgetAt(int position, int moment) {
      int slot = layout.slotAt(position);
      if (has(knows, slot)) {
        open();
        know(slot, false);
        wrote(slot, moment);
      }
      return this;
    }

    private void know(int slot, boolean certain) {
      int word = slot / Long.SIZE;
      knows[word] = certain ? knows[word] | 1L << slot : knows[word] & ~(1L << slot);
    }

    private void wrote(int slot, int moment) {
      begin(moment);
      written[slot / Long.SIZE] |= 1L << slot;
    }

    /** Makes sure that what is written next is noted as written by this moment. */
    private void begin(int moment) {
      if (moment != writing || written.length < knows.length) {
        if (moment != writing) {
          finish();
          writing = moment;
        }
        written = Arrays.copyOf(written, knows.length);
      }
    }

    private void finish() {
      if (written.length != 0) {
        writer =
            MsrWriters.written(writer, cut(written, words(layout.size() + addedCount)), writing);
        written = new long[0];
      }
    }

    /** Without the room that was made for what never came: equal states are the same bytes. */
    private static long[] cut(long[] bits, int length) {
      return bits.length == length ? bits : Arrays.copyOf(bits, length);
    }

    public MsrState done() {
      if (!copied) {
        return MsrState.this;
      }
      finish();
      int size = layout.size() + addedCount;
      MsrLayout whole = addedCount == 0 ? layout : expected;
      if (whole == null || whole.size() != size) {
        whole = layout.with(added, addedCount);
      }
      int chunks = chunks(size);
      return new MsrState(
          whole,
          value.length == chunks ? value : Arrays.copyOf(value, chunks),
          cut(knows, words(size)),
          writer);
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
      if (!copied || slot >> CHUNK_BITS == value.length) {
        grow(Math.max(slot + 1, expected == null ? 0 : expected.size()));
      }
      if (addedCount == added.length) {
        added = Arrays.copyOf(added, value.length * CHUNK - layout.size());
      }
      added[addedCount] = msr;
      addedCount++;
      return slot;
    }

    private void open() {
      if (!copied) {
        grow(layout.size());
      }
    }

    private void grow(int capacity) {
      copied = true;
      value = Arrays.copyOf(value, chunks(capacity));
      knows = Arrays.copyOf(knows, words(capacity));
    }

    /** The chunk of a slot, which may be written. */
    @SuppressWarnings("ReferenceEquality") // Is it the state's own?
    private long[] chunk(int slot) {
      int at = slot >>> CHUNK_BITS;
      long[] own = value[at];
      if (own == null) {
        own = new long[CHUNK];
        value[at] = own;
      } else if (at < values.length && own == values[at]) {
        own = own.clone();
        value[at] = own;
      }
      return own;
    }
  }
}
