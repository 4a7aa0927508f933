package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.audit.AuditResult;
import dev.faultline.audit.Doubt;
import dev.faultline.audit.Evidence;
import dev.faultline.audit.Finding;
import java.io.IOException;
import java.io.Writer;
import java.util.Map;

/**
 * What {@code audit} found, as JSON.
 *
 * <p><i>Shape</i>: one recording is one object; several are an array under {@code recordings}, with
 * sums under {@code total}. Names are only ever added.
 */
public final class AuditJson implements AuditReport {
  private static final int ONE_DEPTH = 1;
  private static final int SEVERAL_DEPTH = 3;

  private final JsonGenerator json;
  private final boolean several;
  private int recordings;
  private long findings;

  /** A report of one recording, or of several. */
  public AuditJson(Writer out, boolean several) throws IOException {
    this.json = Json.document(out, several ? SEVERAL_DEPTH : ONE_DEPTH);
    this.several = several;
    if (several) {
      json.writeStartObject();
      json.writeArrayFieldStart("recordings");
    }
  }

  @Override
  public void add(Audited audited) throws IOException {
    AuditResult result = audited.result();
    recordings++;
    findings += result.total();
    json.writeStartObject();
    json.writeStringField("recording", result.recording());
    json.writeStringField("kernel", result.kernel().version().label());
    json.writeBooleanField("kernelAssumed", !result.kernel().versionCertain());
    json.writeNumberField("findingsFound", result.total());
    json.writeArrayFieldStart("findings");
    for (Finding finding : result.findings()) {
      write(json, finding);
    }
    json.writeEndArray();
    json.writeObjectFieldStart("rules");
    for (Map.Entry<String, Integer> rule : result.found().entrySet()) {
      json.writeNumberField(rule.getKey(), rule.getValue());
    }
    json.writeEndObject();
    json.writeArrayFieldStart("cannotTell");
    for (Doubt doubt : result.doubts()) {
      json.writeStartObject();
      json.writeStringField("rule", doubt.rule().id());
      json.writeStringField("why", doubt.why());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  /** One finding as an object. */
  static void write(JsonGenerator json, Finding finding) throws IOException {
    json.writeStartObject();
    json.writeStringField("rule", finding.rule().id());
    json.writeStringField("severity", finding.severity().word());
    json.writeNumberField("moment", finding.moment());
    json.writeNumberField("seq", finding.seq());
    json.writeStringField("vcpu", finding.lane());
    json.writeBooleanField("silent", finding.silent());
    json.writeStringField("message", finding.message());
    json.writeArrayFieldStart("evidence");
    for (Evidence evidence : finding.evidence()) {
      json.writeNumber(evidence.seq());
    }
    json.writeEndArray();
    json.writeStringField("fix", finding.rule().fix());
    json.writeStringField("tier", finding.rule().tier().name());
    json.writeStringField("where", finding.at().where());
    json.writeArrayFieldStart("calls");
    for (Evidence evidence : finding.evidence()) {
      json.writeStartObject();
      json.writeNumberField("moment", evidence.moment());
      json.writeNumberField("seq", evidence.seq());
      json.writeStringField("lane", evidence.lane());
      json.writeStringField("ioctl", evidence.call());
      json.writeStringField("note", evidence.note());
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  @Override
  public void end() throws IOException {
    if (several) {
      json.writeEndArray();
      json.writeObjectFieldStart("total");
      json.writeNumberField("recordings", recordings);
      json.writeNumberField("findings", findings);
      json.writeEndObject();
      json.writeEndObject();
    }
    json.writeRaw('\n');
    json.flush();
  }
}
