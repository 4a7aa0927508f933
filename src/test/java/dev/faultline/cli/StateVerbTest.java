package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What {@code state} shows of a moment, and which moments it refuses. */
final class StateVerbTest {
  private static final String SMALL = "vmx_invalid_nested_guest_state";
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  private static JsonNode state(Object... options) throws IOException {
    List<Object> line = new ArrayList<>(List.of("state", CommandLines.timeline(SMALL)));
    line.addAll(List.of("--format", "json"));
    line.addAll(List.of(options));
    CommandLines.Ended ended = CommandLines.run(line.toArray());
    assertThat(ended.err()).isEmpty();
    assertThat(ended.status()).isZero();
    return JSON.readTree(ended.out());
  }

  @Test
  void the_state_as_json_has_what_is_documented() throws IOException {
    JsonNode state = state("--at", "seq:31");
    assertThat(state.path("seq").asLong()).isEqualTo(31);
    assertThat(state.path("moment").isInt()).isTrue();
    JsonNode vcpu = state.path("vcpus").path(0);
    assertThat(vcpu.path("vcpu").asText()).isEqualTo("vm1/vcpu0");
    assertThat(vcpu.path("level").asText()).isEqualTo("L2");
    assertThat(vcpu.path("smm").isBoolean()).isTrue();
    JsonNode groups = vcpu.path("groups");
    List<String> names = new ArrayList<>();
    groups.fieldNames().forEachRemaining(names::add);
    assertThat(names)
        .containsExactly(
            "regs",
            "sregs",
            "events",
            "nested",
            "vmcs12",
            "debugregs",
            "xcrs",
            "xsave",
            "lapic",
            "mp_state",
            "msrs",
            "cpuid",
            "smram");
    for (JsonNode group : groups) {
      assertThat(group.path("known").asText()).isIn("known", "stale", "never");
      assertThat(group.has("since")).isTrue();
      assertThat(group.path("fields").isObject()).isTrue();
    }
    JsonNode sregs = groups.path("sregs");
    assertThat(sregs.path("known").asText()).isEqualTo("known");
    assertThat(sregs.path("since").asInt()).isEqualTo(state.path("moment").asInt());
    assertThat(sregs.path("fields").path("tr.unusable").asText()).isEqualTo("0x1");
    assertThat(groups.path("xsave").path("known").asText()).isEqualTo("never");
    assertThat(groups.path("xsave").path("fields").isEmpty()).isTrue();
    assertThat(vcpu.path("verdict").path("valid").asText()).isEqualTo("no");
    assertThat(vcpu.path("verdict").path("failed").path(0).asText()).isEqualTo("TR_UNUSABLE");
  }

  @Test
  void a_group_whose_fields_differ_tells_of_each_what_is_known_and_who_wrote_it()
      throws IOException {
    JsonNode lapic = state("--at", "seq:31").path("vcpus").path(0).path("groups").path("lapic");
    assertThat(lapic.path("known").asText()).isEqualTo("stale");
    JsonNode tpr = lapic.path("fieldsKnown").path("tpr");
    assertThat(tpr.path("known").asText()).isEqualTo("known");
    assertThat(tpr.path("writerSeq").asLong()).isEqualTo(31);
    assertThat(tpr.path("writerIoctl").asText()).isEqualTo("KVM_SET_SREGS");
    JsonNode version = lapic.path("fieldsKnown").path("version");
    assertThat(version.path("known").asText()).isEqualTo("stale");
  }

  @Test
  void the_sequence_number_of_a_run_means_when_it_has_returned() throws IOException {
    JsonNode after = state("--at", "seq:32");
    assertThat(after.path("vcpus").path(0).path("level").asText()).isEqualTo("L1");
    JsonNode begun = state("--at", after.path("moment").asInt() - 7);
    assertThat(begun.path("seq").asLong()).isEqualTo(32);
    assertThat(begun.path("vcpus").path(0).path("level").asText()).isEqualTo("L2");
  }

  @Test
  void a_moment_inside_a_run_has_what_happened_up_to_it() throws IOException {
    int entered = state("--at", "seq:31").path("moment").asInt() + 1;
    JsonNode before = state("--at", entered);
    JsonNode synthesized = state("--at", entered + 1);
    assertThat(before.path("vcpus").path(0).path("level").asText()).isEqualTo("L2");
    assertThat(synthesized.path("event").asText()).isEqualTo("TRIPLE_FAULT");
    assertThat(synthesized.path("vcpus").path(0).path("level").asText()).isEqualTo("L1");
  }

