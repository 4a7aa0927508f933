package dev.faultline.vmx;

import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * What host and guest CPUID allow in the registers that VM entry checks. Empty where a recording
 * does not tell.
 *
 * @param maxPhyAddr the guest's physical address width in bits
 * @param cr4Reserved bits of CR4 that have to be 0
 * @param eferAllowed bits of EFER that may be 1
 * @param perfGlobalCtrlReserved bits of IA32_PERF_GLOBAL_CTRL that have to be 0; all of them
 *     without a PMU
 * @param debugctlSupported bits of IA32_DEBUGCTL that may be 1; LBR and BTF are tolerated in any
 *     case
 * @param enlightenedVmcs whether the guest's CPUID offers Hyper-V's enlightened VMCS, which adds
 *     checks
 */
public record GuestLimits(
    OptionalInt maxPhyAddr,
    OptionalLong cr4Reserved,
    OptionalLong eferAllowed,
    OptionalLong perfGlobalCtrlReserved,
    OptionalLong debugctlSupported,
    boolean enlightenedVmcs) {

  /** Nothing is known; no enlightened VMCS. */
  public static final GuestLimits UNKNOWN =
      new GuestLimits(
          OptionalInt.empty(),
          OptionalLong.empty(),
          OptionalLong.empty(),
          OptionalLong.empty(),
          OptionalLong.empty(),
          false);

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

  /** The same limits with another physical address width. */
  public GuestLimits withMaxPhyAddr(int bits) {
    return new GuestLimits(
        OptionalInt.of(bits),
        cr4Reserved,
        eferAllowed,
        perfGlobalCtrlReserved,
        debugctlSupported,
        enlightenedVmcs);
  }

  /** The same limits with other reserved bits of CR4. */
  public GuestLimits withCr4Reserved(long mask) {
    return new GuestLimits(
        maxPhyAddr,
        OptionalLong.of(mask),
        eferAllowed,
        perfGlobalCtrlReserved,
        debugctlSupported,
        enlightenedVmcs);
  }

  /** The same limits with other allowed bits of EFER. */
  public GuestLimits withEferAllowed(long mask) {
    return new GuestLimits(
        maxPhyAddr,
        cr4Reserved,
        OptionalLong.of(mask),
        perfGlobalCtrlReserved,
        debugctlSupported,
        enlightenedVmcs);
  }

  /** The same limits with other reserved bits of IA32_PERF_GLOBAL_CTRL. */
  public GuestLimits withPerfGlobalCtrlReserved(long mask) {
    return new GuestLimits(
        maxPhyAddr,
        cr4Reserved,
        eferAllowed,
        OptionalLong.of(mask),
        debugctlSupported,
        enlightenedVmcs);
  }

  /** The same limits with other supported bits of IA32_DEBUGCTL. */
  public GuestLimits withDebugctlSupported(long mask) {
    return new GuestLimits(
        maxPhyAddr,
        cr4Reserved,
        eferAllowed,
        perfGlobalCtrlReserved,
        OptionalLong.of(mask),
        enlightenedVmcs);
  }

  /** The same limits with or without an enlightened VMCS. */
  public GuestLimits withEnlightenedVmcs(boolean offered) {
    return new GuestLimits(
        maxPhyAddr, cr4Reserved, eferAllowed, perfGlobalCtrlReserved, debugctlSupported, offered);
  }

  /**
   * The bits of CR4 that Linux 6.1 reserves for a CPUID table. KVM applies it twice, to the guest's
   * table and to what the host supports: a bit is reserved if either reserves it.
   *
   * <p><i>Source</i>: {@code arch/x86/kvm/x86.h, __cr4_reserved_bits(), v6.1}.
   *
   * @param leaf1Ecx ECX of CPUID leaf 1
   * @param leaf7Ebx EBX of CPUID leaf 7, subleaf 0
   * @param leaf7Ecx ECX of the same
   */
  public static long cr4Reserved(int leaf1Ecx, int leaf7Ebx, int leaf7Ecx) {
    long allowed = CR4_KNOWN;
    allowed &= ~unless(leaf1Ecx, Cpuid.LEAF1_ECX_XSAVE, Cr4.OSXSAVE);
    allowed &= ~unless(leaf1Ecx, Cpuid.LEAF1_ECX_VMX, Cr4.VMXE);
    allowed &= ~unless(leaf1Ecx, Cpuid.LEAF1_ECX_PCID, Cr4.PCIDE);
    allowed &= ~unless(leaf7Ebx, Cpuid.LEAF7_EBX_FSGSBASE, Cr4.FSGSBASE);
    allowed &= ~unless(leaf7Ebx, Cpuid.LEAF7_EBX_SMEP, Cr4.SMEP);
    allowed &= ~unless(leaf7Ebx, Cpuid.LEAF7_EBX_SMAP, Cr4.SMAP);
    allowed &= ~unless(leaf7Ecx, Cpuid.LEAF7_ECX_UMIP, Cr4.UMIP);
    allowed &= ~unless(leaf7Ecx, Cpuid.LEAF7_ECX_PKU, Cr4.PKE);
    allowed &= ~unless(leaf7Ecx, Cpuid.LEAF7_ECX_LA57, Cr4.LA57);
    return ~allowed;
  }

  /**
   * The bits of EFER that Linux 6.1 allows on VMX for a CPUID table.
   *
   * <p><i>Source</i>: {@code arch/x86/kvm/x86.c, kvm_valid_efer(), v6.1}.
   *
   * @param extended1Edx EDX of CPUID leaf 0x80000001
   */
  public static long eferAllowed(int extended1Edx) {
    long allowed = Efer.SCE;
    if ((extended1Edx & Cpuid.LEAF80000001_EDX_LM) != 0) {
      allowed |= Efer.LME | Efer.LMA;
    }
    if ((extended1Edx & Cpuid.LEAF80000001_EDX_NX) != 0) {
      allowed |= Efer.NX;
    }
    return allowed;
  }

  private static long unless(int register, int feature, long bit) {
    return (register & feature) != 0 ? 0 : bit;
  }
}
