package dev.faultline.vmx;

import static dev.faultline.vmx.EntryRules.activity;
import static dev.faultline.vmx.EntryRules.addressSpace;
import static dev.faultline.vmx.EntryRules.bndcfgsAddress;
import static dev.faultline.vmx.EntryRules.bndcfgsReserved;
import static dev.faultline.vmx.EntryRules.canonical;
import static dev.faultline.vmx.EntryRules.controls;
import static dev.faultline.vmx.EntryRules.cr3Targets;
import static dev.faultline.vmx.EntryRules.cr4;
import static dev.faultline.vmx.EntryRules.debugctl;
import static dev.faultline.vmx.EntryRules.efer;
import static dev.faultline.vmx.EntryRules.enlightened;
import static dev.faultline.vmx.EntryRules.eptAccessedDirty;
import static dev.faultline.vmx.EntryRules.eptReserved;
import static dev.faultline.vmx.EntryRules.eptUncacheable;
import static dev.faultline.vmx.EntryRules.eptWalk4;
import static dev.faultline.vmx.EntryRules.eptWalk5;
import static dev.faultline.vmx.EntryRules.eptWriteBack;
import static dev.faultline.vmx.EntryRules.guestCr0;
import static dev.faultline.vmx.EntryRules.hasApicVirtualization;
import static dev.faultline.vmx.EntryRules.hasCetWithoutWp;
import static dev.faultline.vmx.EntryRules.hasEntry;
import static dev.faultline.vmx.EntryRules.hasEpt;
import static dev.faultline.vmx.EntryRules.hasEptpSwitching;
import static dev.faultline.vmx.EntryRules.hasExit;
import static dev.faultline.vmx.EntryRules.hasHighHalf;
import static dev.faultline.vmx.EntryRules.hasLink;
import static dev.faultline.vmx.EntryRules.hasPae;
import static dev.faultline.vmx.EntryRules.hasPaging;
import static dev.faultline.vmx.EntryRules.hasPin;
import static dev.faultline.vmx.EntryRules.hasPostedVectorReserved;
import static dev.faultline.vmx.EntryRules.hasPrimary;
import static dev.faultline.vmx.EntryRules.hasProtection;
import static dev.faultline.vmx.EntryRules.hasSecondary;
import static dev.faultline.vmx.EntryRules.hasWalk4;
import static dev.faultline.vmx.EntryRules.hasWalk5;
import static dev.faultline.vmx.EntryRules.hostCr0;
import static dev.faultline.vmx.EntryRules.is64BitHost;
import static dev.faultline.vmx.EntryRules.isLongModeGuest;
import static dev.faultline.vmx.EntryRules.isUncacheable;
import static dev.faultline.vmx.EntryRules.isWriteBack;
import static dev.faultline.vmx.EntryRules.legal;
import static dev.faultline.vmx.EntryRules.linkMapped;
import static dev.faultline.vmx.EntryRules.linkRead;
import static dev.faultline.vmx.EntryRules.linkRevision;
import static dev.faultline.vmx.EntryRules.linkShadow;
import static dev.faultline.vmx.EntryRules.loadsGuestEfer;
import static dev.faultline.vmx.EntryRules.loadsHostEfer;
import static dev.faultline.vmx.EntryRules.monitorTrapFlag;
import static dev.faultline.vmx.EntryRules.msrList;
import static dev.faultline.vmx.EntryRules.page;
import static dev.faultline.vmx.EntryRules.pat;
import static dev.faultline.vmx.EntryRules.pdptes;
import static dev.faultline.vmx.EntryRules.perfGlobalCtrl;
import static dev.faultline.vmx.EntryRules.postedDescriptor;
import static dev.faultline.vmx.EntryRules.secondaryControls;
import static dev.faultline.vmx.EntryRules.segments;
import static dev.faultline.vmx.EntryRules.selector;
import static dev.faultline.vmx.EntryRules.vmFunctions;
import static dev.faultline.vmx.EntryRules.zeroLength;

import dev.faultline.Check;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;

/**
 * The consistency checks that KVM makes when a guest hypervisor enters its guest, and when
 * userspace restores a vCPU that runs such a guest.
 *
 * <p><i>Order</i>: of the constants, which is the kernel's: the first check that fails decides how
 * the entry fails, and what {@code kvm_nested_vmenter_failed} prints.
 *
 * <p>What is not here KVM leaves to the CPU, which then fails the entry with exit reason
 * 0x80000021: RFLAGS, RIP, descriptor tables, interruptibility, pending debug exceptions, SYSENTER
 * registers, PDPTEs under EPT, and of the segments what {@link GuestStateCheck} leaves out.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Checks on VMX Controls and Host-State Area" and "Checking
 * and Loading Guest State"; {@code arch/x86/kvm/vmx/nested.c, nested_vmx_run(), v6.1}. The
 * conditions are the texts of that kernel; {@link VmEntryTexts} knows those of others.
 */
