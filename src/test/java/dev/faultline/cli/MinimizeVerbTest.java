package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What {@code minimize} leaves of a recording, and that other verbs read it. */
final class MinimizeVerbTest {
  private static final String FAULT = "vmx_invalid_nested_guest_state";
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  private Path out() {
    return folder.resolve("least.jsonl");
  }

  private static JsonNode verified(Path recording, Object... args) throws IOException {
    Object[] all = new Object[args.length + 4];
    all[0] = "verify";
    all[1] = recording;
    all[2] = "--format";
    all[3] = "json";
    System.arraycopy(args, 0, all, 4, args.length);
    return JSON.readTree(CommandLines.run(all).out());
  }

  @Test
  void a_triple_fault_is_still_made_by_the_calls_that_are_left() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run("minimize", CommandLines.timeline(FAULT), "-o", out());
    assertThat(ended.err()).isEmpty();
    assertThat(ended.status()).isZero();
    assertThat(ended.out()).contains("TRIPLE_FAULT made by KVM in KVM_RUN (seq 32), TR_UNUSABLE");
    JsonNode fault = verified(out()).path("synthesized").path(0);
    assertThat(fault.path("seq").asInt()).isEqualTo(32);
    assertThat(fault.path("check").asText()).isEqualTo("TR_UNUSABLE");
    assertThat(fault.path("writerSeq").asInt()).isEqualTo(31);
    List<String> lines = Files.readAllLines(out());
    assertThat(CommandLines.lines(FAULT)).containsSubsequence(lines);
    assertThat(lines).hasSizeLessThan(10);
    assertThat(CommandLines.run("state", out(), "--at", "seq:31").out()).contains("TR_UNUSABLE");
    assertThat(CommandLines.run("show", out()).out()).contains("KVM_SET_SREGS");
  }

  @Test
  void none_of_the_lines_that_are_left_can_be_left_out() throws IOException {
    CommandLines.run("minimize", CommandLines.timeline(FAULT), "-o", out());
    List<String> lines = Files.readAllLines(out());
    for (int i = 0; i < lines.size(); i++) {
      List<String> fewer = new java.util.ArrayList<>(lines);
      fewer.remove(i);
      Files.write(out(), fewer);
      assertThat(verified(out()).path("synthesized")).as("without " + lines.get(i)).isEmpty();
    }
  }

  @Test
  void a_divergence_under_the_rules_of_another_kernel_is_kept() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run(
            "minimize",
            CommandLines.timeline(FAULT),
            "--kernel",
            "5.10",
            "-o",
            out(),
            "--format",
            "json");
    JsonNode result = JSON.readTree(ended.out());
    assertThat(result.path("finding").path("kind").asText()).isEqualTo("divergence");
    assertThat(result.path("finding").path("seq").asInt()).isEqualTo(32);
    assertThat(result.path("kept").asInt()).isEqualTo(result.path("seqs").size());
    assertThat(result.path("minimal").asBoolean()).isTrue();
    JsonNode divergences = verified(out(), "--kernel", "5.10").path("divergences");
    assertThat(divergences.path(0).path("seq").asInt()).isEqualTo(32);
  }

  @Test
  void a_refusal_keeps_the_calls_that_bring_it_about() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run(
            "minimize",
            CommandLines.timeline("fuzz-restore-order"),
            "--at",
            "seq:916",
            "-o",
            out(),
            "--format",
            "json");
    JsonNode result = JSON.readTree(ended.out());
    assertThat(result.path("finding").path("kind").asText()).isEqualTo("refusal");
    assertThat(result.path("finding").path("ioctl").asText()).isEqualTo("KVM_SET_SREGS");
    assertThat(result.path("finding").path("errno").asText()).isEqualTo("EINVAL");
    assertThat(result.path("kept").asInt()).isLessThan(8);
    JsonNode verified = verified(out());
    assertThat(verified.path("divergencesFound").asInt()).isZero();
    assertThat(verified.path("calls").path("agree").asInt()).isPositive();
  }

  @Test
  void a_dead_vm_keeps_the_kvm_run_that_killed_it() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run("minimize", CommandLines.timeline("scn_d"), "-o", out());
    assertThat(ended.out()).contains("fails with EIO and leaves a dead VM");
    assertThat(Files.readAllLines(out())).hasSize(2);
  }

  @Test
  void where_there_is_nothing_to_keep_it_says_so() {
    CommandLines.Ended ended =
        CommandLines.run("minimize", CommandLines.timeline(FAULT), "--at", "seq:12", "-o", out());
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--at seq:12: expected a divergence");
    assertThat(out()).doesNotExist();
  }
}
