package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.Check;
import dev.faultline.reorder.Symptom;
import dev.faultline.timeline.Divergence;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code minimize} came to.
 *
 * @param recording the recording's name
 * @param symptom what is still shown
 * @param lines how many lines it took in the recording to show it
 * @param kept the lines that are left
 * @param traced whether the trace is needed, too
 * @param tests how many shorter recordings were tried
 * @param minimal whether none of the lines can be left out; false when the work was cancelled
 * @param output the file that was written
 */
public record Minimized(
    String recording,
    Symptom symptom,
    int lines,
    List<Line> kept,
    boolean traced,
    long tests,
    boolean minimal,
    String output) {
  /**
   * A line of a recording.
   *
   * @param seq its number
   * @param what the call, or what else it tells
   */
  public record Line(long seq, String what) {}

  public Minimized {
    kept = List.copyOf(kept);
  }

  /** As text. */
  public void text(PrintWriter out, Ink ink) {
    out.println(ink.strong(recording) + ": " + words());
    out.println(
        VerificationText.count(lines, "line", "lines")
            + " came down to "
            + kept.size()
            + (traced ? " and their trace" : "")
            + (minimal ? ", none of which can be left out" : "; cancelled, fewer may do")
            + " ("
            + VerificationText.count(tests, "test", "tests")
            + ")");
    for (Line line : kept) {
      out.printf(Locale.ROOT, "  %6d %s%n", line.seq(), line.what());
    }
    out.println("written to " + output);
  }

  private String words() {
    return switch (symptom) {
      case Symptom.Diverges d ->
          "divergence in "
              + d.ioctl()
              + " (seq "
              + d.seq()
              + ")"
              + (d.field() == null ? "" : ", " + d.field())
              + ": recorded "
              + d.recorded()
              + ", predicted "
              + d.predicted();
      case Symptom.Faults f ->
          "TRIPLE_FAULT made by KVM in KVM_RUN (seq " + f.seq() + ")" + reason(f.check());
      case Symptom.Dies d -> "KVM_RUN (seq " + d.seq() + ") fails with EIO and leaves a dead VM";
      case Symptom.Refuses r ->
          r.ioctl().uapiName()
              + " (seq "
              + r.seq()
              + ") refused with "
              + r.errno().name()
              + reason(r.check());
      case Symptom.Finds f ->
          f.rule() + " on " + f.lane() + " (seq " + f.seq() + "): " + f.message();
    };
  }

  private static String reason(@Nullable Check check) {
    return check == null ? "" : ", " + CheckWords.sentence(check);
  }

  /** As JSON. */
  public void json(PrintWriter out) throws IOException {
    JsonGenerator json = Json.document(out, 1);
    json.writeStartObject();
    json.writeStringField("recording", recording);
    json.writeObjectFieldStart("finding");
    finding(json);
    json.writeEndObject();
    json.writeNumberField("lines", lines);
    json.writeNumberField("kept", kept.size());
    json.writeArrayFieldStart("seqs");
    for (Line line : kept) {
      json.writeNumber(line.seq());
    }
    json.writeEndArray();
    json.writeBooleanField("traced", traced);
    json.writeNumberField("tests", tests);
    json.writeBooleanField("minimal", minimal);
    json.writeStringField("output", output);
    json.writeEndObject();
    json.flush();
    out.write('\n');
  }

  private void finding(JsonGenerator json) throws IOException {
    json.writeNumberField("seq", symptom.seq());
    switch (symptom) {
      case Symptom.Diverges d -> {
        json.writeStringField("kind", "divergence");
        json.writeStringField("ioctl", d.ioctl());
        json.writeStringField("what", what(d.what()));
        Json.text(json, "field", d.field());
        json.writeStringField("recorded", d.recorded());
        json.writeStringField("predicted", d.predicted());
      }
      case Symptom.Faults f -> {
        json.writeStringField("kind", "triple-fault");
        Check check = f.check();
        Json.text(json, "check", check == null ? null : check.id());
      }
      case Symptom.Dies _ -> json.writeStringField("kind", "dead-vm");
      case Symptom.Refuses r -> {
        json.writeStringField("kind", "refusal");
        json.writeStringField("ioctl", r.ioctl().uapiName());
        json.writeStringField("errno", r.errno().name());
        json.writeStringField("check", r.check().id());
      }
      case Symptom.Finds f -> {
        json.writeStringField("kind", "audit");
        json.writeStringField("rule", f.rule());
        json.writeStringField("vcpu", f.lane());
        json.writeStringField("message", f.message());
      }
    }
  }

  private static String what(Divergence.What what) {
    return what.name().toLowerCase(Locale.ROOT);
  }
}
