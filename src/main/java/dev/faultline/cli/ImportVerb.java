package dev.faultline.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.FaultlineException;
import dev.faultline.FormatException;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.Merging;
import dev.faultline.ingest.RecordingImport;
import dev.faultline.ingest.RecordingImport.Imported;
import dev.faultline.ingest.RecordingImport.Problem;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.report.Json;
import dev.faultline.store.TimelineStore;
import dev.faultline.trace.Merged;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * {@code import}: reads recordings into the store.
 *
 * <p><i>Errors</i>: what cannot be read of an input costs a sentence; the others are imported, and
 * the exit status is the one of bad input.
 */
final class ImportVerb implements Verb {
  private final StoreVerbOptions options = new StoreVerbOptions();
  private final PositionalParamSpec inputs =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1..*")
          .required(true)
          .type(List.class)
          .auxiliaryTypes(Path.class)
          .description(
              "Recordings, or folders of recordings; each becomes a timeline, or all together"
                  + " one (--as).")
          .build();
  private final OptionSpec as =
      OptionSpec.builder("--as")
          .paramLabel("NAME")
          .type(String.class)
          .description(
              "What to call the timeline; by default as the recording is called. Several inputs"
                  + " become one timeline, merged by clock.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  ImportVerb() {
    spec.addPositional(inputs).addOption(as);
    options.addTo(spec);
    spec.usageMessage()
        .description(
            "Reads recordings into the store, where other verbs find them by name. An import that"
                + " was cut off is begun again with the same command, and goes on where it was.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    boolean json = options.isJson();
    List<Path> paths = inputs.getValue();
    List<RecordingSource> sources = new ArrayList<>();
    paths.forEach(path -> sources.addAll(Inputs.open(path)));
    String name = as.<@Nullable String>getValue();
    if (name != null && sources.size() > 1) {
      RecordingSource merged = Merging.of(name, sources);
      sources.clear();
      sources.add(merged);
    }
    sources.forEach(source -> TimelineStore.demandName(name == null ? source.name() : name));
    List<Imported> done = new ArrayList<>();
    try (TimelineStore store = options.open();
        Progress progress = Progress.ofImport(sources)) {
      for (RecordingSource source : sources) {
        done.add(imported(store, source, name == null ? source.name() : name, progress));
      }
      progress.tell("listing");
      store.list();
    }
    PrintWriter out = spec.commandLine().getOut();
    if (json) {
      json(out, done);
    } else {
      done.forEach(each -> text(out, each));
    }
    boolean failed = done.stream().anyMatch(each -> !each.problems().isEmpty());
    return failed ? FormatException.EXIT_CODE : 0;
  }

  private Imported imported(
      TimelineStore store, RecordingSource source, String name, Progress progress) {
    Imported imported;
    try {
      imported = RecordingImport.run(store, source, name, progress::linesDone);
    } catch (StoreException | UsageException e) {
      throw e;
    } catch (FaultlineException e) {
      imported =
          new Imported(
              name, 0, 0, List.of(new Problem(source.name(), String.valueOf(e.getMessage()))));
    }
    for (Problem problem : imported.problems()) {
      spec.commandLine().getErr().println("faultline: " + problem.what());
    }
    progress.recordingDone();
    return imported;
  }

  private static void text(PrintWriter out, Imported each) {
    out.println(
        each.timeline()
            + ": "
            + each.events()
            + " events"
            + (each.alreadyThere() == 0
                ? ""
                : ", " + each.alreadyThere() + " of them were there already"));
    Merged merged = each.merged();
    if (merged != null) {
      out.println("  " + merged.sentence());
    }
  }

  private static void json(PrintWriter out, List<Imported> done) throws IOException {
    boolean several = done.size() > 1;
    try (JsonGenerator json = Json.document(out, several ? 2 : 1)) {
      if (several) {
        json.writeStartObject();
        json.writeArrayFieldStart("timelines");
      }
      for (Imported each : done) {
        json.writeStartObject();
        json.writeStringField("timeline", each.timeline());
        json.writeNumberField("events", each.events());
        json.writeNumberField("alreadyThere", each.alreadyThere());
        json.writeArrayFieldStart("problems");
        for (Problem problem : each.problems()) {
          json.writeStartObject();
          json.writeStringField("where", problem.where());
          json.writeStringField("what", problem.what());
          json.writeEndObject();
        }
        json.writeEndArray();
        Merged merged = each.merged();
        if (merged != null) {
          json.writeObjectFieldStart("merged");
          json.writeStringField("clock", merged.clock());
          json.writeNumberField("uncertaintyNs", merged.uncertaintyNs());
          json.writeNumberField("near", merged.near());
          json.writeArrayFieldStart("sources");
          for (String source : merged.sources()) {
            json.writeString(source);
          }
          json.writeEndArray();
          json.writeEndObject();
        }
        json.writeEndObject();
      }
      if (several) {
        json.writeEndArray();
        json.writeEndObject();
      }
    }
    out.println();
  }
}
