package dev.faultline.vcpu;

import dev.faultline.kvm.CpuidFeatures;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.vmx.VmxCapabilities;
import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import org.jspecify.annotations.Nullable;

/**
 * Which control register values KVM accepts, by the host's features, the guest's CPUID and VMX
 * operation.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, __kvm_is_valid_cr4(), kvm_is_valid_cr0()}; {@code
 * arch/x86/kvm/vmx/vmx.c, nested_vmx_cr_fixed1_bits_update()}, v6.1.
 */
final class ControlRegisters {
  /** Bits that KVM can virtualize at all on 6.1. */
  private static final long CR4_KNOWN =
      Cr4.VME
          | Cr4.PVI
          | Cr4.TSD
          | Cr4.DE
          | Cr4.PSE
          | Cr4.PAE
          | Cr4.MCE
          | Cr4.PGE
          | Cr4.PCE
          | Cr4.OSFXSR
          | Cr4.OSXMMEXCPT
          | Cr4.UMIP
          | Cr4.LA57
          | Cr4.VMXE
          | Cr4.FSGSBASE
          | Cr4.PCIDE
          | Cr4.OSXSAVE
          | Cr4.SMEP
          | Cr4.SMAP
          | Cr4.PKE;

  /** CR4 bits that a CPUID feature makes available, for reserved-bit checks. */
  private static final long CR4_FEATURE_BITS =
      Cr4.OSXSAVE
          | Cr4.SMEP
          | Cr4.SMAP
          | Cr4.FSGSBASE
          | Cr4.PKE
          | Cr4.LA57
          | Cr4.UMIP
          | Cr4.VMXE
          | Cr4.PCIDE
          | Cr4.CET
          | Cr4.LAM_SUP;

  /** CPUID bits of shadow stacks and of linear-address masking. */
  private static final int SHSTK = 1 << 7;

  private static final int LAM = 1 << 26;

  private static final long CR0_FIXED0_DEFAULT = Cr0.PE | Cr0.NE | Cr0.PG;
  private static final int EXTENDED_FEATURES = 0x8000_0001;

  /** CPUID bit of fast FXSAVE and FXRSTOR. */
  private static final int FXSR_OPT = 25;

  private static final long CR0_FIXED1 = 0xffff_ffffL;

  private ControlRegisters() {}

  /** Whether CR4 has bits that KVM cannot provide on this host. */
  static Answer cr4HostReserved(Vcpu v, long cr4) {
    if ((cr4 & ~(CR4_KNOWN | laterBits(v))) != 0) {
      return Answer.YES;
    }
    return lacksFeature(v.vm().host().supportedCpuid(), cr4);
  }

  /** CR4 bits that kernels after 6.1 know, if the host has their features. */
  private static long laterBits(Vcpu v) {
    KernelVersion version = v.kernel().version();
    long bits = 0;
    if (version.compareTo(KernelVersion.V6_8) >= 0) {
      bits |= Cr4.LAM_SUP;
    }
    if (version.compareTo(KernelVersion.V6_18) >= 0) {
      bits |= Cr4.CET;
    }
    return bits;
  }

  /** Whether CR4 has bits of features that the guest's CPUID lacks. */
  static Answer cr4GuestReserved(Vcpu v, long cr4) {
    Answer set = v.platform().cpuidSet();
    if (set.isNo()) {
      return v.kernel().version().sregsChecksEfer()
          ? Answer.of((cr4 & CR4_FEATURE_BITS) != 0)
          : Answer.NO;
    }
    return lacksFeature(v.platform().cpuid(), cr4);
  }

  private static Answer lacksFeature(@Nullable KvmCpuid2 table, long cr4) {
    if ((cr4 & CR4_FEATURE_BITS) == 0) {
      return Answer.NO;
    }
    return table == null ? Answer.CANNOT_TELL : Answer.of((cr4 & lacking(table)) != 0);
  }

  /** CR4 bits of features that a table lacks. */
  private static long lacking(KvmCpuid2 table) {
    CpuidFeatures features = table.features();
    int leaf1c = features.leaf1Ecx();
    int leaf7b = features.leaf7Ebx();
    int leaf7c = features.leaf7Ecx();
    return unless(leaf1c, Cpuid.LEAF1_ECX_XSAVE, Cr4.OSXSAVE)
        | unless(leaf7b, Cpuid.LEAF7_EBX_SMEP, Cr4.SMEP)
        | unless(leaf7b, Cpuid.LEAF7_EBX_SMAP, Cr4.SMAP)
        | unless(leaf7b, Cpuid.LEAF7_EBX_FSGSBASE, Cr4.FSGSBASE)
        | unless(leaf7c, Cpuid.LEAF7_ECX_PKU, Cr4.PKE)
        | unless(leaf7c, Cpuid.LEAF7_ECX_LA57, Cr4.LA57)
        | unless(leaf7c, Cpuid.LEAF7_ECX_UMIP, Cr4.UMIP)
        | unless(leaf1c, Cpuid.LEAF1_ECX_VMX, Cr4.VMXE)
        | unless(leaf1c, Cpuid.LEAF1_ECX_PCID, Cr4.PCIDE)
        | unless(leaf7c, SHSTK, Cr4.CET)
        | unless(features.leaf7Subleaf1Eax(), LAM, Cr4.LAM_SUP);
  }

