package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.UsageException;
import dev.faultline.audit.Audit;
import dev.faultline.audit.AuditResult;
import dev.faultline.audit.Rule;
import dev.faultline.audit.RuleCatalog;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.report.AuditHtml;
import dev.faultline.report.AuditJson;
import dev.faultline.report.AuditJunit;
import dev.faultline.report.AuditReport;
import dev.faultline.report.AuditReport.Audited;
import dev.faultline.report.AuditSarif;
import dev.faultline.report.AuditText;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
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
 * {@code audit}: which order or content of calls is wrong, or worked by luck.
 *
 * <p><i>Errors</i>: an input that cannot be read costs a sentence; the others are audited, and the
 * exit status is the one of bad input.
 */
final class AuditVerb implements Verb {
  private static final int FINDINGS = 1;

  private final CommonOptions common =
      new CommonOptions(List.of("text", "json", "sarif", "junit", "html"));
  private final PositionalParamSpec inputs =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("0..*")
          .type(List.class)
          .auxiliaryTypes(Path.class)
          .description("Recordings, or folders of recordings.")
          .build();
  private final OptionSpec explain =
      OptionSpec.builder("--explain")
          .paramLabel("RULE")
          .type(String.class)
          .description("Print the page of a rule, such as R36, and read no input.")
          .build();
  private final OptionSpec rules =
      OptionSpec.builder("--rules")
          .type(boolean.class)
          .description("List all rules, and read no input.")
          .build();
  private final MergeOption merge = new MergeOption();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  AuditVerb() {
    spec.addPositional(inputs).addOption(explain).addOption(rules).addOption(merge.option());
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Judges how a VMM saves, restores and runs vCPUs: orders of calls that KVM refuses, or"
                + " accepts and loses state by, state that is left out, states that cannot be"
                + " entered. Exits 1 if there is an error or a warning, 0 if there is none; what is"
                + " for information does not count.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    String asked = explain.<@Nullable String>getValue();
    if (asked != null) {
      Rule rule = RuleCatalog.find(asked);
      if (rule == null) {
        throw new UsageException(
            ErrorCode.USAGE, "--explain: expected a rule as in --rules, found '" + asked + "'");
      }
      AuditText.explain(out, common.ink(), rule);
      out.flush();
      return 0;
    }
    if (Boolean.TRUE.equals(rules.<@Nullable Boolean>getValue())) {
      AuditText.list(out, RuleCatalog.rules());
      out.flush();
      return 0;
    }
    return audited(out);
  }

  private int audited(PrintWriter out) throws IOException {
    String format = common.formatAsked();
    List<Path> paths = inputs.<@Nullable List<Path>>getValue();
    if (paths == null || paths.isEmpty()) {
      throw new UsageException(
          ErrorCode.USAGE, "audit: expected at least one INPUT, or --rules, or --explain RULE");
    }
    try (InputFinder finder = common.inputs()) {
      return audited(out, format, merge.apply(finder.open(paths)));
    }
  }

  private int audited(PrintWriter out, String format, List<RecordingSource> sources)
      throws IOException {
    StringWriter held = new StringWriter();
    int status;
    try (Progress progress = Progress.over(sources)) {
      // What is printed while the bar stands on the terminal would tear it apart.
      PrintWriter to = progress.isShown() ? new PrintWriter(held) : out;
      boolean several = sources.size() > 1;
      Work work = new Work(several, report(format, to, several), progress);
      for (RecordingSource source : sources) {
        work.audit(source);
      }
      status = work.end();
      to.flush();
    }
    out.print(held);
    return status;
  }

  private AuditReport report(String format, PrintWriter to, boolean several) throws IOException {
    return switch (format) {
      case "json" -> new AuditJson(to, several);
      case "sarif" -> new AuditSarif(to, Version.number());
      case "junit" -> new AuditJunit(to);
      case "html" -> new AuditHtml(to);
      default -> new AuditText(to, common.ink(), several);
    };
  }

  /** The recordings of one command line, audited one after the other. */
  private final class Work {
    private final boolean several;
    private final AuditReport report;
    private final Progress progress;
    private final VcpuFilter vcpus = common.vcpus();
    private final Set<String> lanes = new LinkedHashSet<>();
    private boolean reported;
    private boolean failed;
    private boolean dirty;

    Work(boolean several, AuditReport report, Progress progress) {
      this.several = several;
      this.report = report;
      this.progress = progress;
    }

    void audit(RecordingSource source) throws IOException {
      try {
        AuditResult result = played(source).only(vcpus::takes);
        if (!several) {
          vcpus.demand(lanes, "this recording");
        }
        report.add(new Audited(result, source.recording().toString(), common.kernelAsked()));
        reported = true;
        dirty |= result.isDirty();
      } catch (TraceSyntaxException | FormatException e) {
        failed = true;
        String name = several ? source.name() + ": " : "";
        spec.commandLine().getErr().println("faultline: " + name + e.getMessage());
      }
      progress.recordingDone();
    }

    private AuditResult played(RecordingSource source) {
      KernelModel told = KernelFacts.model(source.readFacts());
      KernelModel kernel = common.kernel(VendorGuess.complete(told, source));
      Audit audit = new Audit(source.name(), kernel);
      try (ObservationReader reader = source.open()) {
        while (reader.hasNext()) {
          audit.accept(RecordedCalls.convert(reader.next(), audit.nextMoment()));
          progress.lineDone();
        }
      }
      lanes.addAll(audit.vcpus());
      return audit.result();
    }

    int end() throws IOException {
      if (reported || several) {
        report.end();
      }
      if (failed) {
        return FormatException.EXIT_CODE;
      }
      vcpus.demand(lanes, "these recordings");
      return dirty ? FINDINGS : 0;
    }
  }
}
