package dev.faultline.migration;

import dev.faultline.vcpu.MsrState;
import dev.faultline.x86.Msr;

/** Which MSRs a vCPU has. */
final class Indexes {
  private static final int BANK_REGISTERS = 128;
  private static final int BANK_CONTROLS = 0x280;
  private static final int BANKS = 32;

  private Indexes() {}

  /** Whether two vCPUs have the same. */
  static boolean same(MsrState a, MsrState b) {
    if (a.size() != b.size()) {
      return false;
    }
    for (int i = 0; i < a.size(); i++) {
      if (a.indexAt(i) != b.indexAt(i)) {
        return false;
      }
    }
    return true;
  }

  /** Those that KVM_GET_MSR_INDEX_LIST names if the vCPU has them. */
  static MsrState listable(MsrState present) {
    MsrState.Edit edit = MsrState.empty().edit();
    edit.learn(Msr.IA32_TSC, 1);
    for (int i = 0; i < present.size(); i++) {
      if (isListed(present.indexAt(i))) {
        edit.learn(present.indexAt(i), 1);
      }
    }
    return edit.done();
  }

  /** KVM lists all that it has but MTRRs and machine-check banks. */
  static boolean isListed(int index) {
    boolean mtrr = index >= Msr.IA32_MTRR_PHYSBASE0 && index <= Msr.IA32_MTRR_DEF_TYPE;
    boolean bank = index >= Msr.IA32_MC0_CTL && index < Msr.IA32_MC0_CTL + BANK_REGISTERS;
    boolean control = index >= BANK_CONTROLS && index < BANK_CONTROLS + BANKS;
    return !(mtrr && index != Msr.IA32_PAT) && !bank && !control;
  }
}
