package dev.faultline.vcpu;

import dev.faultline.kvm.KvmMsrs;
import dev.faultline.vmx.VmxCapabilities;
import java.lang.ref.WeakReference;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Which MSRs an {@link MsrState} holds, and in which slot each. States that hold the same MSRs
 * share it, since nearly every change is one of values.
 *
 * <p>A layout grows at its end, and remembers what it last grew to: vCPUs that get the same MSRs in
 * the same order, as those of one VMM do, come to the same layout.
 *
 * <p>What is remembered is no part of the value. Each is found again or made anew, whichever thread
 * asks first.
 */
final class MsrLayout {
  static final MsrLayout EMPTY = new MsrLayout(new int[0]);

  private static final int SPREAD = 0x9e3779b9;

  /** How many layouts that it grew to are remembered: a VMM restores vCPUs in a few ways. */
  private static final int MOST_REMEMBERED = 4;

  private final int[] indexes;

  /** One more than the slot of each MSR, hashed by its index, with open addressing. */
  private final short[] hashed;

  private final int shift;

  /** The slots by unsigned order of index, and where each slot is in that order. */
  private final int[] order;

  private final int[] rank;

  /** The slots of the VMX capability MSRs, in their own order; -1 for those that are missing. */
  private final int[] capabilities;

  /** What was looked up last: a VMM names the same MSRs over and over. */
  private transient @Nullable Looked looked;

  private transient @Nullable Grown grown;

  /** A payload and what it means. */
  private record Looked(KvmMsrs msrs, MsrList list) {}

  /**
   * A layout that this one grew to.
   *
   * @param layout the layout, while anyone else uses it
   * @param number how many there are with the next ones
   * @param next another one
   */
  private record Grown(
      @Nullable WeakReference<MsrLayout> layout, int number, @Nullable Grown next) {}

  private MsrLayout(int[] indexes) {
    this.indexes = indexes;
    int bits = Integer.SIZE - Integer.numberOfLeadingZeros(2 * indexes.length + 1);
    this.hashed = new short[1 << bits];
    this.shift = Integer.SIZE - bits;
    long[] sorted = new long[indexes.length];
    for (int slot = 0; slot < indexes.length; slot++) {
      int at = (indexes[slot] * SPREAD) >>> shift;
      while (hashed[at] != 0) {
        at = (at + 1) & (hashed.length - 1);
      }
      hashed[at] = (short) (slot + 1);
      sorted[slot] = Integer.toUnsignedLong(indexes[slot]) << Short.SIZE | slot;
    }
    Arrays.sort(sorted);
    this.order = new int[indexes.length];
    this.rank = new int[indexes.length];
    for (int at = 0; at < sorted.length; at++) {
      order[at] = (int) (sorted[at] & 0xffff);
      rank[order[at]] = at;
    }
    this.capabilities = new int[VmxCapabilities.count()];
    for (int n = 0; n < capabilities.length; n++) {
      capabilities[n] = slot(VmxCapabilities.msr(n));
    }
  }

  int size() {
    return indexes.length;
  }

  /** The MSR in a slot. */
  int index(int slot) {
    return indexes[slot];
  }

  /** The slot of the MSR at a place in unsigned order. */
  int slotAt(int position) {
    return order[position];
  }

  /** The place of a slot's MSR in unsigned order. */
  int position(int slot) {
    return rank[slot];
  }

  /** The slot of an MSR, or -1 when the layout does not have it. */
  int slot(int index) {
    int at = (index * SPREAD) >>> shift;
    while (true) {
      int slot = (hashed[at] & 0xffff) - 1;
      if (slot < 0 || indexes[slot] == index) {
        return slot;
      }
      at = (at + 1) & (hashed.length - 1);
    }
  }

  /** The slot of the n-th VMX capability MSR, or -1. */
  int capability(int n) {
    return capabilities[n];
  }

  /** What the entries of a list are to a vCPU whose MSRs have this layout. */
  @SuppressWarnings("ReferenceEquality") // Deciding and evolving look the same payload up.
  MsrList list(KvmMsrs msrs, Vcpu v) {
    Looked last = looked;
    MsrList list = last != null && last.list.isFor(v) ? last.list : null;
    if (last != null && list != null && last.msrs == msrs) {
      return list;
    }
    if (list == null || !list.names(msrs)) {
      list = new MsrList(this, msrs, v);
    }
    looked = new Looked(msrs, list);
    return list;
  }

  /** A layout that this one once grew to by this MSR first; null if none is remembered. */
  @Nullable MsrLayout grownBy(int index) {
    for (Grown each = grown; each != null && each.layout != null; each = each.next) {
      MsrLayout layout = each.layout.get();
      if (layout != null && layout.indexes[indexes.length] == index) {
        return layout;
      }
    }
    return null;
  }

  /**
   * The layout with more MSRs.
   *
   * @param added their indexes, none of which this layout has, each once
   * @param count how many of them
   */
  MsrLayout with(int[] added, int count) {
    for (Grown each = grown; each != null && each.layout != null; each = each.next) {
      MsrLayout layout = each.layout.get();
      if (layout != null
          && Arrays.equals(
              layout.indexes, indexes.length, layout.indexes.length, added, 0, count)) {
        return layout;
      }
    }
    int[] all = Arrays.copyOf(indexes, indexes.length + count);
    System.arraycopy(added, 0, all, indexes.length, count);
    MsrLayout made = new MsrLayout(all);
    Grown known = grown;
    Grown others =
        known != null && known.number < MOST_REMEMBERED ? known : new Grown(null, 0, null);
    grown = new Grown(new WeakReference<>(made), others.number + 1, others);
    return made;
  }
}
