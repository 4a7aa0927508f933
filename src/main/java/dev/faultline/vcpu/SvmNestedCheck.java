package dev.faultline.vcpu;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;

/**
 * The checks of KVM_SET_NESTED_STATE on SVM, in KVM's order, after those that all vendors share
 * ({@link NestedStateCheck#NESTED_SIZE} to {@link NestedStateCheck#NESTED_RUN_PENDING_ALONE}).
 * Nothing has changed when one fails, but for {@link #SVM_L2_CR3}, the last one.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/svm/nested.c, svm_set_nested_state(),
 * __nested_vmcb_check_controls(), __nested_vmcb_check_save()}, v6.1.
 */
public enum SvmNestedCheck implements Check {
  SVM_FORMAT(
      "The format must be SVM", "svm_set_nested_state()", "format != KVM_STATE_NESTED_FORMAT_SVM"),
  SVM_FLAGS(
      "Only guest mode, a pending run and the global interrupt flag exist",
      "svm_set_nested_state()",
      "flags & ~(GUEST_MODE | RUN_PENDING | GIF_SET)"),
  SVM_FLAGS_WITHOUT_SVME(
      "Without EFER.SVME the global interrupt flag is set and L2 is not active",
      "svm_set_nested_state()",
      "!EFER.SVME && flags != GIF_SET"),
  SVM_GUEST_MODE_IN_SMM(
      "In SMM L2 cannot be active", "svm_set_nested_state()", "is_smm && GUEST_MODE"),
  SVM_VMCB_PA(
      "The vmcb12 is a page of the guest's physical address space",
      "svm_set_nested_state()",
      "!page_address_valid(vmcb_pa)"),
  SVM_SIZE(
      "The size must cover the VMCB",
      "svm_set_nested_state()",
      "size < header + KVM_STATE_NESTED_SVM_VMCB_SIZE"),
  SVM_UNREADABLE(
      "The VMCB must be readable", "svm_set_nested_state()", "copy_from_user()", Errno.EFAULT),
  SVM_VMRUN_INTERCEPT(
      "L1 must intercept VMRUN",
      "__nested_vmcb_check_controls()",
      "!vmcb12_is_intercept(INTERCEPT_VMRUN)"),
  SVM_ASID("L2 cannot have address space 0", "__nested_vmcb_check_controls()", "asid == 0"),
  SVM_NESTED_PAGING(
      "Nested paging for L2 needs nested paging of KVM",
      "__nested_vmcb_check_controls()",
      "NP_ENABLE && !npt_enabled"),
  SVM_NESTED_CR3(
      "The root of nested page tables must be a guest-physical address",
      "__nested_vmcb_check_controls()",
      "NP_ENABLE && !kvm_vcpu_is_legal_gpa(nested_cr3)"),
  SVM_MSR_BITMAP(
      "The MSR bitmap must lie within the guest-physical addresses",
      "__nested_vmcb_check_controls()",
      "!nested_svm_check_bitmap_pa(msrpm_base_pa)"),
  SVM_IO_BITMAP(
      "The I/O bitmap must lie within the guest-physical addresses",
      "__nested_vmcb_check_controls()",
      "!nested_svm_check_bitmap_pa(iopm_base_pa)"),
  SVM_L2_CR0(
      "The current CR0, which is L2's, cannot have NW without CD",
      "svm_set_nested_state()",
      "!(cr0 & CD) && (cr0 & NW)"),
  SVM_L1_CR0_PG("L1 has paging on", "svm_set_nested_state()", "!(save.cr0 & PG)"),
  SVM_L1_CR0_PE("L1 is in protected mode", "svm_set_nested_state()", "!(save.cr0 & PE)"),
  SVM_L1_RFLAGS_VM("L1 is not in virtual-8086 mode", "svm_set_nested_state()", "save.rflags & VM"),
  SVM_L1_EFER_SVME("L1 has EFER.SVME", "__nested_vmcb_check_save()", "!(save.efer & SVME)"),
  SVM_L1_CR0_NW(
      "L1's CR0 cannot have NW without CD",
      "__nested_vmcb_check_save()",
      "!(save.cr0 & CD) && (save.cr0 & NW)"),
  SVM_L1_CR0_HIGH("L1's CR0 has 32 bits", "__nested_vmcb_check_save()", "save.cr0 >> 32"),
  SVM_L1_DR6("L1's DR6 has 32 bits", "__nested_vmcb_check_save()", "!kvm_dr6_valid(save.dr6)"),
  SVM_L1_DR7("L1's DR7 has 32 bits", "__nested_vmcb_check_save()", "!kvm_dr7_valid(save.dr7)"),
  SVM_L1_LONG_MODE_PAE(
      "L1 in long mode has CR4.PAE",
      "__nested_vmcb_check_save()",
      "EFER.LME && CR0.PG && !(save.cr4 & PAE)"),
  SVM_L1_LONG_MODE_CR3(
      "L1's CR3 in long mode must be a guest-physical address",
      "__nested_vmcb_check_save()",
      "EFER.LME && CR0.PG && kvm_vcpu_is_illegal_gpa(save.cr3)"),
  SVM_L1_CS_L_AND_DB(
      "L1's code segment cannot be 64-bit with a default size of 32 bits",
      "__nested_vmcb_check_save()",
      "EFER.LME && CR0.PG && CS.L && CS.DB"),
  SVM_L1_CR4(
      "L1's CR4 cannot have bits that KVM or the guest's CPUID lacks",
      "__nested_vmcb_check_save()",
      "!__kvm_is_valid_cr4(save.cr4)"),
  SVM_L1_EFER(
      "L1's EFER cannot have bits that KVM or the guest's CPUID lacks",
      "__nested_vmcb_check_save()",
      "!kvm_valid_efer(save.efer)"),
  SVM_L2_CR3(
      "The current CR3, which is L2's, must be a guest-physical address; L2 is active by then",
      "nested_svm_load_cr3()",
      "kvm_vcpu_is_illegal_gpa(cr3)");

  private final String rule;
  private final String kernelFunction;
  private final String condition;
  private final Errno errno;

  SvmNestedCheck(String rule, String kernelFunction, String condition) {
    this(rule, kernelFunction, condition, Errno.EINVAL);
  }

  SvmNestedCheck(String rule, String kernelFunction, String condition, Errno errno) {
    this.rule = rule;
    this.kernelFunction = kernelFunction;
    this.condition = condition;
    this.errno = errno;
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

  /** The error with which KVM_SET_NESTED_STATE fails. */
  public Errno errno() {
    return errno;
  }
}
