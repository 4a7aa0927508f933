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

/** What {@code show} lists. */
final class ShowVerbTest {
  private static final String SMALL = "vmx_invalid_nested_guest_state";
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  private static CommandLines.Ended show(String timeline, Object... options) {
    List<Object> line = new ArrayList<>(List.of("show", CommandLines.timeline(timeline)));
    line.addAll(List.of(options));
    return CommandLines.run(line.toArray());
  }

  private static List<JsonNode> rows(String timeline, Object... options) throws IOException {
    List<Object> all = new ArrayList<>(List.of("--format", "json"));
    all.addAll(List.of(options));
    List<JsonNode> rows = new ArrayList<>();
    for (String line : show(timeline, all.toArray()).out().lines().toList()) {
      rows.add(JSON.readTree(line));
    }
    return rows;
  }

  @Test
  void every_moment_is_one_line_and_none_is_left_out() throws IOException {
    List<JsonNode> rows = rows("triple_fault_event_test");
    int next = 0;
    for (JsonNode row : rows) {
      assertThat(row.path("moment").asInt()).isEqualTo(next++);
    }
    assertThat(show("triple_fault_event_test").out().lines().count()).isEqualTo(next);
  }

  @Test
  void every_line_as_json_has_what_is_documented() throws IOException {
    for (JsonNode row : rows(SMALL)) {
      for (String name :
          List.of(
              "moment", "seq", "ns", "lane", "kind", "ioctl", "ret", "errno", "check", "fields",
              "what", "text")) {
        assertThat(row.has(name)).as("%s of %s", name, row).isTrue();
      }
    }
  }

  @Test
  void a_set_call_shows_what_it_changed() throws IOException {
    JsonNode set = rows(SMALL, "--from", "seq:31", "--to", "seq:31").getFirst();
    assertThat(set.path("ioctl").asText()).isEqualTo("KVM_SET_SREGS");
    JsonNode change = set.path("fields").path("tr.unusable");
    assertThat(change.path("before").asText()).isEqualTo("0x0");
    assertThat(change.path("known").asText()).isEqualTo("known");
    assertThat(change.path("value").asText()).isEqualTo("0x1");
    assertThat(show(SMALL, "--from", "seq:31", "--to", "seq:31").out())
        .contains("KVM_SET_SREGS = 0  tr.unusable 0 → 1");
  }

  @Test
  void a_refused_call_shows_errno_and_check() throws IOException {
    List<JsonNode> refused =
        rows("set_sregs_test").stream().filter(row -> row.path("ret").asInt() == -1).toList();
    assertThat(refused).hasSize(4);
    for (JsonNode row : refused) {
      assertThat(row.path("errno").asInt()).isEqualTo(22);
      assertThat(row.path("check").isTextual()).isTrue();
    }
    assertThat(show("set_sregs_test").out()).contains("= -1 EINVAL  CR4_");
  }

  @Test
  void a_synthesized_fault_has_a_star_and_its_check() throws IOException {
    String star =
        show(SMALL).out().lines().filter(line -> line.startsWith("*")).findFirst().orElseThrow();
    assertThat(star).contains("synthesized").contains("TR_UNUSABLE");
    assertThat(rows(SMALL, "--from", "seq:32"))
        .anySatisfy(row -> {
          assertThat(row.path("kind").asText()).isEqualTo("synthesized");
          assertThat(row.path("check").asText()).isEqualTo("TR_UNUSABLE");
        });
  }

  @Test
  void a_divergence_stands_behind_its_call_with_a_bang() throws IOException {
    List<String> lines = show(SMALL, "--kernel", "5.10", "--from", "seq:32").out().lines().toList();
    assertThat(lines.get(0)).contains("KVM_RUN");
    assertThat(lines.get(1)).startsWith("!").contains("; predicted runs the guest;");
  }

  @Test
  void a_mark_shows_its_text() {
    assertThat(show("scn_a", "--to", "seq:80").out())
        .contains("mark {\"scn\":\"a\",\"var\":\"tr_unusable\",\"step\":\"BEGIN\"}");
  }

  @Test
  void a_range_of_moments_has_only_these() throws IOException {
    List<JsonNode> rows = rows(SMALL, "--from", "23", "--to", "25");
    assertThat(rows).extracting(row -> row.path("moment").asInt()).containsExactly(23, 24, 25);
  }

  @Test
  void a_range_may_begin_inside_a_run() throws IOException {
    int returned =
        rows(SMALL, "--from", "seq:32", "--to", "seq:32").getLast().path("moment").asInt();
    assertThat(rows(SMALL, "--from", returned - 1, "--to", returned)).hasSize(2);
  }

  @Test
  void a_vcpu_alone_leaves_out_the_vm() throws IOException {
    assertThat(rows(SMALL, "--vcpu", "0"))
        .isNotEmpty()
        .allSatisfy(row -> assertThat(row.path("lane").asText()).isEqualTo("vm1/vcpu0"));
  }

  @Test
  void a_range_that_ends_before_it_begins_is_refused() {
    CommandLines.Ended ended = show(SMALL, "--from", "20", "--to", "10");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("FL-402").contains("--to");
  }

  @Test
  void a_moment_outside_is_refused_with_the_range() {
    CommandLines.Ended ended = show(SMALL, "--from", "seq:500");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--from").contains("seq:0 to seq:37");
  }

  @Test
  void nothing_behind_the_last_moment_is_read() {
    List<String> lines = new ArrayList<>(CommandLines.lines(SMALL).subList(0, 30));
    lines.add("{");
    Path torn = CommandLines.recording(folder, "torn.jsonl", lines);
    assertThat(CommandLines.run("show", torn, "--to", "seq:25").status()).isZero();
  }

  @Test
  void what_was_read_before_damage_is_listed() {
    List<String> lines = new ArrayList<>(CommandLines.lines(SMALL).subList(0, 5));
    lines.add("{");
    Path torn = CommandLines.recording(folder, "torn.jsonl", lines);
    CommandLines.Ended ended = CommandLines.run("show", torn);
    assertThat(ended.status()).isEqualTo(65);
    assertThat(ended.out().lines().count()).isEqualTo(5);
    assertThat(ended.err()).contains("torn.jsonl:6");
  }

  @Test
  void a_list_of_msrs_that_ends_early_shows_the_check_that_ended_it() throws IOException {
    List<JsonNode> stopped =
        rows("fuzz-restore-order").stream()
            .filter(row -> row.path("text").asText().contains("stopped at IA32_FEATURE_CONTROL"))
            .toList();
    assertThat(stopped).isNotEmpty();
    assertThat(stopped)
        .allMatch(row -> row.path("check").asText().equals("MSR_FEATURE_CONTROL_BITS"));
    assertThat(show("fuzz-restore-order").out())
        .contains(
            "KVM_SET_MSRS 106 MSRs, stopped at IA32_FEATURE_CONTROL = 10"
                + "  MSR_FEATURE_CONTROL_BITS: IA32_FEATURE_CONTROL cannot enable");
  }

  @Test
  void nested_state_and_multiprocessing_state_are_told_in_words() {
    assertThat(show("vmx_set_nested_state_test").out())
        .contains("KVM_SET_NESTED_STATE VMX off = 0")
        .contains("KVM_SET_NESTED_STATE vmxon_pa 0x1000 no current VMCS = 0");
    assertThat(show("smm_test").out())
        .contains("KVM_SET_MP_STATE RUNNABLE = 0")
        .contains("KVM_SET_NESTED_STATE GUEST_MODE vmxon_pa ");
  }
}
