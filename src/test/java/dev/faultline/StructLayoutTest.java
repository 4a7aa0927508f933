package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.StructField.Kind;
import org.junit.jupiter.api.Test;

final class StructLayoutTest {
  private static final StructLayout LAYOUT =
      StructLayout.builder("kvm_example", 32)
          .value("flags", 16, 4)
          .value("nr", 0, 1)
          .reserved(24, 8)
          .values("word", 4, 2, 3)
          .build();

  @Test
  void fields_are_in_order_of_offset_and_cover_every_byte() {
    assertThat(LAYOUT.fields())
        .extracting(StructField::name)
        .containsExactly(
            "nr",
            "pad@1",
            "pad@2",
            "word[0]",
            "word[1]",
            "word[2]",
            "pad@10",
            "pad@12",
            "flags",
            "pad@20",
            "reserved@24");
    assertThat(LAYOUT.fields().stream().mapToInt(StructField::width).sum()).isEqualTo(32);
    assertThat(LAYOUT.field("pad@10").kind()).isEqualTo(Kind.PADDING);
    assertThat(LAYOUT.field("reserved@24").kind()).isEqualTo(Kind.RESERVED);
    assertThat(LAYOUT.field("word[1]")).isEqualTo(new StructField("word[1]", 6, 2, Kind.VALUE));
    assertThat(LAYOUT).hasToString("kvm_example (32 bytes, 11 fields)");
  }

  @Test
  void a_field_is_found_by_name_and_by_byte() {
    assertThat(LAYOUT.indexOf("flags")).isEqualTo(8);
    assertThat(LAYOUT.has("word[3]")).isFalse();
    for (int byteOffset = 0; byteOffset < 32; byteOffset++) {
      StructField field = LAYOUT.field(LAYOUT.indexAt(byteOffset));
      assertThat(byteOffset).isBetween(field.offset(), field.end() - 1);
    }
    assertThatThrownBy(() -> LAYOUT.indexOf("word[3]"))
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("kvm_example has no field word[3]");
    assertThatThrownBy(() -> LAYOUT.indexAt(32)).isInstanceOf(InvariantViolation.class);
  }

  @Test
  void overlapping_fields_are_a_bug() {
    StructLayout.Builder layout = StructLayout.builder("s", 8).value("a", 0, 4).value("b", 2, 4);

    assertThatThrownBy(layout::build)
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("s: b at 2 overlaps what ends at 4");
  }

  @Test
  void a_field_over_the_end_is_a_bug() {
    StructLayout.Builder layout = StructLayout.builder("s", 8).value("a", 4, 8);

    assertThatThrownBy(layout::build)
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("s: fields end at 12, the struct at 8");
  }

  @Test
  void a_name_given_twice_is_a_bug() {
    StructLayout.Builder layout = StructLayout.builder("s", 8).value("a", 0, 4).value("a", 4, 4);

    assertThatThrownBy(layout::build)
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("s names a twice");
  }

  @Test
  void a_width_that_no_number_has_is_a_bug() {
    assertThatThrownBy(() -> StructLayout.builder("s", 8).value("a", 0, 3))
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("field a is 1, 2, 4 or 8 bytes wide, not 3");
  }

  @Test
  void a_layout_within_another_keeps_its_fields_under_a_prefix() {
    StructLayout outer = StructLayout.builder("o", 40).include("in.", 8, LAYOUT).build();

    assertThat(outer.field("in.flags").offset()).isEqualTo(24);
    assertThat(outer.field("pad@9").kind()).isEqualTo(Kind.PADDING);
    assertThat(outer.field("reserved@32").kind()).isEqualTo(Kind.RESERVED);
    assertThat(outer.count()).isEqualTo(LAYOUT.count() + 1);
  }

  @Test
  void opaque_bytes_are_pieces_named_by_their_offset() {
    StructLayout layout = StructLayout.builder("s", 32).opaque("data", 4, 21).build();

    assertThat(layout.fields())
        .extracting(StructField::name)
        .containsExactly(
            "pad@0", "data[4]", "data[8]", "data[16]", "data[24]", "pad@25", "pad@26", "pad@28");
  }

  @Test
  void structs_differ_in_the_fields_whose_bytes_differ() {
    Bytes a = Bytes.zero(32);
    Bytes b = a.with(17, 1, 1).with(3, 1, 1).with(31, 1, 1);

    assertThat(LAYOUT.differing(a, a).isEmpty()).isTrue();
    assertThat(LAYOUT.differing(a, b)).isEqualTo(LAYOUT.of("pad@2", "flags", "reserved@24"));
    assertThat(LAYOUT.differing(a, b).intersect(LAYOUT.values())).isEqualTo(LAYOUT.of("flags"));
  }

  @Test
  void merging_takes_the_chosen_fields_only() {
    Bytes a = Bytes.zero(32);
    Bytes b = a.with(0, 8, -1).with(16, 8, -1);

    Bytes merged = LAYOUT.merge(a, b, LAYOUT.of("flags", "word[1]"));

    assertThat(LAYOUT.differing(a, merged)).isEqualTo(LAYOUT.of("flags", "word[1]"));
    assertThat(LAYOUT.get(merged, LAYOUT.indexOf("flags"))).isEqualTo(0xffff_ffffL);
    assertThat(LAYOUT.merge(a, b, LAYOUT.all())).isEqualTo(b);
    assertThat(LAYOUT.merge(a, b, LAYOUT.none())).isEqualTo(a);
  }
}
