package dev.faultline.vmx;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;

/**
 * Finds the {@link VmEntryCheck} behind what {@code kvm_nested_vmenter_failed} printed.
 *
 * <p>The event prints the condition as it stands in the source of the kernel, so different checks
 * may print the same text, one check may print two (its own, then that of the one around it), and
 * kernels spell the same check differently.
 *
 * <p>The text of a check of {@link VmEntryStage#MSR_LISTS} does not mean that the entry failed: KVM
 * also prints it for the VM-exit lists, at the exit, and when it looks whether the VM-exit
 * MSR-store list holds the TSC, which it does at every entry and without any consequence.
 */
public final class VmEntryTexts {
  private static final String EPTP = VmEntryCheck.EPTP_MEMORY_TYPE.condition();
  private static final String EXIT_MSR_LISTS =
      "nested_vmx_check_exit_msr_switch_controls(vcpu, vmcs12)";
  private static final String EVENT_ZERO_LENGTH =
      "vmcs12->vm_entry_instruction_len == 0 && CC("
          + VmEntryCheck.EVENT_ZERO_LENGTH.condition()
          + ")";

  private static final TreeMap<String, List<VmEntryCheck>> BY_TEXT = byText();

  private VmEntryTexts() {}

  /**
   * What Linux 6.1 prints when a check fails, in order: usually one text, nothing for the one check
   * that is not traced.
   */
  public static List<String> printedBy(VmEntryCheck check) {
    return switch (check) {
      case SAVED_TIMER_WITH_TIMER -> List.of();
      case EPTP_UNCACHEABLE,
          EPTP_WRITE_BACK,
          EPTP_WALK_5,
          EPTP_WALK_4,
          EPTP_RESERVED,
          EPTP_ACCESSED_DIRTY ->
          List.of(check.condition(), EPTP);
      case EXIT_MSR_LOAD_LIST, EXIT_MSR_STORE_LIST -> List.of(check.condition(), EXIT_MSR_LISTS);
      case EVENT_ZERO_LENGTH -> List.of(check.condition(), EVENT_ZERO_LENGTH);
      default -> List.of(check.condition());
    };
  }

  /**
   * The checks whose failure prints a text, in order; empty if the text is that of no check known
   * here. A text that ends in the name of an error number is looked up without it.
   */
  public static List<VmEntryCheck> printing(String text) {
    for (VmEntryCheck hardware : List.of(VmEntryCheck.HARDWARE_EARLY, VmEntryCheck.HARDWARE_LATE)) {
      if (text.startsWith(hardware.condition())) {
        return List.of(hardware);
      }
    }
    return BY_TEXT.getOrDefault(text, List.of());
  }

  /**
   * The checks whose failure prints exactly these texts one after the other; if there is none, the
   * checks that print the first of them.
   *
   * @param texts what one attempt to enter printed, in order
   */
  public static List<VmEntryCheck> printing(List<String> texts) {
    List<VmEntryCheck> candidates = texts.isEmpty() ? List.of() : printing(texts.getFirst());
    List<VmEntryCheck> exact = new ArrayList<>();
    for (VmEntryCheck check : candidates) {
      if (printedBy(check).equals(texts)) {
        exact.add(check);
      }
    }
    return exact.isEmpty() ? candidates : List.copyOf(exact);
  }

  private static TreeMap<String, List<VmEntryCheck>> byText() {
    TreeMap<String, List<VmEntryCheck>> map = new TreeMap<>();
    for (VmEntryCheck check : VmEntryCheck.values()) {
      for (String text : printedBy(check)) {
        put(map, text, check);
      }
    }
    olderKernels(map);
    newerKernels(map);
    map.replaceAll((_, checks) -> checks.stream().sorted().toList());
    return map;
  }

