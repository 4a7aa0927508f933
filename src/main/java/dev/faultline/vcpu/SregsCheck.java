package dev.faultline.vcpu;

import dev.faultline.Check;

/** The checks of KVM_SET_SREGS and KVM_SET_SREGS2, in KVM's order. All yield EINVAL. */
public enum SregsCheck implements Check {
  SREGS2_FLAGS(
      "KVM_SET_SREGS2 knows no flag but KVM_SREGS2_FLAGS_PDPTRS_VALID",
      "__set_sregs2()",
      "flags & ~KVM_SREGS2_FLAGS_PDPTRS_VALID"),
  SREGS2_PDPTRS_WITHOUT_PAE(
      "PDPTRs can be given only with PAE paging outside long mode",
      "__set_sregs2()",
      "PDPTRS_VALID && !(CR0.PG && CR4.PAE && !EFER.LMA)"),
  LONG_MODE_WITHOUT_PAE(
      "Long mode needs CR4.PAE", "kvm_is_valid_sregs()", "EFER.LME && CR0.PG && !CR4.PAE"),
  LONG_MODE_WITHOUT_LMA(
      "EFER.LMA must be set when EFER.LME and CR0.PG are",
      "kvm_is_valid_sregs()",
      "EFER.LME && CR0.PG && !EFER.LMA"),
  LONG_MODE_CR3(
      "CR3 must be within the guest's physical address width in long mode",
      "kvm_is_valid_sregs()",
      "EFER.LME && CR0.PG && CR3 >= 1 << MAXPHYADDR"),
  LMA_OUTSIDE_LONG_MODE(
      "EFER.LMA must be clear outside long mode",
      "kvm_is_valid_sregs()",
      "!(EFER.LME && CR0.PG) && EFER.LMA"),
  CS_L_OUTSIDE_LONG_MODE(
      "The code segment cannot be a 64-bit one outside long mode",
      "kvm_is_valid_sregs()",
      "!(EFER.LME && CR0.PG) && CS.L"),
  CR4_HOST_RESERVED(
      "CR4 cannot have bits that KVM does not know or cannot provide here",
      "__kvm_is_valid_cr4()",
      "CR4 & cr4_reserved_bits"),
  CR4_GUEST_RESERVED(
      "CR4 cannot have bits of features that the guest's CPUID lacks",
      "__kvm_is_valid_cr4()",
      "CR4 & cr4_guest_rsvd_bits"),
  CR4_VMXE_IN_SMM("CR4.VMXE must be clear in SMM", "vmx_is_valid_cr4()", "CR4.VMXE && is_smm"),
  CR4_VMX_FIXED(
      "In VMX operation CR4 must have the bits that IA32_VMX_CR4_FIXED0 and FIXED1 demand",
      "vmx_is_valid_cr4()",
      "vmxon && !nested_cr4_valid(CR4)"),
  CR0_HIGH_BITS("CR0 has 32 bits", "kvm_is_valid_cr0()", "CR0 >> 32"),
  CR0_NW_WITHOUT_CD("CR0.NW needs CR0.CD", "kvm_is_valid_cr0()", "CR0.NW && !CR0.CD"),
  CR0_PG_WITHOUT_PE("CR0.PG needs CR0.PE", "kvm_is_valid_cr0()", "CR0.PG && !CR0.PE"),
  CR0_GUEST_FIXED(
      "While L2 is active CR0 must have the bits fixed for VMX non-root operation",
      "vmx_is_valid_cr0()",
      "is_guest_mode && !nested_guest_cr0_valid(CR0)"),
  CR0_VMX_FIXED(
      "In VMX operation CR0 must have the bits that IA32_VMX_CR0_FIXED0 and FIXED1 demand",
      "vmx_is_valid_cr0()",
      "vmxon && !nested_host_cr0_valid(CR0)"),
  EFER_RESERVED(
      "EFER cannot have bits of features that KVM or the guest's CPUID lacks",
      "kvm_is_valid_sregs()",
      "!kvm_valid_efer(EFER)"),
  APIC_BASE_RESERVED(
      "IA32_APIC_BASE cannot have reserved bits",
      "kvm_set_apic_base()",
      "apic_base & reserved_bits"),
  APIC_BASE_MODE(
      "x2APIC mode needs the local APIC to be enabled",
      "kvm_set_apic_base()",
      "new_mode == LAPIC_MODE_INVALID");

  private final String rule;
  private final String kernelFunction;
  private final String condition;

  SregsCheck(String rule, String kernelFunction, String condition) {
    this.rule = rule;
    this.kernelFunction = kernelFunction;
    this.condition = condition;
  }

  @Override
  public String id() {
    return name();
  }

  @Override
  public String rule() {
    return rule;
  }

  @Override
  public String kernelFunction() {
    return kernelFunction;
  }

  @Override
  public String condition() {
    return condition;
  }
}
