package dev.faultline.cli;

import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.report.KernelsTable;
import dev.faultline.report.PoliciesJson;
import dev.faultline.report.PoliciesReport;
import dev.faultline.report.PoliciesReport.Compared;
import dev.faultline.report.PoliciesText;
import dev.faultline.timeline.PolicyComparison;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Policy;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * {@code policies}: the six policies for an invalid L2 over the same timeline, side by side.
 *
 * <p><i>Errors</i>: an input that cannot be read costs a sentence; the others are compared, and the
 * exit status is the one of bad input.
 */
final class PoliciesVerb implements Verb {
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
  private final OptionSpec kernels =
      OptionSpec.builder("--kernels")
          .type(boolean.class)
          .description(
              "Instead, what became of each test case that marks in the recordings name, a column"
                  + " a kernel.")
          .build();
  private final MergeOption merge = new MergeOption();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  PoliciesVerb() {
    spec.addPositional(inputs).addOption(kernels).addOption(merge.option());
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Asks six policies what they would do whenever L2 is, or would become, a guest that"
                + " hardware cannot run, and holds against each what the rest of the recording"
                + " shows: false positives (R1: the state was valid again in time, R2: userspace"
                + " pays for what the guest did), missed (R3: an invalid L2 runs), lost (R4: the"
                + " decision hangs on what a migration loses).");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    List<Path> paths = inputs.getValue();
    try (InputFinder finder = common.inputs()) {
      return compare(merge.apply(finder.open(paths)));
    }
  }

  private int compare(List<RecordingSource> sources) throws IOException {
    CommonOptions.Format format = common.format();
    boolean several = sources.size() > 1;
    PrintWriter out = spec.commandLine().getOut();
    StringWriter held = new StringWriter();
    int status;
    try (Progress progress = Progress.over(sources)) {
      // What is printed while the bar stands on the terminal would tear it apart.
      PrintWriter to = progress.isShown() ? new PrintWriter(held) : out;
      boolean table = Boolean.TRUE.equals(kernels.<@Nullable Boolean>getValue());
      Work work = new Work(several, table ? null : report(format, to, several), progress);
      for (RecordingSource source : sources) {
        work.compare(source);
      }
      status = work.end(format, to);
      to.flush();
    }
    out.print(held);
    return status;
  }

  private PoliciesReport report(CommonOptions.Format format, PrintWriter to, boolean several)
      throws IOException {
    return switch (format) {
      case TEXT -> new PoliciesText(to, common.ink());
      case JSON -> new PoliciesJson(to, several);
    };
  }

  /** The recordings of one command line, compared one after the other. */
  private final class Work {
    private final boolean several;
    private final @Nullable PoliciesReport report;
    private final Progress progress;
    private final KernelsTable table = new KernelsTable();
    private final VcpuFilter vcpus = common.vcpus();
    private final Set<String> lanes = new LinkedHashSet<>();
    private boolean reported;
    private boolean failed;

    Work(boolean several, @Nullable PoliciesReport report, Progress progress) {
      this.several = several;
      this.report = report;
      this.progress = progress;
    }

    void compare(RecordingSource source) throws IOException {
      try {
        KernelModel told = KernelFacts.model(source.readFacts());
        KernelModel asked = common.kernel(told);
        // Who knows the kernel better than the recording tells it by the same option.
        KernelModel recorded = told.versionCertain() ? told : asked;
        PolicyComparison comparison = played(source, recorded, asked);
        lanes.addAll(comparison.vcpus().keySet());
        if (!several) {
          vcpus.demand(lanes, "this recording");
        }
        if (report == null) {
          table.add(comparison.variants(), recorded.versionCertain());
        } else {
          report.add(new Compared(comparison.result(vcpus::takes), common.kernelAsked()));
        }
        reported = true;
      } catch (TraceSyntaxException | FormatException e) {
        failed = true;
        String name = several ? source.name() + ": " : "";
        spec.commandLine().getErr().println("faultline: " + name + e.getMessage());
      }
      progress.recordingDone();
    }

    private PolicyComparison played(
        RecordingSource source, KernelModel recorded, KernelModel asked) {
      PolicyComparison comparison =
          new PolicyComparison(source.name(), recorded, asked, Policy.all());
      try (ObservationReader reader = source.open()) {
        while (reader.hasNext()) {
          comparison.accept(RecordedCalls.convert(reader.next(), comparison.nextMoment()));
          progress.lineDone();
        }
      }
      return comparison;
    }

    int end(CommonOptions.Format format, PrintWriter to) throws IOException {
      if (report == null) {
        switch (format) {
          case TEXT -> table.text(to, common.ink());
          case JSON -> table.json(to);
        }
      } else if (reported || several) {
        report.end();
      }
      if (failed) {
        return FormatException.EXIT_CODE;
      }
      vcpus.demand(lanes, "these recordings");
      return 0;
    }
  }
}
