package dev.faultline.x86;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class SegmentTest {
  /** Flat 64-bit code: type 11, S, P, L, G. */
  private static final Segment CODE =
      new Segment(0, 0xffff_ffffL, 0x10, 11, 1, 0, 0, 1, 1, 1, 0, 0);

  private static final int CODE_RIGHTS = 0xa09b;
  private static final int UNUSABLE = 0x1_0000;

  @Test
  void access_rights_are_those_of_the_vmcs() {
    assertThat(CODE.accessRights()).isEqualTo(CODE_RIGHTS);
    assertThat(CODE.withDpl(3).accessRights()).isEqualTo(CODE_RIGHTS | 0x60);
    assertThat(CODE.withDb(1).withL(0).accessRights()).isEqualTo(0xc09b);
  }

  @Test
  void a_segment_that_is_not_present_is_unusable() {
    assertThat(CODE.withPresent(0).accessRights()).isEqualTo((CODE_RIGHTS - 0x80) | UNUSABLE);
    assertThat(CODE.withPresent(0).isUnusable()).isTrue();
    assertThat(CODE.withUnusable(1).accessRights()).isEqualTo(CODE_RIGHTS | UNUSABLE);
    assertThat(CODE.withUnusable(2).isUnusable()).isTrue();
  }

  @Test
  void components_are_cut_to_their_bits() {
    Segment odd = new Segment(0, 0, 0, 0x1b, 3, 7, 2, 3, 5, 9, 4, 0);

    assertThat(odd.accessRights()).isEqualTo(0xa0fb);
  }

  @Test
  void present_is_read_from_unusable_alone() {
    Segment read = Segment.fromAccessRights(0x10, 0, 0xffff_ffffL, CODE_RIGHTS & ~0x80);

    assertThat(read).isEqualTo(CODE);
    assertThat(Segment.fromAccessRights(0, 0, 0, UNUSABLE).present()).isZero();
    assertThat(Segment.fromAccessRights(0, 0, 0, UNUSABLE | 0x80).present()).isZero();
  }

  @Test
  void rights_that_kvm_can_hold_survive_reading_and_writing() {
    for (int ar = 0; ar < 0x1_0000; ar++) {
      if ((ar & 0x0f00) == 0 && (ar & 0x80) != 0) {
        assertThat(Segment.fromAccessRights(0, 0, 0, ar).accessRights()).isEqualTo(ar);
      }
    }
  }

  @Test
  void the_rpl_is_that_of_the_selector() {
    assertThat(CODE.withSelector(0x2b).rpl()).isEqualTo(3);
  }
}
