package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.audit.Evidence;
import dev.faultline.audit.Finding;
import dev.faultline.audit.Rule;
import dev.faultline.audit.RuleCatalog;
import dev.faultline.audit.Severity;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What {@code audit} found, as SARIF 2.1.0: one run with all rules, a result a finding, the
 * evidence as its code flow.
 *
 * <p>Fingerprints hold what does not change when the recording is made again: rule, lane, the calls
 * of the evidence with their place among the calls of that name, and not sequence numbers or
 * values.
 *
 * <p><i>Source</i>: OASIS, "Static Analysis Results Interchange Format (SARIF) Version 2.1.0".
 */
public final class AuditSarif implements AuditReport {
  private static final String SCHEMA =
      "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
  private static final Pattern LINE = Pattern.compile("(.*):(\\d+)(?::\\d+)?");
  private static final Pattern VALUE = Pattern.compile("0x[0-9a-f]+|\\b\\d+\\b");
  private static final int DEPTH = 4;

  private final JsonGenerator json;
  private final TreeMap<String, Integer> seen = new TreeMap<>();
  private final List<String> notes = new ArrayList<>();

  /** Writes the head of the document, and all rules. */
  public AuditSarif(Writer out, String version) throws IOException {
    json = Json.document(out, DEPTH);
    json.writeStartObject();
    json.writeStringField("$schema", SCHEMA);
    json.writeStringField("version", "2.1.0");
    json.writeArrayFieldStart("runs");
    json.writeStartObject();
    json.writeObjectFieldStart("tool");
    json.writeObjectFieldStart("driver");
    json.writeStringField("name", "Faultline");
    json.writeStringField("version", version);
    json.writeArrayFieldStart("rules");
    for (Rule rule : RuleCatalog.rules()) {
      rule(rule);
    }
    json.writeEndArray();
    json.writeEndObject();
    json.writeEndObject();
    json.writeStringField("columnKind", "utf16CodeUnits");
    json.writeArrayFieldStart("results");
  }

  private void rule(Rule rule) throws IOException {
    json.writeStartObject();
    json.writeStringField("id", rule.id());
    text("shortDescription", rule.sentence());
    text("fullDescription", rule.because());
    json.writeObjectFieldStart("help");
    json.writeStringField("text", rule.because() + " Fix: " + rule.fix());
    json.writeEndObject();
    json.writeObjectFieldStart("defaultConfiguration");
    json.writeStringField("level", level(rule.severity()));
    json.writeEndObject();
    json.writeObjectFieldStart("properties");
    json.writeStringField("tier", rule.tier().name());
    json.writeBooleanField("silent", rule.silent());
    json.writeStringField("scope", rule.scope());
    json.writeStringField("kernels", rule.kernels());
    json.writeArrayFieldStart("tags");
    json.writeString("kvm");
    for (String each : rule.cases()) {
      json.writeString("case-" + each);
    }
    json.writeEndArray();
    json.writeEndObject();
    json.writeEndObject();
  }

  private void text(String name, String value) throws IOException {
    json.writeObjectFieldStart(name);
    json.writeStringField("text", value);
    json.writeEndObject();
  }

  private static String level(Severity severity) {
    return switch (severity) {
      case ERROR -> "error";
      case WARNING -> "warning";
      case INFORMATION -> "note";
    };
  }

  @Override
  public void add(Audited audited) throws IOException {
    for (Finding finding : audited.result().findings()) {
      result(audited, finding);
    }
    audited
        .result()
        .doubts()
        .forEach(d ->
            notes.add(
                audited.result().recording() + ": cannot tell " + d.rule().id() + ": " + d.why()));
  }

