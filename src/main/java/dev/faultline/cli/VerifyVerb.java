package dev.faultline.cli;

import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.report.VerificationJson;
import dev.faultline.report.VerificationReport;
import dev.faultline.report.VerificationReport.Verified;
import dev.faultline.report.VerificationText;
import dev.faultline.timeline.Coverage;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.FtraceReport;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.LeftOut;
import dev.faultline.trace.MergeReport;
import dev.faultline.trace.Merged;
import dev.faultline.trace.ObservationReader;
import dev.faultline.vcpu.KernelModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * {@code verify}: decides every recorded call again and tells where the kernel did not do what its
 * rules say.
 *
 * <p><i>Errors</i>: an input that cannot be read costs a sentence; the others are verified, and the
 * exit status is the one of bad input.
 */
final class VerifyVerb implements Verb {
  private static final int FINDINGS = 1;

  private final CommonOptions common = new CommonOptions();
  private final PositionalParamSpec inputs =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1..*")
          .required(true)
          .type(List.class)
          .auxiliaryTypes(Path.class)
          .description("Recordings, folders of recordings, or timelines of the store.")
          .build();
  private final OptionSpec coverage =
      OptionSpec.builder("--coverage")
          .type(boolean.class)
          .defaultValue("false")
          .description(
              "Also tell which checks, ends of ioctls and transitions of the nested and SMM machine"
                  + " the recordings exercise, and which none does.")
          .build();
  private final MergeOption merge = new MergeOption();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  VerifyVerb() {
    spec.addPositional(inputs);
    spec.addOption(coverage).addOption(merge.option());
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Decides every call of a recording again by KVM's rules and compares with what was"
                + " recorded: return values, how KVM_RUN ended, every field of every payload that"
                + " KVM wrote. Exits 0 if all is as predicted, 1 if not.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    List<Path> paths = inputs.getValue();
    try (InputFinder finder = common.inputs()) {
      return verify(merge.apply(finder.open(paths)));
    }
  }

  private int verify(List<RecordingSource> sources) throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    StringWriter held = new StringWriter();
    int status;
    try (Progress progress = Progress.over(sources)) {
      // What is printed while the bar stands on the terminal would tear it apart.
      PrintWriter to = progress.isShown() ? new PrintWriter(held) : out;
      Work work = new Work(sources.size() > 1, report(to, sources.size() > 1), progress);
      for (RecordingSource source : sources) {
        work.verify(source);
      }
      status = work.end();
      to.flush();
    }
    out.print(held);
    return status;
  }

  private VerificationReport report(PrintWriter to, boolean several) throws IOException {
    return switch (common.format()) {
      case TEXT -> new VerificationText(to, common.ink(), several);
      case JSON -> new VerificationJson(to, several || isCoverageAsked());
    };
  }

  private boolean isCoverageAsked() {
    return coverage.<Boolean>getValue();
  }

  /** What keeps the input from telling everything; empty if nothing does. */
  private static String note(ObservationReader reader) {
    String held =
        switch (reader.format()) {
          case STRACE ->
              reader.mergeReport() == null
                  ? "strace prints most payloads as addresses: what they held, and what happened"
                      + " inside KVM_RUN, is not known"
                  : "strace prints most payloads as addresses: what they held is not known";
          case KERNEL_TRACE -> "a kernel trace holds no payloads: registers are not known";
          case RECORDING, UNKNOWN -> "";
        };
    MergeReport merged = reader.mergeReport();
    String trace = merged == null ? absence(reader.format()) : traceNote(merged);
    Merged merging = reader.merged();
    String several = merging == null ? "" : merging.sentence();
    return Stream.of(several, held, trace, leftOut(reader))
        .filter(s -> !s.isEmpty())
        .collect(Collectors.joining("; "));
  }

  private static String absence(InputFormat format) {
    return format == InputFormat.RECORDING
        ? "no trace lies beside the recording: what happened inside KVM_RUN is not known"
        : "";
  }

  private static String leftOut(ObservationReader reader) {
    LeftOut out = reader.leftOut();
    if (reader.format() != InputFormat.STRACE || out.isNothing()) {
      return "";
    }
    return "left out: "
        + out.damaged()
        + " damaged lines, "
        + out.unreturned()
        + " calls that do not return; the first: "
        + out.places().getFirst();
  }

  private static String traceNote(MergeReport merged) {
    FtraceReport trace = merged.trace();
    List<String> gaps = new ArrayList<>();
    if (trace.overwritten()) {
      gaps.add("its oldest events were overwritten");
    }
    gap(gaps, Math.max(trace.lost(), trace.gaps()), "events lost by the kernel");
    gap(gaps, merged.overwritten(), "events more than fit one call");
    gap(gaps, trace.damaged() + trace.unread(), "lines that cannot be read");
    gap(gaps, merged.mismatched(), "calls or markers that fit no call of the recording");
    return gaps.isEmpty() ? "" : "the trace has gaps: " + String.join(", ", gaps);
  }

  private static void gap(List<String> gaps, long count, String what) {
    if (count > 0) {
      gaps.add(count + " " + what);
    }
  }

  /** The recordings of one command line, verified one after the other. */
  private final class Work {
    private final boolean several;
    private final VerificationReport report;
    private final Progress progress;
    private final VcpuFilter vcpus = common.vcpus();
    private final Set<String> lanes = new LinkedHashSet<>();
    private final @Nullable Coverage covered = isCoverageAsked() ? new Coverage() : null;
    private boolean reported;
    private boolean failed;
    private long divergences;

    Work(boolean several, VerificationReport report, Progress progress) {
      this.several = several;
      this.report = report;
      this.progress = progress;
    }

    void verify(RecordingSource source) throws IOException {
      try {
        Verified verified = verified(source);
        report.add(verified);
        reported = true;
        divergences += verified.divergencesFound();
      } catch (TraceSyntaxException | FormatException e) {
        failed = true;
        String name = several ? source.name() + ": " : "";
        spec.commandLine().getErr().println("faultline: " + name + e.getMessage());
      }
      progress.recordingDone();
    }

    private Verified verified(RecordingSource source) {
      KernelModel kernel = common.kernel(KernelFacts.model(source.readFacts()));
      TimelineListener listener = covered == null ? TimelineListener.NONE : covered;
      try (Playback playback = new Playback(source, kernel, listener)) {
        while (playback.advance()) {
          progress.lineDone();
        }
        lanes.addAll(playback.reexecution().vcpus().keySet());
        if (!several) {
          vcpus.demand(lanes, "this recording");
        }
        return new Verified(
            playback.reexecution().result(vcpus::takes),
            playback.reexecution().divergencesFound(vcpus::takes),
            note(playback.reader()),
            common.kernelAsked());
      }
    }

    int end() throws IOException {
      if (reported || several) {
        if (covered != null) {
          report.coverage(covered);
        }
        report.end();
      }
      if (failed) {
        return FormatException.EXIT_CODE;
      }
      vcpus.demand(lanes, "these recordings");
      return divergences == 0 ? 0 : FINDINGS;
    }
  }
}
