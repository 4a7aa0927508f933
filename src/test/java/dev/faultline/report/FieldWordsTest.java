package dev.faultline.report;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Values of fields in words. */
final class FieldWordsTest {

  @ParameterizedTest
  @CsvSource({
    "kvm_sregs, cr0, 0x80000021, PG|NE|PE",
    "kvm_sregs, cr4, 0x2020, VMXE|PAE",
    "kvm_sregs, efer, 0xd00, NX|LMA|LME",
    "kvm_sregs, apic_base, 0xfee00900, EN|BSP|0xfee00000",
    "kvm_sregs, cs.type, 0xb, 'code, read, accessed'",
    "kvm_sregs, tr.type, 0xb, 'TSS, busy'",
    "kvm_sregs, ldt.type, 0x2, LDT",
    "kvm_regs, rflags, 0x46, ZF|PF|FIXED",
    "kvm_debugregs, dr7, 0x403, FIXED_1|G0|L0",
    "kvm_xcrs, xcrs[0].value, 0x7, AVX|SSE|x87",
    "kvm_mp_state, mp_state, 0x3, KVM_MP_STATE_HALTED",
    "kvm_vcpu_events, flags, 0x8, KVM_VCPUEVENT_VALID_SMM",
    "kvm_vcpu_events, exception.nr, 0xe, #PF",
    "kvm_nested_state, flags, 0x1, KVM_STATE_NESTED_GUEST_MODE",
    "kvm_nested_state, format, 0x1, SVM",
    "kvm_nested_state, vmx.vmxon_pa, 0xffffffffffffffff, none",
    "kvm_nested_state, vmx.smm.flags, 0x3,"
        + " KVM_STATE_NESTED_SMM_VMXON|KVM_STATE_NESTED_SMM_GUEST_MODE",
    "vmcs12, vmcs12.guest_cr4, 0x2000, VMXE",
    "vmcs12, guest_tr_ar_bytes, 0x8b, 'type 11, DPL 0, P'",
    "vmcs12, vm_exit_reason, 0x80000021, INVALID_STATE FAILED_VMENTRY",
    "vmcs12, vm_entry_intr_info_field, 0x80000b0e, 'hardware exception #PF, error code'",
    "vmcs12, vm_exit_intr_info, 0x00000020, 'not valid, external interrupt vector 0x20'",
    "vmcs12, guest_activity_state, 0x3, wait-for-SIPI",
    "'', msr.IA32_EFER, 0x500, LMA|LME",
  })
  void a_field_is_told_by_what_its_value_means(
      String struct, String field, String value, String words) {
    assertThat(FieldWords.describe(struct, field, Long.parseUnsignedLong(value.substring(2), 16)))
        .isEqualTo(words);
  }

  @ParameterizedTest
  @CsvSource({
    "kvm_sregs, cr3",
    "kvm_sregs, cr4",
    "kvm_debugregs, flags",
    "kvm_vcpu_events, exception.nr",
    "vmcs12, vm_entry_intr_info_field",
  })
  void zero_needs_no_words(String struct, String field) {
    assertThat(FieldWords.describe(struct, field, 0)).isNull();
  }

  @Test
  void small_values_are_decimal_and_others_hexadecimal() {
    assertThat(FieldWords.number(9)).isEqualTo("9");
    assertThat(FieldWords.number(10)).isEqualTo("0xa");
    assertThat(FieldWords.number(-1)).isEqualTo("0xffffffffffffffff");
  }

  @Test
  void a_change_of_bits_names_those_that_came_and_went() {
    assertThat(FieldWords.change("kvm_sregs", "cr4", 0x220, 0x2020))
        .isEqualTo("0x220 → 0x2020 (+VMXE −OSFXSR)");
    assertThat(FieldWords.change("kvm_sregs", "cr4", 0x20, 0)).isEqualTo("0x20 → 0 (−PAE)");
    assertThat(FieldWords.change("kvm_sregs", "cr3", 0, 0x1000)).isEqualTo("0 → 0x1000");
  }
}
