package dev.faultline.audit;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Of each public bug in {@code timelines/cases} the bad timeline is found by a rule that is meant
 * to find it, and the good one is clean: no error, no warning, and nothing by that rule.
 *
 * <p>{@code -Dgolden.update=true} writes the timelines anew from the descriptions in this package.
 */
final class CasesConformance {
  private static final Path CASES =
      Path.of(System.getProperty("basedir", "."), "timelines", "cases");

  static Stream<PublicCase> cases() {
    return Stream.of(
            VcpuCases.clocks(),
            VcpuCases.msrs(),
            VcpuCases.registers(),
            MachineCases.nesting(),
            MachineCases.devices())
        .flatMap(List::stream);
  }

  @ParameterizedTest
  @MethodSource("cases")
  void the_bad_timeline_is_found_by_its_rule_and_the_good_one_is_clean(PublicCase c)
      throws IOException {
    AuditResult bad = audited(c, true);
    AuditResult good = audited(c, false);
    String expected = expected(c, bad, good);
    Path file = CASES.resolve(c.id()).resolve("expected.json");
    if (Boolean.getBoolean("golden.update")) {
      Files.writeString(file, expected);
    }
    if (c.rules().isEmpty()) {
      assertThat(worse(bad)).as("%s bad: %s", c.id(), c.about()).isEmpty();
    } else {
      assertThat(bad.found().keySet())
          .as("%s bad: %s, found %s", c.id(), c.about(), bad.findings())
          .containsAnyElementsOf(c.rules());
    }
    assertThat(worse(good)).as("%s good: %s", c.id(), c.about()).isEmpty();
    assertThat(good.found().keySet().stream().filter(c.rules()::contains))
        .as("%s good", c.id())
        .isEmpty();
    assertThat(expected)
        .as("%s; if this is meant, run with -Dgolden.update=true and review the diff", file)
        .isEqualTo(Files.readString(file));
  }

  @Test
  void the_collection_has_at_least_sixty_cases() {
    assertThat(cases().map(PublicCase::id).distinct()).hasSizeGreaterThanOrEqualTo(60);
  }

  private static List<Finding> worse(AuditResult result) {
    return result.findings().stream().filter(f -> f.severity() != Severity.INFORMATION).toList();
  }

  private static AuditResult audited(PublicCase c, boolean isBad) throws IOException {
    String name = isBad ? "bad" : "good";
    Path folder = Files.createDirectories(CASES.resolve(c.id()));
    CaseScript script = c.script(isBad);
    Path lines = folder.resolve(name + ".jsonl.gz");
    Path facts = folder.resolve(name + ".meta.json");
    if (Boolean.getBoolean("golden.update")) {
      Files.write(lines, zipped(script.text()));
      Files.writeString(facts, script.facts(c.id() + "-" + name));
    }
    RecordingSource source = Inputs.open(lines).getFirst();
    Audit audit = new Audit(c.id() + "/" + name, KernelFacts.model(source.readFacts()));
    List<Divergence> divergences = new ArrayList<>();
    Reexecution verified =
        new Reexecution(c.id(), KernelFacts.model(source.readFacts()), TimelineListener.NONE);
    StringBuilder read = new StringBuilder();
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        var observation = reader.next();
        audit.accept(RecordedCalls.convert(observation, audit.nextMoment()));
        verified.accept(RecordedCalls.convert(observation, verified.nextMoment()));
        read.append(observation.seq()).append(' ');
      }
    }
    divergences.addAll(verified.result().divergences());
    // Of some bugs the answer hangs on a host, or a kernel, that the model does not know.
    assertThat(divergences)
        .as("%s %s: KVM would not do that", c.id(), name)
        .allMatch(_ -> c.hostsAnswer());
    assertThat(read.toString().strip().split(" ", -1))
        .as("%s is what its description says", lines)
        .hasSize((int) script.text().lines().count());
    return audit.result();
  }

  private static String expected(PublicCase c, AuditResult bad, AuditResult good) {
    StringBuilder text = new StringBuilder("{\n  \"case\": \"").append(c.id()).append("\",\n");
    text.append("  \"about\": \"").append(c.about().replace("\"", "\\\"")).append("\",\n");
    text.append("  \"rules\": ").append(quoted(c.rules())).append(",\n  \"audit\": {\n");
    text.append("    \"bad\": [").append(findings(bad)).append("],\n");
    text.append("    \"good\": [").append(findings(good)).append("]\n  }\n}\n");
    return text.toString();
  }

  private static String quoted(List<String> words) {
    return words.isEmpty() ? "[]" : "[\"" + String.join("\", \"", words) + "\"]";
  }

  private static String findings(AuditResult result) {
    List<String> found = new ArrayList<>();
    for (Finding f : result.findings()) {
      found.add(
          "{\"rule\": \""
              + f.rule().id()
              + "\", \"severity\": \""
              + f.severity().word()
              + "\", \"seq\": "
              + f.seq()
              + ", \"vcpu\": \""
              + f.lane()
              + "\"}");
    }
    return String.join(", ", found);
  }

  private static byte[] zipped(String text) {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (GZIPOutputStream zip = new GZIPOutputStream(bytes)) {
      zip.write(text.getBytes(StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return bytes.toByteArray();
  }
}
