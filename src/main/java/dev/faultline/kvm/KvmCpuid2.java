package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What CPUID answers in a guest, or can answer.
 *
 * <p><i>Shape</i>: nent u32, padding u32, then entries of 40 bytes: function, index, flags, eax,
 * ebx, ecx, edx, padding. A question is the header alone, its count the room there is.
 *
 * <p>A value like the records of this package. It is a class because it remembers where each leaf
 * begins: one table answers many questions about features.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_CPUID2",
 * "KVM_GET_SUPPORTED_CPUID"; {@code arch/x86/include/uapi/asm/kvm.h, struct kvm_cpuid2, v6.1}.
 */
public final class KvmCpuid2 implements KvmStruct {
  /** Bytes before the entries. */
  public static final int HEADER_SIZE = 8;

  /** Bytes of an entry. */
  public static final int ENTRY_SIZE = 40;

  private static final int NENT = 0;
  private static final int FUNCTION = 0;
  static final int INDEX = 4;
  static final int FLAGS = 8;
  static final int EAX = 12;
  static final int EBX = 16;
  static final int ECX = 20;
  static final int EDX = 24;
  private static final FlexibleArray SHAPE =
      new FlexibleArray("kvm_cpuid2", HEADER_SIZE, ENTRY_SIZE);

  /** Leaves of each of the four ranges that have a slot of their own. */
  private static final int RANGE_LEAVES = 64;

  private static final int RANGE_SHIFT = 30 - 6;
  private static final int SLOTS = 4 * RANGE_LEAVES;

  /** The most entries whose numbers fit a slot; KVM takes no more than 256. */
  private static final int MOST_INDEXED = 0xffff;

  private final Bytes raw;

  private final CpuidFeatures features;

  /**
   * For each slot one more than the first entry of a leaf in it; null until somebody asks for a
   * leaf that is not among the features. A benign race: every thread computes the same.
   */
  private transient short @Nullable [] firsts;

  /** A header alone, or a header and at least the entries that it counts. */
  public KvmCpuid2(Bytes raw) {
    SHAPE.check(raw);
    this.raw = raw;
    this.features = CpuidFeatures.of(raw, SHAPE.held(raw));
  }

  /** A table of those entries, in that order. */
  public static KvmCpuid2 of(List<CpuidEntry> entries) {
    Bytes.Builder to = Bytes.builder(HEADER_SIZE + entries.size() * ENTRY_SIZE);
    to.put(NENT, 4, entries.size());
    for (int i = 0; i < entries.size(); i++) {
      CpuidEntry entry = entries.get(i);
      int at = HEADER_SIZE + i * ENTRY_SIZE;
      to.put(at + FUNCTION, 4, entry.function())
          .put(at + INDEX, 4, entry.index())
          .put(at + FLAGS, 4, entry.flags())
          .put(at + EAX, 4, entry.eax())
          .put(at + EBX, 4, entry.ebx())
          .put(at + ECX, 4, entry.ecx())
          .put(at + EDX, 4, entry.edx());
    }
    return new KvmCpuid2(to.build());
  }

  @Override
  public Bytes raw() {
    return raw;
  }

  @Override
  public StructLayout layout() {
    StructLayout.Builder layout =
        StructLayout.builder("kvm_cpuid2", raw.size()).value("nent", NENT, 4);
    for (int i = 0; i < held(); i++) {
      String prefix = "entries[" + i + "].";
      int at = HEADER_SIZE + i * ENTRY_SIZE;
      layout
          .value(prefix + "function", at + FUNCTION, 4)
          .value(prefix + "index", at + INDEX, 4)
          .value(prefix + "flags", at + FLAGS, 4)
          .value(prefix + "eax", at + EAX, 4)
          .value(prefix + "ebx", at + EBX, 4)
          .value(prefix + "ecx", at + ECX, 4)
          .value(prefix + "edx", at + EDX, 4);
    }
    return layout.build();
  }

  /** The count in the header. */
  public long count() {
    return SHAPE.count(raw);
  }

  /** How many entries the payload holds: the count, or none if it is the header alone. */
  public int held() {
    return SHAPE.held(raw);
  }

  /** Entry {@code i}. */
  public CpuidEntry entry(int i) {
    int at = SHAPE.offsetOf(raw, i);
    return new CpuidEntry(
        raw.i32(at + FUNCTION),
        raw.i32(at + INDEX),
        raw.i32(at + FLAGS),
        raw.i32(at + EAX),
        raw.i32(at + EBX),
        raw.i32(at + ECX),
        raw.i32(at + EDX));
  }

  /** All entries. */
  public List<CpuidEntry> entries() {
    List<CpuidEntry> entries = new ArrayList<>(held());
    for (int i = 0; i < held(); i++) {
      entries.add(entry(i));
    }
    return List.copyOf(entries);
  }

  /**
   * The first entry that answers to leaf and subleaf, as KVM looks it up; null if there is none.
   */
  public @Nullable CpuidEntry find(int function, int index) {
    int found = position(function, index);
    return found < 0 ? null : entry(found);
  }

  /**
   * A register of the first entry that answers to leaf and subleaf, zero if there is none.
   *
   * @param register 0 for EAX to 3 for EDX
   */
  public int register(int function, int index, int register) {
    int found = position(function, index);
    return found < 0
        ? 0
        : raw.i32(HEADER_SIZE + found * ENTRY_SIZE + EAX + register * Integer.BYTES);
  }

  /** The feature words, taken out once. */
  public CpuidFeatures features() {
    return features;
  }

  private int position(int function, int index) {
    int held = held();
    int first = held <= MOST_INDEXED ? (firsts(held)[slot(function)] & 0xffff) - 1 : 0;
    for (int i = first; i >= 0 && i < held; i++) {
      int at = HEADER_SIZE + i * ENTRY_SIZE;
      if (raw.i32(at + FUNCTION) == function
          && ((raw.i32(at + FLAGS) & CpuidEntry.KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0
              || raw.i32(at + INDEX) == index)) {
        return i;
      }
    }
    return -1;
  }

  private short[] firsts(int held) {
    short[] known = firsts;
    if (known == null) {
      known = index(raw, held);
      firsts = known;
    }
    return known;
  }

  private static short[] index(Bytes raw, int held) {
    short[] index = new short[SLOTS];
    for (int i = Math.min(held, MOST_INDEXED) - 1; i >= 0; i--) {
      index[slot(raw.i32(HEADER_SIZE + i * ENTRY_SIZE + FUNCTION))] = (short) (i + 1);
    }
    return index;
  }

  /** Basic, hypervisor's and extended leaves start at multiples of 2^30. */
  private static int slot(int function) {
    return (function & (RANGE_LEAVES - 1)) | (function >>> RANGE_SHIFT & (SLOTS - RANGE_LEAVES));
  }

  @Override
  public boolean equals(@Nullable Object o) {
    return this == o || (o instanceof KvmCpuid2 other && raw.equals(other.raw));
  }

  @Override
  public int hashCode() {
    return raw.hashCode();
  }

  @Override
  public String toString() {
    return "KvmCpuid2[raw=" + raw + "]";
  }
}
