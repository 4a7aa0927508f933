package dev.faultline.vcpu;

import dev.faultline.kvm.KvmMsrs;
import org.jspecify.annotations.Nullable;

/**
 * Which MSRs an {@link MsrState} holds, and where: sorted by unsigned index. States that hold the
 * same MSRs share it, since nearly every change is one of values.
 */
final class MsrLayout {
  static final MsrLayout EMPTY = new MsrLayout(new int[0]);

  private static final int SPREAD = 0x9e3779b9;

  private final int[] indexes;

  /** One more than the position of each MSR, hashed by its index, with open addressing. */
  private final short[] slots;

  private final int shift;

  /**
   * The last list that was looked up, null until then: a VMM names the same MSRs over and over. A
   * benign race, as a list is immutable and whoever takes it compares it first.
   */
  private @Nullable MsrList last;

  /**
   * A layout of these MSRs.
   *
   * @param sorted their indexes in unsigned order, each once; given away
   */
  MsrLayout(int[] sorted) {
    this.indexes = sorted;
    int bits = Integer.SIZE - Integer.numberOfLeadingZeros(2 * sorted.length + 1);
    this.slots = new short[1 << bits];
    this.shift = Integer.SIZE - bits;
    for (int at = 0; at < sorted.length; at++) {
      int slot = slot(sorted[at]);
      while (slots[slot] != 0) {
        slot = next(slot);
      }
      slots[slot] = (short) (at + 1);
    }
  }

  int size() {
    return indexes.length;
  }

  int indexAt(int position) {
    return indexes[position];
  }

  /** A copy of the indexes, with room for more. */
  int[] copy(int capacity) {
    int[] copy = new int[capacity];
    System.arraycopy(indexes, 0, copy, 0, indexes.length);
    return copy;
  }

  /** The position of an MSR, or a negative number when the layout does not have it. */
  int position(int index) {
    int slot = slot(index);
    while (true) {
      int at = (slots[slot] & 0xffff) - 1;
      if (at < 0 || indexes[at] == index) {
        return at;
      }
      slot = next(slot);
    }
  }

  /** What the entries of a list are to states of this layout. */
  MsrList list(KvmMsrs msrs) {
    MsrList known = last;
    if (known == null || !known.names(msrs)) {
      known = new MsrList(this, msrs);
      last = known;
    }
    return known;
  }

  private int slot(int index) {
    return (index * SPREAD) >>> shift;
  }

  private int next(int slot) {
    return (slot + 1) & (slots.length - 1);
  }
}
