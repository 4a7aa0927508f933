package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How {@code verify} ends, and what it says when an input is not as it must be. */
final class VerifyVerbTest {
  private static final String SMALL = "vmx_invalid_nested_guest_state";
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  @Test
  void a_recording_that_is_as_predicted_exits_0_and_says_so() {
    CommandLines.Ended ended = CommandLines.run("verify", CommandLines.timeline(SMALL));
    assertThat(ended.status()).isZero();
    assertThat(ended.err()).isEmpty();
    assertThat(ended.out())
        .contains("L2's state fails TR_UNUSABLE")
        .contains("tr.unusable was last written by KVM_SET_SREGS (seq 31,")
        .contains("confirmed by the tracepoint kvm_nested_vmexit_inject")
        .contains("no divergence")
        .doesNotContain("\033");
  }

  @Test
  void a_kernel_that_would_have_done_something_else_exits_1() {
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.timeline(SMALL), "--kernel", "5.10");
    assertThat(ended.status()).isEqualTo(1);
    assertThat(ended.out())
        .contains("Linux 5.10 (as you asked)")
        .contains("! KVM_RUN (seq 32,")
        .contains("L2 exits to L1 with TRIPLE_FAULT");
  }

  @Test
  void a_kernel_that_no_recording_confirms_is_called_predicted() {
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.timeline(SMALL), "--kernel", "6.18");
    assertThat(ended.status()).isZero();
    assertThat(ended.out()).contains("predicted from its sources");
  }

  @Test
  void the_result_as_json_has_what_is_documented() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run("verify", "--format", "json", CommandLines.timeline(SMALL));
    JsonNode result = JSON.readTree(ended.out());
    assertThat(result.path("recording").asText()).isEqualTo(SMALL);
    assertThat(result.path("kernel").asText()).isEqualTo("6.1");
    assertThat(result.path("kernelAssumed").isBoolean()).isTrue();
    assertTally(result.path("calls"), "compared");
    assertTally(result.path("runs"), "judged");
    assertTally(result.path("fields"), "compared");
    assertThat(result.path("divergences").isArray()).isTrue();
    JsonNode synthesized = result.path("synthesized").path(0);
    assertThat(synthesized.path("moment").isInt()).isTrue();
    assertThat(synthesized.path("seq").asLong()).isEqualTo(32);
    assertThat(synthesized.path("vcpu").asText()).isEqualTo("vm1/vcpu0");
    assertThat(synthesized.path("kind").asText()).isEqualTo("TRIPLE_FAULT");
    assertThat(synthesized.path("confirmed").isBoolean()).isTrue();
    assertThat(synthesized.path("cause").asText()).isEqualTo("invalid-guest-state");
    assertThat(synthesized.path("check").asText()).isEqualTo("TR_UNUSABLE");
    assertThat(synthesized.path("field").asText()).isEqualTo("tr.unusable");
    assertThat(synthesized.path("writerSeq").asLong()).isEqualTo(31);
    assertThat(synthesized.path("writerIoctl").asText()).isEqualTo("KVM_SET_SREGS");
  }

  @Test
  void coverage_tells_what_is_exercised_and_what_is_not() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run(
            "verify",
            "--coverage",
            "--format",
            "json",
            CommandLines.timeline(SMALL),
            CommandLines.timeline("smm_test"));
    JsonNode coverage = JSON.readTree(ended.out()).path("coverage");
    assertThat(coverage.path("checks").path("TR_UNUSABLE").asLong()).isEqualTo(1);
    assertThat(coverage.path("uncoveredChecks"))
        .extracting(JsonNode::asText)
        .contains("NESTED_SIZE");
    assertThat(coverage.path("outcomes").path("KVM_RUN TRIPLE_FAULT to L1").asLong()).isEqualTo(1);
    assertThat(coverage.path("transitions").path("SMI_L2").asLong()).isPositive();
    assertThat(coverage.path("transitionsOutsideTheTable")).isEmpty();
  }

  @Test
  void coverage_as_text_stands_before_the_sums() {
    CommandLines.Ended ended =
        CommandLines.run("verify", "--coverage", CommandLines.timeline(SMALL));
    assertThat(ended.status()).isZero();
    assertThat(ended.out())
        .contains("VMX root -> L2 pending: VMLAUNCH, VMRESUME")
        .contains("SMM, L2 aside -> L2 pending: RSM")
        .containsSubsequence("no divergence", "checks that decided", "transitions that none takes");
  }

  private static void assertTally(JsonNode tally, String second) {
    assertThat(tally.path("total").isIntegralNumber()).isTrue();
    assertThat(tally.path(second).isIntegralNumber()).isTrue();
    assertThat(tally.path("agree").isIntegralNumber()).isTrue();
  }

  @Test
  void a_divergence_as_json_has_what_is_documented() throws IOException {
    JsonNode divergence =
        JSON.readTree(
                CommandLines.run(
                        "verify",
                        "--format",
                        "json",
                        "--kernel",
                        "5.10",
                        CommandLines.timeline(SMALL))
                    .out())
            .path("divergences")
            .path(0);
    assertThat(divergence.path("seq").asLong()).isEqualTo(32);
    assertThat(divergence.path("vcpu").asText()).isEqualTo("vm1/vcpu0");
    assertThat(divergence.path("ioctl").asText()).isEqualTo("KVM_RUN");
    assertThat(divergence.path("what").asText()).isEqualTo("run");
    assertThat(divergence.path("field").isNull()).isTrue();
    assertThat(divergence.path("recorded").asText()).isNotBlank();
    assertThat(divergence.path("predicted").asText()).isNotBlank();
    assertThat(divergence.path("because").asText()).isNotBlank();
    assertThat(divergence.path("where").asText()).endsWith("recording.jsonl.gz:33");
  }

  @Test
  void without_a_trace_a_synthesized_fault_is_neither_confirmed_nor_denied() throws IOException {
    Path bare = CommandLines.recording(folder, "bare.jsonl", CommandLines.lines(SMALL));
    Files.copy(
        CommandLines.timeline(SMALL).resolve("recording.meta.json"),
        folder.resolve("bare.meta.json"));
    CommandLines.Ended text = CommandLines.run("verify", bare);
    assertThat(text.out()).contains("no trace lies beside the recording");
    JsonNode result = JSON.readTree(CommandLines.run("verify", "--format", "json", bare).out());
    for (JsonNode synthesized : result.path("synthesized")) {
      assertThat(synthesized.path("confirmed").isNull()).isTrue();
    }
  }

  @Test
  void several_inputs_are_an_array_with_the_sums() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run(
            "verify",
            "--format",
            "json",
            CommandLines.timeline(SMALL),
            CommandLines.timeline("set_sregs_test"));
    JsonNode result = JSON.readTree(ended.out());
    assertThat(result.path("recordings").size()).isEqualTo(2);
    long calls = 0;
    for (JsonNode recording : result.path("recordings")) {
      calls += recording.path("calls").path("total").asLong();
    }
    assertThat(result.path("total").path("calls").path("total").asLong()).isEqualTo(calls);
    assertThat(result.path("total").path("synthesized").asLong()).isEqualTo(1);
    assertThat(result.path("total").path("divergences").asLong()).isZero();
  }

  @Test
  void a_vcpu_alone_leaves_out_calls_on_the_vm_and_on_others() throws IOException {
    CommandLines.Ended whole =
        CommandLines.run("verify", "--format", "json", CommandLines.timeline("set_sregs_test"));
    CommandLines.Ended one =
        CommandLines.run(
            "verify",
            "--format",
            "json",
            "--vcpu",
            "vm2/vcpu0",
            CommandLines.timeline("set_sregs_test"));
    long all = JSON.readTree(whole.out()).path("calls").path("total").asLong();
    assertThat(JSON.readTree(one.out()).path("calls").path("total").asLong())
        .isPositive()
        .isLessThan(all);
  }

  @Test
  void a_vcpu_that_is_not_there_is_told_with_those_that_are() {
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.timeline(SMALL), "--vcpu", "7");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.out()).isEmpty();
    assertThat(ended.err()).contains("FL-403").contains("vm1/vcpu0").contains("'7'");
  }

  @Test
  void an_unknown_kernel_is_told_with_all_that_are_known() {
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.timeline(SMALL), "--kernel", "2.6");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.out()).isEmpty();
    assertOneSentence(ended.err());
    assertThat(ended.err()).contains("FL-404").contains("6.1, ").contains("'2.6'");
  }

  @Test
  void an_unknown_format_is_told() {
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.timeline(SMALL), "--format", "xml");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("text or json").contains("'xml'");
  }

  @Test
  void no_input_at_all_is_a_wrong_command_line() {
    CommandLines.Ended ended = CommandLines.run("verify");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("INPUT");
  }

  @Test
  void an_input_that_is_not_there_is_told_by_its_name() {
    CommandLines.Ended ended = CommandLines.run("verify", folder.resolve("nothing.jsonl"));
    assertThat(ended.status()).isEqualTo(2);
    assertOneSentence(ended.err());
    assertThat(ended.err()).contains("FL-401").contains("nothing.jsonl");
  }

  @Test
  void an_empty_file_is_bad_input() {
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.recording(folder, "empty.jsonl", List.of()));
    assertBad(ended, "empty.jsonl");
  }

  @Test
  void garbage_is_bad_input_and_told_with_its_line() {
    List<String> lines = new ArrayList<>(CommandLines.lines(SMALL));
    lines.set(20, "this is no JSON");
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.recording(folder, "torn.jsonl", lines));
    assertBad(ended, "torn.jsonl:21");
  }

  @Test
  void a_cut_compressed_file_is_bad_input_and_told_with_its_line() {
    Path cut = CommandLines.cut(folder, "cut.jsonl.gz", CommandLines.lines(SMALL), 0.5);
    assertBad(CommandLines.run("verify", cut), "cut.jsonl.gz:");
  }

  @Test
  void a_recording_of_a_later_format_is_bad_input() {
    List<String> lines = new ArrayList<>(CommandLines.lines(SMALL));
    lines.addFirst("{\"ev\":\"format\",\"version\":99}");
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.recording(folder, "later.jsonl", lines));
    assertBad(ended, "later.jsonl:1");
    assertThat(ended.err()).contains("99");
  }

  private static void assertBad(CommandLines.Ended ended, String where) {
    assertThat(ended.status()).isEqualTo(65);
    assertThat(ended.out()).isEmpty();
    assertOneSentence(ended.err());
    assertThat(ended.err()).contains(where);
  }

  private static void assertOneSentence(String err) {
    assertThat(err).startsWith("faultline: FL-").doesNotContain("Exception");
    assertThat(err.lines().count()).isEqualTo(1);
  }

  @Test
  void an_ioctl_that_nobody_knows_is_carried_and_counted() {
    List<String> lines = new ArrayList<>(CommandLines.lines(SMALL));
    lines.add(
        lines.size() - 1,
        "{\"seq\":9999,\"ev\":\"ioctl\",\"t_enter\":8182800000,\"t_exit\":8182800001,\"pid\":114,"
            + "\"tid\":114,\"fd\":8,\"fd_kind\":\"vcpu\",\"obj\":\"vm1/vcpu0\",\"req\":\"0xaefe\","
            + "\"name\":\"KVM_FROM_THE_FUTURE\",\"arg\":\"0x0\",\"ret\":0}");
    CommandLines.Ended ended =
        CommandLines.run("verify", CommandLines.recording(folder, "future.jsonl", lines));
    assertThat(ended.status()).isZero();
    assertThat(ended.out()).contains("1 call or line not understood");
  }

  @Test
  void one_bad_recording_of_a_folder_costs_a_sentence_and_the_status_but_not_the_others()
      throws IOException {
    List<String> lines = CommandLines.lines(SMALL);
    CommandLines.recording(folder, "a.jsonl", lines);
    CommandLines.recording(folder, "b.jsonl", lines.subList(0, 3));
    Files.writeString(folder.resolve("b.jsonl"), "{", StandardOpenOption.APPEND);
    CommandLines.recording(folder, "c.jsonl", lines);
    CommandLines.Ended ended = CommandLines.run("verify", folder, "--format", "json");
    assertThat(ended.status()).isEqualTo(65);
    assertThat(ended.err().lines().toList())
        .singleElement()
        .asString()
        .startsWith("faultline: b: FL-")
        .contains("b.jsonl:4");
    JsonNode result = JSON.readTree(ended.out());
    assertThat(result.path("recordings").size()).isEqualTo(2);
    assertThat(result.path("total").path("recordings").asInt()).isEqualTo(2);
  }

  @Test
  void a_folder_without_a_recording_is_told() {
    CommandLines.Ended ended = CommandLines.run("verify", folder);
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("FL-401");
  }
}
