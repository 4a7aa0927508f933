package dev.faultline.vcpu;

import dev.faultline.Check;

/** The checks of the ioctls that have only a few, grouped by ioctl, in KVM's order within each. */
public enum CallCheck implements Check {
  VM_DEAD(
      "KVM declared the VM dead after an internal inconsistency; every ioctl on it fails",
      "kvm_vcpu_ioctl()",
      "vm_dead"),
  ARGUMENT_UNREADABLE(
      "The argument must point to readable memory", "kvm_arch_vcpu_ioctl()", "copy_from_user()"),
  RUN_ARGUMENT("KVM_RUN takes no argument", "kvm_vcpu_ioctl()", "arg != 0"),
  RUN_UNINITIALIZED(
      "An application processor waits for INIT and SIPI before it runs",
      "kvm_arch_vcpu_ioctl_run()",
      "mp_state == KVM_MP_STATE_UNINITIALIZED"),
  RUN_SYNC_REGS_FLAGS(
      "Only known register sets can be synchronized through kvm_run",
      "kvm_arch_vcpu_ioctl_run()",
      "(kvm_valid_regs | kvm_dirty_regs) & ~KVM_SYNC_X86_VALID_FIELDS"),
  RUN_SYNC_SREGS(
      "Special registers given through kvm_run must be valid",
      "sync_regs()",
      "__set_sregs() fails"),
  RUN_SYNC_EVENTS(
      "Events given through kvm_run must be valid",
      "sync_regs()",
      "kvm_vcpu_ioctl_x86_set_vcpu_events() fails"),
  RUN_CR8(
      "CR8 in kvm_run has four bits where the local APIC is not in the kernel",
      "kvm_arch_vcpu_ioctl_run()",
      "!lapic_in_kernel && cr8 & CR8_RESERVED_BITS"),
  RUN_IMMEDIATE_EXIT(
      "immediate_exit makes KVM_RUN return once pending userspace I/O is complete",
      "kvm_arch_vcpu_ioctl_run()",
      "immediate_exit"),
  RUN_EMULATION_WITH_EXCEPTION(
      "An exception cannot be delivered into a state that hardware cannot run",
      "vmx_vcpu_pre_run()",
      "emulation_required && (exception pending || injected)"),
  RUN_EMULATION_WITH_PENDING_ENTRY(
      "A pending nested VM-Enter cannot enter a state that hardware cannot run",
      "vmx_vcpu_pre_run()",
      "emulation_required && nested_run_pending"),
  RUN_PENDING_ENTRY_BUG(
      "A pending nested VM-Enter must not reach the exit handler without a VM-Enter",
      "__vmx_handle_exit()",
      "KVM_BUG_ON(nested_run_pending)"),
  RUN_TRIPLE_FAULT_L1(
      "A triple fault of L1 shuts the VM down", "vcpu_enter_guest()", "KVM_REQ_TRIPLE_FAULT"),
  RSM_TO_INVALID_L2(
      "RSM must not return to an L2 that hardware cannot run",
      "emulator_leave_smm()",
      "unhandleable_emulation_required"),
  RUN_TRIPLE_FAULT_NOT_INTERCEPTED(
      "A triple fault of L2 that L1 does not intercept shuts the VM down",
      "nested_svm_triple_fault()",
      "!vmcb12_is_intercept(INTERCEPT_SHUTDOWN)"),
  RUN_MSR_BITMAP_MISSING(
      "The MSR bitmap that L1 made for a restored L2 must be in guest memory",
      "svm_get_nested_state_pages()",
      "!nested_svm_vmrun_msrpm()"),
  IOCTL_UNKNOWN("The kernel has no such ioctl on a vCPU", "kvm_arch_vcpu_ioctl()", "default"),
  SIGNAL_MASK_SIZE(
      "A signal mask has the size of the kernel's", "kvm_vcpu_ioctl()", "len != sizeof(sigset)"),
  MCE_BANK(
      "A machine-check error is of a bank that the vCPU has",
      "kvm_vcpu_ioctl_x86_set_mce()",
      "bank >= bank_num"),
  MCE_STATUS(
      "The status of a machine-check error is valid",
      "kvm_vcpu_ioctl_x86_set_mce()",
      "!(status & MCI_STATUS_VAL)"),
  VCPU_ATTRIBUTE(
      "The only attribute of a vCPU is the offset of its TSC",
      "kvm_vcpu_ioctl_device_attr()",
      "group != KVM_VCPU_TSC_CTRL"),
  INTERRUPT_VECTOR("A vector has eight bits", "kvm_vcpu_ioctl_interrupt()", "irq >= 256"),
  INTERRUPT_CONTROLLER(
      "With the interrupt controller in the kernel nobody else injects",
      "kvm_vcpu_ioctl_interrupt()",
      "pic_in_kernel"),
  MP_STATE_NEEDS_LAPIC(
      "Without a local APIC in the kernel a vCPU is always runnable",
      "kvm_arch_vcpu_ioctl_set_mpstate()",
      "!lapic_in_kernel && mp_state != KVM_MP_STATE_RUNNABLE"),
  MP_STATE_UNKNOWN(
      "The multiprocessing state must be one of x86",
      "kvm_arch_vcpu_ioctl_set_mpstate()",
      "default"),
  MP_STATE_BLOCKED(
      "INIT and SIPI are blocked in SMM, in VMX root operation, and while an SMI is pending",
      "kvm_arch_vcpu_ioctl_set_mpstate()",
      "(INIT or SIPI received) && (blocked || smi_pending)"),
  DEBUGREGS_FLAGS("No flag is defined", "kvm_vcpu_ioctl_x86_set_debugregs()", "flags"),
  DEBUGREGS_DR6("DR6 has 32 bits", "kvm_vcpu_ioctl_x86_set_debugregs()", "dr6 >> 32"),
  DEBUGREGS_DR7("DR7 has 32 bits", "kvm_vcpu_ioctl_x86_set_debugregs()", "dr7 >> 32"),
  XCRS_COUNT("There are at most 16 XCRs", "kvm_vcpu_ioctl_x86_set_xcrs()", "nr > KVM_MAX_XCRS"),
  XCRS_FLAGS("No flag is defined", "kvm_vcpu_ioctl_x86_set_xcrs()", "flags"),
  XCR0_X87("XCR0 must enable x87 state", "__kvm_set_xcr()", "!(xcr0 & FP)"),
  XCR0_YMM("AVX state needs SSE state", "__kvm_set_xcr()", "YMM && !SSE"),
  XCR0_UNSUPPORTED(
      "XCR0 cannot enable state that the guest's CPUID lacks",
      "__kvm_set_xcr()",
      "xcr0 & ~(guest_supported_xcr0 | FP)"),
  XCR0_MPX("Both halves of MPX state go together", "__kvm_set_xcr()", "BNDREGS != BNDCSR"),
  XCR0_AVX512(
      "AVX-512 state comes whole, and with AVX state", "__kvm_set_xcr()", "partial AVX-512"),
  XCR0_AMX("Both halves of AMX state go together", "__kvm_set_xcr()", "XTILE_CFG != XTILE_DATA"),
  XSAVE_FEATURES(
      "XSTATE_BV cannot name state that KVM does not support",
      "fpu_copy_uabi_to_guest_fpstate()",
      "xstate_bv & ~supported_xcr0"),
  XSAVE_COMPACTED(
      "The area is in the standard form, not the compacted one",
      "validate_user_xstate_header()",
      "xcomp_bv"),
  XSAVE_HEADER_RESERVED(
      "The rest of the header is zero", "validate_user_xstate_header()", "reserved"),
  XSAVE_MXCSR(
      "MXCSR has no reserved bit where x87, SSE or AVX state is given",
      "copy_uabi_to_xstate()",
      "mxcsr & ~mxcsr_feature_mask"),
  GUEST_DEBUG_BUSY(
      "An exception can be injected only where none is pending",
      "kvm_arch_vcpu_ioctl_set_guest_debug()",
      "kvm_is_exception_pending()"),
  VAPIC_NO_MEMORY(
      "The page is in a memory slot",
      "kvm_lapic_set_vapic_addr()",
      "kvm_gfn_to_hva_cache_init() fails"),
  TPR_REPORTING_FLAGS("No flag is defined", "vcpu_ioctl_tpr_access_reporting()", "tac->flags"),
  LAPIC_NOT_IN_KERNEL(
      "The local APIC is not in the kernel", "kvm_arch_vcpu_ioctl()", "!lapic_in_kernel"),
  LAPIC_X2APIC_ID(
      "In x2APIC mode the APIC ID is the vCPU's",
      "kvm_apic_state_fixup()",
      "x2apic_format && id != vcpu_id"),
  CPUID_TOO_MANY("A CPUID table has at most 256 entries", "kvm_vcpu_ioctl_set_cpuid2()", "nent"),
  CPUID_AFTER_RUN(
      "The CPUID table cannot change once the vCPU has run",
      "kvm_set_cpuid()",
      "last_vmentry_cpu != -1 && table differs"),
  CPUID_VIRTUAL_BITS(
      "The linear address width is 48 or 57 bits",
      "kvm_check_cpuid()",
      "vaddr_bits not in {0, 48, 57}"),
  CPUID_BUFFER(
      "The caller's buffer must hold the whole table", "kvm_vcpu_ioctl_get_cpuid2()", "nent"),
  NESTED_BUFFER(
      "The caller's buffer must hold all nested state",
      "kvm_arch_vcpu_ioctl()",
      "user_data_size < size"),
  KVMCLOCK_INACTIVE(
      "The guest has not registered a kvmclock page", "kvm_set_guest_paused()", "!pv_time.active"),
  ENABLE_CAP_FLAGS("No flag is defined", "kvm_vcpu_ioctl_enable_cap()", "cap->flags"),
  ENABLE_CAP_ARGUMENT(
      "The capability's argument must be valid", "kvm_vcpu_ioctl_enable_cap()", "cap->args[0]"),
  ENABLE_CAP_APIC(
      "Hyper-V's interrupt controller needs a local APIC in the kernel",
      "kvm_vcpu_ioctl_enable_cap()",
      "!irqchip_in_kernel"),
  ENABLE_CAP_VENDOR(
      "The vendor module has no such capability",
      "kvm_vcpu_ioctl_enable_cap()",
      "!nested_ops->enable_evmcs"),
  ENABLE_CAP_UNKNOWN("KVM does not know this capability here", "kvm_vm_ioctl_enable_cap()", "cap"),
  BOOT_CPU_AFTER_VCPU(
      "The boot CPU is chosen before the first vCPU exists",
      "kvm_arch_vm_ioctl()",
      "created_vcpus"),
  VCPU_ID("The vCPU's identifier must be below the limit", "kvm_arch_vcpu_precreate()", "id"),
  VCPU_EXISTS("The identifier is taken", "kvm_vm_ioctl_create_vcpu()", "id exists"),
  IRQCHIP_EXISTS("There is one interrupt controller", "kvm_arch_vm_ioctl()", "irqchip_in_kernel"),
  IRQCHIP_AFTER_VCPU(
      "The interrupt controller comes before the first vCPU",
      "kvm_arch_vm_ioctl()",
      "created_vcpus");

  private final String rule;
  private final String kernelFunction;
  private final String condition;

  CallCheck(String rule, String kernelFunction, String condition) {
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
