package dev.faultline.vmx;

/**
 * Something that KVM knows when it checks a VM entry and that a recording may not show.
 *
 * <p>An input is reported as missing only where the answer depends on it.
 */
public enum EntryInput implements Verdict {
  PINBASED_CTLS("IA32_VMX_TRUE_PINBASED_CTLS (MSR 0x48d) of the vCPU"),
  PROCBASED_CTLS("IA32_VMX_TRUE_PROCBASED_CTLS (MSR 0x48e) of the vCPU"),
  PROCBASED_CTLS2("IA32_VMX_PROCBASED_CTLS2 (MSR 0x48b) of the vCPU"),
  EXIT_CTLS("IA32_VMX_TRUE_EXIT_CTLS (MSR 0x48f) of the vCPU"),
  ENTRY_CTLS("IA32_VMX_TRUE_ENTRY_CTLS (MSR 0x490) of the vCPU"),
  MISC("IA32_VMX_MISC (MSR 0x485) of the vCPU"),
  EPT_VPID_CAP("IA32_VMX_EPT_VPID_CAP (MSR 0x48c) of the vCPU"),
  VMFUNC("IA32_VMX_VMFUNC (MSR 0x491) of the vCPU"),
  CR0_FIXED0("IA32_VMX_CR0_FIXED0 (MSR 0x486) of the vCPU"),
  CR0_FIXED1("IA32_VMX_CR0_FIXED1 (MSR 0x487) of the vCPU"),
  CR4_FIXED0("IA32_VMX_CR4_FIXED0 (MSR 0x488) of the vCPU"),
  CR4_FIXED1("IA32_VMX_CR4_FIXED1 (MSR 0x489) of the vCPU"),
  MAXPHYADDR("the guest's physical address width (CPUID leaf 0x80000008)"),
  CR4_RESERVED("which CR4 bits the host and the guest's CPUID reserve"),
  EFER_ALLOWED("which EFER bits the host and the guest's CPUID allow"),
  PERF_GLOBAL_CTRL_RESERVED("which bits of IA32_PERF_GLOBAL_CTRL the guest's PMU reserves"),
  DEBUGCTL_SUPPORTED("which bits of IA32_DEBUGCTL the host and the guest's CPUID support"),
  ENLIGHTENED_VMCS("which controls an enlightened VMCS supports on this kernel"),
  ADDRESS_WIDTH("CR4.LA57 of the vCPU at the time of the check"),
  EFER("EFER of the vCPU at the time of the check"),
  LINK_TARGET("the guest memory that the VMCS link pointer names"),
  GUEST_PDPTES("the guest memory that holds the PDPTEs at the guest's CR3");

  private final String words;

  EntryInput(String words) {
    this.words = words;
  }

  /** What is missing, in words that fit after "cannot tell without". */
  public String words() {
    return words;
  }
}
