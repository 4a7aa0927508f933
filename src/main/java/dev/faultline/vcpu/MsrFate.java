package dev.faultline.vcpu;

import org.jspecify.annotations.Nullable;

/**
 * What KVM does with one entry of KVM_SET_MSRS or KVM_GET_MSRS.
 *
 * @param accepted whether KVM goes on to the next entry
 * @param check the check that fails, when the entry is refused
 * @param missing what would have to be known, when nobody can tell
 */
record MsrFate(Answer accepted, @Nullable MsrCheck check, String missing) {
  static final MsrFate ACCEPTED = new MsrFate(Answer.YES, null, "");
  static final MsrFate NO_CPUID = missing("the guest's CPUID");
  static final MsrFate NO_HOST_LIST = missing("the host's KVM_GET_MSR_INDEX_LIST");
  static final MsrFate NO_HOST_VALUE = missing("KVM's own value of the MSR");
  static final MsrFate NO_RULE = missing("a rule for this MSR on this kernel and vendor module");
  static final MsrFate NO_MEMORY = missing("the VM's memory slots");
  static final MsrFate NO_HARDWARE = missing("what the host's CPU accepts");
  static final MsrFate NO_VMXON = missing("whether the guest is in VMX operation");
  static final MsrFate NO_CURRENT = missing("the MSR's current value");
  static final MsrFate NO_SREGS = missing("CR4 or IA32_APIC_BASE");
  static final MsrFate NO_LAPIC = missing("whether the local APIC is in the kernel");
  static final MsrFate NO_MCG_CAP = missing("the vCPU's machine-check capabilities");
  static final MsrFate NO_RUN = missing("whether the vCPU was ever run");

  private static final MsrFate[] REFUSED = refused();

  static MsrFate refused(MsrCheck check) {
    return REFUSED[check.ordinal()];
  }

  /** Accepted unless the check certainly fails. */
  static MsrFate unless(boolean fails, MsrCheck check) {
    return fails ? refused(check) : ACCEPTED;
  }

  /** Refused when the check fails, which only {@code what} could tell for sure. */
  static MsrFate unless(Answer fails, MsrCheck check, MsrFate what) {
    return switch (fails) {
      case YES -> refused(check);
      case NO -> ACCEPTED;
      case CANNOT_TELL -> what;
    };
  }

  private static MsrFate missing(String what) {
    return new MsrFate(Answer.CANNOT_TELL, null, what);
  }

  private static MsrFate[] refused() {
    MsrCheck[] checks = MsrCheck.values();
    MsrFate[] fates = new MsrFate[checks.length];
    for (MsrCheck check : checks) {
      fates[check.ordinal()] = new MsrFate(Answer.NO, check, "");
    }
    return fates;
  }
}
