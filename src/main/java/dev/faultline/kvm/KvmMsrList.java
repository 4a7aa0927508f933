package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;

/**
 * Which MSRs KVM knows.
 *
 * <p><i>Shape</i>: nmsrs u32, then that many u32. A question is the header alone, its count the
 * room there is; so is the answer of E2BIG, its count the room needed.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_GET_MSR_INDEX_LIST"; {@code
 * arch/x86/include/uapi/asm/kvm.h, struct kvm_msr_list, v6.1}.
 */
public record KvmMsrList(Bytes raw) implements KvmStruct {
  /** Bytes before the entries. */
  public static final int HEADER_SIZE = 4;

  /** Bytes of an entry. */
  public static final int ENTRY_SIZE = 4;

  private static final FlexibleArray SHAPE =
      new FlexibleArray("kvm_msr_list", HEADER_SIZE, ENTRY_SIZE);

  /** A header alone, or a header and at least the entries that it counts. */
  public KvmMsrList {
    SHAPE.check(raw);
  }

  @Override
  public StructLayout layout() {
    return StructLayout.builder("kvm_msr_list", raw.size())
        .value("nmsrs", 0, 4)
        .values("indices", HEADER_SIZE, ENTRY_SIZE, held())
        .build();
  }

  /** The count in the header. */
  public long count() {
    return SHAPE.count(raw);
  }

  /** How many entries the payload holds. */
  public int held() {
    return SHAPE.held(raw);
  }

  /** The number of the MSR in entry {@code i}. */
  public int index(int i) {
    return raw.i32(SHAPE.offsetOf(raw, i));
  }
}
