package dev.faultline.svm;

/**
 * Bits of the VMCB's words.
 *
 * <p><i>Source</i>: AMD APM vol. 2, appendix B, "VMCB Layout"; {@code arch/x86/include/asm/svm.h,
 * v6.1}.
 */
public final class VmcbBits {
  /** In NESTED_CTL: L1 uses nested paging for L2. */
  public static final long NP_ENABLE = 1L << 0;

  /** In INT_STATE: the guest is in an interrupt shadow. */
  public static final long INTERRUPT_SHADOW = 1L << 0;

  /** In INT_CTL: the global interrupt flag of the guest, if {@link #V_GIF_ENABLE}. */
  public static final long V_GIF = 1L << 9;

  /** In INT_CTL: the guest has a global interrupt flag of its own. */
  public static final long V_GIF_ENABLE = 1L << 25;

  /** In the attributes of a segment: its type. */
  public static final int ATTRIB_TYPE = 15;

  /** In the attributes of a segment, shift: code or data, not a system segment. */
  public static final int ATTRIB_S_SHIFT = 4;

  /** In the attributes of a segment, shift: descriptor privilege level, two bits. */
  public static final int ATTRIB_DPL_SHIFT = 5;

  /** In the attributes of a segment, shift: present. */
  public static final int ATTRIB_P_SHIFT = 7;

  /** In the attributes of a segment, shift: available to software. */
  public static final int ATTRIB_AVL_SHIFT = 8;

  /** In the attributes of a segment, shift: 64-bit code. */
  public static final int ATTRIB_L_SHIFT = 9;

  /** In the attributes of a segment, shift: default operand size. */
  public static final int ATTRIB_DB_SHIFT = 10;

  /** In the attributes of a segment, shift: granularity. */
  public static final int ATTRIB_G_SHIFT = 11;

  private VmcbBits() {}
}
