package dev.faultline.report;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.x86.Segment;
import org.junit.jupiter.api.Test;

/** Segments in words. */
final class SegmentWordsTest {
  private static final Segment CODE = new Segment(0, 0xffffffffL, 8, 11, 1, 0, 0, 1, 1, 1, 0, 0);

  @Test
  void a_segment_is_one_line() {
    assertThat(SegmentWords.describe(CODE))
        .isEqualTo("8 base 0 limit 0xffffffff type 11 (code, read, accessed) dpl 0 P S L G");
  }

  @Test
  void an_unusable_segment_of_type_zero_needs_no_words_for_its_type() {
    Segment none = new Segment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    assertThat(SegmentWords.describe(none)).isEqualTo("0 base 0 limit 0 type 0 dpl 0 unusable");
  }

  @Test
  void a_flag_that_is_no_flag_is_told_with_its_value() {
    assertThat(SegmentWords.describe(CODE.withPresent(3))).contains(" P=3 ");
  }

  @Test
  void types_are_told_apart_by_s() {
    assertThat(SegmentWords.type(1, 3)).isEqualTo("data, write, accessed");
    assertThat(SegmentWords.type(0, 3)).isEqualTo("16-bit TSS, busy");
    assertThat(SegmentWords.type(1, 7)).isEqualTo("data, expand-down, write, accessed");
    assertThat(SegmentWords.type(1, 15)).isEqualTo("code, conforming, read, accessed");
    assertThat(SegmentWords.type(0, 0)).isEqualTo("reserved system type");
    assertThat(SegmentWords.type(1, 16)).isEqualTo("more than four bits");
  }
}
