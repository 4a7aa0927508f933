package dev.faultline.vcpu;

import dev.faultline.kvm.KvmMsrs;
import java.util.Arrays;

/**
 * The MSRs that a KVM_SET_MSRS names, looked up once: the rule for each, and where it is in a
 * {@link MsrLayout}. Values are no part of it.
 */
final class MsrList {
  private final MsrLayout layout;
  private final int[] indexes;
  private final MsrKind[] kinds;
  private final int[] positions;
  private final boolean[] kept;
  private final int[] judged;

  MsrList(MsrLayout layout, KvmMsrs msrs) {
    this.layout = layout;
    int held = msrs.held();
    indexes = new int[held];
    kinds = new MsrKind[held];
    positions = new int[held];
    kept = new boolean[held];
    int[] judgedOnes = new int[held];
    int judgedCount = 0;
    for (int i = 0; i < held; i++) {
      indexes[i] = msrs.index(i);
      kinds[i] = MsrKind.of(indexes[i]);
      positions[i] = layout.position(indexes[i]);
      kept[i] = MsrStore.keeps(kinds[i], indexes[i]);
      if (!MsrWrites.accepts(kinds[i], indexes[i])) {
        judgedOnes[judgedCount++] = i;
      }
    }
    judged = Arrays.copyOf(judgedOnes, judgedCount);
  }

  /** Whether a payload names these MSRs, in this order. */
  boolean names(KvmMsrs msrs) {
    if (msrs.held() != indexes.length) {
      return false;
    }
    int different = 0;
    for (int i = 0; i < indexes.length; i++) {
      different |= msrs.raw().i32(KvmMsrs.HEADER_SIZE + i * KvmMsrs.ENTRY_SIZE) ^ indexes[i];
    }
    return different == 0;
  }

  /** Whether the positions are those of this very layout. */
  @SuppressWarnings("ReferenceEquality") // States that hold the same MSRs share their layout.
  boolean isOf(MsrLayout other) {
    return layout == other;
  }

  /** The MSR of an entry. */
  int index(int entry) {
    return indexes[entry];
  }

  /** The rule for the MSR of an entry. */
  MsrKind kind(int entry) {
    return kinds[entry];
  }

  /** Whether every value of the entry's MSR is kept as it is written. */
  boolean keeps(int entry) {
    return kept[entry];
  }

  /** How many entries have a rule that can refuse them. */
  int judgedCount() {
    return judged.length;
  }

  /** The entry that is the n-th of those. */
  int judged(int n) {
    return judged[n];
  }

  /** The position of the MSR of an entry in the layout, or negative when it is not there. */
  int position(int entry) {
    return positions[entry];
  }
}
