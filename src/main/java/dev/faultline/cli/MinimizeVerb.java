package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.FaultlineException;
import dev.faultline.InvariantViolation;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingExcerpt;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.reorder.Minimizer;
import dev.faultline.reorder.Symptom;
import dev.faultline.reorder.Symptoms;
import dev.faultline.report.Minimized;
import dev.faultline.timeline.Reexecution;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code minimize}: the shortest recording that still shows one thing. */
final class MinimizeVerb implements Verb {
  private static final int MOST_LINES = 200_000;

  private final CommonOptions common = new CommonOptions();
  private final PositionalParamSpec input =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("A recording, or a timeline of the store.")
          .build();
  private final OptionSpec at =
      OptionSpec.builder("--at")
          .paramLabel("seq:N")
          .type(String.class)
          .description(
              "The call that shows what is to be kept: a divergence, a triple fault that KVM"
                  + " makes, or a refusal. By default the first divergence, else the first such"
                  + " fault, else the first KVM_RUN that kills its VM, else the first refusal.")
          .build();
  private final OptionSpec output =
      OptionSpec.builder("-o", "--output")
          .paramLabel("FILE")
          .type(Path.class)
          .required(true)
          .description("The recording to write, NAME.jsonl.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  MinimizeVerb() {
    spec.addPositional(input).addOption(at).addOption(output);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Leaves out of a recording, in order, every line that is not needed to show a"
                + " divergence, a triple fault that KVM makes, or a refused call, and writes what"
                + " is left as a recording that every verb reads. Ctrl-C writes the shortest one"
                + " found so far.");
  }

  /**
   * What is to be kept.
   *
   * @param symptom what is shown
   * @param lines after how many lines it is shown
   */
  private record Goal(Symptom symptom, int lines) {}

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    try (InputFinder inputs = common.inputs()) {
      return minimize(StateVerb.one(inputs, input.<Path>getValue()));
    }
  }

  private int minimize(RecordingSource source) throws IOException {
    CommonOptions.Format format = common.format();
    KernelModel kernel = common.kernel(KernelFacts.model(source.readFacts()));
    Goal goal = goal(source, kernel);
    List<Observation> all = read(source, goal.lines());
    try (Interruption interruption = new Interruption()) {
      Oracle oracle = new Oracle(source.name(), kernel, goal.symptom());
      List<Observation> bare = all.stream().map(MinimizeVerb::untraced).toList();
      boolean traced = !oracle.shows(bare);
      Minimizer<Observation> minimizer = new Minimizer<>(oracle::shows, interruption::isAsked);
      List<Observation> kept = minimizer.minimize(nearby(traced ? all : bare, oracle));
      RecordingSource written =
          RecordingExcerpt.write(source, kept, output.<Path>getValue(), traced);
      if (!oracle.shows(read(written, Integer.MAX_VALUE))) {
        throw new InvariantViolation(
            written.recording() + " does not show what its lines showed: " + goal.symptom());
      }
      Minimized result =
          new Minimized(
              source.name(),
              goal.symptom(),
              goal.lines(),
              kept.stream().map(MinimizeVerb::line).toList(),
              traced,
              minimizer.tests(),
              !interruption.isAsked(),
              output.<Path>getValue().toString());
      PrintWriter out = spec.commandLine().getOut();
      switch (format) {
        case TEXT -> result.text(out, common.ink());
        case JSON -> result.json(out);
      }
      out.flush();
    }
    return 0;
  }

  private static Minimized.Line line(Observation line) {
    String what =
        line instanceof Observation.Call call
            ? call.name() + " " + call.obj() + (call.ret() < 0 ? " = -1" : "")
            : line.getClass().getSimpleName().toLowerCase(Locale.ROOT);
    return new Minimized.Line(line.seq(), what);
  }

  private Goal goal(RecordingSource source, KernelModel kernel) {
    String text = at.<@Nullable String>getValue();
    AskedMoment moment = text == null ? null : AskedMoment.parse("--at", text);
    if (moment != null && !moment.isSeq()) {
      throw new UsageException(
          ErrorCode.USAGE, "--at: expected the number of a call as in seq:31, found " + text);
    }
    demandRecording(source);
    Symptoms symptoms = new Symptoms();
    List<Integer> linesAt = new ArrayList<>();
    int lines = 0;
    try (Playback playback = new Playback(source, kernel, symptoms)) {
      while (playback.advance()) {
        lines++;
        note(symptoms, linesAt, lines);
      }
      playback.reexecution().result();
      note(symptoms, linesAt, lines);
    }
    Symptom found = moment == null ? symptoms.first() : symptoms.firstOf(moment.number());
    if (found == null) {
      throw new UsageException(
          ErrorCode.MOMENT_UNKNOWN,
          (moment == null ? source.name() : "--at " + moment)
              + ": expected a divergence, a triple fault that KVM makes or a call refused by a"
              + " known check, found none");
    }
    int needed = linesAt.get(new ArrayList<>(symptoms.all()).indexOf(found));
    if (needed > MOST_LINES) {
      throw new UsageException(
          ErrorCode.WINDOW_TOO_LARGE,
          source.name()
              + ": expected what is to be kept within "
              + MOST_LINES
              + " lines, found it after "
              + needed);
    }
    return new Goal(found, needed);
  }

  /** Of a trace in another format a line alone tells nothing. */
  private static void demandRecording(RecordingSource source) {
    try (ObservationReader reader = source.open()) {
      if (reader.format() != InputFormat.RECORDING) {
        throw new UsageException(
            ErrorCode.USAGE,
            source.name()
                + ": expected a recording in JSON lines, found a trace in another format");
      }
    }
  }

  private static void note(Symptoms symptoms, List<Integer> linesAt, int lines) {
    while (linesAt.size() < symptoms.all().size()) {
      linesAt.add(lines);
    }
  }

  private static List<Observation> read(RecordingSource source, int lines) {
    List<Observation> all = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      while (all.size() < lines && reader.hasNext()) {
        all.add(reader.next());
      }
    }
    return all;
  }

  private static Observation untraced(Observation observation) {
    return observation instanceof Observation.Call c
        ? new Observation.Call(
            c.seq(),
            c.enterNs(),
            c.exitNs(),
            c.caller(),
            c.target(),
            c.request(),
            c.result(),
            c.payload(),
            Observation.Traced.ABSENT,
            c.where())
        : observation;
  }

  /** Without the lines of other VMs, if that is possible. */
  private static List<Observation> nearby(List<Observation> all, Oracle oracle) {
    Observation last = all.getLast();
    if (!(last instanceof Observation.Call call) || !call.obj().startsWith("vm")) {
      return all;
    }
    String vm = call.obj().split("/", 2)[0];
    List<Observation> near =
        all.stream().filter(o -> !(o instanceof Observation.Call c) || isOf(vm, c.obj())).toList();
    return oracle.shows(near) ? near : all;
  }

  private static boolean isOf(String vm, String lane) {
    return !lane.startsWith("vm") || lane.equals(vm) || lane.startsWith(vm + "/");
  }

  /** Whether some lines of a recording still show it. */
  private record Oracle(String name, KernelModel kernel, Symptom symptom) {
    boolean shows(List<Observation> lines) {
      Symptoms symptoms = new Symptoms();
      Reexecution reexecution = new Reexecution(name, kernel, symptoms);
      try {
        for (Observation line : lines) {
          reexecution.accept(RecordedCalls.convert(line, reexecution.nextMoment()));
        }
        reexecution.result();
      } catch (FaultlineException _) {
        // What is left is no recording that can be told from.
        return false;
      }
      return symptoms.all().contains(symptom);
    }
  }
}
