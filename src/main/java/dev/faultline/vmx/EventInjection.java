package dev.faultline.vmx;

import dev.faultline.x86.Cr0;

/**
 * The event that a VM entry injects.
 *
 * <p><i>Shape</i> of the VM-entry interruption information: vector 7:0, type 10:8, deliver error
 * code 11, valid 31.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "VM-Entry Controls for Event Injection".
 */
final class EventInjection {
  /** Types of events. */
  static final int RESERVED = 1;

  static final int NMI = 2;
  static final int HARDWARE_EXCEPTION = 3;
  static final int SOFTWARE_INTERRUPT = 4;
  static final int PRIVILEGED_SOFTWARE_EXCEPTION = 5;
  static final int SOFTWARE_EXCEPTION = 6;
  static final int OTHER = 7;

  static final int NMI_VECTOR = 2;
  static final int LAST_EXCEPTION_VECTOR = 31;
  static final int LONGEST_INSTRUCTION = 15;

  private static final int VECTOR_MASK = 0xFF;
  private static final int TYPE_SHIFT = 8;
  private static final int TYPE_MASK = 0x7;
  private static final int DELIVER_ERROR_CODE = 1 << 11;
  private static final int RESERVED_BITS = 0x7FFF_F000;
  private static final int ERROR_CODE_RESERVED = 0xFFFF_0000;

  /** #DF, #TS, #NP, #SS, #GP, #PF and #AC. */
  private static final int VECTORS_WITH_ERROR_CODE =
      1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17;

  private EventInjection() {}

  /** Whether an event is injected. */
  static boolean isValid(Vmcs12 v) {
    return info(v) < 0;
  }

  /** Whether an event of a type is injected. */
  static boolean isType(Vmcs12 v, int type) {
    return isValid(v) && type(v) == type;
  }

  static int vector(Vmcs12 v) {
    return info(v) & VECTOR_MASK;
  }

  /** Whether delivering an error code and not delivering one were mixed up. */
  static boolean isErrorCodeWrong(Vmcs12 v) {
    return isValid(v) && delivers(v) != shouldDeliver(v);
  }

  static boolean isErrorCodeReserved(Vmcs12 v) {
    return isValid(v)
        && delivers(v)
        && (v.get32(VmcsField.VM_ENTRY_EXCEPTION_ERROR_CODE) & ERROR_CODE_RESERVED) != 0;
  }

  static boolean hasReservedBits(Vmcs12 v) {
    return isValid(v) && (info(v) & RESERVED_BITS) != 0;
  }

  /** Whether the length of an instruction goes with the event. */
  static boolean hasLength(Vmcs12 v) {
    return isType(v, SOFTWARE_INTERRUPT)
        || isType(v, PRIVILEGED_SOFTWARE_EXCEPTION)
        || isType(v, SOFTWARE_EXCEPTION);
  }

  private static boolean delivers(Vmcs12 v) {
    return (info(v) & DELIVER_ERROR_CODE) != 0;
  }

  private static boolean shouldDeliver(Vmcs12 v) {
    boolean protectedMode =
        !EntryRules.hasSecondary(v, SecondaryControls.UNRESTRICTED_GUEST)
            || (v.get(VmcsField.GUEST_CR0) & Cr0.PE) != 0;
    int vector = vector(v);
    return type(v) == HARDWARE_EXCEPTION
        && protectedMode
        && vector <= LAST_EXCEPTION_VECTOR
        && (VECTORS_WITH_ERROR_CODE >>> vector & 1) != 0;
  }

  private static int type(Vmcs12 v) {
    return info(v) >>> TYPE_SHIFT & TYPE_MASK;
  }

  private static int info(Vmcs12 v) {
    return v.get32(VmcsField.VM_ENTRY_INTR_INFO_FIELD);
  }
}
