package dev.faultline.vcpu;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;

/**
 * The checks of KVM_SET_NESTED_STATE on VMX, in KVM's order, before and after the consistency
 * checks of the vmcs12. From {@link #NESTED_NO_VMCS12} on the old nested state is gone when they
 * fail.
 */
public enum NestedStateCheck implements Check {
  NESTED_UNSUPPORTED(
      "The kernel must support nested virtualization",
      "kvm_arch_vcpu_ioctl()",
      "!nested_ops->set_state",
      Errno.EINVAL),
  NESTED_SIZE(
      "The size must cover the header",
      "kvm_arch_vcpu_ioctl()",
      "size < sizeof(struct kvm_nested_state)",
      Errno.EINVAL),
  NESTED_FLAGS(
      "Only known flags may be set", "kvm_arch_vcpu_ioctl()", "flags & ~known", Errno.EINVAL),
  NESTED_RUN_PENDING_ALONE(
      "A pending VM-Enter needs guest mode",
      "kvm_arch_vcpu_ioctl()",
      "RUN_PENDING && !GUEST_MODE",
      Errno.EINVAL),
  NESTED_FORMAT(
      "The format must be VMX",
      "vmx_set_nested_state()",
      "format != KVM_STATE_NESTED_FORMAT_VMX",
      Errno.EINVAL),
  NESTED_OFF_SMM_FLAGS(
      "Without a VMXON region there are no SMM flags",
      "vmx_set_nested_state()",
      "vmxon_pa == INVALID_GPA && smm.flags",
      Errno.EINVAL),
  NESTED_OFF_VMCS12_PA(
      "Without a VMXON region there is no current VMCS",
      "vmx_set_nested_state()",
      "vmxon_pa == INVALID_GPA && vmcs12_pa != INVALID_GPA",
      Errno.EINVAL),
  NESTED_OFF_FLAGS(
      "Without a VMXON region only the eVMCS flag is allowed",
      "vmx_set_nested_state()",
      "vmxon_pa == INVALID_GPA && flags & ~KVM_STATE_NESTED_EVMCS",
      Errno.EINVAL),
  NESTED_NOT_ALLOWED(
      "The guest's CPUID must have VMX",
      "vmx_set_nested_state()",
      "vmxon_pa != INVALID_GPA && !nested_vmx_allowed()",
      Errno.EINVAL),
  NESTED_VMXON_PA(
      "The VMXON region is a page of the guest's physical address space",
      "vmx_set_nested_state()",
      "!page_address_valid(vmxon_pa)",
      Errno.EINVAL),
  NESTED_SMM_AND_GUEST_MODE(
      "L2 cannot be active and put aside for SMM at once",
      "vmx_set_nested_state()",
      "SMM_GUEST_MODE && GUEST_MODE",
      Errno.EINVAL),
  NESTED_SMM_FLAGS(
      "Only known SMM flags may be set",
      "vmx_set_nested_state()",
      "smm.flags & ~known",
      Errno.EINVAL),
  NESTED_VMX_FLAGS(
      "Only known VMX flags may be set",
      "vmx_set_nested_state()",
      "hdr.vmx.flags & ~KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE",
      Errno.EINVAL),
  NESTED_SMM_MODE(
      "In SMM L2 cannot be active; outside SMM there are no SMM flags",
      "vmx_set_nested_state()",
      "is_smm ? flags & (GUEST_MODE | RUN_PENDING) : smm.flags",
      Errno.EINVAL),
  NESTED_SMM_GUEST_WITHOUT_VMXON(
      "L2 can be put aside for SMM only together with VMX operation",
      "vmx_set_nested_state()",
      "SMM_GUEST_MODE && !SMM_VMXON",
      Errno.EINVAL),
  NESTED_EVMCS(
      "An enlightened VMCS needs its capability",
      "vmx_set_nested_state()",
      "EVMCS && !enlightened_vmcs_enabled",
      Errno.EINVAL),
  NESTED_NO_VMCS12(
      "Too short for a vmcs12, so there must be no current VMCS",
      "vmx_set_nested_state()",
      "size < header + sizeof(struct vmcs12) && (GUEST_MODE || EVMCS || vmcs12_pa != INVALID_GPA)",
      Errno.EINVAL),
  NESTED_VMCS12_PA(
      "The current VMCS is a page, and not the VMXON region",
      "vmx_set_nested_state()",
      "vmcs12_pa == vmxon_pa || !page_address_valid(vmcs12_pa)",
      Errno.EINVAL),
  NESTED_VMCS12_PA_MISSING(
      "A vmcs12 needs an address, or the eVMCS flag",
      "vmx_set_nested_state()",
      "vmcs12_pa == INVALID_GPA && !EVMCS",
      Errno.EINVAL),
  NESTED_VMCS12_UNREADABLE(
      "The vmcs12 must be readable",
      "vmx_set_nested_state()",
      "copy_from_user(vmcs12)",
      Errno.EFAULT),
  NESTED_REVISION(
      "The vmcs12 must have KVM's revision",
      "vmx_set_nested_state()",
      "hdr.revision_id != VMCS12_REVISION",
      Errno.EINVAL),
  NESTED_SHADOW_SIZE(
      "The size must cover the shadow vmcs12 that the link pointer names",
      "vmx_set_nested_state()",
      "size < header + vmcs12 + sizeof(struct vmcs12)",
      Errno.EINVAL),
  NESTED_SHADOW_UNREADABLE(
      "The shadow vmcs12 must be readable",
      "vmx_set_nested_state()",
      "copy_from_user(shadow_vmcs12)",
      Errno.EFAULT),
  NESTED_SHADOW_REVISION(
      "The shadow vmcs12 must have KVM's revision and the shadow bit",
      "vmx_set_nested_state()",
      "revision_id != VMCS12_REVISION || !shadow_vmcs",
      Errno.EINVAL);

  private final String rule;
  private final String kernelFunction;
  private final String condition;
  private final Errno errno;

  NestedStateCheck(String rule, String kernelFunction, String condition, Errno errno) {
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
