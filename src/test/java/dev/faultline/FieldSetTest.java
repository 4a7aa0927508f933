package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.BitSet;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class FieldSetTest {
  private static final long SEED = 42;

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 63, 64, 65, 128, 573, 1024, 1025, 3000})
  void none_and_all_hold_no_field_and_every_field(int size) {
    assertThat(FieldSet.none(size).count()).isZero();
    assertThat(FieldSet.none(size).isEmpty()).isTrue();
    assertThat(FieldSet.all(size).count()).isEqualTo(size);
    assertThat(FieldSet.all(size).isAll()).isTrue();
    assertThat(FieldSet.all(size).minus(FieldSet.all(size))).isEqualTo(FieldSet.none(size));
    assertThat(FieldSet.all(size).next(0)).isEqualTo(size == 0 ? -1 : 0);
    assertThat(FieldSet.all(size).next(size)).isEqualTo(-1);
  }

  @Test
  void usual_results_are_shared() {
    FieldSet some = FieldSet.of(130, 3, 64, 129);

    assertThat(some.with(64)).isSameAs(some);
    assertThat(some.without(65)).isSameAs(some);
    assertThat(some.union(FieldSet.none(130))).isSameAs(some);
    assertThat(some.union(FieldSet.all(130))).isSameAs(FieldSet.all(130));
    assertThat(some.intersect(FieldSet.all(130))).isSameAs(some);
    assertThat(some.intersect(FieldSet.none(130))).isSameAs(FieldSet.none(130));
    assertThat(some.minus(some)).isSameAs(FieldSet.none(130));
    assertThat(FieldSet.of(2, 0).with(1)).isSameAs(FieldSet.all(2));
  }

  @Test
  void a_set_tells_its_fields() {
    FieldSet some = FieldSet.of(130, 129, 3, 64);

    assertThat(some).hasToString("{3, 64, 129} of 130");
    assertThat(some.has(64)).isTrue();
    assertThat(some.has(65)).isFalse();
    assertThat(some.next(0)).isEqualTo(3);
    assertThat(some.next(4)).isEqualTo(64);
    assertThat(some.next(65)).isEqualTo(129);
    assertThat(some.next(130)).isEqualTo(-1);
    assertThat(some.size()).isEqualTo(130);
  }

  @Test
  void sets_behave_as_bit_sets_do() {
    SplittableRandom random = new SplittableRandom(SEED);
    for (int round = 0; round < 2000; round++) {
      int size = random.nextInt(1, 200);
      BitSet a = bits(random, size);
      BitSet b = bits(random, size);
      FieldSet x = FieldSet.of(size, a.stream().toArray());
      FieldSet y = FieldSet.of(size, b.stream().toArray());

      BitSet union = (BitSet) a.clone();
      union.or(b);
      BitSet both = (BitSet) a.clone();
      both.and(b);
      BitSet minus = (BitSet) a.clone();
      minus.andNot(b);

      assertThat(indexes(x.union(y))).as("seed %d round %d", SEED, round).isEqualTo(union);
      assertThat(indexes(x.intersect(y))).isEqualTo(both);
      assertThat(indexes(x.minus(y))).isEqualTo(minus);
      assertThat(x.meets(y)).isEqualTo(a.intersects(b));
      assertThat(x.containsAll(y)).isEqualTo(both.equals(b));
      assertThat(x.union(y).minus(y).union(x.intersect(y))).isEqualTo(x).hasSameHashCodeAs(x);
    }
  }

  @Test
  void a_field_outside_is_a_bug() {
    assertThatThrownBy(() -> FieldSet.none(5).with(5))
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("field 5 of 5");
    assertThatThrownBy(() -> FieldSet.of(5, -1)).isInstanceOf(InvariantViolation.class);
  }

  @Test
  void sets_of_two_layouts_do_not_meet() {
    assertThatThrownBy(() -> FieldSet.none(5).union(FieldSet.none(6)))
        .isInstanceOf(InvariantViolation.class)
        .hasMessage("sets over 5 and 6 fields");
    assertThat(FieldSet.none(5)).isNotEqualTo(FieldSet.none(6));
  }

  private static BitSet bits(SplittableRandom random, int size) {
    BitSet bits = new BitSet();
    int density = random.nextInt(0, 4);
    for (int i = 0; i < size; i++) {
      if (random.nextInt(0, 3) < density) {
        bits.set(i);
      }
    }
    return bits;
  }

  private static BitSet indexes(FieldSet set) {
    BitSet bits = new BitSet();
    for (int i = set.next(0); i >= 0; i = set.next(i + 1)) {
      bits.set(i);
    }
    return bits;
  }
}
