package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.migration.Difference;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Fault;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MigrationOutcome.Refusal;
import dev.faultline.migration.MomentOutcome;
import dev.faultline.migration.Notices;
import java.io.IOException;
import java.io.Writer;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** What {@code migrate} found, as JSON, one outcome a line. Names are only ever added. */
public final class MigrationJson implements MigrationReport {
  private static final int DEPTH = 1;

  private final JsonGenerator json;
  private @Nullable Subject begun;

  public MigrationJson(Writer out) throws IOException {
    this.json = Json.document(out, DEPTH);
  }

  @Override
  public void begin(Subject subject) throws IOException {
    begun = subject;
    json.writeStartObject();
    json.writeStringField("recording", subject.recording());
    json.writeStringField("plan", subject.plan().name());
    json.writeStringField("kernel", subject.from().version().label());
    json.writeBooleanField(
        "kernelAssumed", !subject.kernelAsked() && !subject.from().versionCertain());
    json.writeStringField("toKernel", subject.to().version().label());
    json.writeBooleanField("toKernelPredicted", !subject.to().version().recorded());
    Json.text(json, "policy", subject.policy() == null ? null : subject.policy().label());
    json.writeArrayFieldStart("outcomes");
  }

  @Override
  public void add(MomentOutcome m) throws IOException {
    MigrationOutcome o = m.outcome();
    json.writeStartObject();
    json.writeNumberField("moment", m.moment());
    Json.position(json, "seq", m.seq());
    json.writeStringField("vcpu", m.vcpu());
    json.writeStringField("call", m.call());
    json.writeStringField("outcome", o.kind().word());
    fields("lost", o.lost());
    fields("cannotTell", o.open());
    texts("healed", o.healed());
    refusal(o);
    fault(o);
    texts("notices", Notices.of(o.lost()));
    texts("later", o.later());
    texts("assumed", o.assumed());
    texts("undecided", o.undecided());
    json.writeObjectFieldStart("second");
    json.writeStringField("outcome", o.second().kind().word());
    texts("lost", o.second().lost());
    json.writeEndObject();
    json.writeEndObject();
  }

  private void fields(String name, List<Difference> differences) throws IOException {
    json.writeArrayFieldStart(name);
    for (Difference d : differences) {
      json.writeString(d.field());
    }
    json.writeEndArray();
  }

  private void texts(String name, List<String> texts) throws IOException {
    json.writeArrayFieldStart(name);
    for (String text : texts) {
      json.writeString(text);
    }
    json.writeEndArray();
  }

  private void refusal(MigrationOutcome o) throws IOException {
    Refusal r = o.refused();
    if (r == null) {
      json.writeNullField("refused");
      return;
    }
    json.writeObjectFieldStart("refused");
    json.writeStringField("ioctl", r.ioctl().uapiName());
    Errno errno = r.errno();
    Json.text(json, "errno", errno == null ? null : errno.name());
    Check check = r.check();
    Json.text(json, "check", check == null ? null : check.id());
    json.writeStringField("half", r.saving() ? "save" : "restore");
    json.writeNumberField("step", r.step());
    Json.position(json, "processed", r.processed());
    Json.text(json, "msr", r.msr().isEmpty() ? null : r.msr());
    json.writeBooleanField("fatal", r.fatal());
    json.writeEndObject();
  }

  private void fault(MigrationOutcome o) throws IOException {
    Fault fault = o.fault();
    if (fault == null) {
      json.writeNullField("fault");
      return;
    }
    json.writeObjectFieldStart("fault");
    json.writeStringField("ending", fault.ending());
    Check check = fault.check();
    Json.text(json, "check", check == null ? null : check.id());
    json.writeEndObject();
  }

  private void vms(Counts counts) throws IOException {
    Subject subject = begun;
    if (subject == null || !subject.atOnce()) {
      return;
    }
    json.writeArrayFieldStart("vms");
    for (var vm : counts.byVm().sequencedEntrySet()) {
      json.writeStartObject();
      json.writeStringField("vm", vm.getKey());
      texts("vcpus", vm.getValue().stream().map(MomentOutcome::vcpu).toList());
      json.writeStringField("outcome", Counts.worst(vm.getValue()).word());
      texts("once", subject.plan().vmWrites().stream().map(Ioctl::uapiName).toList());
      json.writeEndObject();
    }
    json.writeEndArray();
  }

  @Override
  public void end(Counts counts) throws IOException {
    json.writeEndArray();
    vms(counts);
    json.writeNumberField("moments", counts.total());
    json.writeObjectFieldStart("counts");
    for (Kind kind : Kind.values()) {
      json.writeNumberField(kind.word(), counts.of(kind));
    }
    json.writeNumberField("assumed", counts.assumed());
    json.writeNumberField("secondGeneration", counts.second());
    json.writeEndObject();
    json.writeEndObject();
    json.writeRaw('\n');
    json.flush();
  }
}
