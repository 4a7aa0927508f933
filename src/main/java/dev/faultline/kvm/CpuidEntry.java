package dev.faultline.kvm;

/**
 * What CPUID answers to one question, as {@code struct kvm_cpuid_entry2} holds it.
 *
 * @param function the leaf, EAX before
 * @param index the subleaf, ECX before; counts only with {@link #KVM_CPUID_FLAG_SIGNIFCANT_INDEX}
 * @param flags whether the subleaf counts
 */
public record CpuidEntry(int function, int index, int flags, int eax, int ebx, int ecx, int edx) {
  /** The subleaf counts; the spelling is the kernel's. */
  public static final int KVM_CPUID_FLAG_SIGNIFCANT_INDEX = 1;

  /** The entry answers to this question. */
  public boolean matches(int function, int index) {
    return this.function == function
        && ((flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) == 0 || this.index == index);
  }
}
