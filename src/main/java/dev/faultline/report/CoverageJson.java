package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.Check;
import dev.faultline.timeline.Coverage;
import dev.faultline.vcpu.NestedTransition;
import java.io.IOException;
import java.util.Map;
import java.util.SortedMap;

/** What recordings exercise of the model, and what none of them does, as one JSON object. */
final class CoverageJson {
  private CoverageJson() {}

  static void write(JsonGenerator json, Coverage coverage) throws IOException {
    json.writeObjectFieldStart("coverage");
    counts(json, "checks", coverage.checks());
    json.writeArrayFieldStart("uncoveredChecks");
    for (Check check : coverage.uncoveredChecks()) {
      json.writeString(check.id());
    }
    json.writeEndArray();
    counts(json, "outcomes", coverage.outcomes());
    counts(json, "transitions", coverage.transitions());
    json.writeArrayFieldStart("uncoveredTransitions");
    for (NestedTransition row : coverage.uncoveredTransitions()) {
      json.writeString(row.name());
    }
    json.writeEndArray();
    counts(json, "transitionsOutsideTheTable", coverage.untabled());
    json.writeEndObject();
  }

  private static void counts(JsonGenerator json, String name, SortedMap<String, Long> counts)
      throws IOException {
    json.writeObjectFieldStart(name);
    for (Map.Entry<String, Long> entry : counts.entrySet()) {
      json.writeNumberField(entry.getKey(), entry.getValue());
    }
    json.writeEndObject();
  }
}
