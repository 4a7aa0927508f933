package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.faultline.report.Json;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What {@code verify} says of every shipped timeline is what its {@code expected.json} says, to the
 * last field, and every divergence is an erratum that is explained there.
 *
 * <p>{@code -Dgolden.update=true} writes what was found, and leaves everything else of the file,
 * the errata above all, as it is.
 */
final class TimelinesConformance {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final int DEPTH = 2;
  private static final List<String> KEPT =
      List.of("calls", "runs", "fields", "synthesized", "divergences");

  static Stream<Path> timelines() throws IOException {
    try (Stream<Path> folders = Files.list(CommandLines.timelines())) {
      // Those of public bugs are checked where their rules are.
      return folders
          .filter(folder -> Files.isDirectory(folder) && !folder.endsWith("cases"))
          .sorted()
          .toList()
          .stream();
    }
  }

  @ParameterizedTest
  @MethodSource("timelines")
  void verify_says_what_is_expected_and_every_divergence_is_explained(Path timeline)
      throws IOException {
    CommandLines.Ended ended = CommandLines.run("verify", "--format", "json", timeline);
    assertThat(ended.err()).isEmpty();
    ObjectNode found = kept(JSON.readTree(ended.out()));
    Path file = timeline.resolve("expected.json");
    ObjectNode expected =
        Files.exists(file) ? (ObjectNode) JSON.readTree(file.toFile()) : JSON.createObjectNode();
    ArrayNode errata = errata(expected);
    found.set("errata", errata);
    if (Boolean.getBoolean("golden.update")) {
      expected.set("verify", found);
      write(file, expected);
    }
    assertThat(expected.path("verify"))
        .as("%s; if this is meant, run with -Dgolden.update=true and review the diff", file)
        .isEqualTo(found);
    assertThat(ended.status()).isEqualTo(found.withArray("divergences").isEmpty() ? 0 : 1);
    for (JsonNode divergence : found.withArray("divergences")) {
      assertThat(errata)
          .as("an erratum of %s that explains %s", file, divergence)
          .anyMatch(erratum -> explains(erratum, divergence));
    }
    for (JsonNode erratum : errata) {
      assertThat(found.withArray("divergences"))
          .as("a divergence that needs the erratum %s of %s", erratum, file)
          .anyMatch(divergence -> explains(erratum, divergence));
    }
  }

  @ParameterizedTest
  @MethodSource("timelines")
  void audit_says_what_is_expected(Path timeline) throws IOException {
    CommandLines.Ended ended = CommandLines.run("audit", "--format", "json", timeline);
    assertThat(ended.err()).isEmpty();
    JsonNode audit = JSON.readTree(ended.out());
    ObjectNode found = JSON.createObjectNode();
    ObjectNode rules = found.putObject("rules");
    for (JsonNode finding : audit.path("findings")) {
      ObjectNode rule = rules.withObject("/" + finding.path("rule").asText());
      String severity = finding.path("severity").asText();
      rule.put(severity, rule.path(severity).asInt() + 1);
      if (!rule.has("firstSeq")) {
        rule.set("firstSeq", finding.get("seq"));
      }
    }
    found.set("cannotTell", audit.get("cannotTell"));
    Path file = timeline.resolve("expected.json");
    ObjectNode expected =
        Files.exists(file) ? (ObjectNode) JSON.readTree(file.toFile()) : JSON.createObjectNode();
    if (Boolean.getBoolean("golden.update")) {
      expected.set("audit", found);
      write(file, expected);
    }
    assertThat(expected.path("audit"))
        .as("%s; if this is meant, run with -Dgolden.update=true and review the diff", file)
        .isEqualTo(found);
  }

  private static ObjectNode kept(JsonNode verification) {
    ObjectNode kept = JSON.createObjectNode();
    KEPT.forEach(name -> kept.set(name, verification.get(name)));
    return kept;
  }

  private static ArrayNode errata(ObjectNode expected) {
    return expected.path("verify").path("errata") instanceof ArrayNode errata
        ? errata
        : JSON.createArrayNode();
  }

  /** An erratum without a sequence number explains every call of its ioctl. */
  private static boolean explains(JsonNode erratum, JsonNode divergence) {
    assertThat(erratum.path("because").asText()).isNotBlank();
    return erratum.path("ioctl").equals(divergence.path("ioctl"))
        && erratum.path("field").asText("").equals(divergence.path("field").asText(""))
        && (!erratum.has("seq") || erratum.get("seq").equals(divergence.get("seq")));
  }

  private static void write(Path file, ObjectNode content) throws IOException {
    StringWriter text = new StringWriter();
    try (JsonGenerator json = Json.document(text, DEPTH)) {
      JSON.writeTree(json, content);
    }
    Files.writeString(file, text + "\n");
  }
}
