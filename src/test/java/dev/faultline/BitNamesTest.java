package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Rflags;
import org.junit.jupiter.api.Test;

final class BitNamesTest {
  @Test
  void set_bits_are_told_by_name_from_high_to_low() {
    assertThat(Cr0.describe(Cr0.PE | Cr0.PG | Cr0.NE)).isEqualTo("PG|NE|PE");
    assertThat(Cr4.describe(Cr4.VMXE)).isEqualTo("VMXE");
  }

  @Test
  void bits_without_a_name_are_told_as_one_number() {
    assertThat(Cr0.describe(Cr0.PG | 1 << 6 | 1L << 40)).isEqualTo("PG|0x10000000040");
    assertThat(Cr0.describe(1 << 6)).isEqualTo("0x40");
  }

  @Test
  void no_bit_is_zero() {
    assertThat(Cr0.describe(0)).isEqualTo("0");
  }

  @Test
  void a_name_of_several_bits_needs_all_of_them() {
    BitNames names = BitNames.none().and("A", 1).and("BC", 6);

    assertThat(names.describe(7)).isEqualTo("BC|A");
    assertThat(names.describe(3)).isEqualTo("A|0x2");
    assertThat(names.known()).isEqualTo(7);
    assertThat(Rflags.describe(Rflags.FIXED | Rflags.IF)).isEqualTo("IF|FIXED");
  }
}
