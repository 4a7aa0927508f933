package dev.faultline.vmx;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import dev.faultline.Bytes;
import dev.faultline.vmx.FuzzRecordings.Call;
import dev.faultline.vmx.FuzzRecordings.Case;
import dev.faultline.x86.Efer;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Compares {@link VmEntryChecks} with what KVM 6.1 did with randomly changed nested states. */
class VmEntryConformance {
  /** L1 writes its own stack pointer and this kind of address into the VMCS before VMLAUNCH. */
  private static final long RIP_OF_L1 = 0x40_0000;

  private static final int ENTERED_WITH_FAILURE = 2;

  @BeforeAll
  static void recordings_are_at_hand() {
    assumeTrue(FuzzRecordings.areAtHand(), "no recordings");
  }

  /** What came out of comparing: cases that agree, by kind of prediction, and cases that do not. */
  private static final class Tally {
    private int passed;
    private int failed;
    private int cannotTell;
    private int notReached;
    private final TreeMap<VmEntryCheck, Integer> byCheck = new TreeMap<>();
    private final List<String> differences = new ArrayList<>();

    void agree(CheckResult result) {
      switch (result) {
        case CheckResult.Passed _ -> passed++;
        case CheckResult.Failed failure -> {
          failed++;
          byCheck.merge(failure.check(), 1, Integer::sum);
        }
        case CheckResult.CannotTell _ -> cannotTell++;
      }
    }

    void compare(Case fuzz, CheckResult result, List<String> texts, boolean seen) {
      boolean agrees =
          switch (result) {
            case CheckResult.Passed _ -> texts.isEmpty();
            case CheckResult.Failed failure ->
                failure.certainlyFirst() && texts.equals(VmEntryTexts.printedBy(failure.check()));
            case CheckResult.CannotTell unknown ->
                unknown.missing() == EntryInput.LINK_TARGET
                    && VmEntryTexts.printing(texts).stream()
                        .allMatch(check -> check.name().startsWith("LINK_POINTER_"));
          };
      if (agrees && seen) {
        agree(result);
      } else {
        differences.add(fuzz + ": " + result + ", recorded " + texts);
      }
    }
  }

  private static CheckResult evaluate(
      Vmcs12 vmcs12, VmxCapabilities capabilities, EntryContext context) {
    CheckResult first = VmEntryChecks.firstFailure(vmcs12, capabilities, context);
    assertThat(first).isEqualTo(VmEntryChecks.walk(vmcs12, capabilities, context));
    return first.then(VmEntryChecks.guestLoadFailure(vmcs12, capabilities, context));
  }

  /**
   * The texts without those that KVM prints when it goes through the VM-exit MSR-store list to see
   * whether the TSC is in it: a wrong entry there has no consequence before the exit.
   */
  private static List<String> withoutStoreList(List<String> texts) {
    String reserved = VmEntryCheck.MSR_LIST_RESERVED.condition();
    return texts.stream().filter(text -> !text.equals(reserved)).toList();
  }

  @Test
  void kvm_set_nested_state_fails_by_the_predicted_check() {
    Tally tally = new Tally();
    FuzzRecordings.forEachCase(
        List.of("Z3", "Z3e"),
        (fuzz, setup) -> {
          Call call = fuzz.last("KVM_SET_NESTED_STATE");
          Bytes state = call.in();
          List<String> texts = withoutStoreList(fuzz.checkFailed());
          if (!FuzzPayloads.reachesChecks(fuzz, state)) {
            assertThat(texts).as(fuzz.toString()).isEmpty();
            tally.notReached++;
            return;
          }
          boolean pending = FuzzPayloads.hasFlag(state, FuzzPayloads.RUN_PENDING);
          CheckResult result =
              evaluate(
                  FuzzPayloads.vmcs12(state),
                  FuzzPayloads.capabilities(fuzz, setup),
                  EntryContext.restore(FuzzPayloads.limits(fuzz, setup), pending).withLa57(false));
          boolean returned =
              switch (result) {
                case CheckResult.Passed _ -> call.result() == 0;
                case CheckResult.Failed failure ->
                    call.result()
                        == (failure.check().stage() == VmEntryStage.GUEST_LOAD
                            ? ENTERED_WITH_FAILURE
                            : -1);
                case CheckResult.CannotTell _ -> call.result() == -1;
              };
          tally.compare(fuzz, result, texts, returned);
        });

    assertThat(tally.differences).isEmpty();
    assertThat(tally.passed).isEqualTo(781);
    assertThat(tally.failed).isEqualTo(144);
    assertThat(tally.cannotTell).as("no memory behind the link pointer").isEqualTo(7);
    assertThat(tally.notReached).isEqualTo(1068);
    assertThat(tally.byCheck).hasSizeGreaterThan(30);
  }

  @Test
  void vmlaunch_fails_by_the_predicted_check_and_l1_sees_it() {
    Tally tally = new Tally();
    FuzzRecordings.forEachCase(
        List.of("Z7"),
        (fuzz, setup) -> {
          Vmcs12 vmcs12 =
              FuzzPayloads.vmcs12(fuzz.last("KVM_SET_NESTED_STATE").in())
                  .with(VmcsField.HOST_RSP, RIP_OF_L1)
                  .with(VmcsField.HOST_RIP, RIP_OF_L1);
          VmEntryCheck prerequisite = VmEntryChecks.prerequisiteFailure(vmcs12, true, false);
          CheckResult result =
              prerequisite != null
                  ? new CheckResult.Failed(prerequisite, true)
                  : evaluate(
                      vmcs12,
                      FuzzPayloads.capabilities(fuzz, setup),
                      EntryContext.vmentry(
                          FuzzPayloads.limits(fuzz, setup), false, Efer.LMA | Efer.LME));
          boolean seen =
              switch (result) {
                case CheckResult.Failed failure -> isSeenByL1(fuzz, failure.check().failure());
                case CheckResult.CannotTell _ ->
                    isSeenByL1(fuzz, VmEntryFailure.INVALID_LINK_POINTER);
                case CheckResult.Passed _ -> true;
              };
          tally.compare(fuzz, result, withoutStoreList(fuzz.checkFailedInRun()), seen);
        });

    assertThat(tally.differences).isEmpty();
    assertThat(tally.passed).isEqualTo(808);
    assertThat(tally.failed).isEqualTo(191);
    assertThat(tally.cannotTell).as("no memory behind the link pointer").isEqualTo(1);
    assertThat(tally.byCheck).hasSizeGreaterThan(30);
  }

  private static boolean isSeenByL1(Case fuzz, VmEntryFailure failure) {
    JsonNode l1 = fuzz.outcome().path("run").path("l1");
    boolean instructionFailed = l1.path("r").asInt() != 0;
    if (failure == VmEntryFailure.VMFAIL_INVALID) {
      return instructionFailed;
    }
    if (failure.isVmFail()) {
      return instructionFailed && l1.path("err").asInt() == failure.instructionError();
    }
    return !instructionFailed
        && Integer.parseUnsignedInt(hex(l1, "reason"), 16) == failure.exitReason()
        && Integer.parseInt(hex(l1, "qual"), 16) == failure.qualification();
  }

  private static String hex(JsonNode l1, String key) {
    return l1.path(key).asText().substring("0x".length());
  }
}
