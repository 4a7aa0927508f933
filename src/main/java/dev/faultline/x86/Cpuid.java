package dev.faultline.x86;

/**
 * The leaves of CPUID that decide what KVM lets a guest do, and their bits.
 *
 * <p><i>Shape</i> of a bit's name: leaf, register, feature.
 *
 * <p><i>Source</i>: Intel SDM vol. 2A, "CPUID"; AMD APM vol. 3, "Obtaining Processor Information
 * Via the CPUID Instruction"; for the KVM leaves {@code arch/x86/include/uapi/asm/kvm_para.h,
 * v6.1}.
 */
public final class Cpuid {
  /** Vendor and the highest basic leaf. */
  public static final int LEAF_VENDOR = 0;

  /** Features, first part. */
  public static final int LEAF_FEATURES = 1;

  /** Features, second part; subleaf 0. */
  public static final int LEAF_EXTENDED_FEATURES = 7;

  /** Performance monitoring. */
  public static final int LEAF_PMU = 0xa;

  /** XSAVE components. */
  public static final int LEAF_XSAVE = 0xd;

  /** The hypervisor's signature. */
  public static final int LEAF_KVM_SIGNATURE = 0x4000_0000;

  /** KVM's paravirtual features. */
  public static final int LEAF_KVM_FEATURES = 0x4000_0001;

  /** The highest extended leaf. */
  public static final int LEAF_EXTENDED_MAX = 0x8000_0000;

  /** Features, AMD's part. */
  public static final int LEAF_AMD_FEATURES = 0x8000_0001;

  /** Address widths: physical 7:0 of EAX, linear 15:8. */
  public static final int LEAF_ADDRESS_SIZES = 0x8000_0008;

  /** SVM's features. */
  public static final int LEAF_SVM = 0x8000_000a;

  /** ECX of leaf 1: VMX. */
  public static final int LEAF1_ECX_VMX = 1 << 5;

  /** ECX of leaf 1: SMX. */
  public static final int LEAF1_ECX_SMX = 1 << 6;

  /** ECX of leaf 1: process-context identifiers. */
  public static final int LEAF1_ECX_PCID = 1 << 17;

  /** ECX of leaf 1: x2APIC. */
  public static final int LEAF1_ECX_X2APIC = 1 << 21;

  /** ECX of leaf 1: the TSC-deadline mode of the APIC timer. */
  public static final int LEAF1_ECX_TSC_DEADLINE = 1 << 24;

  /** ECX of leaf 1: XSAVE. */
  public static final int LEAF1_ECX_XSAVE = 1 << 26;

  /** ECX of leaf 1: CR4.OSXSAVE, which KVM keeps up to date. */
  public static final int LEAF1_ECX_OSXSAVE = 1 << 27;

  /** EDX of leaf 1: virtual-8086 mode extensions. */
  public static final int LEAF1_EDX_VME = 1 << 1;

  /** EDX of leaf 1: debugging extensions. */
  public static final int LEAF1_EDX_DE = 1 << 2;

  /** EDX of leaf 1: page size extensions. */
  public static final int LEAF1_EDX_PSE = 1 << 3;

  /** EDX of leaf 1: the time stamp counter. */
  public static final int LEAF1_EDX_TSC = 1 << 4;

  /** EDX of leaf 1: physical address extension. */
  public static final int LEAF1_EDX_PAE = 1 << 6;

  /** EDX of leaf 1: machine-check exception. */
  public static final int LEAF1_EDX_MCE = 1 << 7;

  /** EDX of leaf 1: the local APIC. */
  public static final int LEAF1_EDX_APIC = 1 << 9;

  /** EDX of leaf 1: page global enable. */
  public static final int LEAF1_EDX_PGE = 1 << 13;

  /** EDX of leaf 1: FXSAVE. */
  public static final int LEAF1_EDX_FXSR = 1 << 24;

  /** EDX of leaf 1: SSE. */
  public static final int LEAF1_EDX_XMM = 1 << 25;

  /** EBX of leaf 7: RDFSBASE and its kind. */
  public static final int LEAF7_EBX_FSGSBASE = 1;

  /** EBX of leaf 7: software guard extensions. */
  public static final int LEAF7_EBX_SGX = 1 << 2;

  /** EBX of leaf 7: supervisor-mode execution prevention. */
  public static final int LEAF7_EBX_SMEP = 1 << 7;

  /** EBX of leaf 7: INVPCID. */
  public static final int LEAF7_EBX_INVPCID = 1 << 10;

  /** EBX of leaf 7: memory protection extensions. */
  public static final int LEAF7_EBX_MPX = 1 << 14;

  /** EBX of leaf 7: supervisor-mode access prevention. */
  public static final int LEAF7_EBX_SMAP = 1 << 20;

  /** ECX of leaf 7: user-mode instruction prevention. */
  public static final int LEAF7_ECX_UMIP = 1 << 2;

  /** ECX of leaf 7: protection keys for user pages. */
  public static final int LEAF7_ECX_PKU = 1 << 3;

  /** ECX of leaf 7: shadow stacks. */
  public static final int LEAF7_ECX_SHSTK = 1 << 7;

  /** ECX of leaf 7: 57-bit linear addresses. */
  public static final int LEAF7_ECX_LA57 = 1 << 16;

  /** ECX of leaf 7: SGX launch configuration. */
  public static final int LEAF7_ECX_SGX_LC = 1 << 30;

  /** EDX of leaf 7: indirect branch tracking. */
  public static final int LEAF7_EDX_IBT = 1 << 20;

  /** ECX of leaf 0x80000001: SVM. */
  public static final int LEAF80000001_ECX_SVM = 1 << 2;

  /** EDX of leaf 0x80000001: SYSCALL. */
  public static final int LEAF80000001_EDX_SYSCALL = 1 << 11;

  /** EDX of leaf 0x80000001: no-execute. */
  public static final int LEAF80000001_EDX_NX = 1 << 20;

  /** EDX of leaf 0x80000001: fast FXSAVE. */
  public static final int LEAF80000001_EDX_FXSR_OPT = 1 << 25;

  /** EDX of leaf 0x80000001: gigabyte pages. */
  public static final int LEAF80000001_EDX_GBPAGES = 1 << 26;

  /** EDX of leaf 0x80000001: RDTSCP. */
  public static final int LEAF80000001_EDX_RDTSCP = 1 << 27;

  /** EDX of leaf 0x80000001: long mode; with it SMRAM has the 64-bit map. */
  public static final int LEAF80000001_EDX_LM = 1 << 29;

  /** Where the width of physical addresses lies in EAX of leaf 0x80000008. */
  public static final int PHYSICAL_BITS_MASK = 0xff;

  /** How far the width of linear addresses is shifted in EAX of leaf 0x80000008. */
  public static final int LINEAR_BITS_SHIFT = 8;

  /** The width of physical addresses of a guest without leaf 0x80000008. */
  public static final int DEFAULT_PHYSICAL_BITS = 36;

  private Cpuid() {}
}
