package dev.faultline.vcpu;

import dev.faultline.kvm.KvmCpuid2;
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
  private static final Feature[] CR4_FEATURES = {
    new Feature(Cr4.OSXSAVE, 1, 'c', 26),
    new Feature(Cr4.SMEP, 7, 'b', 7),
    new Feature(Cr4.SMAP, 7, 'b', 20),
    new Feature(Cr4.FSGSBASE, 7, 'b', 0),
    new Feature(Cr4.PKE, 7, 'c', 3),
    new Feature(Cr4.LA57, 7, 'c', 16),
    new Feature(Cr4.UMIP, 7, 'c', 2),
    new Feature(Cr4.VMXE, 1, 'c', 5),
    new Feature(Cr4.PCIDE, 1, 'c', 17),
    new Feature(Cr4.CET, 7, 'c', 7),
    new Feature(Cr4.LAM_SUP, 7, 'a', 26, 1),
  };

  /** CR4 bits that VMX operation allows by the guest's CPUID. */
  private static final Feature[] CR4_FIXED1 = {
    new Feature(Cr4.VME | Cr4.PVI, 1, 'd', 1),
    new Feature(Cr4.TSD, 1, 'd', 4),
    new Feature(Cr4.DE, 1, 'd', 2),
    new Feature(Cr4.PSE, 1, 'd', 3),
    new Feature(Cr4.PAE, 1, 'd', 6),
    new Feature(Cr4.MCE, 1, 'd', 7),
    new Feature(Cr4.PGE, 1, 'd', 13),
    new Feature(Cr4.OSFXSR, 1, 'd', 24),
    new Feature(Cr4.OSXMMEXCPT, 1, 'd', 25),
    new Feature(Cr4.VMXE, 1, 'c', 5),
    new Feature(Cr4.SMXE, 1, 'c', 6),
    new Feature(Cr4.PCIDE, 1, 'c', 17),
    new Feature(Cr4.OSXSAVE, 1, 'c', 26),
    new Feature(Cr4.FSGSBASE, 7, 'b', 0),
    new Feature(Cr4.SMEP, 7, 'b', 7),
    new Feature(Cr4.SMAP, 7, 'b', 20),
    new Feature(Cr4.PKE, 7, 'c', 3),
    new Feature(Cr4.UMIP, 7, 'c', 2),
    new Feature(Cr4.LA57, 7, 'c', 16),
  };

  private static final long CR0_FIXED0_DEFAULT = Cr0.PE | Cr0.NE | Cr0.PG;
  private static final int EXTENDED_FEATURES = 0x8000_0001;

  /** CPUID bit of fast FXSAVE and FXRSTOR. */
  private static final int FXSR_OPT = 25;

  private static final long CR0_FIXED1 = 0xffff_ffffL;

  private ControlRegisters() {}

  /** CR4 bits that need a CPUID feature bit. */
  private record Feature(long cr4, int leaf, char register, int bit, int subleaf) {
    Feature(long cr4, int leaf, char register, int bit) {
      this(cr4, leaf, register, bit, 0);
    }

    boolean in(KvmCpuid2 table) {
      return (GuestCpuid.register(table, leaf, subleaf, register) >>> bit & 1) != 0;
    }
  }

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
          ? Answer.of((cr4 & featureBits()) != 0)
          : Answer.NO;
    }
    return lacksFeature(v.platform().cpuid(), cr4);
  }

  private static long featureBits() {
    long bits = 0;
    for (Feature feature : CR4_FEATURES) {
      bits |= feature.cr4;
    }
    return bits;
  }

  private static Answer lacksFeature(@Nullable KvmCpuid2 table, long cr4) {
    for (Feature feature : CR4_FEATURES) {
      if ((cr4 & feature.cr4) != 0) {
        if (table == null) {
          return Answer.CANNOT_TELL;
        }
        if (!feature.in(table)) {
          return Answer.YES;
        }
      }
    }
    return Answer.NO;
  }

  /** CR4 bits reserved for the guest by host and guest features, or the known bits if not known. */
  static long cr4ReservedMask(Vcpu v) {
    long reserved = ~CR4_KNOWN;
    KvmCpuid2 host = v.vm().host().supportedCpuid();
    KvmCpuid2 guest = v.platform().cpuid();
    for (Feature feature : CR4_FEATURES) {
      if ((host != null && !feature.in(host)) || (guest != null && !feature.in(guest))) {
        reserved |= feature.cr4;
      }
    }
    return reserved;
  }

  /** CR4 bits that may be one in VMX operation. */
  static long cr4Fixed1(KvmCpuid2 guest) {
    long allowed = Cr4.PCE;
    for (Feature feature : CR4_FIXED1) {
      if (feature.in(guest)) {
        allowed |= feature.cr4;
      }
    }
    return allowed;
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
    if (GuestCpuid.has(v, 0x8000_0001, 0, 'd', 20).isYes()) {
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
      valid = valid.and(GuestCpuid.has(v, 0x8000_0001, 0, 'd', 20));
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