  private static long unless(int register, int feature, long bit) {
    return (register & feature) != 0 ? 0 : bit;
  }

  /** CR4 bits reserved for the guest by host and guest features, or the known bits if not known. */
  static long cr4ReservedMask(Vcpu v) {
    long reserved = ~CR4_KNOWN;
    KvmCpuid2 host = v.vm().host().supportedCpuid();
    KvmCpuid2 guest = v.platform().cpuid();
    reserved |= host == null ? 0 : lacking(host);
    return guest == null ? reserved : reserved | lacking(guest);
  }

  /** CR4 bits that may be one in VMX operation. */
  static long cr4Fixed1(KvmCpuid2 guest) {
    CpuidFeatures features = guest.features();
    return VmxCapabilities.cr4Fixed1(
        features.leaf1Ecx(), features.leaf1Edx(), features.leaf7Ebx(), features.leaf7Ecx());
  }

  /** Whether CR4 satisfies VMX operation's fixed bits and the reserved bits. */
  static Answer cr4ValidInVmx(Vcpu v, long cr4) {
    KvmCpuid2 guest = v.platform().cpuid();
    if (guest == null) {
      return v.platform().cpuidSet().isNo() ? Answer.NO : Answer.CANNOT_TELL;
    }
    long fixed0 = msrOr(v, Msr.IA32_VMX_CR4_FIXED0, Cr4.VMXE);
    boolean fixed = ((cr4 & cr4Fixed1(guest)) | fixed0) == cr4;
    return fixed ? cr4HostReserved(v, cr4).or(cr4GuestReserved(v, cr4)).not() : Answer.NO;
  }

  /** Whether CR0 satisfies VMX root operation's fixed bits. */
  static Answer cr0ValidInVmx(Vcpu v, long cr0) {
    return fixed(cr0, msrOr(v, Msr.IA32_VMX_CR0_FIXED0, CR0_FIXED0_DEFAULT));
  }

  /** Whether CR0 satisfies VMX non-root operation's fixed bits. */
  static Answer cr0ValidInGuestMode(Vcpu v, long cr0) {
    long fixed0 = msrOr(v, Msr.IA32_VMX_CR0_FIXED0, CR0_FIXED0_DEFAULT);
    Answer restricted = v.nested().mode().restricted();
    Answer strict = fixed(cr0, fixed0);
    Answer relaxed = fixed(cr0, fixed0 & ~(Cr0.PE | Cr0.PG));
    return switch (restricted) {
      case YES -> strict;
      case NO -> relaxed;
      case CANNOT_TELL -> strict == relaxed ? strict : Answer.CANNOT_TELL;
    };
  }

  /** EFER bits that KVM and the guest's CPUID allow. */
  static long eferAllowedMask(Vcpu v) {
    long allowed = Efer.SCE;
    if (GuestCpuid.longMode(v).isYes()) {
      allowed |= Efer.LME | Efer.LMA;
    }
    if (GuestCpuid.noExecute(v).isYes()) {
      allowed |= Efer.NX;
    }
    return allowed;
  }

  private static Answer fixed(long value, long fixed0) {
    return Answer.of(((value & CR0_FIXED1) | fixed0) == value);
  }

  private static long msrOr(Vcpu v, int msr, long fallback) {
    return v.platform().msrs().knows(msr) ? v.platform().msrs().value(msr) : fallback;
  }

  /**
   * Whether EFER is one that newer kernels accept from userspace.
   *
   * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_valid_efer()}; the recorded EFER values of
   * 7.2 and 7.3.
   */
  static Answer eferValid(Vcpu v, long efer) {
    long known =
        Efer.SCE
            | Efer.LME
            | Efer.LMA
            | Efer.NX
            | (v.kernel().isSvm() ? Efer.SVME | Efer.LMSLE | Efer.FFXSR : 0);
    if ((efer & ~known) != 0) {
      return Answer.NO;
    }
    Answer valid = Answer.YES;
    if ((efer & Efer.NX) != 0) {
      valid = valid.and(GuestCpuid.noExecute(v));
    }
    if ((efer & (Efer.LME | Efer.LMA)) != 0) {
      valid = valid.and(GuestCpuid.longMode(v));
    }
    if ((efer & Efer.SVME) != 0) {
      valid = valid.and(GuestCpuid.svm(v));
    }
    if ((efer & (Efer.SVME | Efer.LMSLE)) != 0) {
      valid = valid.and(v.kernel().nested());
    }
    if ((efer & Efer.FFXSR) != 0) {
      KvmCpuid2 host = v.vm().host().supportedCpuid();
      Answer offered =
          host == null
              ? Answer.CANNOT_TELL
              : Answer.of(
                  (GuestCpuid.register(host, EXTENDED_FEATURES, 0, 'd') >>> FXSR_OPT & 1) != 0);
      valid = valid.and(GuestCpuid.has(v, EXTENDED_FEATURES, 0, 'd', FXSR_OPT)).and(offered);
    }
    return valid;
  }
}
