package dev.faultline.x86;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class MsrTest {
  @Test
  void an_msr_is_told_by_the_name_in_the_manual() {
    assertThat(Msr.name(Msr.IA32_EFER)).isEqualTo("IA32_EFER");
    assertThat(Msr.name(Msr.IA32_MTRR_PHYSBASE0 + 3)).isEqualTo("IA32_MTRR_PHYSMASK1");
    assertThat(Msr.name(Msr.IA32_MTRR_FIX4K_C0000 + 7)).isEqualTo("IA32_MTRR_FIX4K_F8000");
    assertThat(Msr.name(Msr.IA32_MC0_CTL + 9)).isEqualTo("IA32_MC2_STATUS");
  }

  @Test
  void an_msr_without_a_name_is_told_by_number() {
    assertThat(Msr.name(0x9f)).isEqualTo("MSR 0x9f");
    assertThat(Msr.name(0xc000_0fff)).isEqualTo("MSR 0xc0000fff");
  }

  @Test
  void the_vmx_capabilities_are_a_range() {
    assertThat(Msr.isVmxCapability(Msr.IA32_VMX_BASIC)).isTrue();
    assertThat(Msr.isVmxCapability(Msr.IA32_VMX_VMFUNC)).isTrue();
    assertThat(Msr.isVmxCapability(Msr.IA32_VMX_VMFUNC + 1)).isFalse();
    assertThat(Msr.isVmxCapability(Msr.IA32_EFER)).isFalse();
  }

  @Test
  void a_legal_page_is_aligned_and_below_the_width() {
    assertThat(Gpa.isLegalPage(0x1000, 36)).isTrue();
    assertThat(Gpa.isLegalPage(0x1001, 36)).isFalse();
    assertThat(Gpa.isLegalPage(1L << 36, 36)).isFalse();
    assertThat(Gpa.isLegalPage(Gpa.INVALID, 52)).isFalse();
  }
}
