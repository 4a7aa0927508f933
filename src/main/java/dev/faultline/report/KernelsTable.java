package dev.faultline.report;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.timeline.RunEnding;
import dev.faultline.timeline.VariantOutcome;
import dev.faultline.vcpu.KernelVersion;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.Writer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * What became of each test case of a recorded program on each kernel: a row a test case, a column a
 * folder of recordings.
 */
public final class KernelsTable {
  private static final int MOST_NAMED = 3;
  private static final int COLUMN = 17;

  /** The columns by name, the older kernels first. */
  private final List<Column> columns = new ArrayList<>();

  private final SequencedMap<String, SequencedMap<String, VariantOutcome>> rows =
      new LinkedHashMap<>();

  /** A folder of recordings, or a kernel where recordings are in no folder. */
  private record Column(String name, KernelVersion kernel, boolean certain) {
    private String label() {
      return kernel.label() + (certain ? "" : " or later");
    }
  }

  /** The outcomes of one recording. */
  public void add(List<VariantOutcome> outcomes, boolean kernelCertain) {
    for (VariantOutcome o : outcomes) {
      int slash = o.recording().lastIndexOf('/');
      String column = slash < 0 ? o.kernel().label() : o.recording().substring(0, slash);
      String row = o.recording().substring(slash + 1) + ": " + o.variant();
      column(new Column(column, o.kernel(), kernelCertain));
      rows.computeIfAbsent(row, _ -> new LinkedHashMap<>()).put(column, o);
    }
  }

  private void column(Column column) {
    if (columns.stream().noneMatch(c -> c.name().equals(column.name()))) {
      columns.add(column);
      columns.sort(Comparator.comparing(Column::kernel).thenComparing(Column::name));
    }
  }

  /** The rows of each program, those with equal cells together. */
  public void text(PrintWriter out, Ink ink) {
    SequencedMap<String, SequencedMap<String, List<String>>> programs = new LinkedHashMap<>();
    rows.forEach((row, cells) -> {
      int colon = row.indexOf(':');
      programs
          .computeIfAbsent(row.substring(0, colon), _ -> new LinkedHashMap<>())
          .computeIfAbsent(line(cells), _ -> new ArrayList<>())
          .add(row.substring(colon + 2));
    });
    StringBuilder folders = new StringBuilder(" ");
    StringBuilder kernels = new StringBuilder(" ");
    for (Column column : columns) {
      folders.append(cell(column.name()));
      kernels.append(cell(column.label()));
    }
    programs.forEach((program, groups) -> {
      out.println(ink.strong(program));
      out.println(ink.faint(folders.toString().stripTrailing()));
      if (!kernels.toString().contentEquals(folders)) {
        out.println(ink.faint(kernels.toString().stripTrailing()));
      }
      groups.forEach((cells, variants) -> {
        out.println(" " + cells.stripTrailing());
        out.println(ink.faint("     " + named(variants)));
      });
      out.println();
    });
    out.println("?  the model cannot tell it: it hangs on what the recording does not hold");
    out.println("!  the model says otherwise");
    out.println("-  not recorded");
    out.flush();
  }

  private String line(SequencedMap<String, VariantOutcome> cells) {
    StringBuilder text = new StringBuilder();
    for (Column column : columns) {
      text.append(cell(word(cells.get(column.name()))));
    }
    return text.toString();
  }

  private static String word(@Nullable VariantOutcome o) {
    if (o == null) {
      return "-";
    }
    return o.recorded().word() + (o.isWrong() ? " !" : o.isTold() ? "" : " ?");
  }

  private static String cell(String text) {
    return String.format(Locale.ROOT, " %-" + COLUMN + "s", text);
  }

  private static String named(List<String> variants) {
    String first = String.join("; ", variants.subList(0, Math.min(MOST_NAMED, variants.size())));
    return variants.size() > MOST_NAMED ? variants.size() + " variants: " + first + "; …" : first;
  }

  /** All rows. */
  public void json(Writer out) throws IOException {
    JsonGenerator json = Json.document(out, 1);
    json.writeStartObject();
    json.writeArrayFieldStart("variants");
    for (var row : rows.sequencedEntrySet()) {
      int colon = row.getKey().indexOf(':');
      json.writeStartObject();
      json.writeStringField("program", row.getKey().substring(0, colon));
      json.writeStringField("variant", row.getKey().substring(colon + 2));
      json.writeArrayFieldStart("kernels");
      for (VariantOutcome o : row.getValue().sequencedValues()) {
        json.writeStartObject();
        json.writeStringField("recording", o.recording());
        json.writeStringField("kernel", o.kernel().label());
        json.writeStringField("recorded", name(o.recorded()));
        json.writeArrayFieldStart("predicted");
        for (RunEnding ending : o.predicted()) {
          json.writeString(name(ending));
        }
        json.writeEndArray();
        json.writeBooleanField("rsm", o.rsm());
        json.writeEndObject();
      }
      json.writeEndArray();
      json.writeEndObject();
    }
    json.writeEndArray();
    json.writeEndObject();
    json.writeRaw('\n');
    json.flush();
  }

  private static String name(RunEnding ending) {
    return ending.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
