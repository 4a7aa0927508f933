package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;

final class BytesTest {
  private static final Bytes COUNTING = Bytes.fromHex("010203040506070809");

  @Test
  void numbers_are_read_little_endian_and_unsigned() {
    Bytes ones = Bytes.wrap(new byte[] {-1, -1, -1, -1, -1, -1, -1, -1});

    assertThat(COUNTING.u16(0)).isEqualTo(0x0201);
    assertThat(COUNTING.u32(1)).isEqualTo(0x0504_0302L);
    assertThat(COUNTING.u64(1)).isEqualTo(0x0908_0706_0504_0302L);
    assertThat(ones.u8(0)).isEqualTo(0xff);
    assertThat(ones.u16(0)).isEqualTo(0xffff);
    assertThat(ones.u32(0)).isEqualTo(0xffff_ffffL);
    assertThat(ones.i32(0)).isEqualTo(-1);
    assertThat(ones.u64(0)).isEqualTo(-1L);
  }

  @Test
  void a_width_chooses_how_many_bytes_are_read() {
    assertThat(COUNTING.uint(0, 1)).isEqualTo(1);
    assertThat(COUNTING.uint(0, 2)).isEqualTo(0x0201);
    assertThat(COUNTING.uint(0, 4)).isEqualTo(0x0403_0201L);
    assertThat(COUNTING.uint(0, 8)).isEqualTo(0x0807_0605_0403_0201L);
    assertThatThrownBy(() -> COUNTING.uint(0, 3))
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("a width is 1, 2, 4 or 8 bytes, not 3");
  }

  @Test
  void a_read_over_either_end_is_refused_even_inside_a_larger_array() {
    Bytes middle = COUNTING.slice(2, 4);

    assertThatThrownBy(() -> middle.u8(4)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> middle.u16(3)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> middle.i32(1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> middle.u64(0)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> middle.u8(-1)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> middle.slice(3, 2)).isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> Bytes.EMPTY.u8(0)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void a_slice_is_the_bytes_it_covers() {
    Bytes middle = COUNTING.slice(2, 4);

    assertThat(middle)
        .isEqualTo(Bytes.fromHex("03040506"))
        .hasSameHashCodeAs(Bytes.fromHex("03040506"));
    assertThat(middle.size()).isEqualTo(4);
    assertThat(middle.slice(1, 2)).isEqualTo(Bytes.fromHex("0405"));
    assertThat(middle.compact()).isEqualTo(middle);
    assertThat(middle.toArray()).containsExactly(3, 4, 5, 6);
    assertThat(COUNTING.slice(0, 9)).isSameAs(COUNTING);
    assertThat(COUNTING.slice(9, 0)).isSameAs(Bytes.EMPTY);
  }

  @Test
  void of_copies_the_array_and_to_array_copies_again() {
    byte[] given = {1, 2, 3};
    Bytes bytes = Bytes.of(given);

    Arrays.fill(given, (byte) 9);
    Arrays.fill(bytes.toArray(), (byte) 9);

    assertThat(bytes).isEqualTo(Bytes.fromHex("010203"));
  }

  @Test
  void with_changes_a_copy_only() {
    Bytes zero = Bytes.zero(8);

    Bytes changed = zero.with(2, 4, 0xaabb_ccdd_1122_3344L);

    assertThat(zero.isZero(0, 8)).isTrue();
    assertThat(changed.toHex()).isEqualTo("0000443322110000");
  }

  @Test
  void a_builder_writes_numbers_and_bytes() {
    Bytes built =
        Bytes.builder(12)
            .put(0, 1, 0x1ff)
            .put(1, 2, 0x1_2345)
            .putBytes(4, COUNTING, 7, 2)
            .putBytes(10, Bytes.fromHex("0708"))
            .build();

    assertThat(built.toHex()).isEqualTo("ff4523000809000000000708");
    assertThat(built.toBuilder().put(0, 8, -1).build().toHex())
        .isEqualTo("ffffffffffffffff00000708");
  }

  @Test
  void a_builder_is_of_no_use_after_build() {
    Bytes.Builder builder = Bytes.builder(4);
    Bytes built = builder.build();

    assertThatThrownBy(() -> builder.put(0, 1, 1)).isInstanceOf(InvariantViolation.class);
    assertThat(built.isZero(0, 4)).isTrue();
  }

  @Test
  void a_write_over_the_end_of_a_builder_is_refused() {
    assertThatThrownBy(() -> Bytes.builder(4).put(1, 4, 1))
        .isInstanceOf(IndexOutOfBoundsException.class);
    assertThatThrownBy(() -> Bytes.builder(4).putBytes(0, COUNTING))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void base64_and_hex_are_those_of_the_content() {
    assertThat(Bytes.fromBase64("AQIDBAUGBwgJ")).isEqualTo(COUNTING);
    assertThat(Bytes.fromHex(COUNTING.toHex())).isEqualTo(COUNTING);
    assertThat(COUNTING.slice(1, 3).toBase64()).isEqualTo("AgME");
    assertThat(COUNTING.slice(1, 3).toHex()).isEqualTo("020304");
    assertThat(COUNTING).hasToString("9 bytes 010203040506070809");
    assertThat(Bytes.zero(40).toString()).startsWith("40 bytes 00").endsWith("…");
  }

  @Test
  void equality_and_hash_are_by_content() {
    for (int size = 0; size < 40; size++) {
      Bytes.Builder one = Bytes.builder(size);
      Bytes.Builder shifted = Bytes.builder(size + 1);
      for (int i = 0; i < size; i++) {
        one.put(i, 1, i * 7 + 1);
        shifted.put(i + 1, 1, i * 7 + 1);
      }
      Bytes a = one.build();
      Bytes b = shifted.build().slice(1, size);

      assertThat(a).isEqualTo(b).hasSameHashCodeAs(b);
      for (int i = 0; i < size; i++) {
        assertThat(a.with(i, 1, 0xfe)).as("byte %d of %d", i, size).isNotEqualTo(b);
      }
    }
  }

  @Test
  void the_hash_is_the_same_in_every_run() {
    assertThat(COUNTING.hashCode()).isEqualTo(1311191342);
    assertThat(Bytes.EMPTY.hashCode()).isZero();
  }

  @Test
  void regions_are_compared_where_they_lie() {
    Bytes other = Bytes.fromHex("000004050600");

    assertThat(COUNTING.regionEquals(3, other, 2, 3)).isTrue();
    assertThat(COUNTING.regionEquals(3, other, 2, 4)).isFalse();
    assertThat(COUNTING.regionEquals(9, other, 6, 0)).isTrue();
    assertThatThrownBy(() -> COUNTING.regionEquals(3, other, 4, 3))
        .isInstanceOf(IndexOutOfBoundsException.class);
  }

  @Test
  void is_zero_sees_each_byte_of_the_region_and_no_other() {
    for (int size = 1; size < 20; size++) {
      for (int set = 0; set < size; set++) {
        Bytes bytes = Bytes.zero(size + 2).with(set + 1, 1, 1);
        assertThat(bytes.isZero(1, size)).as("%d of %d", set, size).isFalse();
      }
      assertThat(Bytes.zero(size + 2).with(0, 1, 1).with(size + 1, 1, 1).isZero(1, size)).isTrue();
    }
  }
}
