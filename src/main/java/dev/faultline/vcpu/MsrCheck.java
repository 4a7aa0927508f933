package dev.faultline.vcpu;

import dev.faultline.Check;

/**
 * Why KVM_SET_MSRS and KVM_GET_MSRS stop at an entry, and why KVM_X86_SETUP_MCE fails.
 *
 * <p>Of the former only {@link #MSR_COUNT} is an error, E2BIG; all others end the call early, which
 * then returns the number of entries done. KVM tests an entry by the checks of its MSR, in the
 * order given here.
 */
public enum MsrCheck implements Check {
  MSR_COUNT("A list of MSRs can have at most 255 entries", "msr_io()", "nmsrs >= MAX_IO_MSRS"),
  MSR_UNSUPPORTED(
      "KVM does not provide this MSR, and kvm.ignore_msrs is off",
      "kvm_set_msr_common()",
      "KVM_MSR_RET_UNSUPPORTED"),
  MSR_MODEL_FROZEN(
      "An MSR that describes the vCPU's features cannot change once the vCPU has run",
      "do_set_msr()",
      "kvm_vcpu_has_run && kvm_is_immutable_feature_msr && data != current"),
  MSR_NOT_CANONICAL(
      "The address must be canonical for the guest's linear address width",
      "__kvm_set_msr()",
      "is_noncanonical_address(data)"),
  MSR_TSC_AUX_HIGH(
      "IA32_TSC_AUX has 32 bits in a guest with Intel's CPUID",
      "__kvm_set_msr()",
      "guest_cpuid_is_intel && data >> 32"),
  MSR_EFER_RESERVED(
      "IA32_EFER cannot have bits that KVM does not know",
      "set_efer()",
      "efer & efer_reserved_bits"),
  MSR_APIC_BASE_RESERVED(
      "IA32_APIC_BASE cannot have reserved bits", "kvm_set_apic_base()", "data & reserved_bits"),
  MSR_APIC_BASE_MODE(
      "x2APIC mode needs the local APIC to be enabled",
      "kvm_set_apic_base()",
      "new_mode == LAPIC_MODE_INVALID"),
  MSR_NOT_X2APIC(
      "The APIC's registers are MSRs only in x2APIC mode of a local APIC in the kernel",
      "kvm_x2apic_msr_write()",
      "!lapic_in_kernel || !apic_x2apic_mode"),
  MSR_PAT_TYPE(
      "Each byte of IA32_PAT must be a memory type", "kvm_pat_valid()", "!kvm_pat_valid(data)"),
  MSR_FEATURE_CONTROL_BITS(
      "IA32_FEATURE_CONTROL cannot enable what the guest's CPUID lacks",
      "vmx_feature_control_msr_valid()",
      "data & ~msr_ia32_feature_control_valid_bits"),
  MSR_NO_NESTED_VMX(
      "The VMX capability MSRs exist only in a guest whose CPUID has VMX, with kvm_intel.nested on",
      "vmx_set_msr()",
      "!nested_vmx_allowed"),
  MSR_IN_VMX_OPERATION(
      "The VMX capability MSRs cannot change while the guest is in VMX operation",
      "vmx_set_vmx_msr()",
      "nested.vmxon"),
  MSR_VMX_DERIVED(
      "This VMX capability MSR follows from others or from CPUID and cannot be restored",
      "vmx_set_vmx_msr()",
      "default"),
  MSR_VMX_BASIC_FEATURES(
      "IA32_VMX_BASIC cannot claim what KVM does not offer",
      "vmx_restore_vmx_basic()",
      "!is_bitwise_subset(vmx_basic, data, feature_and_reserved)"),
  MSR_VMX_BASIC_32BIT(
      "IA32_VMX_BASIC cannot limit VMX structures to 32-bit addresses",
      "vmx_restore_vmx_basic()",
      "data & BIT_ULL(48)"),
  MSR_VMX_BASIC_REVISION(
      "IA32_VMX_BASIC must have KVM's VMCS revision",
      "vmx_restore_vmx_basic()",
      "vmx_basic_vmcs_revision_id differs"),
  MSR_VMX_BASIC_SIZE(
      "IA32_VMX_BASIC must leave room for KVM's VMCS",
      "vmx_restore_vmx_basic()",
      "vmx_basic_vmcs_size(vmx_basic) > vmx_basic_vmcs_size(data)"),
  MSR_VMX_CONTROL_MUST_BE_1(
      "Controls that must be 1 with KVM must stay so",
      "vmx_restore_control_msr()",
      "!is_bitwise_subset(data, supported, GENMASK_ULL(31, 0))"),
  MSR_VMX_CONTROL_MAY_BE_1(
      "Controls that KVM does not offer cannot be claimed",
      "vmx_restore_control_msr()",
      "!is_bitwise_subset(supported, data, GENMASK_ULL(63, 32))"),
  MSR_VMX_MISC_FEATURES(
      "IA32_VMX_MISC cannot claim what KVM does not offer",
      "vmx_restore_vmx_misc()",
      "!is_bitwise_subset(vmx_misc, data, feature_and_reserved_bits)"),
  MSR_VMX_MISC_TIMER(
      "IA32_VMX_MISC must have KVM's rate of the VMX-preemption timer",
      "vmx_restore_vmx_misc()",
      "vmx_misc_preemption_timer_rate differs"),
  MSR_VMX_MISC_CR3(
      "IA32_VMX_MISC cannot have more CR3 targets than KVM",
      "vmx_restore_vmx_misc()",
      "vmx_misc_cr3_count(data) > vmx_misc_cr3_count(vmx_misc)"),
  MSR_VMX_MISC_MSRS(
      "IA32_VMX_MISC cannot allow longer MSR lists than KVM",
      "vmx_restore_vmx_misc()",
      "vmx_misc_max_msr(data) > vmx_misc_max_msr(vmx_misc)"),
  MSR_VMX_MISC_MSEG(
      "IA32_VMX_MISC must have KVM's MSEG revision",
      "vmx_restore_vmx_misc()",
      "vmx_misc_mseg_revid differs"),
  MSR_VMX_FIXED0(
      "Bits that KVM demands in VMX operation must stay demanded",
      "vmx_restore_fixed0_msr()",
      "!is_bitwise_subset(data, *msr, -1ULL)"),
  MSR_VMX_EPT_VPID(
      "IA32_VMX_EPT_VPID_CAP cannot claim what KVM does not offer",
      "vmx_restore_vmx_ept_vpid_cap()",
      "!is_bitwise_subset(vmx_ept_vpid_cap, data, -1ULL)"),
  MSR_VMX_VMFUNC(
      "IA32_VMX_VMFUNC cannot claim what KVM does not offer",
      "vmx_set_vmx_msr()",
      "data & ~vmcs_config.nested.vmfunc_controls"),
  MSR_PLATFORM_INFO_FAULTING(
      "PLATFORM_INFO cannot lose CPUID faulting while the guest uses it",
      "kvm_set_msr_common()",
      "!(data & MSR_PLATFORM_INFO_CPUID_FAULT) && cpuid_fault_enabled"),
  MSR_MISC_FEATURES_BITS(
      "MISC_FEATURES_ENABLES knows CPUID faulting only",
      "kvm_set_msr_common()",
      "data & ~MSR_MISC_FEATURES_ENABLES_CPUID_FAULT"),
  MSR_MISC_FEATURES_FAULTING(
      "CPUID faulting needs its bit in PLATFORM_INFO",
      "kvm_set_msr_common()",
      "!supports_cpuid_fault"),
  MSR_PERF_CAPABILITIES(
      "IA32_PERF_CAPABILITIES cannot claim what KVM does not offer",
      "kvm_set_msr_common()",
      "data & ~kvm_caps.supported_perf_cap"),
  MSR_PERF_CAPABILITIES_PMU(
      "IA32_PERF_CAPABILITIES is zero in a guest without a PMU",
      "vmx_set_msr()",
      "data && !vcpu_to_pmu(vcpu)->version"),
  MSR_PMU_BITS(
      "The guest's PMU does not have these bits", "intel_pmu_set_msr()", "data & reserved_bits"),
  MSR_PRED_CMD_BITS("IA32_PRED_CMD knows IBPB only", "vmx_set_msr()", "data & ~PRED_CMD_IBPB"),
  MSR_TSX_CTRL_BITS(
      "IA32_TSX_CTRL has two bits",
      "vmx_set_msr()",
      "data & ~(TSX_CTRL_RTM_DISABLE | TSX_CTRL_CPUID_CLEAR)"),
  MSR_UMWAIT_BITS(
      "IA32_UMWAIT_CONTROL has 32 bits, and bit 1 is reserved",
      "vmx_set_msr()",
      "data & (BIT_ULL(1) | GENMASK_ULL(63, 32))"),
  MSR_XSS_BITS(
      "IA32_XSS cannot have state components that KVM does not support",
      "kvm_set_msr_common()",
      "data & ~kvm_caps.supported_xss"),
  MSR_XFD_BITS(
      "IA32_XFD cannot have state components that the guest lacks",
      "kvm_set_msr_common()",
      "data & ~kvm_guest_supported_xfd"),
  MSR_BNDCFGS(
      "IA32_BNDCFGS holds a canonical address and two flags, on a host with MPX",
      "vmx_set_msr()",
      "!kvm_mpx_supported || data & MSR_IA32_BNDCFGS_RSVD"),
  MSR_MTRR_NUMBER("This number is no MTRR", "kvm_mtrr_valid()", "!msr_mtrr_valid(msr)"),
  MSR_MTRR_TYPE("An MTRR needs a valid memory type", "kvm_mtrr_valid()", "!valid_mtrr_type(data)"),
  MSR_MTRR_RESERVED(
      "An MTRR cannot have reserved bits or addresses beyond the guest's width",
      "kvm_mtrr_valid()",
      "data & mask"),
  MSR_MC_BANK("The vCPU has fewer machine-check banks", "set_msr_mce()", "msr > last_msr"),
  MSR_MCG_CTL(
      "IA32_MCG_CTL is zero or all ones, and only zero without MCG_CTL_P",
      "set_msr_mce()",
      "data != 0 && data != ~(u64)0"),
  MSR_MC_CTL(
      "A bank's control register is zero or all ones",
      "set_msr_mce()",
      "data != 0 && (data | (1 << 10) | 1) != ~(u64)0"),
  MSR_MC_CTL2(
      "A bank's CTL2 needs MCG_CMCI_P and has a threshold and one flag",
      "set_msr_mce()",
      "data & ~(MCI_CTL2_CMCI_EN | MCI_CTL2_CMCI_THRESHOLD_MASK)"),
  MSR_MCG_EXT_CTL("IA32_MCG_EXT_CTL has one bit", "vmx_set_msr()", "data & ~MCG_EXT_CTL_LMCE_EN"),
  MSR_STEAL_TIME_RESERVED(
      "KVM_STEAL_TIME is an address aligned to 64 bytes and a flag",
      "kvm_set_msr_common()",
      "data & KVM_STEAL_RESERVED_MASK"),
  MSR_ASYNC_PF_RESERVED(
      "KVM_ASYNC_PF_EN cannot have bits 4 and 5", "kvm_pv_enable_async_pf()", "data & 0x30"),
  MSR_ASYNC_PF_LAPIC(
      "Asynchronous page faults need a local APIC in the kernel",
      "kvm_pv_enable_async_pf()",
      "!lapic_in_kernel"),
  MSR_ASYNC_PF_MEMORY(
      "KVM_ASYNC_PF_EN must hold an address of guest memory",
      "kvm_pv_enable_async_pf()",
      "kvm_gfn_to_hva_cache_init() fails"),
  MSR_ASYNC_PF_VECTOR("KVM_ASYNC_PF_INT is a vector", "kvm_pv_enable_async_pf_int()", "data >> 8"),
  MSR_PV_EOI_ALIGNMENT(
      "KVM_PV_EOI_EN is an address aligned to 4 bytes and a flag",
      "kvm_lapic_set_pv_eoi()",
      "!IS_ALIGNED(addr, 4)"),
  MSR_PV_EOI_MEMORY(
      "KVM_PV_EOI_EN must hold an address of guest memory",
      "kvm_lapic_set_pv_eoi()",
      "kvm_gfn_to_hva_cache_init() fails"),
  MSR_POLL_CONTROL_BITS(
      "KVM_POLL_CONTROL has one bit", "kvm_set_msr_common()", "data & (-1ULL << 1)"),
  MSR_HYPERV_UNKNOWN("KVM does not provide this Hyper-V MSR", "kvm_hv_set_msr()", "default"),
  MSR_HYPERV_BITS(
      "The Hyper-V MSR cannot have this value",
      "kvm_hv_set_msr()",
      "new_vp_index >= KVM_MAX_VCPUS"),
  MSR_HYPERV_MEMORY(
      "A page that a Hyper-V MSR enables must be guest memory",
      "kvm_hv_set_msr()",
      "kvm_is_error_hva(addr)"),
  MSR_HWCR_BITS("K7_HWCR cannot have this bit", "kvm_set_msr_common()", "data != BIT_ULL(18)"),
  MSR_VIRT_SPEC_CTRL_BITS(
      "AMD64_VIRT_SPEC_CTRL knows SSBD only", "svm_set_msr()", "data & ~SPEC_CTRL_SSBD"),
  MCE_BANKS(
      "A vCPU has 1 to 32 machine-check banks",
      "kvm_vcpu_ioctl_x86_setup_mce()",
      "!bank_num || bank_num > KVM_MAX_MCE_BANKS"),
  MCE_FEATURES(
      "A vCPU cannot have machine-check features that KVM does not offer",
      "kvm_vcpu_ioctl_x86_setup_mce()",
      "mcg_cap & ~(kvm_caps.supported_mce_cap | 0xff | 0xff0000)"),
  MSR_OSVW(
      "The OSVW MSRs exist only in a guest whose CPUID has OSVW",
      "kvm_set_msr_common()",
      "!guest_cpuid_has(OSVW)");

  private final String rule;
  private final String kernelFunction;
  private final String condition;

  MsrCheck(String rule, String kernelFunction, String condition) {
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
