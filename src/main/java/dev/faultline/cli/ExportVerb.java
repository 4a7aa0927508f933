package dev.faultline.cli;

import com.fasterxml.jackson.databind.SequenceWriter;
import com.fasterxml.jackson.dataformat.csv.CsvMapper;
import com.fasterxml.jackson.dataformat.csv.CsvSchema;
import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingExcerpt;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.report.PerfettoTrace;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.timeline.Verification;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordingText;
import dev.faultline.trace.TraceText;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStream;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.GZIPOutputStream;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code export}: an input for other tools. */
final class ExportVerb implements Verb {
  private static final List<String> COLUMNS =
      List.of(
          "seq", "lane", "ioctl", "ret", "errno", "result", "enter_ns", "exit_ns", "tid", "where");

  private final CommonOptions common = new CommonOptions();
  private final PositionalParamSpec input =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("A recording, a trace, or a timeline of the store.")
          .build();
  private final OptionSpec target =
      OptionSpec.builder("--to")
          .paramLabel("FORMAT")
          .required(true)
          .type(String.class)
          .description(
              "perfetto (opens in the Perfetto UI), jsonl (a recording as Faultline reads it) or"
                  + " csv (one line a call).")
          .build();
  private final OptionSpec output =
      OptionSpec.builder("-o", "--output")
          .paramLabel("FILE")
          .required(true)
          .type(Path.class)
          .description("The file to write, compressed if it ends in .gz.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  ExportVerb() {
    spec.addPositional(input).addOption(target).addOption(output);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Writes a recording or trace for other tools: Perfetto shows who runs on each vCPU, the"
                + " ioctls, what verify found, and arrows from a cause to its fault.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() {
    try (InputFinder inputs = common.inputs()) {
      return export(StateVerb.one(inputs, input.<Path>getValue()));
    }
  }

  private int export(RecordingSource source) {
    Path file = output.<Path>getValue();
    String format = target.<String>getValue();
    try (OutputStream out = open(file)) {
      switch (format) {
        case "perfetto" -> perfetto(source, out);
        case "jsonl" -> {
          jsonl(source, out);
          beside(source, file);
        }
        case "csv" -> csv(source, out);
        default ->
            throw new UsageException(
                ErrorCode.USAGE, "--to: expected perfetto, jsonl or csv, found '" + format + "'");
      }
    } catch (IOException e) {
      throw new StoreException(
          ErrorCode.FILE_UNWRITABLE,
          file + ": expected to write the export, found " + e.getMessage() + "; is there room?",
          e);
    }
    return 0;
  }

  private static OutputStream open(Path file) throws IOException {
    OutputStream out = Files.newOutputStream(file);
    return file.toString().endsWith(".gz") ? new GZIPOutputStream(out) : out;
  }

  private void perfetto(RecordingSource source, OutputStream out) throws IOException {
    Verification verification;
    try (Playback playback =
        new Playback(
            source, common.kernel(KernelFacts.model(source.readFacts())), TimelineListener.NONE)) {
      playback.finish();
      verification = playback.reexecution().result();
    }
    VcpuFilter vcpus = common.vcpus();
    try (PerfettoTrace trace = new PerfettoTrace(out);
        ObservationReader reader = source.open()) {
      PerfettoFeed feed = new PerfettoFeed(trace, verification);
      while (reader.hasNext()) {
        Observation next = reader.next();
        if (!(next instanceof Call call) || vcpus.takes(call.obj())) {
          feed.accept(next);
        }
      }
      if (feed.isTimeless()) {
        say("the input tells no times: the trace shows the order only, a microsecond a call");
      }
    }
  }

  private void jsonl(RecordingSource source, OutputStream out) throws IOException {
    Writer writer = new BufferedWriter(new OutputStreamWriter(out, StandardCharsets.UTF_8));
    try (ObservationReader reader = source.open();
        RecordingText text = new RecordingText(writer)) {
      while (reader.hasNext()) {
        text.write(reader.next());
      }
      if (source.isOneFile()
          && reader.mergeReport() != null
          && reader.format() == InputFormat.RECORDING) {
        say("the trace beside the recording is not part of it: copy it to NAME.ftrace.txt");
      }
    }
    writer.flush();
  }

  /** What a timeline knows besides: no file could be copied. */
  private static void beside(RecordingSource source, Path file) throws IOException {
    if (source.isOneFile()) {
      return;
    }
    RecordingExcerpt.writeFacts(source, file);
    try (ObservationReader reader = source.open()) {
      if (!reader.hasNext() || reader.mergeReport() == null) {
        return;
      }
      try (Writer writer = Files.newBufferedWriter(RecordingExcerpt.traceBeside(file))) {
        TraceText text = new TraceText(writer);
        while (reader.hasNext()) {
          if (reader.next() instanceof Call call) {
            text.write(call);
          }
        }
      }
    }
  }

  private void csv(RecordingSource source, OutputStream out) throws IOException {
    CsvSchema schema = CsvSchema.builder().addColumns(COLUMNS, CsvSchema.ColumnType.STRING).build();
    VcpuFilter vcpus = common.vcpus();
    try (ObservationReader reader = source.open();
        SequenceWriter rows = new CsvMapper().writer(schema.withHeader()).writeValues(out)) {
      while (reader.hasNext()) {
        if (reader.next() instanceof Call call && vcpus.takes(call.obj())) {
          rows.write(row(call));
        }
      }
    }
  }

  private static List<Object> row(Call call) {
    List<Object> row = new ArrayList<>();
    row.add(call.seq());
    row.add(call.obj());
    row.add(call.name());
    row.add(call.ret());
    row.add(call.errno());
    row.add(call.ret() < 0 || call.name().equals("KVM_RUN") ? StatFeed.why(call) : "");
    row.add(call.enterNs() < 0 ? "" : call.enterNs());
    row.add(call.exitNs() < 0 ? "" : call.exitNs());
    row.add(call.tid());
    row.add(call.where());
    return row;
  }

  private void say(String sentence) {
    spec.commandLine().getErr().println("faultline: " + sentence);
  }
}
