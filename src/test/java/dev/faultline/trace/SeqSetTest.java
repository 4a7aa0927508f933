package dev.faultline.trace;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which sequence numbers were seen. */
final class SeqSetTest {
  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void it_answers_as_a_set_does(long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    SeqSet seqs = new SeqSet();
    TreeSet<Long> expected = new TreeSet<>();
    long next = 0;
    for (int i = 0; i < 2000; i++) {
      long seq = random.nextInt(4) > 0 ? next++ : Math.max(0, next - 20 + random.nextInt(40));
      assertThat(seqs.add(seq))
          .as("seed %d, step %d, %d", seed, i, seq)
          .isEqualTo(expected.add(seq));
    }
  }

  @Test
  void holes_without_end_are_forgotten_from_the_oldest_on() {
    SeqSet seqs = new SeqSet();
    for (long seq = 0; seq < 2_000_000; seq += 2) {
      assertThat(seqs.add(seq)).isTrue();
    }
    assertThat(seqs.add(1_999_998)).isFalse();
    assertThat(seqs.add(0)).isTrue();
  }
}