public enum VmEntryCheck implements Check {
  ENLIGHTENED_VMPTR(
      VmEntryStage.PREREQUISITES,
      VmEntryFailure.VMFAIL_INVALID,
      "nested_vmx_run",
      "The enlightened VMCS that the assist page names can be mapped and has a known version.",
      "evmptrld_status == EVMPTRLD_VMFAIL",
      EntryRules.OUTSIDE),
  CURRENT_VMCS(
      VmEntryStage.PREREQUISITES,
      VmEntryFailure.VMFAIL_INVALID,
      "nested_vmx_run",
      "There is a current VMCS.",
      "!evmptr_is_valid(vmx->nested.hv_evmcs_vmptr) && vmx->nested.current_vmptr == INVALID_GPA",
      EntryRules.OUTSIDE),
  ORDINARY_VMCS(
      VmEntryStage.PREREQUISITES,
      VmEntryFailure.VMFAIL_INVALID,
      "nested_vmx_run",
      "The current VMCS is not a shadow VMCS.",
      "vmcs12->hdr.shadow_vmcs",
      EntryRules.OUTSIDE),
  MOV_SS_BLOCKING(
      VmEntryStage.PREREQUISITES,
      VmEntryFailure.BLOCKED_BY_MOV_SS,
      "nested_vmx_run",
      "Events are not blocked by MOV SS.",
      "interrupt_shadow & KVM_X86_SHADOW_INT_MOV_SS",
      EntryRules.OUTSIDE),
  CLEAR_FOR_VMLAUNCH(
      VmEntryStage.PREREQUISITES,
      VmEntryFailure.NONCLEAR_VMCS,
      "nested_vmx_run",
      "VMLAUNCH takes a VMCS whose launch state is not 1.",
      "vmcs12->launch_state == launch",
      EntryRules.OUTSIDE),
  LAUNCHED_FOR_VMRESUME(
      VmEntryStage.PREREQUISITES,
      VmEntryFailure.NONLAUNCHED_VMCS,
      "nested_vmx_run",
      "VMRESUME takes a VMCS whose launch state is not 0.",
      "vmcs12->launch_state == launch",
      EntryRules.OUTSIDE),
  PIN_BASED_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "The pin-based controls have every bit set that the capability MSR demands, and none that it"
          + " does not allow.",
      "!vmx_control_verify(vmcs12->pin_based_vm_exec_control, vmx->nested.msrs.pinbased_ctls_low,"
          + " vmx->nested.msrs.pinbased_ctls_high)",
      (v, c, _) ->
          controls(
              v.get(VmcsField.PIN_BASED_VM_EXEC_CONTROL), c.pinbased(), EntryInput.PINBASED_CTLS)),
  PRIMARY_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "The primary processor-based controls have every bit set that the capability MSR demands, and"
          + " none that it does not allow.",
      "!vmx_control_verify(vmcs12->cpu_based_vm_exec_control, vmx->nested.msrs.procbased_ctls_low,"
          + " vmx->nested.msrs.procbased_ctls_high)",
      (v, c, _) ->
          controls(
              v.get(VmcsField.CPU_BASED_VM_EXEC_CONTROL),
              c.procbased(),
              EntryInput.PROCBASED_CTLS)),
  SECONDARY_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "The secondary processor-based controls, if they are activated, have no bit set that the"
          + " capability MSR does not allow.",
      "!vmx_control_verify(vmcs12->secondary_vm_exec_control, vmx->nested.msrs.secondary_ctls_low,"
          + " vmx->nested.msrs.secondary_ctls_high)",
      (v, c, _) -> secondaryControls(v, c)),
  CR3_TARGET_COUNT(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "There are no more CR3-target values than IA32_VMX_MISC allows, which by default is none.",
      "vmcs12->cr3_target_count > nested_cpu_vmx_misc_cr3_count(vcpu)",
      (v, c, _) -> cr3Targets(v, c)),
  IO_BITMAP_A_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_io_bitmap_controls",
      "I/O bitmap A, if it is used, is a page within the guest's physical address width.",
      "!page_address_valid(vcpu, vmcs12->io_bitmap_a)",
      (v, _, x) ->
          page(hasPrimary(v, PrimaryControls.USE_IO_BITMAPS), v, VmcsField.IO_BITMAP_A, x)),
  IO_BITMAP_B_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_io_bitmap_controls",
      "I/O bitmap B, if it is used, is a page within the guest's physical address width.",
      "!page_address_valid(vcpu, vmcs12->io_bitmap_b)",
      (v, _, x) ->
          page(hasPrimary(v, PrimaryControls.USE_IO_BITMAPS), v, VmcsField.IO_BITMAP_B, x)),
  MSR_BITMAP_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_msr_bitmap_controls",
      "The MSR bitmap, if it is used, is a page within the guest's physical address width.",
      "!page_address_valid(vcpu, vmcs12->msr_bitmap)",
      (v, _, x) ->
          page(hasPrimary(v, PrimaryControls.USE_MSR_BITMAPS), v, VmcsField.MSR_BITMAP, x)),
  VIRTUAL_APIC_PAGE_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_tpr_shadow_controls",
      "The virtual-APIC page, if there is a TPR shadow, is a page within the guest's physical"
          + " address width.",
      "!page_address_valid(vcpu, vmcs12->virtual_apic_page_addr)",
      (v, _, x) ->
          page(hasPrimary(v, PrimaryControls.TPR_SHADOW), v, VmcsField.VIRTUAL_APIC_PAGE_ADDR, x)),
  APIC_ACCESS_PAGE_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apic_access_controls",
      "The APIC-access page, if APIC accesses are virtualized, is a page within the guest's"
          + " physical address width.",
      "!page_address_valid(vcpu, vmcs12->apic_access_addr)",
      (v, _, x) ->
          page(
              hasSecondary(v, SecondaryControls.VIRTUALIZE_APIC_ACCESSES),
              v,
              VmcsField.APIC_ACCESS_ADDR,
              x)),
  X2APIC_WITHOUT_APIC_ACCESSES(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apicv_controls",
      "x2APIC mode and APIC accesses are not both virtualized.",
      "nested_cpu_has_virt_x2apic_mode(vmcs12) && nested_cpu_has2(vmcs12,"
          + " SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)",
      (v, _, _) ->
          Verdict.failsIf(
              hasSecondary(v, SecondaryControls.VIRTUALIZE_X2APIC_MODE)
                  && hasSecondary(v, SecondaryControls.VIRTUALIZE_APIC_ACCESSES))),
  INTERRUPT_DELIVERY_WITH_EXITING(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apicv_controls",
      "Virtual-interrupt delivery comes with external-interrupt exiting.",
      "nested_cpu_has_vid(vmcs12) && !nested_exit_on_intr(vcpu)",
      (v, _, _) ->
          Verdict.failsIf(
              hasSecondary(v, SecondaryControls.VIRTUAL_INTR_DELIVERY)
                  && !hasPin(v, PinControls.EXT_INTR_EXITING))),
  POSTED_WITH_INTERRUPT_DELIVERY(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apicv_controls",
      "Posted interrupts come with virtual-interrupt delivery.",
      "!nested_cpu_has_vid(vmcs12)",
      (v, _, _) ->
          Verdict.failsIf(
              hasPin(v, PinControls.POSTED_INTR)
                  && !hasSecondary(v, SecondaryControls.VIRTUAL_INTR_DELIVERY))),
  POSTED_WITH_ACKNOWLEDGE(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apicv_controls",
      "Posted interrupts come with acknowledging the interrupt on exit.",
      "!nested_exit_intr_ack_set(vcpu)",
      (v, _, _) ->
          Verdict.failsIf(
              hasPin(v, PinControls.POSTED_INTR) && !hasExit(v, ExitControls.ACK_INTR_ON_EXIT))),
  POSTED_VECTOR(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apicv_controls",
      "The notification vector of posted interrupts is below 256.",
      "(vmcs12->posted_intr_nv & 0xff00)",
      (v, _, _) ->
          Verdict.failsIf(hasPin(v, PinControls.POSTED_INTR) && hasPostedVectorReserved(v))),
  POSTED_DESCRIPTOR_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apicv_controls",
      "The posted-interrupt descriptor is aligned to 64 bytes and within the guest's physical"
          + " address width.",
      "!kvm_vcpu_is_legal_aligned_gpa(vcpu, vmcs12->posted_intr_desc_addr, 64)",
      (v, _, x) -> postedDescriptor(v, x)),
  APIC_VIRTUALIZATION_WITH_TPR_SHADOW(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_apicv_controls",
      "APIC virtualization comes with a TPR shadow.",
      "!nested_cpu_has(vmcs12, CPU_BASED_TPR_SHADOW)",
      (v, _, _) ->
          Verdict.failsIf(hasApicVirtualization(v) && !hasPrimary(v, PrimaryControls.TPR_SHADOW))),
  VIRTUAL_NMIS_WITH_NMI_EXITING(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_nmi_controls",
      "Virtual NMIs come with NMI exiting.",
      "!nested_cpu_has_nmi_exiting(vmcs12) && nested_cpu_has_virtual_nmis(vmcs12)",
      (v, _, _) ->
          Verdict.failsIf(
              hasPin(v, PinControls.VIRTUAL_NMIS) && !hasPin(v, PinControls.NMI_EXITING))),
  NMI_WINDOW_WITH_VIRTUAL_NMIS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_nmi_controls",
      "NMI-window exiting comes with virtual NMIs.",
      "!nested_cpu_has_virtual_nmis(vmcs12) && nested_cpu_has(vmcs12,"
          + " CPU_BASED_NMI_WINDOW_EXITING)",
      (v, _, _) ->
          Verdict.failsIf(
              hasPrimary(v, PrimaryControls.NMI_WINDOW_EXITING)
                  && !hasPin(v, PinControls.VIRTUAL_NMIS))),
  PML_WITH_EPT(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_pml_controls",
      "Page-modification logging comes with EPT.",
      "!nested_cpu_has_ept(vmcs12)",
      (v, _, _) -> Verdict.failsIf(hasSecondary(v, SecondaryControls.ENABLE_PML) && !hasEpt(v))),
  PML_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_pml_controls",
      "The page-modification log, if it is used, is a page within the guest's physical address"
          + " width.",
      "!page_address_valid(vcpu, vmcs12->pml_address)",
      (v, _, x) ->
          page(hasSecondary(v, SecondaryControls.ENABLE_PML), v, VmcsField.PML_ADDRESS, x)),
  UNRESTRICTED_GUEST_WITH_EPT(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_unrestricted_guest_controls",
      "Unrestricted guest comes with EPT.",
      "nested_cpu_has2(vmcs12, SECONDARY_EXEC_UNRESTRICTED_GUEST) && !nested_cpu_has_ept(vmcs12)",
      (v, _, _) ->
          Verdict.failsIf(hasSecondary(v, SecondaryControls.UNRESTRICTED_GUEST) && !hasEpt(v))),
  MODE_BASED_EXECUTE_WITH_EPT(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_mode_based_ept_exec_controls",
      "Mode-based execute control comes with EPT.",
      "nested_cpu_has2(vmcs12, SECONDARY_EXEC_MODE_BASED_EPT_EXEC) && !nested_cpu_has_ept(vmcs12)",
      (v, _, _) ->
          Verdict.failsIf(hasSecondary(v, SecondaryControls.MODE_BASED_EPT_EXEC) && !hasEpt(v))),
  VMREAD_BITMAP_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_shadow_vmcs_controls",
      "The VMREAD bitmap, if there is VMCS shadowing, is a page within the guest's physical address"
          + " width.",
      "!page_address_valid(vcpu, vmcs12->vmread_bitmap)",
      (v, _, x) ->
          page(hasSecondary(v, SecondaryControls.SHADOW_VMCS), v, VmcsField.VMREAD_BITMAP, x)),
  VMWRITE_BITMAP_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_shadow_vmcs_controls",
      "The VMWRITE bitmap, if there is VMCS shadowing, is a page within the guest's physical"
          + " address width.",
      "!page_address_valid(vcpu, vmcs12->vmwrite_bitmap)",
      (v, _, x) ->
          page(hasSecondary(v, SecondaryControls.SHADOW_VMCS), v, VmcsField.VMWRITE_BITMAP, x)),
  VPID(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "The VPID, if it is used, is not 0.",
      "nested_cpu_has_vpid(vmcs12) && !vmcs12->virtual_processor_id",
      (v, _, _) ->
          Verdict.failsIf(
              hasSecondary(v, SecondaryControls.ENABLE_VPID)
                  && v.get(VmcsField.VIRTUAL_PROCESSOR_ID) == 0)),
  SAVED_TIMER_WITH_TIMER(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "The preemption timer is saved on exit only if it is used.",
      "!nested_cpu_has_preemption_timer(vmcs12) && nested_cpu_has_save_preemption_timer(vmcs12)",
      (v, _, _) ->
          Verdict.failsIf(
              hasExit(v, ExitControls.SAVE_PREEMPTION_TIMER)
                  && !hasPin(v, PinControls.PREEMPTION_TIMER))),
  EPTP_UNCACHEABLE(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "The memory type of the EPT paging structures may be uncacheable only if the capability MSR"
          + " says so.",
      "!(vmx->nested.msrs.ept_caps & VMX_EPTP_UC_BIT)",
      (v, c, _) -> eptUncacheable(v, c)),
  EPTP_WRITE_BACK(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "The memory type of the EPT paging structures may be write-back only if the capability MSR"
          + " says so.",
      "!(vmx->nested.msrs.ept_caps & VMX_EPTP_WB_BIT)",
      (v, c, _) -> eptWriteBack(v, c)),
  EPTP_MEMORY_TYPE(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "The memory type of the EPT paging structures is uncacheable or write-back.",
      "!nested_vmx_check_eptp(vcpu, vmcs12->ept_pointer)",
      (v, _, _) -> Verdict.failsIf(hasEpt(v) && !isUncacheable(v) && !isWriteBack(v))),
  EPTP_WALK_5(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "The EPT paging structures may have five levels only if the capability MSR says so.",
      "!(vmx->nested.msrs.ept_caps & VMX_EPT_PAGE_WALK_5_BIT)",
      (v, c, _) -> eptWalk5(v, c)),
  EPTP_WALK_4(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "The EPT paging structures may have four levels only if the capability MSR says so.",
      "!(vmx->nested.msrs.ept_caps & VMX_EPT_PAGE_WALK_4_BIT)",
      (v, c, _) -> eptWalk4(v, c)),
  EPTP_WALK_LENGTH(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "The EPT paging structures have four or five levels.",
      "!nested_vmx_check_eptp(vcpu, vmcs12->ept_pointer)",
      (v, _, _) -> Verdict.failsIf(hasEpt(v) && !hasWalk5(v) && !hasWalk4(v))),
  EPTP_RESERVED(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "The EPT pointer is within the guest's physical address width and has bits 11:7 clear.",
      "kvm_vcpu_is_illegal_gpa(vcpu, new_eptp) || ((new_eptp >> 7) & 0x1f)",
      (v, _, x) -> eptReserved(v, x)),
  EPTP_ACCESSED_DIRTY(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_eptp",
      "Accessed and dirty flags for EPT may be on only if the capability MSR says so.",
      "!(vmx->nested.msrs.ept_caps & VMX_EPT_AD_BIT)",
      (v, c, _) -> eptAccessedDirty(v, c)),
  VM_FUNCTIONS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "Only those VM functions are on that the capability MSR allows.",
      "vmcs12->vm_function_control & ~vmx->nested.msrs.vmfunc_controls",
      (v, c, _) -> vmFunctions(v, c)),
  EPTP_SWITCHING_WITH_EPT(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "EPTP switching comes with EPT.",
      "!nested_cpu_has_ept(vmcs12)",
      (v, _, _) -> Verdict.failsIf(hasEptpSwitching(v) && !hasEpt(v))),
  EPTP_LIST_ADDRESS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_execution_controls",
      "The EPTP list, if it is used, is a page within the guest's physical address width.",
      "!page_address_valid(vcpu, vmcs12->eptp_list_address)",
      (v, _, x) -> page(hasEptpSwitching(v), v, VmcsField.EPTP_LIST_ADDRESS, x)),
  EXIT_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_exit_controls",
      "The VM-exit controls have every bit set that the capability MSR demands, and none that it"
          + " does not allow.",
      "!vmx_control_verify(vmcs12->vm_exit_controls, vmx->nested.msrs.exit_ctls_low,"
          + " vmx->nested.msrs.exit_ctls_high)",
      (v, c, _) -> controls(v.get(VmcsField.VM_EXIT_CONTROLS), c.exit(), EntryInput.EXIT_CTLS)),
  EXIT_MSR_LOAD_LIST(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_exit_msr_switch_controls",
      "The VM-exit MSR-load list, if it has entries, is aligned to 16 bytes and within the guest's"
          + " physical address width.",
      "nested_vmx_check_msr_switch(vcpu, vmcs12->vm_exit_msr_load_count,"
          + " vmcs12->vm_exit_msr_load_addr)",
      (v, _, x) ->
          msrList(v, VmcsField.VM_EXIT_MSR_LOAD_COUNT, VmcsField.VM_EXIT_MSR_LOAD_ADDR, x)),
  EXIT_MSR_STORE_LIST(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_exit_msr_switch_controls",
      "The VM-exit MSR-store list, if it has entries, is aligned to 16 bytes and within the guest's"
          + " physical address width.",
      "nested_vmx_check_msr_switch(vcpu, vmcs12->vm_exit_msr_store_count,"
          + " vmcs12->vm_exit_msr_store_addr)",
      (v, _, x) ->
          msrList(v, VmcsField.VM_EXIT_MSR_STORE_COUNT, VmcsField.VM_EXIT_MSR_STORE_ADDR, x)),
  ENTRY_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "The VM-entry controls have every bit set that the capability MSR demands, and none that it"
          + " does not allow.",
      "!vmx_control_verify(vmcs12->vm_entry_controls, vmx->nested.msrs.entry_ctls_low,"
          + " vmx->nested.msrs.entry_ctls_high)",
      (v, c, _) -> controls(v.get(VmcsField.VM_ENTRY_CONTROLS), c.entry(), EntryInput.ENTRY_CTLS)),
  EVENT_TYPE(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "The type of the injected event is not 1, which is reserved.",
      "intr_type == INTR_TYPE_RESERVED",
      (v, _, _) -> Verdict.failsIf(EventInjection.isType(v, EventInjection.RESERVED))),
  EVENT_MONITOR_TRAP_FLAG(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "A monitor-trap-flag exit is injected only if the capability MSR allows the monitor trap"
          + " flag.",
      "intr_type == INTR_TYPE_OTHER_EVENT && !nested_cpu_supports_monitor_trap_flag(vcpu)",
      (v, c, _) -> monitorTrapFlag(v, c)),
  EVENT_NMI_VECTOR(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "An injected NMI has vector 2.",
      "intr_type == INTR_TYPE_NMI_INTR && vector != NMI_VECTOR",
      (v, _, _) ->
          Verdict.failsIf(
              EventInjection.isType(v, EventInjection.NMI)
                  && EventInjection.vector(v) != EventInjection.NMI_VECTOR)),
  EVENT_EXCEPTION_VECTOR(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "An injected hardware exception has a vector of 31 or less.",
      "intr_type == INTR_TYPE_HARD_EXCEPTION && vector > 31",
      (v, _, _) ->
          Verdict.failsIf(
              EventInjection.isType(v, EventInjection.HARDWARE_EXCEPTION)
                  && EventInjection.vector(v) > EventInjection.LAST_EXCEPTION_VECTOR)),
  EVENT_OTHER_VECTOR(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "An injected monitor-trap-flag exit has vector 0.",
      "intr_type == INTR_TYPE_OTHER_EVENT && vector != 0",
      (v, _, _) ->
          Verdict.failsIf(
              EventInjection.isType(v, EventInjection.OTHER) && EventInjection.vector(v) != 0)),
  EVENT_DELIVERS_ERROR_CODE(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "An error code is delivered with the injected event exactly if it is a hardware exception"
          + " that has one, outside real mode.",
      "has_error_code != should_have_error_code",
      (v, _, _) -> Verdict.failsIf(EventInjection.isErrorCodeWrong(v))),
  EVENT_ERROR_CODE(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "The error code of the injected event has bits 31:16 clear.",
      "has_error_code && vmcs12->vm_entry_exception_error_code & GENMASK(31, 16)",
      (v, _, _) -> Verdict.failsIf(EventInjection.isErrorCodeReserved(v))),
  EVENT_RESERVED(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "The information on the injected event has bits 30:12 clear.",
      "intr_info & INTR_INFO_RESVD_BITS_MASK",
      (v, _, _) -> Verdict.failsIf(EventInjection.hasReservedBits(v))),
  EVENT_LENGTH(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "The instruction that raises the injected event is not longer than 15 bytes.",
      "vmcs12->vm_entry_instruction_len > 15",
      (v, _, _) ->
          Verdict.failsIf(
              EventInjection.hasLength(v)
                  && v.get(VmcsField.VM_ENTRY_INSTRUCTION_LEN)
                      > EventInjection.LONGEST_INSTRUCTION)),
  EVENT_ZERO_LENGTH(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_check_vm_entry_controls",
      "The instruction that raises the injected event may have length 0 only if IA32_VMX_MISC says"
          + " so, which by default it does not.",
      "!nested_cpu_has_zero_length_injection(vcpu)",
      (v, c, _) -> zeroLength(v, c)),
  ENTRY_MSR_LOAD_LIST(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_vmx_check_entry_msr_switch_controls",
      "The VM-entry MSR-load list, if it has entries, is aligned to 16 bytes and within the guest's"
          + " physical address width.",
      "nested_vmx_check_msr_switch(vcpu, vmcs12->vm_entry_msr_load_count,"
          + " vmcs12->vm_entry_msr_load_addr)",
      (v, _, x) ->
          msrList(v, VmcsField.VM_ENTRY_MSR_LOAD_COUNT, VmcsField.VM_ENTRY_MSR_LOAD_ADDR, x)),
  ENLIGHTENED_PIN_BASED_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_evmcs_check_controls",
      "A guest with an enlightened VMCS uses only those pin-based controls that an enlightened VMCS"
          + " has.",
      "!nested_evmcs_is_valid_controls(EVMCS_PINCTRL, vmcs12->pin_based_vm_exec_control)",
      (_, _, x) -> enlightened(x)),
  ENLIGHTENED_SECONDARY_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_evmcs_check_controls",
      "A guest with an enlightened VMCS uses only those secondary controls that an enlightened VMCS"
          + " has.",
      "!nested_evmcs_is_valid_controls(EVMCS_2NDEXEC, vmcs12->secondary_vm_exec_control)",
      (_, _, x) -> enlightened(x)),
  ENLIGHTENED_EXIT_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_evmcs_check_controls",
      "A guest with an enlightened VMCS uses only those VM-exit controls that an enlightened VMCS"
          + " has.",
      "!nested_evmcs_is_valid_controls(EVMCS_EXIT_CTRLS, vmcs12->vm_exit_controls)",
      (_, _, x) -> enlightened(x)),
  ENLIGHTENED_ENTRY_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_evmcs_check_controls",
      "A guest with an enlightened VMCS uses only those VM-entry controls that an enlightened VMCS"
          + " has.",
      "!nested_evmcs_is_valid_controls(EVMCS_ENTRY_CTRLS, vmcs12->vm_entry_controls)",
      (_, _, x) -> enlightened(x)),
  ENLIGHTENED_VMFUNC_CONTROLS(
      VmEntryStage.CONTROLS,
      VmEntryFailure.INVALID_CONTROL_FIELD,
      "nested_evmcs_check_controls",
      "A guest with an enlightened VMCS uses only those VM-function controls that an enlightened"
          + " VMCS has.",
      "!nested_evmcs_is_valid_controls(EVMCS_VMFUNC, vmcs12->vm_function_control)",
      (_, _, x) -> enlightened(x)),
  HOST_ADDRESS_SPACE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_address_space_size",
      "The host address-space size is 64 bits exactly if L1 is in long mode when it enters L2.",
      "!!(vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE) != !!(vcpu->arch.efer &"
          + " EFER_LMA)",
      (v, _, x) -> addressSpace(v, x)),
  HOST_CR0(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host CR0 has the bits set that VMX operation fixes to 1, and none that it fixes to 0.",
      "!nested_host_cr0_valid(vcpu, vmcs12->host_cr0)",
      (v, c, _) -> hostCr0(v, c)),
  HOST_CR4(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host CR4 has the bits set that VMX operation fixes to 1, and none that it fixes to 0 or that"
          + " CPUID reserves.",
      "!nested_host_cr4_valid(vcpu, vmcs12->host_cr4)",
      (v, c, x) -> cr4(v.get(VmcsField.HOST_CR4), c, x)),
  HOST_CR3(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host CR3 is within the guest's physical address width.",
      "kvm_vcpu_is_illegal_gpa(vcpu, vmcs12->host_cr3)",
      (v, _, x) -> legal(v.get(VmcsField.HOST_CR3), x)),
  HOST_CET(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host CR4.CET comes with CR0.WP.",
      "vmcs12->host_cr4 & X86_CR4_CET && !(vmcs12->host_cr0 & X86_CR0_WP)",
      (v, _, _) ->
          Verdict.failsIf(hasCetWithoutWp(v.get(VmcsField.HOST_CR0), v.get(VmcsField.HOST_CR4)))),
  HOST_SYSENTER_ESP(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host IA32_SYSENTER_ESP is canonical.",
      "is_noncanonical_address(vmcs12->host_ia32_sysenter_esp, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_IA32_SYSENTER_ESP), x)),
  HOST_SYSENTER_EIP(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host IA32_SYSENTER_EIP is canonical.",
      "is_noncanonical_address(vmcs12->host_ia32_sysenter_eip, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_IA32_SYSENTER_EIP), x)),
  HOST_PAT(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host IA32_PAT, if it is loaded, holds memory types only.",
      "!kvm_pat_valid(vmcs12->host_ia32_pat)",
      (v, _, _) -> pat(hasExit(v, ExitControls.LOAD_IA32_PAT), v.get(VmcsField.HOST_IA32_PAT))),
  HOST_PERF_GLOBAL_CTRL(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host IA32_PERF_GLOBAL_CTRL, if it is loaded, has no bit set that the PMU reserves.",
      "!kvm_valid_perf_global_ctrl(vcpu_to_pmu(vcpu), vmcs12->host_ia32_perf_global_ctrl)",
      (v, _, x) ->
          perfGlobalCtrl(
              hasExit(v, ExitControls.LOAD_IA32_PERF_GLOBAL_CTRL),
              v.get(VmcsField.HOST_IA32_PERF_GLOBAL_CTRL),
              x)),
  HOST_PAE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "A 64-bit host has CR4.PAE.",
      "!(vmcs12->host_cr4 & X86_CR4_PAE)",
      (v, _, _) -> Verdict.failsIf(is64BitHost(v) && !hasPae(v.get(VmcsField.HOST_CR4)))),
  HOST_32_BIT_GUEST(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "A 32-bit host does not run a guest in IA-32e mode.",
      "vmcs12->vm_entry_controls & VM_ENTRY_IA32E_MODE",
      (v, _, _) -> Verdict.failsIf(!is64BitHost(v) && isLongModeGuest(v))),
  HOST_32_BIT_PCIDE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "A 32-bit host does not have CR4.PCIDE.",
      "vmcs12->host_cr4 & X86_CR4_PCIDE",
      (v, _, _) ->
          Verdict.failsIf(!is64BitHost(v) && (v.get(VmcsField.HOST_CR4) & Cr4.PCIDE) != 0)),
  HOST_32_BIT_RIP(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "A 32-bit host has RIP below 4 GiB.",
      "(vmcs12->host_rip) >> 32",
      (v, _, _) -> Verdict.failsIf(!is64BitHost(v) && hasHighHalf(v.get(VmcsField.HOST_RIP)))),
  HOST_CS_SELECTOR(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of CS has RPL 0 and is in the GDT.",
      "vmcs12->host_cs_selector & (SEGMENT_RPL_MASK | SEGMENT_TI_MASK)",
      (v, _, _) -> selector(v, VmcsField.HOST_CS_SELECTOR)),
  HOST_SS_SELECTOR(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of SS has RPL 0 and is in the GDT.",
      "vmcs12->host_ss_selector & (SEGMENT_RPL_MASK | SEGMENT_TI_MASK)",
      (v, _, _) -> selector(v, VmcsField.HOST_SS_SELECTOR)),
  HOST_DS_SELECTOR(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of DS has RPL 0 and is in the GDT.",
      "vmcs12->host_ds_selector & (SEGMENT_RPL_MASK | SEGMENT_TI_MASK)",
      (v, _, _) -> selector(v, VmcsField.HOST_DS_SELECTOR)),
  HOST_ES_SELECTOR(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of ES has RPL 0 and is in the GDT.",
      "vmcs12->host_es_selector & (SEGMENT_RPL_MASK | SEGMENT_TI_MASK)",
      (v, _, _) -> selector(v, VmcsField.HOST_ES_SELECTOR)),
  HOST_FS_SELECTOR(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of FS has RPL 0 and is in the GDT.",
      "vmcs12->host_fs_selector & (SEGMENT_RPL_MASK | SEGMENT_TI_MASK)",
      (v, _, _) -> selector(v, VmcsField.HOST_FS_SELECTOR)),
  HOST_GS_SELECTOR(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of GS has RPL 0 and is in the GDT.",
      "vmcs12->host_gs_selector & (SEGMENT_RPL_MASK | SEGMENT_TI_MASK)",
      (v, _, _) -> selector(v, VmcsField.HOST_GS_SELECTOR)),
  HOST_TR_SELECTOR(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of TR has RPL 0 and is in the GDT.",
      "vmcs12->host_tr_selector & (SEGMENT_RPL_MASK | SEGMENT_TI_MASK)",
      (v, _, _) -> selector(v, VmcsField.HOST_TR_SELECTOR)),
  HOST_CS_NULL(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of CS is not 0.",
      "vmcs12->host_cs_selector == 0",
      (v, _, _) -> Verdict.failsIf(v.get(VmcsField.HOST_CS_SELECTOR) == 0)),
  HOST_TR_NULL(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of TR is not 0.",
      "vmcs12->host_tr_selector == 0",
      (v, _, _) -> Verdict.failsIf(v.get(VmcsField.HOST_TR_SELECTOR) == 0)),
  HOST_SS_NULL(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host selector of SS of a 32-bit host is not 0.",
      "vmcs12->host_ss_selector == 0 && !ia32e",
      (v, _, _) -> Verdict.failsIf(!is64BitHost(v) && v.get(VmcsField.HOST_SS_SELECTOR) == 0)),
  HOST_FS_BASE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host base of FS is canonical.",
      "is_noncanonical_address(vmcs12->host_fs_base, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_FS_BASE), x)),
  HOST_GS_BASE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host base of GS is canonical.",
      "is_noncanonical_address(vmcs12->host_gs_base, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_GS_BASE), x)),
  HOST_GDTR_BASE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host base of GDTR is canonical.",
      "is_noncanonical_address(vmcs12->host_gdtr_base, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_GDTR_BASE), x)),
  HOST_IDTR_BASE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host base of IDTR is canonical.",
      "is_noncanonical_address(vmcs12->host_idtr_base, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_IDTR_BASE), x)),
  HOST_TR_BASE(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "The host base of TR is canonical.",
      "is_noncanonical_address(vmcs12->host_tr_base, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_TR_BASE), x)),
  HOST_RIP(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host RIP is canonical.",
      "is_noncanonical_address(vmcs12->host_rip, vcpu)",
      (v, _, x) -> canonical(v.get(VmcsField.HOST_RIP), x)),
  HOST_EFER(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host IA32_EFER, if it is loaded, has no bit set that CPUID reserves.",
      "!kvm_valid_efer(vcpu, vmcs12->host_ia32_efer)",
      (v, _, x) -> efer(loadsHostEfer(v), v.get(VmcsField.HOST_IA32_EFER), x)),
  HOST_EFER_LMA(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host IA32_EFER, if it is loaded, has LMA set exactly if the host is a 64-bit one.",
      "ia32e != !!(vmcs12->host_ia32_efer & EFER_LMA)",
      (v, _, _) ->
          Verdict.failsIf(
              loadsHostEfer(v)
                  && is64BitHost(v) != ((v.get(VmcsField.HOST_IA32_EFER) & Efer.LMA) != 0))),
  HOST_EFER_LME(
      VmEntryStage.HOST_STATE,
      VmEntryFailure.INVALID_HOST_STATE_FIELD,
      "nested_vmx_check_host_state",
      "Host IA32_EFER, if it is loaded, has LME set exactly if the host is a 64-bit one.",
      "ia32e != !!(vmcs12->host_ia32_efer & EFER_LME)",
      (v, _, _) ->
          Verdict.failsIf(
              loadsHostEfer(v)
                  && is64BitHost(v) != ((v.get(VmcsField.HOST_IA32_EFER) & Efer.LME) != 0))),
  GUEST_CR0(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest CR0 has the bits set that VMX operation fixes to 1, of which unrestricted guest"
          + " exempts PE and PG, and none that it fixes to 0.",
      "!nested_guest_cr0_valid(vcpu, vmcs12->guest_cr0)",
      (v, c, _) -> guestCr0(v, c)),
  GUEST_CR4(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest CR4 has the bits set that VMX operation fixes to 1, and none that it fixes to 0 or"
          + " that CPUID reserves.",
      "!nested_guest_cr4_valid(vcpu, vmcs12->guest_cr4)",
      (v, c, x) -> cr4(v.get(VmcsField.GUEST_CR4), c, x)),
  GUEST_CET(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest CR4.CET comes with CR0.WP.",
      "vmcs12->guest_cr4 & X86_CR4_CET && !(vmcs12->guest_cr0 & X86_CR0_WP)",
      (v, _, _) ->
          Verdict.failsIf(hasCetWithoutWp(v.get(VmcsField.GUEST_CR0), v.get(VmcsField.GUEST_CR4)))),
  GUEST_DR7(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest DR7, if debug controls are loaded, has bits 63:32 clear.",
      "!kvm_dr7_valid(vmcs12->guest_dr7)",
      (v, _, _) ->
          Verdict.failsIf(
              hasEntry(v, EntryControls.LOAD_DEBUG_CONTROLS)
                  && hasHighHalf(v.get(VmcsField.GUEST_DR7)))),
  GUEST_DEBUGCTL(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest IA32_DEBUGCTL, if debug controls are loaded, has no bit set that the CPU does not"
          + " support; LBR and BTF are tolerated.",
      "!vmx_is_valid_debugctl(vcpu, vmcs12->guest_ia32_debugctl, false)",
      (v, _, x) -> debugctl(v, x)),
  GUEST_PAT(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest IA32_PAT, if it is loaded, holds memory types only.",
      "!kvm_pat_valid(vmcs12->guest_ia32_pat)",
      (v, _, _) -> pat(hasEntry(v, EntryControls.LOAD_IA32_PAT), v.get(VmcsField.GUEST_IA32_PAT))),
  LINK_POINTER_ADDRESS(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_LINK_POINTER,
      "nested_vmx_check_vmcs_link_ptr",
      "The VMCS link pointer, if it is not ~0, is a page within the guest's physical address"
          + " width.",
      "!page_address_valid(vcpu, vmcs12->vmcs_link_pointer)",
      (v, _, x) -> page(hasLink(v), v, VmcsField.VMCS_LINK_POINTER, x)),
  LINK_POINTER_MEMORY(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_LINK_POINTER,
      "nested_vmx_check_vmcs_link_ptr",
      "The page that the VMCS link pointer names is in a memory slot.",
      "kvm_gfn_to_hva_cache_init(vcpu->kvm, ghc, vmcs12->vmcs_link_pointer, VMCS12_SIZE)",
      (v, _, x) -> linkMapped(v, x)),
  LINK_POINTER_READ(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_LINK_POINTER,
      "nested_vmx_check_vmcs_link_ptr",
      "The page that the VMCS link pointer names can be read.",
      "kvm_read_guest_offset_cached(vcpu->kvm, ghc, &hdr, offsetof(struct vmcs12, hdr),"
          + " sizeof(hdr))",
      (v, _, x) -> linkRead(v, x)),
  LINK_POINTER_REVISION(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_LINK_POINTER,
      "nested_vmx_check_vmcs_link_ptr",
      "The VMCS that the link pointer names has KVM's revision identifier.",
      "hdr.revision_id != VMCS12_REVISION",
      (v, _, x) -> linkRevision(v, x)),
  LINK_POINTER_SHADOW(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_LINK_POINTER,
      "nested_vmx_check_vmcs_link_ptr",
      "The VMCS that the link pointer names is a shadow VMCS exactly if VMCS shadowing is on.",
      "hdr.shadow_vmcs != nested_cpu_has_shadow_vmcs(vmcs12)",
      (v, _, x) -> linkShadow(v, x)),
  GUEST_PERF_GLOBAL_CTRL(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest IA32_PERF_GLOBAL_CTRL, if it is loaded, has no bit set that the PMU reserves.",
      "!kvm_valid_perf_global_ctrl(vcpu_to_pmu(vcpu), vmcs12->guest_ia32_perf_global_ctrl)",
      (v, _, x) ->
          perfGlobalCtrl(
              hasEntry(v, EntryControls.LOAD_IA32_PERF_GLOBAL_CTRL),
              v.get(VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL),
              x)),
  GUEST_PAGING(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "A guest with paging has protection.",
      "(vmcs12->guest_cr0 & (X86_CR0_PG | X86_CR0_PE)) == X86_CR0_PG",
      (v, _, _) -> Verdict.failsIf(hasPaging(v) && !hasProtection(v))),
  GUEST_LONG_MODE_PAE(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "A guest in IA-32e mode has CR4.PAE.",
      "ia32e && !(vmcs12->guest_cr4 & X86_CR4_PAE)",
      (v, _, _) -> Verdict.failsIf(isLongModeGuest(v) && !hasPae(v.get(VmcsField.GUEST_CR4)))),
  GUEST_LONG_MODE_PAGING(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "A guest in IA-32e mode has paging.",
      "ia32e && !(vmcs12->guest_cr0 & X86_CR0_PG)",
      (v, _, _) -> Verdict.failsIf(isLongModeGuest(v) && !hasPaging(v))),
  GUEST_EFER(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest IA32_EFER, if it is loaded for a guest that has yet to run, has no bit set that CPUID"
          + " reserves.",
      "!kvm_valid_efer(vcpu, vmcs12->guest_ia32_efer)",
      (v, _, x) -> efer(loadsGuestEfer(v, x), v.get(VmcsField.GUEST_IA32_EFER), x)),
  GUEST_EFER_LMA(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest IA32_EFER, if it is loaded for a guest that has yet to run, has LMA set exactly if the"
          + " guest is in IA-32e mode.",
      "ia32e != !!(vmcs12->guest_ia32_efer & EFER_LMA)",
      (v, _, x) ->
          Verdict.failsIf(
              loadsGuestEfer(v, x)
                  && isLongModeGuest(v) != ((v.get(VmcsField.GUEST_IA32_EFER) & Efer.LMA) != 0))),
  GUEST_EFER_LME(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest IA32_EFER, if it is loaded for a guest with paging that has yet to run, has LME set"
          + " exactly if the guest is in IA-32e mode.",
      "((vmcs12->guest_cr0 & X86_CR0_PG) && ia32e != !!(vmcs12->guest_ia32_efer & EFER_LME))",
      (v, _, x) ->
          Verdict.failsIf(
              loadsGuestEfer(v, x)
                  && hasPaging(v)
                  && isLongModeGuest(v) != ((v.get(VmcsField.GUEST_IA32_EFER) & Efer.LME) != 0))),
  GUEST_BNDCFGS_ADDRESS(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "The address in guest IA32_BNDCFGS, if it is loaded, is canonical.",
      "is_noncanonical_address(vmcs12->guest_bndcfgs & PAGE_MASK, vcpu)",
      (v, _, x) -> bndcfgsAddress(v, x)),
  GUEST_BNDCFGS_RESERVED(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_check_guest_state",
      "Guest IA32_BNDCFGS, if it is loaded, has bits 11:2 clear.",
      "(vmcs12->guest_bndcfgs & MSR_IA32_BNDCFGS_RSVD)",
      (v, _, _) -> bndcfgsReserved(v)),
  GUEST_ACTIVITY_STATE(
      VmEntryStage.GUEST_STATE,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_check_guest_non_reg_state",
      "The guest is active, halted or waiting for a startup IPI.",
      "vmcs12->guest_activity_state != GUEST_ACTIVITY_ACTIVE && vmcs12->guest_activity_state !="
          + " GUEST_ACTIVITY_HLT && vmcs12->guest_activity_state != GUEST_ACTIVITY_WAIT_SIPI",
      (v, _, _) -> activity(v)),
  GUEST_SEGMENTS(
      VmEntryStage.GUEST_LOAD,
      VmEntryFailure.INVALID_GUEST_STATE,
      "prepare_vmcs02",
      "The segments of a guest without unrestricted guest pass KVM's own checks when VMLAUNCH or"
          + " VMRESUME enters it.",
      "from_vmentry && !vmx_guest_state_valid(vcpu)",
      (v, _, x) -> segments(v, x)),
  GUEST_CR3(
      VmEntryStage.GUEST_LOAD,
      VmEntryFailure.INVALID_GUEST_STATE,
      "nested_vmx_load_cr3",
      "Guest CR3 is within the guest's physical address width, with EPT too.",
      "kvm_vcpu_is_illegal_gpa(vcpu, cr3)",
      (v, _, x) -> legal(v.get(VmcsField.GUEST_CR3), x)),
  GUEST_PDPTES(
      VmEntryStage.GUEST_LOAD,
      VmEntryFailure.INVALID_PDPTE,
      "nested_vmx_load_cr3",
      "The PDPTEs at guest CR3, if the guest has PAE paging and no EPT, have no reserved bit set"
          + " when VMLAUNCH or VMRESUME enters it.",
      "!load_pdptrs(vcpu, cr3)",
      (v, _, x) -> pdptes(v, x)),
  RESTORED_PDPTES(
      VmEntryStage.GUEST_LOAD,
      VmEntryFailure.INVALID_PDPTE,
      "nested_get_vmcs12_pages",
      "The PDPTEs at guest CR3, if the guest has PAE paging and no EPT, have no reserved bit set"
          + " when the first KVM_RUN after a restore enters it.",
      "!load_pdptrs(vcpu, vcpu->arch.cr3)",
      EntryRules.OUTSIDE),
  MSR_LOAD_FS_BASE(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_load_msr_check",
      "An MSR-load list does not name IA32_FS_BASE.",
      "e->index == MSR_FS_BASE",
      EntryRules.OUTSIDE),
  MSR_LOAD_GS_BASE(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_load_msr_check",
      "An MSR-load list does not name IA32_GS_BASE.",
      "e->index == MSR_GS_BASE",
      EntryRules.OUTSIDE),
  MSR_LOAD_SMM_MONITOR_CTL(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_load_msr_check",
      "An MSR-load list does not name IA32_SMM_MONITOR_CTL.",
      "e->index == MSR_IA32_SMM_MONITOR_CTL",
      EntryRules.OUTSIDE),
  MSR_STORE_SMBASE(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_store_msr_check",
      "An MSR-store list does not name IA32_SMBASE.",
      "e->index == MSR_IA32_SMBASE",
      EntryRules.OUTSIDE),
  MSR_LIST_X2APIC(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_msr_check_common",
      "An MSR list does not name an x2APIC register while the local APIC is in x2APIC mode.",
      "vcpu->arch.apic_base & X2APIC_ENABLE && e->index >> 8 == 0x8",
      EntryRules.OUTSIDE),
  MSR_LIST_UCODE_WRITE(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_msr_check_common",
      "An MSR list does not name IA32_BIOS_UPDT_TRIG.",
      "e->index == MSR_IA32_UCODE_WRITE",
      EntryRules.OUTSIDE),
  MSR_LIST_UCODE_REV(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_msr_check_common",
      "An MSR list does not name IA32_BIOS_SIGN_ID.",
      "e->index == MSR_IA32_UCODE_REV",
      EntryRules.OUTSIDE),
  MSR_LIST_RESERVED(
      VmEntryStage.MSR_LISTS,
      VmEntryFailure.MSR_LOAD,
      "nested_vmx_msr_check_common",
      "An entry of an MSR list has bits 63:32 clear.",
      "e->reserved != 0",
      EntryRules.OUTSIDE),
  HARDWARE_EARLY(
      VmEntryStage.HARDWARE,
      VmEntryFailure.REFUSED_BY_HARDWARE,
      "nested_vmx_check_vmentry_hw",
      "The CPU accepts the controls when KVM tries them, which it does only with the module"
          + " parameter nested_early_check.",
      "early hardware check VM-instruction error: ",
      EntryRules.OUTSIDE),
  HARDWARE_LATE(
      VmEntryStage.HARDWARE,
      VmEntryFailure.REFUSED_BY_HARDWARE,
      "nested_vmx_vmexit",
      "The CPU accepts the controls and the host state that KVM gives it for the guest.",
      "hardware VM-instruction error: ",
      EntryRules.OUTSIDE);

  private final VmEntryStage stage;
  private final VmEntryFailure failure;
  private final String kernelFunction;
  private final String rule;
  private final String condition;

  @SuppressWarnings("ImmutableEnumChecker") // The functions capture nothing.
  private final Evaluation evaluation;

  VmEntryCheck(
      VmEntryStage stage,
      VmEntryFailure failure,
      String kernelFunction,
      String rule,
      String condition,
      Evaluation evaluation) {
    this.stage = stage;
    this.failure = failure;
    this.kernelFunction = kernelFunction;
    this.rule = rule;
    this.condition = condition;
    this.evaluation = evaluation;
  }

  /** How a check is evaluated. */
  @FunctionalInterface
  interface Evaluation {
    Verdict of(Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context);
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

  /** The part of the entry in which it is made. */
  public VmEntryStage stage() {
    return stage;
  }

  /** How the entry fails. */
  public VmEntryFailure failure() {
    return failure;
  }

  Verdict evaluate(Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    return evaluation.of(vmcs12, capabilities, context);
  }
}
