package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.migration.Difference;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MomentOutcome;
import dev.faultline.migration.Plan;
import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeMap;

/** What each plan loses over one recording: plans across, fields down. */
public final class PlanMatrix {
  private static final int WIDTH = 18;
  private static final int LABEL = 34;

  private final List<Plan> plans;
  private final Map<String, Column> columns = new LinkedHashMap<>();
  private long moments;

  /** At how many moments what happens by one plan. */
  private static final class Column {
    private final Map<Kind, Long> kinds = new EnumMap<>(Kind.class);
    private final TreeMap<String, Long> lost = new TreeMap<>();
    private final TreeMap<String, Long> open = new TreeMap<>();
    private final SequencedMap<String, Long> refusals = new LinkedHashMap<>();
  }

  public PlanMatrix(List<Plan> plans) {
    this.plans = List.copyOf(plans);
    plans.forEach(plan -> columns.put(plan.name(), new Column()));
  }

  /** One more outcome. */
  public void add(Plan plan, MomentOutcome m) {
    Column column = columns.computeIfAbsent(plan.name(), _ -> new Column());
    MigrationOutcome o = m.outcome();
    column.kinds.merge(o.kind(), 1L, Long::sum);
    if (o.refused() != null) {
      String check =
          o.refused().check() == null ? o.refused().ioctl().uapiName() : o.refused().check().id();
      column.refusals.merge(check, 1L, Long::sum);
    }
    groups(o.lost()).forEach(group -> column.lost.merge(group, 1L, Long::sum));
    groups(o.open()).forEach(group -> column.open.merge(group, 1L, Long::sum));
    if (plan.name().equals(plans.getFirst().name())) {
      moments++;
    }
  }

  private static Set<String> groups(List<Difference> differences) {
    Set<String> groups = new LinkedHashSet<>();
    for (Difference d : differences) {
      groups.add(row(d.field()));
    }
    return groups;
  }

  /** What is a row of its own. */
  private static String row(String field) {
    return field.startsWith("nested.") || field.startsWith("events.")
        ? field
        : MigrationText.group(field);
  }

  /** Whether any plan fails or loses anything. */
  public boolean hasFindings() {
    return columns.values().stream()
        .anyMatch(c ->
            c.kinds.keySet().stream()
                .anyMatch(k -> k == Kind.REFUSED || k == Kind.FAULT || k == Kind.LOST));
  }

  /** As text. */
  public void text(PrintWriter out, MigrationReport.Subject subject, Ink ink) {
    out.println(
        ink.strong(subject.recording())
            + ": "
            + KernelWords.describe(subject.from(), subject.kernelAsked()));
    out.println(
        String.format(
            Locale.ROOT,
            "%,d migrations by each plan; in how many, and with ? in how many nobody can tell",
            moments));
    MigrationText.policy(out, subject);
    out.println();
    StringBuilder head = new StringBuilder(" ".repeat(LABEL));
    plans.forEach(plan -> head.append(String.format("%-" + WIDTH + "s", plan.name())));
    out.println(head.toString().stripTrailing());
    for (Kind kind : Kind.values()) {
      row(out, kind.word().replace('-', ' '), c -> cell(c.kinds.getOrDefault(kind, 0L), 0));
    }
    out.println();
    for (String name : rows()) {
      row(
          out,
          "  " + name,
          c -> cell(c.lost.getOrDefault(name, 0L), c.open.getOrDefault(name, 0L)));
    }
    refusals(out);
    out.flush();
  }

  private void refusals(PrintWriter out) {
    Set<String> checks = new LinkedHashSet<>();
    columns.values().forEach(c -> checks.addAll(c.refusals.keySet()));
    if (checks.isEmpty()) {
      return;
    }
    out.println();
    for (String check : checks) {
      row(out, "refused: " + check, c -> cell(c.refusals.getOrDefault(check, 0L), 0));
    }
  }

  private List<String> rows() {
    Set<String> names = new LinkedHashSet<>();
    columns.values().forEach(c -> names.addAll(c.lost.keySet()));
    columns.values().forEach(c -> names.addAll(c.open.keySet()));
    return new ArrayList<>(names);
  }

  private interface Cell {
    String of(Column column);
  }

  private void row(PrintWriter out, String label, Cell cell) {
    String shown = label.length() < LABEL ? label : label.substring(0, LABEL - 2) + "…";
    StringBuilder line = new StringBuilder(String.format("%-" + LABEL + "s", shown));
    for (Plan plan : plans) {
      Column column = columns.get(plan.name());
      String text = column == null ? "" : cell.of(column);
      line.append(String.format("%-" + WIDTH + "s", text));
    }
    out.println(line.toString().stripTrailing());
  }

  private static String cell(long lost, long open) {
    if (lost == 0 && open == 0) {
      return "·";
    }
    return (lost == 0 ? "" : Long.toString(lost))
        + (open == 0 ? "" : (lost == 0 ? "" : " ") + "?" + open);
  }

  /** As JSON. */
  public void json(PrintWriter out, MigrationReport.Subject subject) throws IOException {
    JsonGenerator json = Json.document(out, 3);
    json.writeStartObject();
    json.writeStringField("recording", subject.recording());
    json.writeStringField("kernel", subject.from().version().label());
    json.writeStringField("toKernel", subject.to().version().label());
    Json.text(json, "policy", subject.policy() == null ? null : subject.policy().label());
    json.writeNumberField("moments", moments);
    json.writeArrayFieldStart("plans");
    for (Plan plan : plans) {
      Column column = columns.getOrDefault(plan.name(), new Column());
      json.writeStartObject();
      json.writeStringField("plan", plan.name());
      json.writeObjectFieldStart("counts");
      for (Kind kind : Kind.values()) {
        json.writeNumberField(kind.word(), column.kinds.getOrDefault(kind, 0L));
      }
      json.writeEndObject();
      counts(json, "lost", column.lost);
      counts(json, "cannotTell", column.open);
      counts(json, "refused", column.refusals);
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
    json.writeRaw('\n');
    json.flush();
  }

  private static void counts(JsonGenerator json, String name, Map<String, Long> counts)
      throws IOException {
    json.writeObjectFieldStart(name);
    for (Map.Entry<String, Long> entry : counts.entrySet()) {
      json.writeNumberField(entry.getKey(), entry.getValue());
    }
    json.writeEndObject();
  }
}
