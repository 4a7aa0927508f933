package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructField;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class Vmcs12Test {
  @ParameterizedTest
  @EnumSource(VmcsField.class)
  void a_field_is_written_to_its_own_bytes_and_read_back(VmcsField field) {
    Vmcs12 zero = Vmcs12.zero();

    Vmcs12 changed = zero.with(field, -1L);

    long ones = field.size() == 8 ? -1L : (1L << (8 * field.size())) - 1;
    assertThat(changed.get(field)).isEqualTo(ones);
    assertThat(changed.get(field.ordinal())).isEqualTo(ones);
    assertThat(changed.get32(field)).isEqualTo((int) ones);
    assertThat(Vmcs12.LAYOUT.differing(zero.raw(), changed.raw()))
        .isEqualTo(Vmcs12.LAYOUT.none().with(Vmcs12.indexOf(field)));
  }

  @ParameterizedTest
  @EnumSource(VmcsField.class)
  void a_field_is_found_by_name_and_by_encoding(VmcsField field) {
    assertThat(VmcsField.ofEncoding(field.encoding())).isEqualTo(field);
    assertThat(VmcsField.ofName(field.vmcs12Name())).isEqualTo(field);
    assertThat(VmcsField.at(field.ordinal())).isEqualTo(field);
    StructField in = Vmcs12.LAYOUT.field("vmcs12." + field.vmcs12Name());
    assertThat(in.offset()).isEqualTo(field.offset());
    assertThat(in.width()).isEqualTo(field.size());
  }

  @ParameterizedTest
  @EnumSource(VmcsField.class)
  void the_width_in_the_encoding_is_the_size_in_vmcs12(VmcsField field) {
    int size =
        switch (field.width()) {
          case BITS_16 -> 2;
          case BITS_32 -> 4;
          case BITS_64, NATURAL -> 8;
        };

    assertThat(field.size()).isEqualTo(size);
  }

  @Test
  void the_area_is_in_the_encoding() {
    assertThat(VmcsField.TSC_OFFSET.area()).isEqualTo(VmcsField.Area.CONTROL);
    assertThat(VmcsField.VM_EXIT_REASON.area()).isEqualTo(VmcsField.Area.EXIT_INFORMATION);
    assertThat(VmcsField.GUEST_RIP.area()).isEqualTo(VmcsField.Area.GUEST);
    assertThat(VmcsField.HOST_RIP.area()).isEqualTo(VmcsField.Area.HOST);
  }

  @Test
  void the_first_word_is_revision_and_shadow_indicator() {
    Vmcs12 shadow = Vmcs12.blank().withHdr(Vmcs12.REVISION | 1 << 31);

    assertThat(Vmcs12.blank().revisionId()).isEqualTo(Vmcs12.REVISION);
    assertThat(Vmcs12.blank().isShadow()).isFalse();
    assertThat(shadow.revisionId()).isEqualTo(Vmcs12.REVISION);
    assertThat(shadow.isShadow()).isTrue();
    assertThat(shadow.withLaunchState(1).launchState()).isEqualTo(1);
    assertThat(shadow.abort()).isZero();
  }

  @Test
  void a_vmcs12_is_a_page() {
    assertThatThrownBy(() -> new Vmcs12(Bytes.zero(998)))
        .isInstanceOf(FormatException.class)
        .hasMessageContaining("vmcs12 is 4096 bytes, found 998");
  }

  @Test
  void the_packed_struct_ends_with_the_last_field() {
    int end = Vmcs12.LAYOUT.field(Vmcs12.indexOf(VmcsField.GUEST_PML_INDEX)).end();

    assertThat(end).isEqualTo(Vmcs12.SIZE_PACKED);
  }

  @Test
  void an_exit_reason_is_told_with_its_high_bits() {
    assertThat(ExitReason.of(0x8000_0021)).isEqualTo(ExitReason.INVALID_STATE);
    assertThat(ExitReason.describe(0x8000_0021)).isEqualTo("INVALID_STATE FAILED_VMENTRY");
    assertThat(ExitReason.describe(2)).isEqualTo("TRIPLE_FAULT");
    assertThat(ExitReason.describe(0xffff)).isEqualTo("EXIT_65535");
    assertThat(ExitReason.ofTraceName("CR_ACCESS")).isEqualTo(ExitReason.CR_ACCESS);
    assertThat(ExitReason.ofTraceName("NONE")).isNull();
  }

  @Test
  void access_rights_are_told_in_words() {
    assertThat(AccessRights.describe(0xa09b)).isEqualTo("type 11, S, DPL 0, P, L, G");
    assertThat(AccessRights.describe(0x1_0f00))
        .isEqualTo("type 0, DPL 0, unusable, reserved 0xf00");
    assertThat(AccessRights.dpl(0xf3)).isEqualTo(3);
    assertThat(AccessRights.isUsable(0x1_0000)).isFalse();
  }
}
