package dev.faultline.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.report.Json;
import dev.faultline.store.TimelineInfo;
import dev.faultline.store.TimelineStore;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Model.CommandSpec;

/** {@code ls}: the timelines of the store. */
final class LsVerb implements Verb {
  private static final double NS_PER_S = 1e9;

  private final StoreVerbOptions options = new StoreVerbOptions();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  LsVerb() {
    options.addTo(spec);
    spec.usageMessage().description("Lists the timelines of the store.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    boolean asJson = options.isJson();
    List<TimelineInfo> timelines = List.of();
    if (options.location().mayExist()) {
      try (TimelineStore store = options.open()) {
        timelines = store.list();
      }
    }
    PrintWriter out = spec.commandLine().getOut();
    if (asJson) {
      json(out, timelines);
    } else {
      text(out, timelines);
    }
    return 0;
  }

  private static void text(PrintWriter out, List<TimelineInfo> timelines) {
    if (timelines.isEmpty()) {
      return;
    }
    int width = "timeline".length();
    for (TimelineInfo each : timelines) {
      width = Math.max(width, each.name().length());
    }
    String line = "%-" + width + "s  %10s  %4s  %5s  %10s  %11s  %11s%n";
    out.printf(
        Locale.ROOT,
        line,
        "timeline",
        "events",
        "VMs",
        "vCPUs",
        "seconds",
        "synthesized",
        "divergences");
    for (TimelineInfo each : timelines) {
      out.printf(
          Locale.ROOT,
          line,
          each.name(),
          each.events(),
          each.vms(),
          each.vcpus(),
          String.format(Locale.ROOT, "%.3f", (each.lastNs() - each.firstNs()) / NS_PER_S),
          each.synthesized(),
          each.divergences());
    }
  }

  private static void json(PrintWriter out, List<TimelineInfo> timelines) throws IOException {
    try (JsonGenerator json = Json.document(out, 1)) {
      json.writeStartObject();
      json.writeArrayFieldStart("timelines");
      for (TimelineInfo each : timelines) {
        json.writeStartObject();
        json.writeStringField("name", each.name());
        json.writeNumberField("events", each.events());
        json.writeNumberField("vms", each.vms());
        json.writeNumberField("vcpus", each.vcpus());
        json.writeNumberField("firstNs", each.firstNs());
        json.writeNumberField("lastNs", each.lastNs());
        json.writeNumberField("synthesized", each.synthesized());
        json.writeNumberField("divergences", each.divergences());
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeEndObject();
    }
    out.println();
  }
}
