package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmMsrs;
import java.util.Arrays;
import java.util.function.IntPredicate;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The MSRs that a KVM_SET_MSRS names, looked up once for a kernel: the rule for each, and where it
 * is in a {@link MsrLayout}. Values are no part of it.
 */
final class MsrList {
  /** What an accepted entry leaves behind. */
  enum Keeping {
    /** The value as it was written. */
    AS_WRITTEN,
    /** Nothing that could be read back. */
    NOT_AT_ALL,
    /** Zero as it was written, of any other value what the MSR's rule says. */
    ZERO_AS_WRITTEN,
    /** What the MSR's rule says. */
    BY_RULE
  }

  /** What entries leave behind while L2 is not active, in whichever order they are carried out. */
  static final class Plan {
    /** Where the values that are kept as written are in a payload. */
    private final int[] offsets;

    /** The slots of those. */
    private final int[] slots;

    /** One bit for each of those slots. */
    private final long[] bits;

    /** The other entries that leave something behind. */
    private final int[] ruled;

    private Plan(MsrList list, IntPredicate plain) {
      int[] kept =
          IntStream.range(0, list.indexes.length)
              .filter(i -> list.keepings[i] != Keeping.NOT_AT_ALL)
              .toArray();
      int[] written =
          Arrays.stream(kept).filter(i -> plain.test(i) && list.slots[i] >= 0).toArray();
      offsets = Arrays.stream(written).map(KvmMsrs::dataOffset).toArray();
      slots = Arrays.stream(written).map(i -> list.slots[i]).toArray();
      bits = new long[(list.layout.size() + Long.SIZE - 1) / Long.SIZE];
      for (int slot : slots) {
        bits[slot / Long.SIZE] |= 1L << slot;
      }
      ruled = Arrays.stream(kept).filter(i -> !plain.test(i) || list.slots[i] < 0).toArray();
    }

    /** Puts the values that are kept as written into their slots, in chunks of a power of two. */
    void put(KvmMsrs msrs, long[][] to, int chunkBits) {
      Bytes raw = msrs.raw();
      int within = (1 << chunkBits) - 1;
      for (int n = 0; n < slots.length; n++) {
        int slot = slots[n];
        to[slot >>> chunkBits][slot & within] = raw.u64(offsets[n]);
      }
    }

    /** Sets a bit for each of those slots. */
    void mark(long[] to) {
      for (int word = 0; word < bits.length; word++) {
        to[word] |= bits[word];
      }
    }

    /** How many other entries leave something behind. */
    int ruledCount() {
      return ruled.length;
    }

    /** The entry that is the n-th of those. */
    int ruled(int n) {
      return ruled[n];
    }
  }

  private final MsrLayout layout;
  private final KernelModel kernel;
  private final @Nullable MsrState hostList;
  private final int[] indexes;
  private final MsrKind[] kinds;
  private final int[] slots;
  private final Keeping[] keepings;

  /** The entries that have a rule that can refuse them. */
  private final int[] judged;

  /** Those of them that are not accepted in any case with zero in them. */
  private final int[] judgedStrictly;

  /** Where the others of them hold their value in a payload. */
  private final int[] zerosJudged;

  private final Plan plan;

  /** The plan when all those entries hold zero that are then kept as written. */
  private final Plan planOfZeros;

  private final int[] zerosKept;

  /** Whether all entries can be carried out in any order. */
  private final boolean inAnyOrder;

  /**
   * Looks the MSRs up.
   *
   * @param v any vCPU of the kernel and host
   */
  MsrList(MsrLayout layout, KvmMsrs msrs, Vcpu v) {
    this.layout = layout;
    this.kernel = v.kernel();
    this.hostList = v.vm().host().msrIndexes();
    int held = msrs.held();
    indexes = new int[held];
    kinds = new MsrKind[held];
    slots = new int[held];
    keepings = new Keeping[held];
    for (int i = 0; i < held; i++) {
      int index = msrs.index(i);
      MsrKind kind = MsrKind.of(index);
      indexes[i] = index;
      kinds[i] = kind;
      slots[i] = layout.slot(index);
      keepings[i] = MsrStore.keeping(kind, index, kernel);
    }
    MsrWrites rules = new MsrWrites(v, msrs, this);
    judged = entries(i -> !MsrWrites.accepts(kinds[i], indexes[i]));
    judgedStrictly =
        Arrays.stream(judged).filter(i -> !rules.takesZero(kinds[i], indexes[i])).toArray();
    zerosJudged =
        Arrays.stream(judged)
            .filter(i -> rules.takesZero(kinds[i], indexes[i]))
            .map(KvmMsrs::dataOffset)
            .toArray();
    plan = new Plan(this, i -> keepings[i] == Keeping.AS_WRITTEN);
    planOfZeros = new Plan(this, i -> keepings[i] == Keeping.AS_WRITTEN || keepsZero(i));
    zerosKept = Arrays.stream(entries(this::keepsZero)).map(KvmMsrs::dataOffset).toArray();
    inAnyOrder = Arrays.stream(indexes).distinct().count() == held;
  }

  private int[] entries(IntPredicate which) {
    return IntStream.range(0, indexes.length).filter(which).toArray();
  }

  /**
   * Whether zero is kept as it is written while L2 is not active, if all such entries hold zero.
   */
  private boolean keepsZero(int i) {
    return keepings[i] == Keeping.ZERO_AS_WRITTEN
        || switch (kinds[i]) {
          case SYSENTER_CS, SYSENTER_ADDRESS -> true;
          // Two MSRs with one value: both are written if both are named.
          case WALL_CLOCK, SYSTEM_TIME ->
              IntStream.range(0, kinds.length).filter(n -> kinds[n] == kinds[i]).count() == 2;
          default -> false;
        };
  }

  /** Whether the rules are those for this vCPU's kernel and host. */
  @SuppressWarnings("ReferenceEquality") // All vCPUs of a recording share kernel and list.
  boolean isFor(Vcpu v) {
    return v.vm().host().msrIndexes() == hostList
        && (v.kernel() == kernel || v.kernel().equals(kernel));
  }

  /** Whether a payload names these MSRs, in this order. */
  boolean names(KvmMsrs msrs) {
    return msrs.names(indexes);
  }

  /** Whether the slots are those of this very layout. */
  @SuppressWarnings("ReferenceEquality") // States that hold the same MSRs share their layout.
  boolean isOf(MsrLayout other) {
    return layout == other;
  }

  /** The MSR of an entry. */
  int index(int entry) {
    return indexes[entry];
  }

  /** The value of an entry, in a payload that names these MSRs. */
  long data(KvmMsrs msrs, int entry) {
    return msrs.raw().u64(KvmMsrs.dataOffset(entry));
  }

  /** The rule for the MSR of an entry. */
  MsrKind kind(int entry) {
    return kinds[entry];
  }

  /** What an accepted value of the entry's MSR leaves behind. */
  Keeping keeping(int entry) {
    return keepings[entry];
  }

  /** The entries of a payload that may be refused, in order; not to be changed. */
  int[] judged(KvmMsrs msrs) {
    return msrs.raw().areZero(zerosJudged) ? judgedStrictly : judged;
  }

  /**
   * What the entries of a payload leave behind, in any order; null if the order matters. It does if
   * an MSR is named twice.
   */
  @Nullable Plan plan(KvmMsrs msrs) {
    if (!inAnyOrder) {
      return null;
    }
    return msrs.raw().areZero(zerosKept) ? planOfZeros : plan;
  }

  /** The slot of the MSR of an entry in the layout, or negative when it is not there. */
  int slot(int entry) {
    return slots[entry];
  }
}
