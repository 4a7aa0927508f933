package dev.faultline.vcpu;

/**
 * How a kernel carries out RSM.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/emulate.c, em_rsm()}, v6.1; {@code arch/x86/kvm/smm.c,
 * emulator_leave_smm()}, v6.12; recordings of 5.10.223, 6.1.192, 6.12.107, 7.2.13 and 7.3.4.
 */
public enum RsmProfile {
  /** A load that fails is an instruction that cannot be emulated; DR6 and DR7 are not judged. */
  V5_10(LoadFailure.EMULATION_FAILS, false, false, false),
  /** A load that fails is a triple fault (since 25b17226cd9a, 5.14). */
  V5_17(LoadFailure.TRIPLE_FAULT, true, false, false),
  /** RSM ends by working out the mode that it loaded (since 055f37f84e30, 6.1). */
  V6_1(LoadFailure.TRIPLE_FAULT, true, true, false),
  /** Rewritten over a struct of the map: nothing is cut off, the interrupt shadow is kept (6.2). */
  V6_2(LoadFailure.TRIPLE_FAULT, true, true, true),
  /** The vCPU leaves L2 before the shutdown of a load that fails (since 3f6821aa147b). */
  V6_12(LoadFailure.SHUTDOWN, true, true, true);

  /** What a value that cannot be loaded ends in. */
  public enum LoadFailure {
    /** #UD for L2; KVM_EXIT_INTERNAL_ERROR for L1. */
    EMULATION_FAILS,
    /**
     * A triple fault of whichever level runs by then. L2's exit is made while its VM-Enter is still
     * pending, which kills the VM at the next exit: EIO.
     */
    TRIPLE_FAULT,
    /** KVM_EXIT_SHUTDOWN, out of guest mode. */
    SHUTDOWN
  }

  private final LoadFailure failure;
  private final boolean judgesDebugRegisters;
  private final boolean recalculatesMode;
  private final boolean wholeMap;

  RsmProfile(
      LoadFailure failure,
      boolean judgesDebugRegisters,
      boolean recalculatesMode,
      boolean wholeMap) {
    this.failure = failure;
    this.judgesDebugRegisters = judgesDebugRegisters;
    this.recalculatesMode = recalculatesMode;
    this.wholeMap = wholeMap;
  }

  public LoadFailure failure() {
    return failure;
  }

  /** Bits 63:32 of DR6 and DR7 must be zero. */
  public boolean judgesDebugRegisters() {
    return judgesDebugRegisters;
  }

  /** Virtual-8086 mode inside long mode, and a CS that is not present, are emulation failures. */
  public boolean recalculatesMode() {
    return recalculatesMode;
  }

  /**
   * Segment limits of 32 bits are loaded as they are; before, 20 bits of them were kept and scaled
   * by G.
   */
  public boolean keepsLimits() {
    return wholeMap;
  }

  /** Bits 63:32 of CR0 and CR4 are loaded, and so judged. */
  public boolean loadsWideControls() {
    return wholeMap;
  }

  /** SMI saves, and RSM loads, the interrupt shadow and 64 bits of RFLAGS. */
  public boolean keepsShadow() {
    return wholeMap;
  }
}
