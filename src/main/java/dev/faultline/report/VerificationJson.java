package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.timeline.Coverage;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.Synthesized;
import dev.faultline.timeline.Verification;
import dev.faultline.timeline.Verification.Tally;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.FaultCause;
import java.io.IOException;
import java.io.Writer;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code verify} found, as JSON.
 *
 * <p><i>Shape</i>: one recording is one object; several are an array under {@code recordings}, with
 * the sums under {@code total}, and what they exercise under {@code coverage} if it was asked for.
 * Names are only ever added.
 */
public final class VerificationJson implements VerificationReport {
  private static final int ONE_DEPTH = 1;
  private static final int SEVERAL_DEPTH = 3;

  private final JsonGenerator json;
  private final boolean several;
  private @Nullable Coverage coverage;
  private Total total = Total.NONE;

  /**
   * A report of one recording, or of several even if only one of them can be read. Coverage is told
   * of several only.
   */
  public VerificationJson(Writer out, boolean several) throws IOException {
    this.json = Json.document(out, several ? SEVERAL_DEPTH : ONE_DEPTH);
    this.several = several;
    if (several) {
      json.writeStartObject();
      json.writeArrayFieldStart("recordings");
    }
  }

  @Override
  public void add(Verified verified) throws IOException {
    total = total.plus(verified);
    write(json, verified);
  }

  /** One recording as an object. */
  public static void write(JsonGenerator json, Verified verified) throws IOException {
    Verification v = verified.verification();
    json.writeStartObject();
    json.writeStringField("recording", v.recording());
    json.writeStringField("kernel", v.kernel().version().label());
    json.writeBooleanField("kernelAssumed", !v.kernel().versionCertain());
    json.writeBooleanField("kernelPredicted", !v.kernel().version().recorded());
    tally(json, "calls", "compared", v.calls());
    tally(json, "runs", "judged", v.runs());
    tally(json, "fields", "compared", v.fields());
    json.writeNumberField("unread", v.unread());
    json.writeArrayFieldStart("synthesized");
    for (Synthesized s : v.synthesized()) {
      write(json, s);
    }
    json.writeEndArray();
    json.writeNumberField("divergencesFound", verified.divergencesFound());
    json.writeArrayFieldStart("divergences");
    for (Divergence d : v.divergences()) {
      write(json, d);
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private static void tally(JsonGenerator json, String name, String second, Tally tally)
      throws IOException {
    json.writeObjectFieldStart(name);
    json.writeNumberField("total", tally.total());
    json.writeNumberField(second, tally.compared());
    json.writeNumberField("agree", tally.agree());
    json.writeEndObject();
  }

  private static void write(JsonGenerator json, Synthesized s) throws IOException {
    json.writeStartObject();
    json.writeNumberField("moment", s.moment());
    json.writeNumberField("seq", s.seq());
    json.writeStringField("vcpu", s.vcpu());
    json.writeStringField("kind", s.kind());
    truth(json, "confirmed", s.confirmed());
    json.writeStringField("cause", word(s.cause()));
    Json.text(json, "check", s.failed() == null ? null : s.failed().id());
    Json.text(json, "field", s.field());
    Json.position(json, "writer", s.writer());
    Json.position(json, "writerSeq", s.writerSeq());
    Json.text(json, "writerIoctl", s.writer() < 0 ? null : s.writerIoctl());
    json.writeEndObject();
  }

  private static String word(FaultCause cause) {
    return cause.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** True, false, or null where it cannot be told. */
  static void truth(JsonGenerator json, String name, Answer answer) throws IOException {
    if (answer.isKnown()) {
      json.writeBooleanField(name, answer.isYes());
    } else {
      json.writeNullField(name);
    }
  }

  private static void write(JsonGenerator json, Divergence d) throws IOException {
    json.writeStartObject();
    json.writeNumberField("moment", d.moment());
    json.writeNumberField("seq", d.seq());
    json.writeStringField("vcpu", d.lane());
    json.writeStringField("ioctl", d.ioctl());
    json.writeStringField("what", d.what().word());
    Json.text(json, "field", d.field());
    json.writeStringField("recorded", d.recorded());
    json.writeStringField("predicted", d.predicted());
    json.writeStringField("because", d.because());
    json.writeStringField("where", d.where());
    json.writeEndObject();
  }

  @Override
  public void coverage(Coverage told) {
    coverage = told;
  }

  @Override
  public void end() throws IOException {
    if (several) {
      json.writeEndArray();
      json.writeObjectFieldStart("total");
      json.writeNumberField("recordings", total.recordings());
      tally(json, "calls", "compared", total.calls());
      tally(json, "runs", "judged", total.runs());
      tally(json, "fields", "compared", total.fields());
      json.writeNumberField("synthesized", total.synthesized());
      json.writeNumberField("divergences", total.divergences());
      json.writeEndObject();
      if (coverage != null) {
        CoverageJson.write(json, coverage);
      }
      json.writeEndObject();
    }
    json.writeRaw('\n');
    json.flush();
  }
}
