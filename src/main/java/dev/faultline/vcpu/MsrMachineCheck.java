package dev.faultline.vcpu;

import dev.faultline.x86.Msr;

/**
 * Machine-check MSRs. How many banks there are, and what they can do, is IA32_MCG_CAP, which a
 * guest cannot write and KVM_X86_SETUP_MCE replaces.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, set_msr_mce(), get_msr_mce(),
 * kvm_vcpu_ioctl_x86_setup_mce()}, v6.1.
 */
final class MsrMachineCheck {
  private static final long BANKS = 0xff;
  private static final long CTL_P = 1L << 8;
  private static final long CMCI_P = 1L << 10;
  private static final long LMCE_P = 1L << 27;

  /** The count of banks, that of extended state registers, MCG_CTL_P and MCG_SER_P. */
  private static final long ALWAYS_OFFERED = BANKS | 0xff_0000 | CTL_P | 1L << 24;

  private static final long OFFERED_BY_SOME = CMCI_P | LMCE_P;
  private static final long CTL2_BITS = 1L << 30 | 0x7fff;
  private static final long CTL_OPTIONAL = 1L << 10 | 1;
  private static final int MSRS_OF_A_BANK = 4;

  private MsrMachineCheck() {}

  /** What a write meets. */
  static MsrFate judge(MsrWrites batch, MsrKind kind, int index, long data) {
    Vcpu v = batch.vcpu();
    MsrState msrs = v.platform().msrs();
    boolean known = msrs.knows(Msr.IA32_MCG_CAP);
    long cap = msrs.value(Msr.IA32_MCG_CAP);
    return switch (kind) {
      case MCG_CTL -> mcgCtl(known, cap, data);
      case MCG_EXT_CTL ->
          v.kernel().isVmx()
              ? MsrFate.unless((data & ~1L) != 0, MsrCheck.MSR_MCG_EXT_CTL)
              : batch.unsupported(index, data);
      case MC_CTL2 -> ctl2(v, known, cap, index, data);
      default -> bank(known, cap, index, data);
    };
  }

  private static MsrFate mcgCtl(boolean known, long cap, long data) {
    if (data == 0) {
      return MsrFate.ACCEPTED;
    }
    if (data != ~0L || (known && (cap & CTL_P) == 0)) {
      return MsrFate.refused(MsrCheck.MSR_MCG_CTL);
    }
    return known ? MsrFate.ACCEPTED : MsrFate.NO_MCG_CAP;
  }

  private static MsrFate bank(boolean known, long cap, int index, long data) {
    int number = index - Msr.IA32_MC0_CTL;
    if (known && number / MSRS_OF_A_BANK >= (cap & BANKS)) {
      return MsrFate.refused(MsrCheck.MSR_MC_BANK);
    }
    boolean control = number % MSRS_OF_A_BANK == 0;
    if (control && data != 0 && (data | CTL_OPTIONAL) != ~0L) {
      return MsrFate.refused(MsrCheck.MSR_MC_CTL);
    }
    return known ? MsrFate.ACCEPTED : MsrFate.NO_MCG_CAP;
  }

  private static MsrFate ctl2(Vcpu v, boolean known, long cap, int index, long data) {
    if (v.kernel().version().compareTo(KernelVersion.V6_1) < 0) {
      return MsrFate.refused(MsrCheck.MSR_MTRR_NUMBER);
    }
    if (known && index - MsrKind.IA32_MC0_CTL2 >= (cap & BANKS)) {
      return MsrFate.refused(MsrCheck.MSR_MC_BANK);
    }
    if ((data & ~CTL2_BITS) != 0 || (known && (cap & CMCI_P) == 0 && data != 0)) {
      return MsrFate.refused(MsrCheck.MSR_MC_CTL2);
    }
    return known ? MsrFate.ACCEPTED : MsrFate.NO_MCG_CAP;
  }

  /** Whether the vCPU has local machine checks. */
  static Answer lmce(MsrState msrs) {
    return msrs.knows(Msr.IA32_MCG_CAP)
        ? Answer.of((msrs.value(Msr.IA32_MCG_CAP) & LMCE_P) != 0)
        : Answer.CANNOT_TELL;
  }

  /** What userspace reads. */
  static void read(MsrReader to, MsrKind kind, int index) {
    MsrState msrs = to.vcpu().platform().msrs();
    boolean known = msrs.knows(Msr.IA32_MCG_CAP);
    long banks = msrs.value(Msr.IA32_MCG_CAP) & BANKS;
    int bank =
        kind == MsrKind.MC_CTL2
            ? index - MsrKind.IA32_MC0_CTL2
            : (index - Msr.IA32_MC0_CTL) / MSRS_OF_A_BANK;
    if (kind == MsrKind.MC_CTL2 && to.vcpu().kernel().version().compareTo(KernelVersion.V6_1) < 0) {
      to.refuse(MsrCheck.MSR_MTRR_NUMBER);
    } else if (!known) {
      to.cannotTell(MsrFate.NO_MCG_CAP);
    } else if (bank >= banks) {
      to.refuse(MsrCheck.MSR_MC_BANK);
    } else {
      to.stored(index);
    }
  }

  /** The values that a vCPU is created with. */
  static void reset(MsrState.Edit edit, boolean vmx, int moment) {
    edit.write(Msr.IA32_MCG_CAP, MsrKind.MAX_BANKS, true, moment);
    edit.write(Msr.IA32_MCG_CTL, 0, true, moment);
    edit.write(Msr.IA32_MCG_STATUS, 0, true, moment);
    if (vmx) {
      edit.write(MsrKind.IA32_MCG_EXT_CTL, 0, true, moment);
    }
  }

  /** Whether KVM_X86_SETUP_MCE takes this as the new IA32_MCG_CAP. */
  static MsrFate judgeSetup(long cap) {
    long banks = cap & BANKS;
    if (banks == 0 || banks > MsrKind.MAX_BANKS) {
      return MsrFate.refused(MsrCheck.MCE_BANKS);
    }
    if ((cap & ~(ALWAYS_OFFERED | OFFERED_BY_SOME)) != 0) {
      return MsrFate.refused(MsrCheck.MCE_FEATURES);
    }
    return (cap & OFFERED_BY_SOME) == 0 ? MsrFate.ACCEPTED : MsrFate.NO_HARDWARE;
  }

  /**
   * KVM_X86_SETUP_MCE was accepted.
   *
   * @param cap the new IA32_MCG_CAP
   */
  static void setup(MsrState.Edit edit, long cap, int moment) {
    edit.write(Msr.IA32_MCG_CAP, cap, true, moment);
    if ((cap & CTL_P) != 0) {
      edit.write(Msr.IA32_MCG_CTL, ~0L, true, moment);
    }
    for (int bank = 0; bank < (cap & BANKS); bank++) {
      edit.write(Msr.IA32_MC0_CTL + bank * MSRS_OF_A_BANK, ~0L, true, moment);
      if ((cap & CMCI_P) != 0) {
        edit.write(MsrKind.IA32_MC0_CTL2 + bank, 0, true, moment);
      }
    }
  }
}
