package dev.faultline.vmx;

import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Msr;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.IntFunction;

/**
 * The VMX capability MSRs of a vCPU, which say what its guest may put into a VMCS. Empty where a
 * recording does not tell.
 *
 * <p><i>Shape</i>: of a control MSR the low half holds the bits that have to be 1, the high half
 * those that may be 1. Of the pin-based, primary, exit and entry controls these are the TRUE MSRs;
 * KVM derives the others from them.
 *
 * <p><i>Order</i>: KVM_SET_CPUID2 changes them: it replaces both FIXED1 MSRs, see {@link
 * #withFixed1}, and takes controls out of the high halves that belong to features the guest does
 * not have.
 *
 * <p><i>Source</i>: Intel SDM vol. 3D, "VMX Capability Reporting Facility"; {@code
 * arch/x86/kvm/vmx/nested.c, nested_vmx_setup_ctls_msrs() and vmx_set_vmx_msr(), v6.1}.
 */
public record VmxCapabilities(
    OptionalLong basic,
    OptionalLong pinbased,
    OptionalLong procbased,
    OptionalLong procbased2,
    OptionalLong exit,
    OptionalLong entry,
    OptionalLong misc,
    OptionalLong eptVpid,
    OptionalLong vmfunc,
    OptionalLong cr0Fixed0,
    OptionalLong cr0Fixed1,
    OptionalLong cr4Fixed0,
    OptionalLong cr4Fixed1) {

  /** Nothing is known. */
  public static final VmxCapabilities UNKNOWN = read(_ -> OptionalLong.empty());

  /**
   * Bits of CR0 that KVM lets a guest in VMX operation not clear, unless userspace changed the MSR.
   */
  public static final long DEFAULT_CR0_FIXED0 = Cr0.PG | Cr0.NE | Cr0.PE;

  /** Bits of CR0 that KVM lets a guest in VMX operation set. */
  public static final long CR0_FIXED1 = 0xFFFF_FFFFL;

  /**
   * Bits of CR4 that KVM lets a guest in VMX operation not clear, unless userspace changed the MSR.
   */
  public static final long DEFAULT_CR4_FIXED0 = Cr4.VMXE;

  /** The MSRs from a table of values, as KVM_GET_MSRS or KVM_SET_MSRS carries them. */
  public static VmxCapabilities of(Map<Integer, Long> msrs) {
    return read(index -> {
      Long value = msrs.get(index);
      return value == null ? OptionalLong.empty() : OptionalLong.of(value);
    });
  }

  /** The MSRs from anything that tells the value of an MSR. */
  public static VmxCapabilities read(IntFunction<OptionalLong> msr) {
    return new VmxCapabilities(
        msr.apply(Msr.IA32_VMX_BASIC),
        msr.apply(Msr.IA32_VMX_TRUE_PINBASED_CTLS),
        msr.apply(Msr.IA32_VMX_TRUE_PROCBASED_CTLS),
        msr.apply(Msr.IA32_VMX_PROCBASED_CTLS2),
        msr.apply(Msr.IA32_VMX_TRUE_EXIT_CTLS),
        msr.apply(Msr.IA32_VMX_TRUE_ENTRY_CTLS),
        msr.apply(Msr.IA32_VMX_MISC),
        msr.apply(Msr.IA32_VMX_EPT_VPID_CAP),
        msr.apply(Msr.IA32_VMX_VMFUNC),
        msr.apply(Msr.IA32_VMX_CR0_FIXED0),
        msr.apply(Msr.IA32_VMX_CR0_FIXED1),
        msr.apply(Msr.IA32_VMX_CR4_FIXED0),
        msr.apply(Msr.IA32_VMX_CR4_FIXED1));
  }

  /**
   * The MSRs that every vCPU of Linux has after KVM_SET_CPUID2 and before userspace writes any of
   * them, whatever the machine: the fixed bits of CR0 and CR4. The other MSRs depend on the CPU.
   *
   * @param cr4Fixed1 what {@link #cr4Fixed1(int, int, int, int)} says
   */
  public static VmxCapabilities defaults(long cr4Fixed1) {
    return UNKNOWN.withFixed0(DEFAULT_CR0_FIXED0, DEFAULT_CR4_FIXED0).withFixed1(cr4Fixed1);
  }

  /** The same MSRs with other values of both FIXED0 MSRs. */
  public VmxCapabilities withFixed0(long cr0, long cr4) {
    return new VmxCapabilities(
        basic,
        pinbased,
        procbased,
        procbased2,
        exit,
        entry,
        misc,
        eptVpid,
        vmfunc,
        OptionalLong.of(cr0),
        cr0Fixed1,
        OptionalLong.of(cr4),
        cr4Fixed1);
  }

  /** The same MSRs after a KVM_SET_CPUID2 with VMX in it. */
  public VmxCapabilities withFixed1(long cr4) {
    return new VmxCapabilities(
        basic,
        pinbased,
        procbased,
        procbased2,
        exit,
        entry,
        misc,
        eptVpid,
        vmfunc,
        cr0Fixed0,
        OptionalLong.of(CR0_FIXED1),
        cr4Fixed0,
        OptionalLong.of(cr4));
  }

  /**
   * The value that KVM_SET_CPUID2 gives to IA32_VMX_CR4_FIXED1.
   *
   * <p><i>Source</i>: {@code arch/x86/kvm/vmx/vmx.c, nested_vmx_cr_fixed1_bits_update(), v6.1}.
   *
   * @param leaf1Ecx ECX of CPUID leaf 1
   * @param leaf1Edx EDX of the same
   * @param leaf7Ebx EBX of CPUID leaf 7, subleaf 0
   * @param leaf7Ecx ECX of the same
   */
  public static long cr4Fixed1(int leaf1Ecx, int leaf1Edx, int leaf7Ebx, int leaf7Ecx) {
    return Cr4.PCE
        | when(leaf1Edx, Cpuid.LEAF1_EDX_VME, Cr4.VME | Cr4.PVI)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_TSC, Cr4.TSD)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_DE, Cr4.DE)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_PSE, Cr4.PSE)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_PAE, Cr4.PAE)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_MCE, Cr4.MCE)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_PGE, Cr4.PGE)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_FXSR, Cr4.OSFXSR)
        | when(leaf1Edx, Cpuid.LEAF1_EDX_XMM, Cr4.OSXMMEXCPT)
        | when(leaf1Ecx, Cpuid.LEAF1_ECX_VMX, Cr4.VMXE)
        | when(leaf1Ecx, Cpuid.LEAF1_ECX_SMX, Cr4.SMXE)
        | when(leaf1Ecx, Cpuid.LEAF1_ECX_PCID, Cr4.PCIDE)
        | when(leaf1Ecx, Cpuid.LEAF1_ECX_XSAVE, Cr4.OSXSAVE)
        | when(leaf7Ebx, Cpuid.LEAF7_EBX_FSGSBASE, Cr4.FSGSBASE)
        | when(leaf7Ebx, Cpuid.LEAF7_EBX_SMEP, Cr4.SMEP)
        | when(leaf7Ebx, Cpuid.LEAF7_EBX_SMAP, Cr4.SMAP)
        | when(leaf7Ecx, Cpuid.LEAF7_ECX_PKU, Cr4.PKE)
        | when(leaf7Ecx, Cpuid.LEAF7_ECX_UMIP, Cr4.UMIP)
        | when(leaf7Ecx, Cpuid.LEAF7_ECX_LA57, Cr4.LA57);
  }

  private static long when(int register, int feature, long bits) {
    return (register & feature) != 0 ? bits : 0;
  }
}
