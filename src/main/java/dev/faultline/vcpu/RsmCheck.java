package dev.faultline.vcpu;

import dev.faultline.Check;

/**
 * What RSM demands of what it loads, in KVM's order for the 64-bit map.
 *
 * <p>The 32-bit map loads segments before control registers; no check depends on that.
 */
public enum RsmCheck implements Check {
  RSM_ENTERS_L2(
      "The vmcs12 that SMI put aside must be one that KVM can enter",
      "vmx_leave_smm()",
      "nested_vmx_enter_non_root_mode()"),
  RSM_DR6("Bits 63:32 of DR6 must be zero", "kvm_set_dr()", "!kvm_dr6_valid(val)"),
  RSM_DR7("Bits 63:32 of DR7 must be zero", "kvm_set_dr()", "!kvm_dr7_valid(val)"),
  RSM_EFER(
      "EFER must have no bit that KVM or the guest's CPUID does not know",
      "set_efer()",
      "efer & efer_reserved_bits || !__kvm_valid_efer(vcpu, efer)"),
  RSM_EFER_LME(
      "EFER.LME cannot change while L2 pages, and L2 pages before SMRAM is loaded",
      "set_efer()",
      "is_paging(vcpu) && LME changes"),
  RSM_CR3(
      "CR3 must be a guest-physical address",
      "kvm_set_cr3()",
      "kvm_vcpu_is_illegal_gpa(vcpu, cr3)"),
  RSM_CR4_RESERVED(
      "CR4 must have no bit that KVM or the guest's CPUID does not know",
      "kvm_is_valid_cr4()",
      "cr4 & reserved bits"),
  RSM_CR4_VMX(
      "CR4 must have the values fixed in VMX operation",
      "vmx_is_valid_cr4()",
      "vmxon && !nested_cr4_valid(vcpu, cr4)"),
  RSM_CR4_LONG_MODE(
      "L2 in long mode keeps CR4.PAE, and CR4.LA57 as it was",
      "kvm_set_cr4()",
      "is_long_mode(vcpu) && (!(cr4 & PAE) || LA57 changes)"),
  RSM_CR0_HIGH("Bits 63:32 of CR0 must be zero", "kvm_is_valid_cr0()", "cr0 >> 32"),
  RSM_CR0_NW("CR0.NW needs CR0.CD", "kvm_is_valid_cr0()", "(cr0 & NW) && !(cr0 & CD)"),
  RSM_CR0_PG("CR0.PG needs CR0.PE", "kvm_is_valid_cr0()", "(cr0 & PG) && !(cr0 & PE)"),
  RSM_CR0_VMX(
      "CR0 must have the values fixed in VMX operation",
      "vmx_is_valid_cr0()",
      "!nested_guest_cr0_valid() || vmxon && !nested_host_cr0_valid()"),
  RSM_CR0_LONG_MODE(
      "Paging with EFER.LME needs CR4.PAE and a CS without L",
      "kvm_set_cr0()",
      "LME && !is_paging && (cr0 & PG) && (!is_pae || cs_l)"),
  RSM_CR0_UNPAGED(
      "Paging cannot end in 64-bit mode or with CR4.PCIDE",
      "kvm_set_cr0()",
      "!(cr0 & PG) && (is_64_bit_mode(vcpu) || CR4.PCIDE)"),
  RSM_PCIDE(
      "CR4.PCIDE needs the feature and long mode",
      "kvm_set_cr4()",
      "PCIDE rises && (!PCID || !is_long_mode)"),
  RSM_MODE_VM86(
      "There is no virtual-8086 mode inside long mode",
      "emulator_recalc_and_set_mode()",
      "(eflags & VM) && (efer & LMA)"),
  RSM_MODE_CS(
      "CS must be present in protected mode", "emulator_recalc_and_set_mode()", "!get_segment(CS)"),
  RSM_PAGE_ROOT(
      "Without EPT the page that CR3 names must be in a memory slot",
      "mmu_check_root()",
      "!kvm_vcpu_is_visible_gfn(vcpu, root_gfn)"),
  RSM_L2_STATE(
      "RSM must not return to an L2 that hardware cannot run",
      "__vmx_handle_exit()",
      "KVM_BUG_ON(nested_run_pending)");

  private final String rule;
  private final String kernelFunction;
  private final String condition;

  RsmCheck(String rule, String kernelFunction, String condition) {
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
