package dev.faultline.svm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructField;
import dev.faultline.x86.SegmentRegister;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

class VmcbTest {

  @ParameterizedTest
  @CsvSource({
    "INTERCEPT_WORD4, 0x010, 4",
    "IOPM_BASE_PA, 0x040, 8",
    "ASID, 0x058, 4",
    "INT_CTL, 0x060, 4",
    "INT_STATE, 0x068, 4",
    "EXIT_CODE, 0x070, 4",
    "NESTED_CTL, 0x090, 8",
    "EVENT_INJ, 0x0a8, 4",
    "NESTED_CR3, 0x0b0, 8",
    "NEXT_RIP, 0x0c8, 8",
    "ES_SELECTOR, 0x400, 2",
    "CS_ATTRIB, 0x412, 2",
    "TR_BASE, 0x498, 8",
    "CPL, 0x4cb, 1",
    "EFER, 0x4d0, 8",
    "CR4, 0x548, 8",
    "RFLAGS, 0x570, 8",
    "RSP, 0x5d8, 8",
    "RAX, 0x5f8, 8",
    "SYSENTER_EIP, 0x638, 8",
    "G_PAT, 0x668, 8",
    "SPEC_CTRL, 0x6e0, 4",
  })
  void a_field_lies_where_the_manual_puts_it(VmcbField field, int offset, int size) {
    assertThat(field.offset()).isEqualTo(offset);
    assertThat(field.size()).isEqualTo(size);
  }

  @ParameterizedTest
  @EnumSource(VmcbField.class)
  void a_field_is_written_and_read_in_its_place_only(VmcbField field) {
    long ones = field.size() == Long.BYTES ? -1L : (1L << (field.size() * Byte.SIZE)) - 1;
    Vmcb vmcb = Vmcb.zero().with(field, -1L);

    assertThat(vmcb.get(field)).isEqualTo(ones);
    assertThat(vmcb.with(field, 0)).isEqualTo(Vmcb.zero());
    StructField named = Vmcb.LAYOUT.field(Vmcb.indexOf(field));
    assertThat(named.offset()).isEqualTo(field.offset());
    assertThat(named.name()).isEqualTo("vmcb." + field.vmcbName());
    assertThat(field.area() == VmcbField.Area.SAVE).isEqualTo(named.name().contains(".save."));
  }

  @ParameterizedTest
  @EnumSource(Intercept.class)
  void an_intercept_is_one_bit(Intercept intercept) {
    Vmcb vmcb = Vmcb.zero().intercepting(intercept);

    assertThat(vmcb.intercepts(intercept)).isTrue();
    assertThat(Long.bitCount(vmcb.get(intercept.word()))).isEqualTo(1);
    for (Intercept other : Intercept.values()) {
      assertThat(vmcb.intercepts(other)).isEqualTo(other == intercept);
    }
  }

  @ParameterizedTest
  @EnumSource(SegmentRegister.class)
  void a_segment_register_is_four_fields(SegmentRegister register) {
    VmcbField first = Vmcb.selectorOf(register);

    assertThat(first.vmcbName()).endsWith(".selector");
    assertThat(VmcbField.values()[first.ordinal() + 3].vmcbName())
        .isEqualTo(first.vmcbName().replace("selector", "base"));
  }

  @Test
  void a_vmcb_is_a_page() {
    assertThat(Vmcb.LAYOUT.size()).isEqualTo(4096);
    assertThatThrownBy(() -> new Vmcb(Bytes.zero(4095))).isInstanceOf(FormatException.class);
  }
}
