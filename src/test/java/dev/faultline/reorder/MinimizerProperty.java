package dev.faultline.reorder;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is left over has the property, in order, and nothing of it can be left out. */
final class MinimizerProperty {
  private static final int SIZE = 60;

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
  void exactly_what_is_needed_is_left(long seed) {
    Random random = new Random(seed);
    List<Integer> needed =
        new ArrayList<>(
            new TreeSet<>(random.ints(1 + random.nextInt(9), 0, SIZE).boxed().toList()));
    List<Integer> whole = IntStream.range(0, SIZE).boxed().toList();
    assertThat(new Minimizer<Integer>(l -> l.containsAll(needed), () -> false).minimize(whole))
        .as("seed " + seed)
        .isEqualTo(needed);
  }

  @ParameterizedTest
  @ValueSource(longs = {11, 12, 13, 14})
  void no_single_element_can_be_left_out_where_some_replace_others(long seed) {
    Random random = new Random(seed);
    int[] weights = random.ints(SIZE, 0, 20).toArray();
    int goal = IntStream.of(weights).sum() / 3;
    Minimizer<Integer> minimizer =
        new Minimizer<>(l -> l.stream().mapToInt(i -> weights[i]).sum() >= goal, () -> false);
    List<Integer> left = minimizer.minimize(IntStream.range(0, SIZE).boxed().toList());
    int sum = left.stream().mapToInt(i -> weights[i]).sum();
    assertThat(sum).isGreaterThanOrEqualTo(goal);
    assertThat(left).isSorted().allMatch(i -> sum - weights[i] < goal);
  }

  @Test
  void cancelled_it_keeps_what_still_has_the_property() {
    int[] asked = {0};
    Minimizer<Integer> minimizer = new Minimizer<>(l -> l.contains(7), () -> asked[0]++ > 3);
    List<Integer> left = minimizer.minimize(IntStream.range(0, SIZE).boxed().toList());
    assertThat(left).contains(7).hasSizeLessThan(SIZE);
    assertThat(minimizer.tests()).isPositive();
  }
}
