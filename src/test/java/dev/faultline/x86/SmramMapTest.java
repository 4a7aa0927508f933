package dev.faultline.x86;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.StructLayout;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Offsets as AMD's manual and the P6's give them, from SMBASE. */
final class SmramMapTest {
  @ParameterizedTest
  @CsvSource({
    "es.selector, 0xfe00, 2",
    "cs.attributes, 0xfe12, 2",
    "ss.limit, 0xfe24, 4",
    "gs.base, 0xfe58, 8",
    "gdtr.limit, 0xfe64, 4",
    "gdtr.base, 0xfe68, 8",
    "ldtr.selector, 0xfe70, 2",
    "idtr.base, 0xfe88, 8",
    "tr.attributes, 0xfe92, 2",
    "int_shadow, 0xfecb, 1",
    "efer, 0xfed0, 8",
    "svm_guest_flag, 0xfed8, 8",
    "smm_revision, 0xfefc, 4",
    "smbase, 0xff00, 4",
    "cr4, 0xff48, 8",
    "cr3, 0xff50, 8",
    "cr0, 0xff58, 8",
    "dr7, 0xff60, 8",
    "dr6, 0xff68, 8",
    "rflags, 0xff70, 8",
    "rip, 0xff78, 8",
    "r15, 0xff80, 8",
    "r8, 0xffb8, 8",
    "rsp, 0xffd8, 8",
    "rax, 0xfff8, 8"
  })
  void the_64_bit_map_is_that_of_amd64(String name, String offset, int width) {
    check(SmramMap.LAYOUT_64, name, Integer.decode(offset), width);
  }

  @ParameterizedTest
  @CsvSource({
    "smbase, 0xfef8",
    "smm_revision, 0xfefc",
    "cr4, 0xff14",
    "ds.flags, 0xff2c",
    "gs.base, 0xff4c",
    "idtr.limit, 0xff54",
    "tr.flags, 0xff5c",
    "gdtr.base, 0xff74",
    "ldtr.limit, 0xff7c",
    "es.flags, 0xff84",
    "cs.limit, 0xff94",
    "ss.base, 0xffa4",
    "es.selector, 0xffa8",
    "gs.selector, 0xffbc",
    "ldtr.selector, 0xffc0",
    "tr.selector, 0xffc4",
    "dr7, 0xffc8",
    "eax, 0xffd0",
    "ebx, 0xffdc",
    "edi, 0xffec",
    "eip, 0xfff0",
    "eflags, 0xfff4",
    "cr3, 0xfff8",
    "cr0, 0xfffc"
  })
  void the_32_bit_map_is_that_of_the_p6(String name, String offset) {
    check(SmramMap.LAYOUT_32, name, Integer.decode(offset), 4);
  }

  @Test
  void both_maps_are_512_bytes() {
    assertThat(SmramMap.LAYOUT_64.size()).isEqualTo(SmramMap.SIZE).isEqualTo(512);
    assertThat(SmramMap.LAYOUT_32.size()).isEqualTo(SmramMap.SIZE);
  }

  private static void check(StructLayout map, String name, int smramOffset, int width) {
    assertThat(map.field(name).offset() + SmramMap.BASE).isEqualTo(smramOffset);
    assertThat(map.field(name).width()).isEqualTo(width);
  }
}
