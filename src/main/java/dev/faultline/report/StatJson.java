package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.timeline.Statistics;
import dev.faultline.timeline.Statistics.Total;
import java.io.IOException;
import java.util.List;

/** Counts and times as JSON, a row for each VM and vCPU. */
public final class StatJson {
  private StatJson() {}

  /** Writes one object. */
  public static void write(JsonGenerator json, String name, Statistics statistics)
      throws IOException {
    json.writeStartObject();
    json.writeStringField("recording", name);
    json.writeNumberField("ioctlCount", statistics.calls());
    json.writeNumberField("spanNs", statistics.spanNs());
    rows(json, "ioctls", statistics.ioctls());
    rows(json, "returns", statistics.returns());
    rows(json, "exits", statistics.exits());
    json.writeEndObject();
  }

  private static void rows(JsonGenerator json, String name, List<Total> rows) throws IOException {
    json.writeArrayFieldStart(name);
    for (Total row : rows) {
      json.writeStartObject();
      json.writeStringField("lane", row.lane());
      if (!row.level().isEmpty()) {
        json.writeStringField("level", row.level());
      }
      json.writeStringField("name", row.name());
      json.writeNumberField("count", row.count());
      json.writeNumberField("failed", row.failed());
      json.writeNumberField("timed", row.timed());
      json.writeNumberField("totalNs", row.totalNs());
      json.writeNumberField("minNs", row.minNs());
      json.writeNumberField("maxNs", row.maxNs());
      json.writeEndObject();
    }
    json.writeEndArray();
  }
}
