package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.timeline.MomentIndex;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vmx.GuestStateCheck;
import java.io.IOException;
import java.io.Writer;

/** What {@code state} shows, as JSON; values of fields are hexadecimal texts. */
public final class StateJson {
  private static final int STATE_DEPTH = 6;
  private static final int DIFFERENCE_DEPTH = 3;

  private final JsonGenerator json;
  private final MomentIndex index;

  private StateJson(JsonGenerator json, MomentIndex index) {
    this.json = json;
    this.index = index;
  }

  /** The state at one moment. */
  public static void write(Writer out, StateAt state) throws IOException {
    JsonGenerator json = Json.document(out, STATE_DEPTH);
    new StateJson(json, state.index()).state(state);
    json.writeRaw('\n');
    json.flush();
  }

  /** What is different between two moments; {@code to} may be the earlier one. */
  public static void write(Writer out, StateAt from, StateAt to) throws IOException {
    JsonGenerator json = Json.document(out, DIFFERENCE_DEPTH);
    MomentIndex index = from.index().size() > to.index().size() ? from.index() : to.index();
    new StateJson(json, index).difference(from, to);
    json.writeRaw('\n');
    json.flush();
  }

  private void state(StateAt state) throws IOException {
    json.writeStartObject();
    json.writeStringField("recording", state.recording());
    position(state);
    json.writeArrayFieldStart("vcpus");
    for (Vcpu vcpu : state.vcpus()) {
      vcpu(vcpu, state.closed().contains(vcpu.name()));
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private void position(StateAt at) throws IOException {
    json.writeNumberField("moment", at.moment());
    Json.position(json, "seq", at.seq());
    json.writeStringField("event", at.index().name(at.moment()));
  }

  private void vcpu(Vcpu vcpu, boolean closed) throws IOException {
    json.writeStartObject();
    json.writeStringField("vcpu", vcpu.name());
    if (closed) {
      json.writeBooleanField("closed", true);
    }
    json.writeStringField("level", level(vcpu));
    VerificationJson.truth(json, "smm", vcpu.inSmm());
    json.writeObjectFieldStart("groups");
    for (StateGroup group : StateGroup.of(vcpu)) {
      group(group);
    }
    json.writeEndObject();
    json.writeFieldName("verdict");
    verdict(EntryVerdict.of(vcpu));
    json.writeEndObject();
  }

  static String level(Vcpu vcpu) {
    return switch (vcpu.inGuestMode()) {
      case YES -> "L2";
      case NO -> "L1";
      case CANNOT_TELL -> "unknown";
    };
  }

  private void group(StateGroup group) throws IOException {
    json.writeObjectFieldStart(group.name());
    json.writeStringField("known", group.known().word());
    Json.position(json, "since", group.since());
    json.writeObjectFieldStart("fields");
    for (StateField field : group.fields()) {
      if (field.known() != Knowledge.NEVER) {
        Json.hex(json, field.name(), field.value());
      }
    }
    json.writeEndObject();
    if (group.isMixed()) {
      json.writeObjectFieldStart("fieldsKnown");
      for (StateField field : group.fields()) {
        json.writeObjectFieldStart(field.name());
        value("value", field);
        json.writeStringField("known", field.known().word());
        writer(field.writer());
        json.writeEndObject();
      }
      json.writeEndObject();
    }
    json.writeEndObject();
  }

  private void value(String name, StateField field) throws IOException {
    if (field.known() == Knowledge.NEVER) {
      json.writeNullField(name);
    } else {
      Json.hex(json, name, field.value());
    }
  }

  private void writer(int moment) throws IOException {
    boolean known = moment >= 0 && moment < index.size();
    Json.position(json, "writer", known ? moment : -1);
    Json.position(json, "writerSeq", known ? index.seq(moment) : -1);
    Json.text(json, "writerIoctl", known ? index.name(moment) : null);
  }

  private void verdict(EntryVerdict verdict) throws IOException {
    json.writeStartObject();
    json.writeStringField("valid", verdict.valid().word());
    json.writeArrayFieldStart("failed");
    for (GuestStateCheck check : verdict.failed()) {
      json.writeString(check.id());
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private void difference(StateAt from, StateAt to) throws IOException {
    json.writeStartObject();
    json.writeStringField("recording", from.recording());
    json.writeObjectFieldStart("from");
    position(from);
    json.writeEndObject();
    json.writeObjectFieldStart("to");
    position(to);
    json.writeEndObject();
    json.writeArrayFieldStart("vcpus");
    for (StateDifference difference : StateDifference.of(from, to)) {
      json.writeStartObject();
      json.writeStringField("vcpu", difference.vcpu());
      between("level", difference.levelBefore(), difference.levelAfter());
      json.writeObjectFieldStart("smm");
      VerificationJson.truth(json, "from", StateDifference.smm(difference.before()));
      VerificationJson.truth(json, "to", StateDifference.smm(difference.after()));
      json.writeEndObject();
      json.writeArrayFieldStart("changes");
      for (StateDifference.Changed changed : difference.changes()) {
        changed(changed);
      }
      json.writeEndArray();
      json.writeObjectFieldStart("verdict");
      json.writeFieldName("from");
      verdict(difference.verdictBefore());
      json.writeFieldName("to");
      verdict(difference.verdictAfter());
      json.writeEndObject();
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
  }

  private void between(String name, String before, String after) throws IOException {
    json.writeObjectFieldStart(name);
    json.writeStringField("from", before);
    json.writeStringField("to", after);
    json.writeEndObject();
  }

  private void changed(StateDifference.Changed changed) throws IOException {
    json.writeStartObject();
    json.writeStringField("group", changed.group());
    json.writeStringField("field", changed.after().name());
    value("from", changed.before());
    json.writeStringField("fromKnown", changed.before().known().word());
    value("to", changed.after());
    json.writeStringField("toKnown", changed.after().known().word());
    writer(changed.lastWriter());
    json.writeEndObject();
  }
}
