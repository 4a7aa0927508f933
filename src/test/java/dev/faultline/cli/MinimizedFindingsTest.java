package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code minimize --finding}: the shortest recording in which the audit finds the same. */
final class MinimizedFindingsTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  @TempDir Path folder;

  static Stream<Path> cases() throws IOException {
    List<Path> found = new ArrayList<>();
    try (Stream<Path> all = Files.list(Path.of("timelines/cases"))) {
      for (Path each : all.sorted().toList()) {
        Path bad = each.resolve("bad.jsonl.gz");
        if (Files.exists(bad) && !findings(bad).isEmpty()) {
          found.add(bad);
        }
      }
    }
    assertThat(found).hasSizeGreaterThan(50);
    return found.stream();
  }

  private static List<JsonNode> findings(Path recording) throws IOException {
    List<JsonNode> found = new ArrayList<>();
    String out = CommandLines.run("audit", recording, "--format", "json").out();
    JSON.readTree(out).path("findings").forEach(found::add);
    return found;
  }

  private static boolean shows(Path recording, JsonNode wanted) throws IOException {
    for (JsonNode each : findings(recording)) {
      if (each.path("rule").equals(wanted.path("rule"))
          && each.path("seq").equals(wanted.path("seq"))
          && each.path("vcpu").equals(wanted.path("vcpu"))
          && each.path("message").equals(wanted.path("message"))) {
        return true;
      }
    }
    return false;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void the_finding_stays_and_goes_with_any_line(Path recording) throws IOException {
    Set<String> rules = new LinkedHashSet<>();
    for (JsonNode finding : findings(recording)) {
      if (rules.add(finding.path("rule").asText())) {
        isMinimal(recording, finding);
      }
    }
  }

  private void isMinimal(Path recording, JsonNode finding) throws IOException {
    Path least = folder.resolve("least.jsonl");
    CommandLines.Ended ended =
        CommandLines.run(
            "minimize",
            recording,
            "--finding",
            finding.path("rule").asText(),
            "-o",
            least,
            "--format",
            "json");
    assertThat(ended.err()).isEmpty();
    assertThat(ended.status()).isZero();
    JsonNode result = JSON.readTree(ended.out());
    assertThat(result.path("finding").path("kind").asText()).isEqualTo("audit");
    assertThat(result.path("finding").path("rule")).isEqualTo(finding.path("rule"));
    assertThat(shows(least, finding)).as("%s", finding).isTrue();
    List<String> lines = Files.readAllLines(least);
    for (int i = 0; i < lines.size() && lines.size() > 1; i++) {
      List<String> fewer = new ArrayList<>(lines);
      fewer.remove(i);
      Files.write(least, fewer);
      assertThat(shows(least, finding)).as("%s without %s", finding, lines.get(i)).isFalse();
    }
  }

  @Test
  void a_finding_of_a_long_recording_comes_down_to_a_few_lines() throws IOException {
    Path least = folder.resolve("least.jsonl");
    CommandLines.Ended ended =
        CommandLines.run(
            "minimize", CommandLines.timeline("smm_test"), "--finding", "R80", "-o", least);
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--finding R80: expected a finding of the audit, found");
    assertThat(least).doesNotExist();
    CommandLines.run("minimize", CommandLines.timeline("scn_d"), "--finding", "R81", "-o", least);
    assertThat(Files.readAllLines(least)).hasSizeLessThan(12);
    assertThat(CommandLines.run("audit", least).out()).contains("! R81 error");
    assertThat(CommandLines.run("verify", least).err()).isEmpty();
  }

  @Test
  void a_rule_that_does_not_exist_is_refused() {
    CommandLines.Ended ended =
        CommandLines.run(
            "minimize",
            CommandLines.timeline("smm_test"),
            "--finding",
            "R99",
            "-o",
            folder.resolve("least.jsonl"));
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--finding: expected a rule as in audit --rules");
  }
}
