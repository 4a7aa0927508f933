package dev.faultline.svm;

/**
 * What L1 can ask an exit of L2 for, as far as the model must know.
 *
 * <p><i>Source</i>: AMD APM vol. 2, appendix B, "VMCB Layout, Control Area"; {@code
 * arch/x86/include/asm/svm.h, v6.1}.
 */
public enum Intercept {
  INTR(VmcbField.INTERCEPT_WORD3, 0),
  NMI(VmcbField.INTERCEPT_WORD3, 1),
  SMI(VmcbField.INTERCEPT_WORD3, 2),
  INIT(VmcbField.INTERCEPT_WORD3, 3),
  MSR_PROT(VmcbField.INTERCEPT_WORD3, 28),
  SHUTDOWN(VmcbField.INTERCEPT_WORD3, 31),
  VMRUN(VmcbField.INTERCEPT_WORD4, 0),
  VMMCALL(VmcbField.INTERCEPT_WORD4, 1),
  STGI(VmcbField.INTERCEPT_WORD4, 4),
  CLGI(VmcbField.INTERCEPT_WORD4, 5);

  private final VmcbField word;
  private final long mask;

  Intercept(VmcbField word, int bit) {
    this.word = word;
    this.mask = 1L << bit;
  }

  /** The word of the control area that holds it. */
  public VmcbField word() {
    return word;
  }

  /** Its bit in that word. */
  public long mask() {
    return mask;
  }
}
