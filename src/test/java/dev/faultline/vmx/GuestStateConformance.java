package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.faultline.Bytes;
import dev.faultline.vmx.FuzzRecordings.Call;
import dev.faultline.vmx.FuzzRecordings.Case;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Compares {@link GuestStateChecks} with what KVM 6.1 did with randomly changed guest states. */
class GuestStateConformance {
  private static final String TRIPLE_FAULT = "L1:0x2";
  private static final String DEAD = "EIO";

  @BeforeAll
  static void recordings_are_at_hand() {
    assumeTrue(FuzzRecordings.areAtHand(), "no recordings");
  }

  /** What came out of comparing: cases that agree, by prediction, and cases that do not. */
  private static final class Tally {
    private int valid;
    private int invalid;
    private final List<String> differences = new ArrayList<>();
    private final List<Case> unreached = new ArrayList<>();

    void compare(Case fuzz, boolean predictedInvalid, boolean seenInvalid) {
      if (predictedInvalid != seenInvalid) {
        differences.add(fuzz + ", decided by " + fuzz.decidedBy());
      } else if (predictedInvalid) {
        invalid++;
      } else {
        valid++;
      }
    }
  }

  @Test
  void kvm_synthesizes_a_triple_fault_exactly_for_the_sregs_that_fail_a_check() {
    Tally tally = new Tally();
    FuzzRecordings.forEachCase(
        List.of("Z1", "Z1e", "Z1n"),
        (fuzz, _) -> {
          if (!fuzz.outcome().has("run")) {
            return;
          }
          if (fuzz.outcome().path("outcome").asText().equals("NOT_SET")) {
            tally.unreached.add(fuzz);
            return;
          }
          GuestState state = FuzzPayloads.guestState(fuzz);
          boolean invalid = !GuestStateChecks.isValid(state);
          assertThat(GuestStateChecks.firstFailure(state)).isEqualTo(GuestStateChecks.walk(state));
          tally.compare(fuzz, invalid, fuzz.decidedBy().startsWith("kvm-synth"));
        });

    assertThat(tally.differences).isEmpty();
    assertThat(tally.valid).isEqualTo(1608);
    assertThat(tally.invalid).isEqualTo(1316);
    assertThat(tally.unreached)
        .as("the PDPTEs fail to load before the segments are looked at")
        .hasSize(4)
        .allSatisfy(fuzz ->
            assertThat(VmEntryTexts.printing(fuzz.checkFailedInRun()))
                .containsExactly(VmEntryCheck.RESTORED_PDPTES));
  }

  @Test
  void kvm_never_looks_at_the_segments_of_an_unrestricted_guest() {
    Tally tally = new Tally();
    FuzzRecordings.forEachCase(
        List.of("Z1u"),
        (fuzz, _) -> tally.compare(fuzz, false, fuzz.decidedBy().startsWith("kvm-synth")));

    assertThat(tally.differences).isEmpty();
    assertThat(tally.valid).isEqualTo(500);
  }

  @Test
  void the_segments_of_a_restored_vmcs12_decide_the_first_run() {
    Tally tally = new Tally();
    FuzzRecordings.forEachCase(
        List.of("Z3", "Z3e"),
        (fuzz, _) -> {
          Call restore = fuzz.last("KVM_SET_NESTED_STATE");
          Bytes state = restore.in();
          if (restore.result() != 0
              || !fuzz.outcome().has("run")
              || !FuzzPayloads.hasFlag(state, FuzzPayloads.GUEST_MODE)) {
            return;
          }
          Vmcs12 vmcs12 = FuzzPayloads.vmcs12(state);
          if (EntryRules.hasEpt(vmcs12)
              && !FuzzPayloads.isInMemory(fuzz, vmcs12.get(VmcsField.EPT_POINTER))) {
            tally.unreached.add(fuzz);
            return;
          }
          boolean pending = FuzzPayloads.hasFlag(state, FuzzPayloads.RUN_PENDING);
          String outcome = fuzz.outcome().path("outcome").asText();
          boolean synthesized =
              outcome.equals(pending ? DEAD : TRIPLE_FAULT) && fuzz.decidedBy().startsWith("kvm");
          tally.compare(fuzz, !GuestStateChecks.isValid(GuestState.of(vmcs12)), synthesized);
        });

    assertThat(tally.differences).isEmpty();
    assertThat(tally.valid).isEqualTo(756);
    assertThat(tally.invalid).isEqualTo(23);
    assertThat(tally.unreached)
        .as("the root of EPT is in no memory slot, which is a triple fault as well")
        .hasSize(2)
        .allSatisfy(
            fuzz -> assertThat(fuzz.outcome().path("outcome").asText()).isEqualTo(TRIPLE_FAULT));
  }
}
