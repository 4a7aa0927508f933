package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.io.Writer;

/** What {@code show} lists, as JSON: one object a line, null for what a moment does not have. */
public final class MomentJson implements MomentReport {
  private final JsonGenerator json;

  /** Writes to {@code out}. */
  public MomentJson(Writer out) throws IOException {
    json = Json.lines(out);
  }

  @Override
  public void add(MomentRow row) throws IOException {
    json.writeStartObject();
    json.writeNumberField("moment", row.moment());
    Json.position(json, "seq", row.seq());
    Json.position(json, "ns", row.ns());
    Json.text(json, "lane", row.lane().isEmpty() ? null : row.lane());
    json.writeStringField("kind", row.kind());
    Json.text(json, "ioctl", row.name().startsWith("KVM_") ? row.name() : null);
    MomentRow.Result result = row.result();
    if (result == null) {
      json.writeNullField("ret");
      json.writeNullField("errno");
    } else {
      json.writeNumberField("ret", result.ret());
      json.writeNumberField("errno", result.errno());
    }
    Json.text(json, "check", row.check() == null ? null : row.check().id());
    json.writeObjectFieldStart("fields");
    for (FieldChange change : row.changes()) {
      json.writeObjectFieldStart(change.field());
      if (change.known() == Knowledge.NEVER) {
        json.writeNullField("before");
      } else {
        Json.hex(json, "before", change.before());
      }
      json.writeStringField("known", change.known().word());
      Json.hex(json, "value", change.after());
      json.writeEndObject();
    }
    json.writeEndObject();
    json.writeStringField("what", row.name());
    json.writeStringField("text", row.text());
    if (row.sort() == MomentRow.Sort.DECIDED) {
      json.writeBooleanField("decided", true);
    }
    json.writeEndObject();
  }

  @Override
  public void end() throws IOException {
    json.writeRaw('\n');
    json.flush();
  }
}
