package dev.faultline.cli;

import static dev.faultline.cli.CommandLines.run;
import static dev.faultline.cli.CommandLines.timeline;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.faultline.ingest.RecordedWindows;
import dev.faultline.ingest.RecordingSource;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** {@code migrate}. */
final class MigrateVerbTest {
  /** KVM_GET_NESTED_STATE of a vCPU in SMM while L2 is put aside. */
  private static final String IN_SMM_WITH_L2_ASIDE = "seq:479";

  @Test
  void a_vcpu_in_smm_with_l2_aside_is_refused_in_the_order_of_qemu() {
    CommandLines.Ended ended =
        run("migrate", timeline("smm_test"), "--plan", "qemu", "--at", IN_SMM_WITH_L2_ASIDE);
    assertThat(ended.status()).isEqualTo(1);
    assertThat(ended.err()).isEmpty();
    assertThat(ended.out())
        .contains("refused  after KVM_GET_NESTED_STATE")
        .contains("KVM_SET_NESTED_STATE, step 8 of the restore, fails with EINVAL")
        .contains("NESTED_SMM_MODE");
  }

  @Test
  void the_same_vcpu_is_not_refused_in_the_order_of_crosvm() {
    CommandLines.Ended ended =
        run("migrate", timeline("smm_test"), "--plan", "crosvm", "--at", IN_SMM_WITH_L2_ASIDE);
    assertThat(ended.out()).doesNotContain("refused").contains("1 migration:");
  }

  @Test
  void the_json_result_names_check_and_step() throws IOException {
    JsonNode result =
        json("migrate", timeline("smm_test"), "--plan", "qemu", "--at", IN_SMM_WITH_L2_ASIDE);
    assertThat(result.path("plan").asText()).isEqualTo("qemu");
    assertThat(result.path("moments").asInt()).isEqualTo(1);
    JsonNode outcome = result.path("outcomes").path(0);
    assertThat(outcome.path("outcome").asText()).isEqualTo("refused");
    assertThat(outcome.path("lost")).isEmpty();
    assertThat(outcome.path("refused").path("ioctl").asText()).isEqualTo("KVM_SET_NESTED_STATE");
    assertThat(outcome.path("refused").path("errno").asText()).isEqualTo("EINVAL");
    assertThat(outcome.path("refused").path("check").asText()).isEqualTo("NESTED_SMM_MODE");
  }

  @Test
  void a_moment_alone_comes_out_as_it_does_among_all() throws IOException {
    for (String plan : List.of("qemu", "cloud-hypervisor")) {
      JsonNode all = json("migrate", timeline("state_test"), "--plan", plan, "--every");
      List<JsonNode> outcomes = new ArrayList<>();
      all.path("outcomes").forEach(outcomes::add);
      assertThat(outcomes).hasSize(all.path("moments").asInt()).hasSizeGreaterThan(200);
      for (int i = 7; i < outcomes.size(); i += 61) {
        JsonNode one =
            json(
                "migrate",
                timeline("state_test"),
                "--plan",
                plan,
                "--at",
                outcomes.get(i).path("moment").asText());
        assertThat(one.path("outcomes")).contains(outcomes.get(i));
      }
    }
  }

  @Test
  void no_kernel_of_the_destination_but_known_ones() {
    CommandLines.Ended ended =
        run("migrate", timeline("state_test"), "--plan", "qemu", "--to-kernel", "4.19");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--to-kernel: expected one of 5.10").contains("found '4.19'");
  }

  @Test
  void vcpus_of_one_vm_migrate_at_once_and_the_vm_has_the_worst_of_their_outcomes()
      throws IOException {
    List<RecordingSource> found = RecordedWindows.recordings("qemu/qemu_src");
    assumeTrue(!found.isEmpty(), "not at hand");
    Path source = found.getFirst().recording();
    JsonNode result = json("migrate", source, "--plan", "qemu", "--at", "seq:3452");
    assertThat(result.path("outcomes")).hasSize(2);
    JsonNode vm = result.path("vms").path(0);
    assertThat(vm.path("vm").asText()).isEqualTo("vm1");
    assertThat(vm.path("vcpus"))
        .extracting(JsonNode::asText)
        .containsExactly("vm1/vcpu0", "vm1/vcpu1");
    assertThat(vm.path("once"))
        .extracting(JsonNode::asText)
        .containsExactly("KVM_SET_IRQCHIP", "KVM_SET_CLOCK");
    List<String> kinds = new ArrayList<>();
    result.path("outcomes").forEach(each -> kinds.add(each.path("outcome").asText()));
    assertThat(kinds).contains(vm.path("outcome").asText());
    for (JsonNode each : result.path("outcomes")) {
      assertThat(each.path("outcome").asText()).isIn("faithful", "cannot-tell");
      assertThat(each.path("lost")).isEmpty();
    }
    String text = run("migrate", source, "--plan", "qemu", "--at", "seq:3452").out();
    assertThat(text).contains("vm1, 2 vCPUs at once: ");
    assertThat(text).containsOnlyOnce("once for the VM: KVM_SET_IRQCHIP, KVM_SET_CLOCK");
  }