  /** Linux 5.10 and 5.15, as far as they differ. */
  private static void olderKernels(TreeMap<String, List<VmEntryCheck>> map) {
    put(
        map,
        "!vmx->nested.hv_evmcs && vmx->nested.current_vmptr == -1ull",
        VmEntryCheck.CURRENT_VMCS);
    put(
        map,
        "!evmptr_is_valid(vmx->nested.hv_evmcs_vmptr) && vmx->nested.current_vmptr == -1ull",
        VmEntryCheck.CURRENT_VMCS);
    put(map, "(vmcs12->posted_intr_desc_addr & 0x3f)", VmEntryCheck.POSTED_DESCRIPTOR_ADDRESS);
    put(
        map,
        "(vmcs12->posted_intr_desc_addr >> cpuid_maxphyaddr(vcpu))",
        VmEntryCheck.POSTED_DESCRIPTOR_ADDRESS);
    put(map, "new_eptp >> maxphyaddr || ((new_eptp >> 7) & 0x1f)", VmEntryCheck.EPTP_RESERVED);
    put(map, "!nested_cr3_valid(vcpu, vmcs12->host_cr3)", VmEntryCheck.HOST_CR3);
    put(
        map,
        "!(vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE)",
        VmEntryCheck.HOST_ADDRESS_SPACE);
    put(
        map,
        "vmcs12->vm_exit_controls & VM_EXIT_HOST_ADDR_SPACE_SIZE",
        VmEntryCheck.HOST_ADDRESS_SPACE);
    put(
        map,
        "kvm_vcpu_map(vcpu, gpa_to_gfn(vmcs12->vmcs_link_pointer), &map)",
        VmEntryCheck.LINK_POINTER_MEMORY);
    put(map, "shadow->hdr.revision_id != VMCS12_REVISION", VmEntryCheck.LINK_POINTER_REVISION);
    put(
        map,
        "shadow->hdr.shadow_vmcs != nested_cpu_has_shadow_vmcs(vmcs12)",
        VmEntryCheck.LINK_POINTER_SHADOW);
    put(
        map,
        "vmcs12->guest_activity_state != GUEST_ACTIVITY_ACTIVE"
            + " && vmcs12->guest_activity_state != GUEST_ACTIVITY_HLT",
        VmEntryCheck.GUEST_ACTIVITY_STATE);
    put(map, "!vmx_guest_state_valid(vcpu)", VmEntryCheck.GUEST_SEGMENTS);
    put(map, "!nested_cr3_valid(vcpu, cr3)", VmEntryCheck.GUEST_CR3);
  }

  /** Linux 6.8 and later, as far as they differ. */
  private static void newerKernels(TreeMap<String, List<VmEntryCheck>> map) {
    put(
        map,
        "!nested_vmx_is_evmptr12_valid(vmx) && vmx->nested.current_vmptr == INVALID_GPA",
        VmEntryCheck.CURRENT_VMCS);
    put(
        map,
        "!kvm_vcpu_is_legal_gpa(vcpu, new_eptp) || ((new_eptp >> 7) & 0x1f)",
        VmEntryCheck.EPTP_RESERVED);
    put(map, "!kvm_vcpu_is_legal_cr3(vcpu, vmcs12->host_cr3)", VmEntryCheck.HOST_CR3);
    put(map, "!kvm_vcpu_is_legal_cr3(vcpu, cr3)", VmEntryCheck.GUEST_CR3);
    msrAddress(map, "host_ia32_sysenter_esp", VmEntryCheck.HOST_SYSENTER_ESP);
    msrAddress(map, "host_ia32_sysenter_eip", VmEntryCheck.HOST_SYSENTER_EIP);
    msrAddress(map, "guest_bndcfgs & PAGE_MASK", VmEntryCheck.GUEST_BNDCFGS_ADDRESS);
    baseAddress(map, "host_fs_base", VmEntryCheck.HOST_FS_BASE);
    baseAddress(map, "host_gs_base", VmEntryCheck.HOST_GS_BASE);
    baseAddress(map, "host_gdtr_base", VmEntryCheck.HOST_GDTR_BASE);
    baseAddress(map, "host_idtr_base", VmEntryCheck.HOST_IDTR_BASE);
    baseAddress(map, "host_tr_base", VmEntryCheck.HOST_TR_BASE);
    put(map, "is_noncanonical_address(vmcs12->host_rip, vcpu, 0)", VmEntryCheck.HOST_RIP);
  }

  private static void msrAddress(
      TreeMap<String, List<VmEntryCheck>> map, String field, VmEntryCheck check) {
    put(map, "is_noncanonical_msr_address(vmcs12->" + field + ", vcpu)", check);
  }

  private static void baseAddress(
      TreeMap<String, List<VmEntryCheck>> map, String field, VmEntryCheck check) {
    put(map, "is_noncanonical_base_address(vmcs12->" + field + ", vcpu)", check);
  }

  private static void put(
      TreeMap<String, List<VmEntryCheck>> map, String text, VmEntryCheck check) {
    List<VmEntryCheck> checks = map.computeIfAbsent(text, _ -> new ArrayList<>());
    if (!checks.contains(check)) {
      checks.add(check);
    }
  }
}
