package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.faultline.timeline.PolicyComparison;
import dev.faultline.timeline.PolicyMoment.Point;
import dev.faultline.timeline.PolicyReview;
import dev.faultline.timeline.PolicyReview.Score;
import dev.faultline.timeline.RunEnding;
import dev.faultline.timeline.VariantOutcome;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.Policy;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What the policies come to on recordings of real kernels, and what these kernels did. */
final class PoliciesConformance {
  /** Changes of SMRAM after which L2's segments are invalid. */
  private static final List<String> INVALID =
      List.of(
          "tr attr=0",
          "tr type=2",
          "tr type=9",
          "tr sel TI",
          "ss sel RPL3",
          "cs attr data",
          "cs attr=0",
          "ldtr type=3");

  private static PolicyComparison compared(RecordingSource source, KernelModel kernel) {
    PolicyComparison comparison = new PolicyComparison(source.name(), kernel, kernel, Policy.all());
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        comparison.accept(RecordedCalls.convert(reader.next(), comparison.nextMoment()));
      }
    }
    return comparison;
  }

  /** The recording, if it is at hand; those of 7.2 and 7.3 do not tell which they are. */
  private static Optional<PolicyComparison> compared(String name) {
    Optional<RecordingSource> found =
        Recordings.all().stream().filter(s -> s.name().endsWith(name)).findFirst();
    return found.map(s -> compared(s, kernel(s)));
  }

  private static KernelModel kernel(RecordingSource source) {
    KernelModel told = KernelFacts.model(source.readFacts());
    if (source.name().contains("vmx-7.2/")) {
      return told.withVersion(KernelVersion.V7_2);
    }
    return source.name().contains("vmx-7.3/") ? told.withVersion(KernelVersion.V7_3) : told;
  }

  @ParameterizedTest
  @CsvSource({
    // false positives, missed, lost, cannot tell; in the order of Policy.all()
    "vmx/scn_a, 0 0 0 0, 0 29 0 0, 0 0 0 2, 0 0 0 0, 0 0 0 0, 0 29 0 0",
    "vmx/scn_b, 0 0 0 0, 0 12 0 0, 29 0 0 2, 3 0 0 0, 3 0 0 0, 0 11 0 1",
    "vmx/scn_c, 0 0 0 0, 0 0 0 0, 18 0 0 0, 0 0 0 0, 0 0 0 0, 0 0 0 0",
    "vmx/scn_d, 20 0 0 0, 0 21 0 0, 1 20 0 0, 1 0 0 0, 1 0 0 0, 0 0 0 21",
    "vmx/scn_f, 12 0 0 0, 0 12 0 0, 0 12 0 0, 0 0 0 0, 0 0 0 0, 0 0 0 12",
    "vmx-6.12/scn_d, 20 0 0 0, 0 21 0 0, 1 20 0 0, 1 0 0 0, 1 0 0 0, 0 0 0 21",
    "vmx-7.2/scn_d, 20 0 0 0, 0 21 0 0, 1 20 0 0, 1 0 0 0, 1 0 0 0, 0 0 0 21",
  })
  void the_score_card_of_a_recording(
      String name,
      String synthesize,
      String emulate,
      String refuseIoctl,
      String refuseRun,
      String sticky,
      String intel) {
    Optional<PolicyComparison> comparison = compared(name);
    assumeTrue(comparison.isPresent(), "not at hand");
    PolicyReview review = comparison.get().result(_ -> true);
    List<String> card = new ArrayList<>();
    for (int i = 0; i < review.policies().size(); i++) {
      Score s = review.score(i);
      card.add(s.falsePositives() + " " + s.missed() + " " + s.lost() + " " + s.open());
    }
    assertThat(card).containsExactly(synthesize, emulate, refuseIoctl, refuseRun, sticky, intel);
  }

  @ParameterizedTest
  @CsvSource({"vmx/scn_a", "vmx/scn_b", "vmx/scn_c", "vmx/scn_e", "vmx-6.12/scn_a"})
  void only_the_policy_that_kvm_has_is_right_about_what_ioctls_do(String name) {
    Optional<PolicyComparison> comparison = compared(name);
    assumeTrue(comparison.isPresent(), "not at hand");
    PolicyReview review = comparison.get().result(_ -> true);
    assertThat(review.score(0).isClean()).isTrue();
    assertThat(review.score(0).open()).isZero();
  }

  @ParameterizedTest
  @CsvSource({"vmx/scn_e", "vmx/scn_f"})
  void a_restore_changes_only_what_a_policy_with_a_memory_remembers(String name) {
    Optional<PolicyComparison> comparison = compared(name);
    assumeTrue(comparison.isPresent(), "not at hand");
    PolicyReview review = comparison.get().result(_ -> true);
    assertThat(review.restores()).isPositive();
    for (int i = 0; i < review.policies().size(); i++) {
      if (review.policies().get(i) instanceof Policy.StickyFlag) {
        assertThat(review.changed().get(i)).isBetween(1L, review.restores());
      } else {
        assertThat(review.changed().get(i)).as(review.policies().get(i).label()).isZero();
      }
    }
  }

  /** After RSM 7.3 ends in the same way whether RSM failed or what it loaded is invalid. */
  @ParameterizedTest
  @CsvSource({
    "vmx-5.10/scn_d, EMULATED, 18",
    "vmx/scn_d, DEAD_VM, 21",
    "vmx-6.12/scn_d, DEAD_VM, 21",
    "vmx-7.2/scn_d, DEAD_VM, 21",
    "vmx-7.3/scn_d, SHUTDOWN, 29",
  })
  void rsm_into_an_invalid_l2_ends_as_the_kernel_has_it(String name, RunEnding ending, int times) {
    Optional<PolicyComparison> comparison = compared(name);
    assumeTrue(comparison.isPresent(), "not at hand");
    assertThat(comparison.get().result(_ -> true).ended(Point.RSM, ending)).isEqualTo(times);
  }

  static Stream<RecordingSource> scenarios() {
    return Recordings.all().stream()
        .filter(s -> s.name().matches(".*scn_[ad]"))
        .filter(s -> KernelFacts.model(s.readFacts()).isVmx());
  }

  @ParameterizedTest
  @MethodSource("scenarios")
  void the_model_says_of_each_variant_what_the_kernel_did(RecordingSource source) {
    KernelVersion version = kernel(source).version();
    List<VariantOutcome> outcomes = compared(source, kernel(source)).variants();
    assertThat(outcomes).isNotEmpty();
    for (VariantOutcome outcome : outcomes) {
      assertThat(outcome.isWrong()).as("%s", outcome).isFalse();
      if (outcome.rsm() && !source.name().contains("ug0__")) {
        assertThat(outcome.recorded()).as("%s", outcome).isIn(afterRsm(outcome, version));
      }
    }
  }

  /**
   * What the marks say of SMRAM is what the recording does not hold; with it the model can tell.
   */
  private static List<RunEnding> afterRsm(VariantOutcome outcome, KernelVersion version) {
    String variant = outcome.variant();
    boolean invalid =
        (INVALID.stream().anyMatch(variant::startsWith) || variant.contains("SMI pending, RSM"))
            && !variant.contains("SMI in L1");
    if (invalid) {
      return switch (version.rsmToInvalidL2()) {
        case EMULATE -> List.of(RunEnding.EMULATED, RunEnding.INTERNAL_ERROR);
        case DEAD_VM -> List.of(RunEnding.DEAD_VM);
        case SHUTDOWN -> List.of(RunEnding.SHUTDOWN);
      };
    }
    return variant.startsWith("control") || variant.startsWith("smbase")
        ? List.of(RunEnding.RAN)
        : List.of(RunEnding.values());
  }
}
