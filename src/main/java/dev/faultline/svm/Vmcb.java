package dev.faultline.svm;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import dev.faultline.x86.SegmentRegister;

/**
 * The VMCB that KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE carry: L1's control area for L2, and,
 * in the place of L2's registers, the registers that L1 had when it entered L2. L2's own registers
 * are those of the vCPU.
 *
 * <p><i>Shape</i>: a page; the control area of {@link #SAVE_OFFSET} bytes, then the state save area
 * of {@link #SAVE_SIZE} bytes, then zeros.
 *
 * <p>A view: reading a field allocates nothing.
 *
 * <p><i>Source</i>: {@code arch/x86/include/asm/svm.h, struct vmcb}; {@code
 * arch/x86/kvm/svm/nested.c, svm_get_nested_state(), v6.1}.
 */
public record Vmcb(Bytes raw) {
  /** Bytes of the page. */
  public static final int SIZE = 4096;

  /** Where the state save area begins. */
  public static final int SAVE_OFFSET = 1024;

  /** Bytes of the state save area, as far as KVM copies it. */
  public static final int SAVE_SIZE = 740;

  /** The prefix of the names in {@link #LAYOUT}. */
  public static final String PREFIX = "vmcb.";

  private static final int RESERVED_IN_SAVE_1 = 0xa0;
  private static final int RESERVED_IN_SAVE_1_SIZE = 42;
  private static final int RESERVED_IN_SAVE_2 = 0xcc;
  private static final int RESERVED_IN_SAVE_2_SIZE = 4;
  private static final int RESERVED_IN_SAVE_3 = 0xd8;
  private static final int RESERVED_IN_SAVE_3_SIZE = 112;
  private static final int RESERVED_IN_SAVE_4 = 0x180;
  private static final int RESERVED_IN_SAVE_4_SIZE = 88;
  private static final int RESERVED_IN_SAVE_5 = 0x248;
  private static final int RESERVED_IN_SAVE_5_SIZE = 32;
  private static final int RESERVED_IN_SAVE_6 = 0x298;
  private static final int RESERVED_IN_SAVE_6_SIZE = 72;

  /** All bytes of the page, names as in {@code vmcb.save.rip}. */
  public static final StructLayout LAYOUT = layout();

  private static final int[] INDEXES = new int[VmcbField.values().length];

  static {
    for (VmcbField field : VmcbField.values()) {
      INDEXES[field.ordinal()] = LAYOUT.indexOf(PREFIX + field.vmcbName());
    }
  }

  /** A page of exactly {@link #SIZE} bytes. */
  public Vmcb {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("vmcb", Integer.toString(SIZE), raw.size());
    }
  }

  /** A page of zeros. */
  public static Vmcb zero() {
    return new Vmcb(Bytes.zero(SIZE));
  }

  /** The index in {@link #LAYOUT} of a field. */
  public static int indexOf(VmcbField field) {
    return INDEXES[field.ordinal()];
  }

  /** The first of the four fields of a segment register: selector, attrib, limit, base. */
  public static VmcbField selectorOf(SegmentRegister register) {
    return switch (register) {
      case CS -> VmcbField.CS_SELECTOR;
      case DS -> VmcbField.DS_SELECTOR;
      case ES -> VmcbField.ES_SELECTOR;
      case FS -> VmcbField.FS_SELECTOR;
      case GS -> VmcbField.GS_SELECTOR;
      case SS -> VmcbField.SS_SELECTOR;
      case TR -> VmcbField.TR_SELECTOR;
      case LDTR -> VmcbField.LDTR_SELECTOR;
    };
  }

  /** The value of a field, zero-extended. */
  public long get(VmcbField field) {
    return raw.uint(field.offset(), field.size());
  }

  /** This VMCB with another value of one field, cut to the field's width. */
  public Vmcb with(VmcbField field, long value) {
    return new Vmcb(raw.with(field.offset(), field.size(), value));
  }

  /** Whether L1 wants an exit of L2 for this. */
  public boolean intercepts(Intercept intercept) {
    return (get(intercept.word()) & intercept.mask()) != 0;
  }

  /** This VMCB with one more intercept. */
  public Vmcb intercepting(Intercept intercept) {
    return with(intercept.word(), get(intercept.word()) | intercept.mask());
  }

  private static StructLayout layout() {
    StructLayout.Builder layout =
        StructLayout.builder("vmcb", SIZE)
            .reserved(SAVE_OFFSET + RESERVED_IN_SAVE_1, RESERVED_IN_SAVE_1_SIZE)
            .reserved(SAVE_OFFSET + RESERVED_IN_SAVE_2, RESERVED_IN_SAVE_2_SIZE)
            .reserved(SAVE_OFFSET + RESERVED_IN_SAVE_3, RESERVED_IN_SAVE_3_SIZE)
            .reserved(SAVE_OFFSET + RESERVED_IN_SAVE_4, RESERVED_IN_SAVE_4_SIZE)
            .reserved(SAVE_OFFSET + RESERVED_IN_SAVE_5, RESERVED_IN_SAVE_5_SIZE)
            .reserved(SAVE_OFFSET + RESERVED_IN_SAVE_6, RESERVED_IN_SAVE_6_SIZE);
    for (VmcbField field : VmcbField.values()) {
      layout.value(PREFIX + field.vmcbName(), field.offset(), field.size());
    }
    return layout.build();
  }
}
