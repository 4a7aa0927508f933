package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

/** Texts of {@code kvm_nested_vmenter_failed} and the checks they come from. */
class VmEntryTextsTest {

  @Test
  void most_texts_are_those_of_one_check() {
    assertThat(VmEntryTexts.printing("vmcs12->host_cs_selector == 0"))
        .containsExactly(VmEntryCheck.HOST_CS_NULL);
    assertThat(VmEntryTexts.printing("from_vmentry && !vmx_guest_state_valid(vcpu)"))
        .containsExactly(VmEntryCheck.GUEST_SEGMENTS);
  }

  @Test
  void a_text_that_the_kernel_uses_twice_is_that_of_both_checks() {
    assertThat(VmEntryTexts.printing("!nested_cpu_has_ept(vmcs12)"))
        .containsExactly(VmEntryCheck.PML_WITH_EPT, VmEntryCheck.EPTP_SWITCHING_WITH_EPT);
    assertThat(VmEntryTexts.printing("vmcs12->launch_state == launch"))
        .containsExactly(VmEntryCheck.CLEAR_FOR_VMLAUNCH, VmEntryCheck.LAUNCHED_FOR_VMRESUME);
  }

  @Test
  void the_text_of_an_enclosing_check_is_that_of_all_checks_in_it() {
    assertThat(VmEntryTexts.printing("!nested_vmx_check_eptp(vcpu, vmcs12->ept_pointer)"))
        .containsExactly(
            VmEntryCheck.EPTP_UNCACHEABLE,
            VmEntryCheck.EPTP_WRITE_BACK,
            VmEntryCheck.EPTP_MEMORY_TYPE,
            VmEntryCheck.EPTP_WALK_5,
            VmEntryCheck.EPTP_WALK_4,
            VmEntryCheck.EPTP_WALK_LENGTH,
            VmEntryCheck.EPTP_RESERVED,
            VmEntryCheck.EPTP_ACCESSED_DIRTY);
  }

  @Test
  void the_texts_of_one_attempt_together_tell_more_than_each() {
    assertThat(VmEntryTexts.printing(List.of("!nested_vmx_check_eptp(vcpu, vmcs12->ept_pointer)")))
        .containsExactly(VmEntryCheck.EPTP_MEMORY_TYPE, VmEntryCheck.EPTP_WALK_LENGTH);
    assertThat(
            VmEntryTexts.printing(
                List.of(
                    "!(vmx->nested.msrs.ept_caps & VMX_EPT_AD_BIT)",
                    "!nested_vmx_check_eptp(vcpu, vmcs12->ept_pointer)")))
        .containsExactly(VmEntryCheck.EPTP_ACCESSED_DIRTY);
  }

  @Test
  void other_kernels_spell_the_same_check_differently() {
    for (String text :
        List.of(
            "!nested_cr3_valid(vcpu, vmcs12->host_cr3)",
            "kvm_vcpu_is_illegal_gpa(vcpu, vmcs12->host_cr3)",
            "!kvm_vcpu_is_legal_cr3(vcpu, vmcs12->host_cr3)")) {
      assertThat(VmEntryTexts.printing(text)).containsExactly(VmEntryCheck.HOST_CR3);
    }
  }

  @Test
  void the_error_number_of_the_cpu_is_not_part_of_the_text() {
    assertThat(
            VmEntryTexts.printing("hardware VM-instruction error: VMENTRY_INVALID_CONTROL_FIELD"))
        .containsExactly(VmEntryCheck.HARDWARE_LATE);
  }

  @Test
  void a_check_that_is_not_traced_prints_nothing() {
    assertThat(VmEntryTexts.printedBy(VmEntryCheck.SAVED_TIMER_WITH_TIMER)).isEmpty();
  }

  @Test
  void an_unknown_text_is_that_of_no_check() {
    assertThat(VmEntryTexts.printing("!kvm_is_tired(vcpu)")).isEmpty();
    assertThat(VmEntryTexts.printing(List.of())).isEmpty();
  }
}
