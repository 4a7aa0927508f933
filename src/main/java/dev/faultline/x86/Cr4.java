package dev.faultline.x86;

import dev.faultline.BitNames;

/**
 * The bits of control register CR4.
 *
 * <p>Which of them a guest may set depends on its CPUID and on the kernel: CET, FRED and LAM_SUP
 * are reserved to KVM 6.1.
 *
 * <p><i>Source</i>: Intel SDM vol. 3A, "Control Registers".
 */
public final class Cr4 {
  /** Virtual-8086 mode extensions. */
  public static final long VME = 1L << 0;

  /** Protected-mode virtual interrupts. */
  public static final long PVI = 1L << 1;

  /** Time stamp disable. */
  public static final long TSD = 1L << 2;

  /** Debugging extensions. */
  public static final long DE = 1L << 3;

  /** Page size extensions. */
  public static final long PSE = 1L << 4;

  /** Physical address extension. */
  public static final long PAE = 1L << 5;

  /** Machine-check enable. */
  public static final long MCE = 1L << 6;

  /** Page global enable. */
  public static final long PGE = 1L << 7;

  /** Performance-monitoring counter enable. */
  public static final long PCE = 1L << 8;

  /** FXSAVE and FXRSTOR support. */
  public static final long OSFXSR = 1L << 9;

  /** Unmasked SIMD floating-point exceptions. */
  public static final long OSXMMEXCPT = 1L << 10;

  /** User-mode instruction prevention. */
  public static final long UMIP = 1L << 11;

  /** 57-bit linear addresses. */
  public static final long LA57 = 1L << 12;

  /** VMX enable. */
  public static final long VMXE = 1L << 13;

  /** SMX enable. */
  public static final long SMXE = 1L << 14;

  /** RDFSBASE and its kind. */
  public static final long FSGSBASE = 1L << 16;

  /** Process-context identifiers. */
  public static final long PCIDE = 1L << 17;

  /** XSAVE and processor extended states. */
  public static final long OSXSAVE = 1L << 18;

  /** Key locker. */
  public static final long KL = 1L << 19;

  /** Supervisor-mode execution prevention. */
  public static final long SMEP = 1L << 20;

  /** Supervisor-mode access prevention. */
  public static final long SMAP = 1L << 21;

  /** Protection keys for user pages. */
  public static final long PKE = 1L << 22;

  /** Control-flow enforcement. */
  public static final long CET = 1L << 23;

  /** Protection keys for supervisor pages. */
  public static final long PKS = 1L << 24;

  /** User interrupts. */
  public static final long UINTR = 1L << 25;

  /** Linear-address masking for supervisor pointers. */
  public static final long LAM_SUP = 1L << 28;

  /** Flexible return and event delivery. */
  public static final long FRED = 1L << 32;

  private static final BitNames NAMES =
      BitNames.none()
          .and("VME", VME)
          .and("PVI", PVI)
          .and("TSD", TSD)
          .and("DE", DE)
          .and("PSE", PSE)
          .and("PAE", PAE)
          .and("MCE", MCE)
          .and("PGE", PGE)
          .and("PCE", PCE)
          .and("OSFXSR", OSFXSR)
          .and("OSXMMEXCPT", OSXMMEXCPT)
          .and("UMIP", UMIP)
          .and("LA57", LA57)
          .and("VMXE", VMXE)
          .and("SMXE", SMXE)
          .and("FSGSBASE", FSGSBASE)
          .and("PCIDE", PCIDE)
          .and("OSXSAVE", OSXSAVE)
          .and("KL", KL)
          .and("SMEP", SMEP)
          .and("SMAP", SMAP)
          .and("PKE", PKE)
          .and("CET", CET)
          .and("PKS", PKS)
          .and("UINTR", UINTR)
          .and("LAM_SUP", LAM_SUP)
          .and("FRED", FRED);

  private Cr4() {}

  /** The set bits by name, {@code PVI|VME}. */
  public static String describe(long bits) {
    return NAMES.describe(bits);
  }
}
