package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How {@code policies} ends, and what it says when an input is not as it must be. */
final class PoliciesVerbTest {
  private static final String SMALL = "vmx_invalid_nested_guest_state";
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  @Test
  void the_six_policies_stand_side_by_side_and_are_scored() {
    CommandLines.Ended ended = CommandLines.run("policies", CommandLines.timeline(SMALL));
    assertThat(ended.status()).isZero();
    assertThat(ended.err()).isEmpty();
    assertThat(ended.out())
        .contains("TRIPLE_FAULT   emulate R3     -              EINVAL         EINVAL")
        .contains("TR_UNUSABLE, made so by userspace (seq 31)")
        .contains("Right at every moment here: synthesize-triple-fault, refuse-ioctl")
        .doesNotContain("\033");
  }

  @Test
  void the_result_as_json_has_what_is_documented() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run("policies", "--format", "json", CommandLines.timeline(SMALL));
    JsonNode policies = JSON.readTree(ended.out()).path("policies");
    assertThat(policies)
        .extracting(p -> p.path("policy").asText())
        .containsExactly(
            "synthesize-triple-fault",
            "emulate",
            "refuse-ioctl",
            "refuse-run",
            "sticky-flag",
            "intel-rsm");
    for (JsonNode policy : policies) {
      assertThat(policy.path("falsePositives").isInt()).isTrue();
      assertThat(policy.path("missed").isInt()).isTrue();
      assertThat(policy.path("lost").isInt()).isTrue();
      assertThat(policy.path("verdicts")).hasSize(2);
      JsonNode verdict = policy.path("verdicts").path(1);
      assertThat(verdict.path("moment").isInt()).isTrue();
      assertThat(verdict.path("seq").asInt()).isEqualTo(32);
      assertThat(verdict.path("vcpu").asText()).isEqualTo("vm1/vcpu0");
      assertThat(verdict.path("verdict").isTextual()).isTrue();
    }
    assertThat(policies.path(0).path("verdicts").path(1).path("verdict").asText())
        .isEqualTo("triple-fault");
    assertThat(policies.path(1).path("missed").asInt()).isEqualTo(1);
  }

  @Test
  void several_recordings_are_an_array() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run(
            "policies",
            "--format",
            "json",
            CommandLines.timeline(SMALL),
            CommandLines.timeline("smm_test"));
    assertThat(JSON.readTree(ended.out()).path("recordings")).hasSize(2);
  }

  @Test
  void a_recording_without_an_invalid_l2_says_so() {
    CommandLines.Ended ended =
        CommandLines.run("policies", CommandLines.timeline("set_sregs_test"));
    assertThat(ended.status()).isZero();
    assertThat(ended.out()).contains("all policies do the same");
  }

  @Test
  void another_kernel_decides_about_what_was_recorded_on_this_one() {
    String here = CommandLines.run("policies", CommandLines.timeline("scn_d")).out();
    String there =
        CommandLines.run("policies", CommandLines.timeline("scn_d"), "--kernel", "7.3").out();
    assertThat(here)
        .contains("synthesize-triple-fault             20 R2        0")
        .contains("fails at 20: there a guest can make KVM_RUN fail")
        .contains("No policy is right at every moment here");
    assertThat(there)
        .contains("synthesize-triple-fault                 0        0")
        .contains("EIO and a dead VM (21)")
        .contains("Right at every moment here: synthesize-triple-fault.");
  }

  @Test
  void a_vcpu_that_is_not_there_is_a_wrong_command_line() {
    CommandLines.Ended ended =
        CommandLines.run("policies", CommandLines.timeline(SMALL), "--vcpu", "7");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--vcpu: expected a vCPU of this recording");
  }

  @Test
  void a_damaged_recording_costs_a_sentence_and_the_others_are_compared() {
    Path damaged = CommandLines.recording(folder, "damaged.jsonl", List.of("{\"seq\":0,"));
    CommandLines.Ended ended = CommandLines.run("policies", damaged, CommandLines.timeline(SMALL));
    assertThat(ended.status()).isEqualTo(65);
    assertThat(ended.err()).contains("damaged");
    assertThat(ended.out()).contains("Right at every moment here");
  }
}