  @Test
  void before_the_first_vcpu_there_is_none() throws IOException {
    assertThat(state("--at", "0").path("vcpus").isEmpty()).isTrue();
    CommandLines.Ended text = CommandLines.run("state", CommandLines.timeline(SMALL), "--at", "0");
    assertThat(text.out()).contains("no vCPU was seen up to here");
  }

  @Test
  void a_vcpu_whose_descriptor_is_closed_is_shown_only_if_nothing_else_is_or_it_is_asked_for()
      throws IOException {
    Path timeline = CommandLines.timeline("scn_a");
    JsonNode open =
        JSON.readTree(
            CommandLines.run("state", timeline, "--at", "seq:130", "--format", "json").out());
    assertThat(open.path("vcpus").size()).isEqualTo(1);
    assertThat(open.path("vcpus").path(0).path("vcpu").asText()).isEqualTo("vm2/vcpu0");
    assertThat(open.path("vcpus").path(0).has("closed")).isFalse();
    JsonNode closed =
        JSON.readTree(
            CommandLines.run(
                    "state", timeline, "--at", "seq:130", "--format", "json", "--vcpu", "vm1/vcpu0")
                .out());
    assertThat(closed.path("vcpus").path(0).path("closed").asBoolean()).isTrue();
  }

  @Test
  void a_difference_has_only_what_changed_and_its_writer() throws IOException {
    JsonNode difference = state("--at", "seq:30", "--diff", "seq:31");
    JsonNode vcpu = difference.path("vcpus").path(0);
    assertThat(vcpu.path("verdict").path("from").path("valid").asText()).isEqualTo("yes");
    assertThat(vcpu.path("verdict").path("to").path("valid").asText()).isEqualTo("no");
    assertThat(vcpu.path("changes"))
        .anySatisfy(change -> {
          assertThat(change.path("group").asText()).isEqualTo("sregs");
          assertThat(change.path("field").asText()).isEqualTo("tr.unusable");
          assertThat(change.path("from").asText()).isEqualTo("0x0");
          assertThat(change.path("to").asText()).isEqualTo("0x1");
          assertThat(change.path("writerSeq").asLong()).isEqualTo(31);
        });
    JsonNode back = state("--at", "seq:31", "--diff", "seq:30").path("vcpus").path(0);
    assertThat(back.path("verdict").path("to").path("valid").asText()).isEqualTo("yes");
  }

  @Test
  void a_moment_compared_with_itself_has_no_difference() {
    CommandLines.Ended ended =
        CommandLines.run(
            "state", CommandLines.timeline(SMALL), "--at", "seq:31", "--diff", "seq:31");
    assertThat(ended.out()).contains("no difference");
  }

  @Test
  void nothing_behind_the_moment_is_read() {
    List<String> lines = new ArrayList<>(CommandLines.lines(SMALL).subList(0, 30));
    lines.add("this is no JSON");
    Path torn = CommandLines.recording(folder, "torn.jsonl", lines);
    assertThat(CommandLines.run("state", torn, "--at", "seq:25").status()).isZero();
    assertThat(CommandLines.run("state", torn, "--at", "seq:35").status()).isEqualTo(65);
  }

  @ParameterizedTest
  @ValueSource(strings = {"99999", "seq:99999"})
  void a_moment_outside_is_refused_with_the_range(String moment) {
    CommandLines.Ended ended =
        CommandLines.run("state", CommandLines.timeline(SMALL), "--at", moment);
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.out()).isEmpty();
    assertThat(ended.err())
        .startsWith("faultline: FL-402 --at: expected ")
        .contains(moment.startsWith("seq") ? "seq:0 to seq:37" : "from 0 to ")
        .contains(moment);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "-1", "1.5", "seq:", "seq:x", "SEQ:1", "1e3", "99999999999999999999"})
  void what_is_no_moment_is_refused(String moment) {
    CommandLines.Ended ended =
        CommandLines.run("state", CommandLines.timeline(SMALL), "--at=" + moment);
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("FL-402").contains("seq:31");
  }

  @Test
  void a_vcpu_that_is_not_there_is_refused() {
    CommandLines.Ended ended =
        CommandLines.run(
            "state", CommandLines.timeline(SMALL), "--at", "seq:31", "--vcpu", "vm9/vcpu0");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("FL-403").contains("vm1/vcpu0").contains("vm9/vcpu0");
  }

  @Test
  void a_folder_of_many_is_refused_with_the_name_of_one() {
    CommandLines.Ended ended = CommandLines.run("state", CommandLines.timelines(), "--at", "1");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("one recording").contains(".jsonl");
  }

  @Test
  void without_a_moment_the_command_line_is_wrong() {
    CommandLines.Ended ended = CommandLines.run("state", CommandLines.timeline(SMALL));
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--at");
  }
}
