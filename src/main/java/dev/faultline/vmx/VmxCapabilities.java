package dev.faultline.vmx;

import dev.faultline.InvariantViolation;
import dev.faultline.x86.Cpuid;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Msr;
import java.util.Arrays;
import java.util.Map;
import java.util.OptionalLong;
import java.util.function.IntFunction;
import org.jspecify.annotations.Nullable;

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
 * <p>A value like a record; a class, because one that is made for every restore of nested state
 * should not be made of thirteen boxes.
 *
 * <p><i>Source</i>: Intel SDM vol. 3D, "VMX Capability Reporting Facility"; {@code
 * arch/x86/kvm/vmx/nested.c, nested_vmx_setup_ctls_msrs() and vmx_set_vmx_msr(), v6.1}.
 */
public final class VmxCapabilities {
  static final int BASIC = 0;
  static final int PINBASED = 1;
  static final int PROCBASED = 2;
  static final int PROCBASED2 = 3;
  static final int EXIT = 4;
  static final int ENTRY = 5;
  static final int MISC = 6;
  static final int EPT_VPID = 7;
  static final int VMFUNC = 8;
  static final int CR0_FIXED0_MSR = 9;
  static final int CR0_FIXED1_MSR = 10;
  static final int CR4_FIXED0_MSR = 11;
  static final int CR4_FIXED1_MSR = 12;

  private static final int[] MSRS = {
    Msr.IA32_VMX_BASIC,
    Msr.IA32_VMX_TRUE_PINBASED_CTLS,
    Msr.IA32_VMX_TRUE_PROCBASED_CTLS,
    Msr.IA32_VMX_PROCBASED_CTLS2,
    Msr.IA32_VMX_TRUE_EXIT_CTLS,
    Msr.IA32_VMX_TRUE_ENTRY_CTLS,
    Msr.IA32_VMX_MISC,
    Msr.IA32_VMX_EPT_VPID_CAP,
    Msr.IA32_VMX_VMFUNC,
    Msr.IA32_VMX_CR0_FIXED0,
    Msr.IA32_VMX_CR0_FIXED1,
    Msr.IA32_VMX_CR4_FIXED0,
    Msr.IA32_VMX_CR4_FIXED1,
  };

  private static final int ALL = (1 << MSRS.length) - 1;

  /** Nothing is known. */
  public static final VmxCapabilities UNKNOWN = new VmxCapabilities(new long[MSRS.length], 0);

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

  /** By the numbers above; zero where nothing is known. */
  private final long[] values;

  /** One bit for each value that is known. */
  private final int known;

  private VmxCapabilities(long[] values, int known) {
    this.values = values;
    this.known = known;
  }

  /** How many MSRs these are. */
  public static int count() {
    return MSRS.length;
  }

  /** The index of the n-th of these MSRs. */
  public static int msr(int n) {
    return MSRS[n];
  }

  /**
   * The MSRs by their number here.
   *
   * @param values one for each, in the order of {@link #msr}; given away
   * @param known one bit for each that is known
   */
  public static VmxCapabilities wrap(long[] values, int known) {
    if (values.length != MSRS.length) {
      throw new InvariantViolation(values.length + " values of VMX capability MSRs");
    }
    for (int n = 0; n < values.length; n++) {
      values[n] &= -(known >>> n & 1L);
    }
    return new VmxCapabilities(values, known & ALL);
  }

  /** The MSRs from a table of values, as KVM_GET_MSRS or KVM_SET_MSRS carries them. */
  public static VmxCapabilities of(Map<Integer, Long> msrs) {
    return read(index -> {
      Long value = msrs.get(index);
      return value == null ? OptionalLong.empty() : OptionalLong.of(value);
    });
  }

  /** The MSRs from anything that tells the value of an MSR. */
  public static VmxCapabilities read(IntFunction<OptionalLong> msr) {
    long[] values = new long[MSRS.length];
    int known = 0;
    for (int n = 0; n < MSRS.length; n++) {
      OptionalLong value = msr.apply(MSRS[n]);
      known |= value.isPresent() ? 1 << n : 0;
      values[n] = value.orElse(0);
    }
    return new VmxCapabilities(values, known);
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

  /** Whether all of them are known. */
  boolean isComplete() {
    return known == ALL;
  }

  /** The value of the n-th; meaningful only if it is known. */
  long value(int n) {
    return values[n];
  }

  private OptionalLong at(int n) {
    return (known >>> n & 1) != 0 ? OptionalLong.of(values[n]) : OptionalLong.empty();
  }

  public OptionalLong basic() {
    return at(BASIC);
  }

  public OptionalLong pinbased() {
    return at(PINBASED);
  }

  public OptionalLong procbased() {
    return at(PROCBASED);
  }

  public OptionalLong procbased2() {
    return at(PROCBASED2);
  }

  public OptionalLong exit() {
    return at(EXIT);
  }

  public OptionalLong entry() {
    return at(ENTRY);
  }

  public OptionalLong misc() {
    return at(MISC);
  }

  public OptionalLong eptVpid() {
    return at(EPT_VPID);
  }

  public OptionalLong vmfunc() {
    return at(VMFUNC);
  }

  public OptionalLong cr0Fixed0() {
    return at(CR0_FIXED0_MSR);
  }

  public OptionalLong cr0Fixed1() {
    return at(CR0_FIXED1_MSR);
  }

  public OptionalLong cr4Fixed0() {
    return at(CR4_FIXED0_MSR);
  }

  public OptionalLong cr4Fixed1() {
    return at(CR4_FIXED1_MSR);
  }

  /** The same MSRs; FIXED0 MSRs that are not known are taken to be what KVM offers everywhere. */
  public VmxCapabilities orDefaults() {
    int both = 1 << CR0_FIXED0_MSR | 1 << CR4_FIXED0_MSR;
    return (known & both) == both
        ? this
        : withFixed0(
            cr0Fixed0().orElse(DEFAULT_CR0_FIXED0), cr4Fixed0().orElse(DEFAULT_CR4_FIXED0));
  }

  /** The same MSRs with other values of both FIXED0 MSRs. */
  public VmxCapabilities withFixed0(long cr0, long cr4) {
    return with(CR0_FIXED0_MSR, cr0, CR4_FIXED0_MSR, cr4);
  }

  /** The same MSRs after a KVM_SET_CPUID2 with VMX in it. */
  public VmxCapabilities withFixed1(long cr4) {
    return with(CR0_FIXED1_MSR, CR0_FIXED1, CR4_FIXED1_MSR, cr4);
  }

  private VmxCapabilities with(int one, long value, int other, long otherValue) {
    long[] changed = values.clone();
    changed[one] = value;
    changed[other] = otherValue;
    return new VmxCapabilities(changed, known | 1 << one | 1 << other);
  }

  /** The same MSRs, of which this one is not known. */
  public VmxCapabilities without(int msr) {
    int n = 0;
    while (n < MSRS.length && MSRS[n] != msr) {
      n++;
    }
    return n == MSRS.length ? this : wrap(values.clone(), known & ~(1 << n));
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

  @Override
  public boolean equals(@Nullable Object o) {
    return o instanceof VmxCapabilities other
        && known == other.known
        && Arrays.equals(values, other.values);
  }

  @Override
  public int hashCode() {
    return 31 * Arrays.hashCode(values) + known;
  }
}