  @Test
  void of_a_damaged_recording_what_lies_before_the_damage_is_told(@TempDir Path folder)
      throws IOException {
    List<String> lines = new ArrayList<>(CommandLines.lines("state_test").subList(0, 60));
    lines.add("no line of a recording");
    Path damaged = Files.write(folder.resolve("damaged.jsonl"), lines);
    CommandLines.Ended ended = run("migrate", damaged, "--plan", "qemu");
    assertThat(ended.status()).isEqualTo(65);
    assertThat(ended.err()).contains("damaged.jsonl:61: expected");
    assertThat(ended.out()).contains("seq 20 to 21").contains(" migrations: ");
  }

  @Test
  void a_policy_rules_on_both_sides_and_is_named() throws IOException {
    JsonNode refused =
        json(
            "migrate",
            timeline("vmx_invalid_nested_guest_state"),
            "--plan",
            "selftests",
            "--policy",
            "refuse-run",
            "--at",
            "seq:31");
    assertThat(refused.path("policy").asText()).isEqualTo("refuse-run");
    JsonNode call = refused.path("outcomes").path(0).path("refused");
    assertThat(call.path("ioctl").asText()).isEqualTo("KVM_RUN");
    assertThat(call.path("half").asText()).isEqualTo("save");
    assertThat(call.path("check").asText()).isEqualTo("TR_UNUSABLE");
    CommandLines.Ended unknown =
        run("migrate", timeline("state_test"), "--plan", "qemu", "--policy", "none");
    assertThat(unknown.status()).isEqualTo(2);
    assertThat(unknown.err()).contains("--policy: expected one of synthesize-triple-fault");
  }

  @Test
  void a_moment_that_is_not_there_is_named_with_those_that_are() {
    CommandLines.Ended ended =
        run("migrate", timeline("state_test"), "--plan", "qemu", "--at", "seq:99999");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--at: expected a sequence number from seq:0 to seq:");
  }

  @Test
  void without_a_plan_the_shipped_ones_are_named() {
    CommandLines.Ended ended = run("migrate", timeline("state_test"));
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--plan: expected qemu, firecracker, cloud-hypervisor");
  }

  @Test
  void a_plan_of_the_users_own_that_reads_nothing_else_loses_what_it_does_not_read(
      @TempDir Path folder) throws IOException {
    Path plan =
        Files.writeString(
            folder.resolve("mine.yaml"),
            """
            plan: mine
            about: Registers and nothing else.
            from: {project: Mine, version: "1"}
            save:
              - {call: KVM_GET_REGS, source: mine}
              - {call: KVM_GET_CPUID2, source: mine}
            restore:
              - {call: KVM_SET_CPUID2, source: mine}
              - {call: KVM_SET_REGS, source: mine}
            """);
    JsonNode result = json("migrate", timeline("state_test"), "--plan", plan, "--at", "seq:53");
    List<String> lost = new ArrayList<>();
    result.path("outcomes").path(0).path("lost").forEach(field -> lost.add(field.asText()));
    assertThat(lost).contains("sregs.cr3", "sregs.cs.selector", "msr.IA32_TSC");
    assertThat(lost).noneMatch(field -> field.startsWith("regs."));
  }

  @Test
  void plans_side_by_side_say_who_is_refused() throws IOException {
    JsonNode result = json("migrate", timeline("smm_test"), "--compare-plans");
    List<String> refused = new ArrayList<>();
    for (JsonNode plan : result.path("plans")) {
      if (plan.path("counts").path("refused").asLong() > 0) {
        refused.add(plan.path("plan").asText());
        assertThat(plan.path("refused").has("NESTED_SMM_MODE")).isTrue();
      }
    }
    assertThat(refused).containsExactly("qemu", "cloud-hypervisor");
  }

  private static JsonNode json(Object... words) throws IOException {
    List<Object> line = new ArrayList<>(List.of(words));
    line.add("--format");
    line.add("json");
    CommandLines.Ended ended = run(line.toArray());
    assertThat(ended.err()).isEmpty();
    return new ObjectMapper().readTree(ended.out());
  }
}
