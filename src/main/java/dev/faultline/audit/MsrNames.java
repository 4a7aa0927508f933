package dev.faultline.audit;

import dev.faultline.x86.Msr;

/** MSRs as the rules name them, with those that nothing else needs. */
final class MsrNames {
  /** IA32_TSX_CTRL. */
  static final int TSX_CTRL = 0x122;

  /** IA32_XFD. */
  static final int XFD = 0x1c4;

  /** HV_X64_MSR_SCONTROL. */
  static final int HV_SCONTROL = 0x4000_0080;

  /** HV_X64_MSR_STIMER0_CONFIG. */
  static final int HV_STIMER0_CONFIG = 0x4000_00b0;

  private MsrNames() {}

  /** The number and the name, where it has one. */
  static String of(int index) {
    String number = "0x" + Integer.toHexString(index);
    String name =
        switch (index) {
          case TSX_CTRL -> "IA32_TSX_CTRL";
          case XFD -> "IA32_XFD";
          case HV_SCONTROL -> "HV_X64_MSR_SCONTROL";
          case HV_STIMER0_CONFIG -> "HV_X64_MSR_STIMER0_CONFIG";
          default -> Msr.name(index);
        };
    return name.equals(number) || name.startsWith("0x")
        ? "MSR " + number
        : "MSR " + number + " (" + name + ")";
  }
}
