package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.InvariantViolation;
import dev.faultline.UsageException;
import dev.faultline.audit.Finding;
import dev.faultline.audit.Rule;
import dev.faultline.audit.RuleCatalog;
import dev.faultline.ingest.RecordingExcerpt;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.reorder.Minimizer;
import dev.faultline.reorder.Symptom;
import dev.faultline.reorder.Symptoms;
import dev.faultline.report.Minimized;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.vcpu.KernelModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
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
  private final OptionSpec finding =
      OptionSpec.builder("--finding")
          .paramLabel("RULE")
          .type(String.class)
          .description(
              "Keep what the audit finds by this rule, such as R36: the first time, or at the call"
                  + " that --at names.")
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
    spec.addPositional(input).addOption(at).addOption(finding).addOption(output);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Leaves out of a recording, in order, every line that is not needed to show a"
                + " divergence, a triple fault that KVM makes, a refused call, or a finding of the"
                + " audit, and writes what"
                + " is left as a recording that every verb reads. Ctrl-C writes the shortest one"
                + " found so far.");
  }

  /**
   * What is to be kept.
   *
   * @param goal what is shown
   * @param lines after how many lines it is shown
   */
  private record Wanted(MinimizeGoal goal, int lines) {}

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
    AskedMoment moment = moment();
    demandRecording(source);
    String rule = finding.<@Nullable String>getValue();
    Wanted wanted =
        rule == null ? shown(source, kernel, moment) : found(source, moment, rule(rule));
    MinimizeGoal goal = wanted.goal();
    List<Observation> all = read(source, wanted.lines());
    try (Interruption interruption = new Interruption()) {
      List<Observation> bare = all.stream().map(MinimizeVerb::untraced).toList();
      boolean traced = !goal.shows(bare);
      Minimizer<Observation> minimizer = new Minimizer<>(goal::shows, interruption::isAsked);
      List<Observation> kept = minimizer.minimize(nearby(traced ? all : bare, goal));
      RecordingSource written =
          RecordingExcerpt.write(source, kept, output.<Path>getValue(), traced);
      if (!goal.shows(read(written, Integer.MAX_VALUE))) {
        throw new InvariantViolation(
            written.recording() + " does not show what its lines showed: " + goal.symptom());
      }
      Minimized result =
          new Minimized(
              source.name(),
              goal.symptom(),
              wanted.lines(),
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

  private @Nullable AskedMoment moment() {
    String text = at.<@Nullable String>getValue();
    AskedMoment moment = text == null ? null : AskedMoment.parse("--at", text);
    if (moment != null && !moment.isSeq()) {
      throw new UsageException(
          ErrorCode.USAGE, "--at: expected the number of a call as in seq:31, found " + text);
    }
    return moment;
  }

  private Wanted shown(RecordingSource source, KernelModel kernel, @Nullable AskedMoment moment) {
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
              + " known check, found none; --finding RULE keeps a finding of the audit");
    }
    int needed = linesAt.get(new ArrayList<>(symptoms.all()).indexOf(found));
    demandFew(source, needed);
    return new Wanted(new MinimizeGoal.Shown(source.name(), kernel, found), needed);
  }

  private static void demandFew(RecordingSource source, int lines) {
    if (lines > MOST_LINES) {
      throw new UsageException(
          ErrorCode.WINDOW_TOO_LARGE,
          source.name()
              + ": expected what is to be kept within "
              + MOST_LINES
              + " lines, found it after "
              + lines);
    }
  }

  private static String rule(String asked) {
    Rule rule = RuleCatalog.find(asked);
    if (rule == null) {
      throw new UsageException(
          ErrorCode.USAGE, "--finding: expected a rule as in audit --rules, found '" + asked + "'");
    }
    return rule.id();
  }

  private Wanted found(RecordingSource source, @Nullable AskedMoment moment, String rule) {
    KernelModel told = KernelFacts.model(source.readFacts());
    List<Observation> all = read(source, MOST_LINES + 1);
    demandFew(source, all.size());
    List<Finding> findings =
        MinimizeGoal.Found.audit(source.name(), told, common::kernel, all).findings();
    Finding found =
        findings.stream()
            .filter(f -> f.rule().id().equals(rule))
            .filter(f -> moment == null || f.seq() == moment.number())
            .findFirst()
            .orElse(null);
    if (found == null) {
      String others =
          findings.stream()
              .filter(f -> moment == null || f.seq() == moment.number())
              .map(f -> f.rule().id())
              .distinct()
              .collect(Collectors.joining(", "));
      throw new UsageException(
          ErrorCode.MOMENT_UNKNOWN,
          "--finding "
              + rule
              + (moment == null ? "" : " --at " + moment)
              + ": expected a finding of the audit, found "
              + (others.isEmpty() ? "none" : "only " + others));
    }
    MinimizeGoal goal =
        new MinimizeGoal.Found(
            source.name(), told, common::kernel, MinimizeGoal.Found.symptom(found));
    return new Wanted(goal, lines(goal, all, found));
  }

  /** So many lines, or some more, show what all of them show. */
  private static int lines(MinimizeGoal goal, List<Observation> all, Finding found) {
    int line = 0;
    while (line < all.size() && all.get(line).seq() != found.seq()) {
      line++;
    }
    for (int more = 1; line + more < all.size(); more *= 2) {
      if (goal.shows(all.subList(0, line + more))) {
        return line + more;
      }
    }
    return all.size();
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
  private static List<Observation> nearby(List<Observation> all, MinimizeGoal goal) {
    Observation last = all.getLast();
    if (!(last instanceof Observation.Call call) || !call.obj().startsWith("vm")) {
      return all;
    }
    String vm = call.obj().split("/", 2)[0];
    List<Observation> near =
        all.stream().filter(o -> !(o instanceof Observation.Call c) || isOf(vm, c.obj())).toList();
    return goal.shows(near) ? near : all;
  }

  private static boolean isOf(String vm, String lane) {
    return !lane.startsWith("vm") || lane.equals(vm) || lane.startsWith(vm + "/");
  }
}
