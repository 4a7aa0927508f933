package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.timeline.Timelines.Timeline;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A recording in which one result of one call is altered is found out, at that call and at no
 * other.
 *
 * <p>{@code -Dfaultline.lies=N} plants about N lies in each recording; {@code
 * -Dfaultline.lies.wide=true} plants them in all of the larger collection, and tells the whole rest
 * of each recording after each.
 */
final class PlantedLiesConformance {
  private static final long SEED = 20261123;
  private static final int LIES = Integer.getInteger("faultline.lies", 130);

  /** So many kinds of lies are told of one call, on average. */
  private static final double LIES_A_CALL = 2.2;

  private static final String WIDE = "faultline.lies.wide";

  /** Of a recording longer than that, only so much is told after a lie: many restores. */
  private static final int REST = Boolean.getBoolean(WIDE) ? Integer.MAX_VALUE : 3000;

  private static final List<String> SHIPPED =
      List.of(
          "cr4_cpuid_sync_test",
          "scn_a",
          "set_sregs_test",
          "smm_test",
          "state_test",
          "svm_state_test",
          "sync_regs_test",
          "triple_fault_event_test",
          "vmx_invalid_nested_guest_state",
          "vmx_set_nested_state_test",
          "fuzz-restore-order");

  private static final List<String> COLLECTED =
      List.of(
          "vmx/scn_e",
          "vmx/ug0__state_test",
          "vmx/ug0__vmx_exception_with_invalid_guest_state",
          "vmx-5.10/state_test",
          "vmx-7.3/scn_f",
          "fuzz/Z1-00",
          "fuzz/Z3-00",
          "fuzz/Z4-00");

  static Stream<Timeline> timelines() {
    return Stream.concat(
        SHIPPED.stream().map(Timelines::shipped),
        COLLECTED.stream().flatMap(path -> Timelines.collected(path).stream()));
  }

  @ParameterizedTest
  @MethodSource("timelines")
  void a_lie_is_found_out_at_its_call_and_nowhere_else(Timeline timeline) {
    assertThat(planted(timeline)).as("lies not told apart from the truth").isEmpty();
  }

  static Stream<String> everywhere() {
    return Timelines.allCollected().stream();
  }

  @ParameterizedTest
  @MethodSource("everywhere")
  @EnabledIfSystemProperty(named = WIDE, matches = "true")
  void wherever_it_is_planted(String path) {
    for (Timeline timeline : Timelines.collected(path)) {
      assertThat(planted(timeline)).as("lies not told apart from the truth").isEmpty();
    }
  }

  @Test
  void more_than_a_thousand_lies_of_every_kind_are_planted_in_what_is_shipped() {
    Map<Lie.Kind, Integer> counts = new EnumMap<>(Lie.Kind.class);
    for (String name : SHIPPED) {
      Timeline timeline = Timelines.shipped(name);
      Reexecution truth = timeline.start();
      Plan plan = new Plan(timeline);
      for (Observation observation : timeline.observations()) {
        for (Lie lie : plan.lies(truth, observation)) {
          counts.merge(lie.kind(), 1, Integer::sum);
        }
        Timelines.tell(truth, observation);
      }
    }
    // No shipped recording ends in an internal error that is foreseen.
    assertThat(counts.keySet())
        .containsAll(EnumSet.complementOf(EnumSet.of(Lie.Kind.OTHER_SUBERROR)));
    assertThat(counts.values().stream().mapToInt(Integer::intValue).sum()).isGreaterThan(1000);
  }

  /** Which lies to tell, by chance, but the same in every run. */
  private static final class Plan {
    private final SplittableRandom random = new SplittableRandom(SEED);
    private final Liar liar = new Liar(random.split());
    private final double chance;

    private Plan(Timeline timeline) {
      long calls = timeline.observations().stream().filter(Call.class::isInstance).count();
      chance = LIES / (LIES_A_CALL * calls);
    }

    private List<Lie> lies(Reexecution before, Observation observation) {
      return observation instanceof Call call && random.nextDouble() < chance
          ? liar.lies(before, call)
          : List.of();
    }
  }

  /** The lies that were not found out, or brought to light more than themselves. */
  private static List<String> planted(Timeline timeline) {
    List<String> complaints = new ArrayList<>();
    Reexecution truth = timeline.start();
    Plan plan = new Plan(timeline);
    for (int i = 0; i < timeline.observations().size(); i++) {
      Observation observation = timeline.observations().get(i);
      for (Lie lie : plan.lies(truth, observation)) {
        Reexecution told = truth.fork(TimelineListener.NONE);
        Timelines.tell(told, lie.told());
        int end = (int) Math.min(timeline.observations().size(), i + 1L + REST);
        for (Observation rest : timeline.observations().subList(i + 1, end)) {
          Timelines.tell(told, rest);
        }
        complain(complaints, lie, told.result().divergences());
      }
      Timelines.tell(truth, observation);
    }
    assertThat(truth.result().divergences()).as("differences without a lie").isEmpty();
    return complaints;
  }

  private static void complain(List<String> complaints, Lie lie, List<Divergence> found) {
    long seq = lie.told().seq();
    if (found.stream().noneMatch(d -> d.seq() == seq)) {
      complaints.add("not found out: " + lie);
    }
    found.stream()
        .filter(d -> d.seq() != seq)
        .findFirst()
        .ifPresent(d -> complaints.add(lie + " also gives " + d));
  }
}
