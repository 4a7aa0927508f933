package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.Check;
import dev.faultline.timeline.Criterion;
import dev.faultline.timeline.PolicyMoment;
import dev.faultline.timeline.PolicyMoment.Judged;
import dev.faultline.timeline.PolicyReview;
import dev.faultline.timeline.PolicyReview.Score;
import dev.faultline.vcpu.Verdict;
import java.io.IOException;
import java.io.Writer;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code policies} found, as JSON.
 *
 * <p><i>Shape</i>: one recording is one object; several are an array under {@code recordings}.
 * Names are only ever added.
 */
public final class PoliciesJson implements PoliciesReport {
  private static final int ONE_DEPTH = 3;
  private static final int SEVERAL_DEPTH = 5;

  private final JsonGenerator json;
  private final boolean several;

  /** A report of one recording, or of several even if only one of them can be read. */
  public PoliciesJson(Writer out, boolean several) throws IOException {
    this.json = Json.document(out, several ? SEVERAL_DEPTH : ONE_DEPTH);
    this.several = several;
    if (several) {
      json.writeStartObject();
      json.writeArrayFieldStart("recordings");
    }
  }

  @Override
  public void add(Compared compared) throws IOException {
    PolicyReview r = compared.review();
    json.writeStartObject();
    json.writeStringField("recording", r.recording());
    json.writeStringField("kernel", r.kernel().version().label());
    json.writeBooleanField(
        "kernelAssumed", !compared.kernelAsked() && !r.kernel().versionCertain());
    json.writeNumberField("entries", r.entries());
    json.writeNumberField("failedRsms", r.failedRsms());
    json.writeNumberField("restores", r.restores());
    json.writeArrayFieldStart("policies");
    for (int i = 0; i < r.policies().size(); i++) {
      policy(r, i);
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private void policy(PolicyReview r, int index) throws IOException {
    Score score = r.score(index);
    json.writeStartObject();
    json.writeStringField("policy", score.policy().label());
    json.writeStringField("rule", score.policy().rule());
    json.writeArrayFieldStart("verdicts");
    for (PolicyMoment m : r.moments()) {
      verdict(m, m.verdicts().get(index));
    }
    json.writeEndArray();
    json.writeNumberField("falsePositives", score.falsePositives());
    json.writeNumberField("missed", score.missed());
    json.writeNumberField("lost", score.lost());
    json.writeNumberField("open", score.open());
    json.writeNumberField("memoryChangedByRestore", r.changed().get(index));
    json.writeEndObject();
  }

  private void verdict(PolicyMoment m, Judged judged) throws IOException {
    json.writeStartObject();
    json.writeNumberField("moment", m.moment());
    json.writeNumberField("seq", m.seq());
    json.writeStringField("vcpu", m.vcpu());
    json.writeStringField("verdict", judged.verdict().word());
    Json.text(json, "how", how(judged.verdict()));
    json.writeArrayFieldStart("against");
    for (Criterion criterion : judged.against()) {
      json.writeString(criterion.name());
    }
    json.writeEndArray();
    json.writeBooleanField("open", judged.open());
    json.writeStringField("at", word(m.point()));
    json.writeStringField("call", m.call());
    json.writeStringField("recorded", recorded(m));
    json.writeStringField("culprit", word(m.culprit()));
    Check failed = m.failed();
    Json.text(json, "check", failed == null ? null : failed.id());
    Json.position(json, "writerSeq", m.writerSeq());
    Json.text(json, "variant", m.variant().isEmpty() ? null : m.variant());
    json.writeEndObject();
  }

  private static String recorded(PolicyMoment m) {
    return m.point() == PolicyMoment.Point.IOCTL ? "accepted" : word(m.recorded());
  }

  private static String word(Enum<?> constant) {
    return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static @Nullable String how(Verdict verdict) {
    return switch (verdict) {
      case Verdict.RefuseIoctl r -> r.errno().name();
      case Verdict.RefuseRun r -> word(r.ending());
      case Verdict.FixedUp f -> String.join(", ", f.changes());
      case Verdict.CannotTell c -> c.missing();
      case Verdict.Accept _, Verdict.TripleFault _, Verdict.Emulate _ -> null;
    };
  }

  @Override
  public void end() throws IOException {
    if (several) {
      json.writeEndArray();
      json.writeEndObject();
    }
    json.writeRaw('\n');
    json.flush();
  }
}
