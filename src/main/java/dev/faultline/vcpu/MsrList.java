package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmMsrs;
import java.util.Arrays;

/**
 * The MSRs that a KVM_SET_MSRS names, looked up once for a vendor module: the rule for each, and
 * where it is in a {@link MsrLayout}. Values are no part of it.
 */
final class MsrList {
  /** What an accepted entry leaves behind. */
  enum Keeping {
    /** The value as it was written. */
    AS_WRITTEN,
    /** Nothing that could be read back. */
    NOT_AT_ALL,
    /** What the MSR's rule says. */
    BY_RULE
  }

  private final MsrLayout layout;
  private final KernelModel.Vendor vendor;
  private final int[] indexes;
  private final MsrKind[] kinds;
  private final int[] slots;
  private final Keeping[] keepings;
  private final int[] judged;

  MsrList(MsrLayout layout, KvmMsrs msrs, KernelModel.Vendor vendor) {
    this.layout = layout;
    this.vendor = vendor;
    int held = msrs.held();
    indexes = new int[held];
    kinds = new MsrKind[held];
    slots = new int[held];
    keepings = new Keeping[held];
    int[] judgedOnes = new int[held];
    int judgedCount = 0;
    for (int i = 0; i < held; i++) {
      int index = msrs.index(i);
      MsrKind kind = MsrKind.of(index);
      indexes[i] = index;
      kinds[i] = kind;
      slots[i] = layout.slot(index);
      keepings[i] = MsrStore.keeping(kind, index, vendor);
      if (!MsrWrites.accepts(kind, index)) {
        judgedOnes[judgedCount++] = i;
      }
    }
    judged = Arrays.copyOf(judgedOnes, judgedCount);
  }

  /** Whether a payload names these MSRs, in this order, and the vendor module is the same. */
  boolean isOf(KvmMsrs msrs, KernelModel.Vendor module) {
    if (msrs.held() != indexes.length || module != vendor) {
      return false;
    }
    Bytes raw = msrs.raw();
    int different = 0;
    for (int i = 0; i < indexes.length; i++) {
      different |= raw.i32(KvmMsrs.HEADER_SIZE + i * KvmMsrs.ENTRY_SIZE) ^ indexes[i];
    }
    return different == 0;
  }

  KernelModel.Vendor vendor() {
    return vendor;
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

  /** How many entries have a rule that can refuse them. */
  int judgedCount() {
    return judged.length;
  }

  /** The entry that is the n-th of those. */
  int judged(int n) {
    return judged[n];
  }

  /** The slot of the MSR of an entry in the layout, or negative when it is not there. */
  int slot(int entry) {
    return slots[entry];
  }
}