  private void result(Audited audited, Finding finding) throws IOException {
    json.writeStartObject();
    json.writeStringField("ruleId", finding.rule().id());
    json.writeNumberField("ruleIndex", RuleCatalog.rules().indexOf(finding.rule()));
    json.writeStringField("level", level(finding.severity()));
    text("message", finding.message() + ". Fix: " + finding.rule().fix());
    json.writeArrayFieldStart("locations");
    location(audited, finding.at());
    json.writeEndArray();
    json.writeObjectFieldStart("partialFingerprints");
    json.writeStringField("faultline/v1", fingerprint(audited, finding));
    json.writeEndObject();
    json.writeArrayFieldStart("codeFlows");
    json.writeStartObject();
    json.writeArrayFieldStart("threadFlows");
    json.writeStartObject();
    json.writeArrayFieldStart("locations");
    for (Evidence evidence : finding.evidence()) {
      json.writeStartObject();
      json.writeFieldName("location");
      location(audited, evidence);
      json.writeNumberField("executionOrder", evidence.moment() + 1);
      json.writeStringField(
          "importance", evidence.moment() == finding.moment() ? "essential" : "important");
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
    json.writeEndArray();
    json.writeEndObject();
    json.writeEndArray();
    json.writeObjectFieldStart("properties");
    json.writeStringField("recording", audited.result().recording());
    json.writeStringField("vcpu", finding.lane());
    json.writeNumberField("seq", finding.seq());
    json.writeNumberField("moment", finding.moment());
    json.writeBooleanField("silent", finding.silent());
    json.writeEndObject();
    json.writeEndObject();
  }

  private void location(Audited audited, Evidence evidence) throws IOException {
    json.writeStartObject();
    json.writeObjectFieldStart("physicalLocation");
    json.writeObjectFieldStart("artifactLocation");
    json.writeStringField("uri", uri(audited.file()));
    json.writeEndObject();
    Matcher line = LINE.matcher(evidence.where());
    if (line.matches()) {
      json.writeObjectFieldStart("region");
      json.writeNumberField("startLine", Math.max(1, Integer.parseInt(line.group(2))));
      json.writeEndObject();
    }
    json.writeEndObject();
    json.writeArrayFieldStart("logicalLocations");
    json.writeStartObject();
    json.writeStringField("name", evidence.call());
    json.writeStringField("fullyQualifiedName", evidence.lane() + "/" + evidence.call());
    json.writeStringField("kind", "function");
    json.writeEndObject();
    json.writeEndArray();
    text("message", evidence.call() + " (seq " + evidence.seq() + "): " + evidence.note());
    json.writeEndObject();
  }

  /** A path as a relative or absolute reference, with what URIs do not allow in it escaped. */
  static String uri(String file) {
    StringBuilder uri = new StringBuilder(file.startsWith("/") ? "file://" : "");
    for (byte b : file.getBytes(StandardCharsets.UTF_8)) {
      char c = (char) (b & 0xff);
      boolean plain =
          (c >= 'a' && c <= 'z')
              || (c >= 'A' && c <= 'Z')
              || (c >= '0' && c <= '9')
              || "/-._~".indexOf(c) >= 0;
      if (plain) {
        uri.append(c);
      } else {
        uri.append('%').append(String.format(Locale.ROOT, "%02X", (int) c));
      }
    }
    return uri.toString();
  }

  private String fingerprint(Audited audited, Finding finding) {
    StringBuilder text = new StringBuilder();
    text.append(finding.rule().id())
        .append('|')
        .append(audited.result().recording())
        .append('|')
        .append(finding.lane())
        .append('|')
        .append(VALUE.matcher(finding.message()).replaceAll("#"));
    for (Evidence evidence : finding.evidence()) {
      text.append('|').append(evidence.lane()).append(' ').append(evidence.call());
    }
    String same = text.toString();
    int nth = seen.merge(same, 1, Integer::sum);
    return sha256(same + "|" + nth);
  }

  private static String sha256(String text) {
    try {
      byte[] hash =
          MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
      return HexFormat.of().formatHex(hash);
    } catch (NoSuchAlgorithmException e) {
      throw new dev.faultline.InvariantViolation("every JDK has SHA-256", e);
    }
  }

  @Override
  public void end() throws IOException {
    json.writeEndArray();
    json.writeArrayFieldStart("invocations");
    json.writeStartObject();
    json.writeBooleanField("executionSuccessful", true);
    json.writeArrayFieldStart("toolExecutionNotifications");
    for (String note : notes) {
      json.writeStartObject();
      json.writeStringField("level", "note");
      text("message", note);
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
    json.writeEndArray();
    json.writeEndObject();
    json.writeEndArray();
    json.writeEndObject();
    json.writeRaw('\n');
    json.flush();
  }
}
