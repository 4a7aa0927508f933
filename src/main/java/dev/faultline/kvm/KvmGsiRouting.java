package dev.faultline.kvm;

import dev.faultline.Bytes;
import dev.faultline.StructLayout;

/**
 * Where each interrupt line of a VM leads.
 *
 * <p><i>Shape</i>: nr u32, flags u32, then entries of 48 bytes: gsi, type, flags, pad, then 32
 * bytes that each type lays out for itself.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "KVM_SET_GSI_ROUTING"; {@code
 * include/uapi/linux/kvm.h, struct kvm_irq_routing, v6.1}.
 */
public record KvmGsiRouting(Bytes raw) implements KvmStruct {
  /** Bytes before the entries. */
  public static final int HEADER_SIZE = 8;

  /** Bytes of an entry. */
  public static final int ENTRY_SIZE = 48;

  private static final int NR = 0;
  private static final int FLAGS = 4;
  private static final int GSI = 0;
  private static final int TYPE = 4;
  private static final int ENTRY_FLAGS = 8;
  private static final int TARGET = 16;
  private static final int TARGET_SIZE = 32;
  private static final FlexibleArray SHAPE =
      new FlexibleArray("kvm_irq_routing", HEADER_SIZE, ENTRY_SIZE);

  /** A header alone, or a header and at least the entries that it counts. */
  public KvmGsiRouting {
    SHAPE.check(raw);
  }

  @Override
  public StructLayout layout() {
    StructLayout.Builder layout =
        StructLayout.builder("kvm_irq_routing", raw.size())
            .value("nr", NR, 4)
            .value("flags", FLAGS, 4);
    for (int i = 0; i < held(); i++) {
      int at = HEADER_SIZE + i * ENTRY_SIZE;
      layout
          .value("entries[" + i + "].gsi", at + GSI, 4)
          .value("entries[" + i + "].type", at + TYPE, 4)
          .value("entries[" + i + "].flags", at + ENTRY_FLAGS, 4)
          .opaque("target", at + TARGET, TARGET_SIZE);
    }
    return layout.build();
  }

  /** The count in the header. */
  public long count() {
    return SHAPE.count(raw);
  }

  /** How many entries the payload holds. */
  public int held() {
    return SHAPE.held(raw);
  }

  /** The line of entry {@code i}. */
  public int gsi(int i) {
    return raw.i32(SHAPE.offsetOf(raw, i) + GSI);
  }

  /** The type of entry {@code i}: 1 a pin of an interrupt controller, 2 a message. */
  public int type(int i) {
    return raw.i32(SHAPE.offsetOf(raw, i) + TYPE);
  }
}
