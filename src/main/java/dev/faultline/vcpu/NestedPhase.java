package dev.faultline.vcpu;

import org.jspecify.annotations.Nullable;

/**
 * Where a vCPU is in KVM's nested VMX and SMM machine, as far as it is known.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/nested.c} and {@code arch/x86/kvm/vmx/vmx.c,
 * vmx_enter_smm(), vmx_leave_smm()}, v6.1.
 */
public enum NestedPhase {
  /** L1 is not in VMX operation. */
  OFF("VMX off"),
  /** L1 is in VMX root operation and runs. */
  ROOT("VMX root"),
  /** L2 was entered in software; hardware has not entered it yet. */
  L2_PENDING("L2 pending"),
  /** L2 runs. */
  L2("L2"),
  /** In SMM, L1 was not in VMX operation. */
  SMM_OFF("SMM, VMX off"),
  /** In SMM, VMX root operation is put aside. */
  SMM_ROOT("SMM, VMX root aside"),
  /** In SMM, L2 is put aside. */
  SMM_L2("SMM, L2 aside"),
  /** KVM has declared the VM dead. */
  DEAD("VM dead");

  private final String label;

  NestedPhase(String label) {
    this.label = label;
  }

  /** The name to show. */
  public String label() {
    return label;
  }

  /** The phase of a vCPU, or null when too little is known, and on SVM. */
  public static @Nullable NestedPhase of(Vcpu v) {
    if (v.kernel().isSvm()) {
      return null;
    }
    if (v.vm().dead().isYes()) {
      return DEAD;
    }
    Nested.Mode mode = v.nested().mode();
    return switch (v.inSmm()) {
      case YES -> inSmm(mode);
      case NO -> outside(mode);
      case CANNOT_TELL -> null;
    };
  }

  private static @Nullable NestedPhase inSmm(Nested.Mode mode) {
    if (mode.smmVmxon().isNo()) {
      return SMM_OFF;
    }
    if (!mode.smmVmxon().isYes() || !mode.smmGuestMode().isKnown()) {
      return null;
    }
    return mode.smmGuestMode().isYes() ? SMM_L2 : SMM_ROOT;
  }

  private static @Nullable NestedPhase outside(Nested.Mode mode) {
    return switch (mode.guestMode()) {
      case YES ->
          switch (mode.runPending()) {
            case YES -> L2_PENDING;
            case NO -> L2;
            case CANNOT_TELL -> null;
          };
      case NO ->
          switch (mode.vmxon()) {
            case YES -> ROOT;
            case NO -> OFF;
            case CANNOT_TELL -> null;
          };
      case CANNOT_TELL -> null;
    };
  }
}
