package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;
import java.util.List;
import java.util.Objects;

/**
 * A list of MSRs with their values.
 *
 * <p><i>Shape</i>: nmsrs u32, pad u32, then entries of 16 bytes: index u32, reserved u32, data u64.
 * A payload may be the header alone, and may be longer than its entries need; see {@link #held()}.
 *
 * <p><i>Order</i>: KVM reads and writes the MSRs in the order of the list and stops at the first
 * that it refuses.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_MSRS", "KVM_SET_MSRS"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_msrs, v6.1}.
 */
public record KvmMsrs(Bytes raw) implements KvmStruct {
  /** Bytes before the entries. */
  public static final int HEADER_SIZE = 8;

  /** Bytes of an entry. */
  public static final int ENTRY_SIZE = 16;

  private static final int NMSRS = 0;
  private static final int INDEX = 0;
  private static final int RESERVED = 4;
  private static final int DATA = 8;
  private static final FlexibleArray SHAPE = new FlexibleArray("kvm_msrs", HEADER_SIZE, ENTRY_SIZE);

  /** A header alone, or a header and at least the entries that it counts. */
  public KvmMsrs {
    SHAPE.check(raw);
  }

  /** A list of those MSRs, in that order. */
  public static KvmMsrs of(List<MsrEntry> entries) {
    Bytes.Builder to = Bytes.builder(HEADER_SIZE + entries.size() * ENTRY_SIZE);
    to.put(NMSRS, 4, entries.size());
    for (int i = 0; i < entries.size(); i++) {
      int at = HEADER_SIZE + i * ENTRY_SIZE;
      to.put(at + INDEX, 4, entries.get(i).index()).put(at + DATA, 8, entries.get(i).data());
    }
    return new KvmMsrs(to.build());
  }

  /** A list of one MSR. */
  public static KvmMsrs of(int index, long data) {
    return of(List.of(new MsrEntry(index, data)));
  }

  @Override
  public StructLayout layout() {
    StructLayout.Builder layout =
        StructLayout.builder("kvm_msrs", raw.size()).value("nmsrs", NMSRS, 4);
    for (int i = 0; i < held(); i++) {
      int at = HEADER_SIZE + i * ENTRY_SIZE;
      layout
          .value("entries[" + i + "].index", at + INDEX, 4)
          .reserved(at + RESERVED, 4)
          .value("entries[" + i + "].data", at + DATA, 8);
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

  /** Where the value of entry {@code i} is, in a payload that holds it. */
  public static int dataOffset(int i) {
    return HEADER_SIZE + i * ENTRY_SIZE + DATA;
  }

  /** Whether the entries name these MSRs, in this order. */
  public boolean names(int[] indexes) {
    return held() == indexes.length && raw.hasI32s(HEADER_SIZE + INDEX, ENTRY_SIZE, indexes);
  }

  private int entry(int i) {
    return HEADER_SIZE + Objects.checkIndex(i, held()) * ENTRY_SIZE;
  }

  /** The number of the MSR in entry {@code i}. */
  public int index(int i) {
    return raw.i32(entry(i) + INDEX);
  }

  /** The value in entry {@code i}. */
  public long data(int i) {
    return raw.u64(entry(i) + DATA);
  }

  /** The reserved word in entry {@code i}. */
  public int reserved(int i) {
    return raw.i32(entry(i) + RESERVED);
  }

  /** The entry of the last occurrence of an MSR; -1 if it is not in the list. */
  public int find(int msr) {
    for (int i = held() - 1; i >= 0; i--) {
      if (index(i) == msr) {
        return i;
      }
    }
    return -1;
  }

  /** This list with another value in entry {@code i}. */
  public KvmMsrs withData(int i, long value) {
    return new KvmMsrs(raw.with(entry(i) + DATA, 8, value));
  }
}
