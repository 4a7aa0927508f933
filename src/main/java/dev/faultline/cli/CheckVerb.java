package dev.faultline.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.StoreException;
import dev.faultline.report.Json;
import dev.faultline.store.IntegrityReport;
import dev.faultline.store.IntegrityReport.Damage;
import dev.faultline.store.TimelineStore;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code check}: shows that nothing in the store was changed, cut or reordered. */
final class CheckVerb implements Verb {
  private final StoreVerbOptions options = new StoreVerbOptions();
  private final PositionalParamSpec names =
      PositionalParamSpec.builder()
          .paramLabel("NAME")
          .arity("0..*")
          .type(List.class)
          .auxiliaryTypes(String.class)
          .description("Timelines of the store; all of them by default.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  CheckVerb() {
    spec.addPositional(names);
    options.addTo(spec);
    spec.usageMessage()
        .description(
            "Reads every row of a timeline, decodes every event and computes every running hash"
                + " again: whatever was changed, cut, reordered or doubled shows. Prints the hash"
                + " over all streams, to be compared with one noted earlier. Exits 74 if there is"
                + " damage.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    boolean asJson = options.isJson();
    List<String> asked = names.<@Nullable List<String>>getValue();
    List<IntegrityReport> reports = new ArrayList<>();
    try (TimelineStore store = options.openExisting()) {
      for (String name : asked == null ? store.names() : asked) {
        reports.add(store.check(name, _ -> {}));
      }
      Damage orphans = store.orphans();
      if (asked == null && orphans != null) {
        reports.add(new IntegrityReport("", 0, "", List.of(orphans)));
      }
    }
    PrintWriter out = spec.commandLine().getOut();
    if (asJson) {
      json(out, reports, asked != null && asked.size() == 1);
    } else {
      reports.forEach(report -> text(out, report));
    }
    return reports.stream().allMatch(IntegrityReport::ok) ? 0 : StoreException.EXIT_CODE;
  }

  private static void text(PrintWriter out, IntegrityReport report) {
    String name = report.timeline().isEmpty() ? "the store" : report.timeline();
    out.println(
        name
            + ": "
            + (report.ok() ? "sound" : "damaged")
            + ", "
            + report.events()
            + " events, head "
            + report.head());
    for (Damage damage : report.damage()) {
      String stream = damage.stream().isEmpty() ? "" : damage.stream() + ", ";
      out.println("! " + stream + "from moment " + damage.moment() + " on: " + damage.what());
    }
  }

  private static void json(PrintWriter out, List<IntegrityReport> reports, boolean one)
      throws IOException {
    try (JsonGenerator json = Json.document(out, one ? 1 : 2)) {
      if (!one) {
        json.writeStartObject();
        json.writeArrayFieldStart("timelines");
      }
      for (IntegrityReport report : reports) {
        json.writeStartObject();
        json.writeStringField("timeline", report.timeline());
        json.writeNumberField("events", report.events());
        json.writeStringField("head", report.head());
        json.writeBooleanField("ok", report.ok());
        json.writeArrayFieldStart("damage");
        for (Damage damage : report.damage()) {
          json.writeStartObject();
          json.writeStringField("stream", damage.stream());
          json.writeNumberField("moment", damage.moment());
          json.writeStringField("what", damage.what());
          json.writeEndObject();
        }
        json.writeEndArray();
        json.writeEndObject();
      }
      if (!one) {
        json.writeEndArray();
        json.writeEndObject();
      }
    }
    out.println();
  }
}
