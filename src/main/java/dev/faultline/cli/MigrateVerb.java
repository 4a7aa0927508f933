package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.FaultlineException;
import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.UsageException;
import dev.faultline.ingest.Plans;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.migration.Migrations;
import dev.faultline.migration.MomentOutcome;
import dev.faultline.migration.Plan;
import dev.faultline.report.MigrationJson;
import dev.faultline.report.MigrationReport;
import dev.faultline.report.MigrationText;
import dev.faultline.report.PlanMatrix;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Recorded;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code migrate}: what would have become of each vCPU, had it been migrated at a moment. */
final class MigrateVerb implements Verb {
  private static final int FINDINGS = 1;

  private final CommonOptions common = new CommonOptions();
  private final PositionalParamSpec input =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("A recording.")
          .build();
  private final OptionSpec plan =
      OptionSpec.builder("--plan")
          .paramLabel("P")
          .type(String.class)
          .description(
              "What the VMM reads and writes: "
                  + String.join(", ", Plans.SHIPPED)
                  + ", or a file of your own (migrations/plan.schema.json).")
          .build();
  private final OptionSpec at =
      OptionSpec.builder("--at")
          .paramLabel("M")
          .type(String.class)
          .description("Migrate all vCPUs at this moment, an index or seq:N.")
          .build();
  private final OptionSpec every =
      OptionSpec.builder("--every")
          .type(boolean.class)
          .description("Migrate each vCPU after each call on it, and on its VM (the default).")
          .build();
  private final OptionSpec toKernel =
      OptionSpec.builder("--to-kernel")
          .paramLabel("VERSION")
          .type(String.class)
          .description("The kernel of the destination; the recorded one by default.")
          .build();
  private final OptionSpec policy =
      OptionSpec.builder("--policy")
          .paramLabel("X")
          .type(String.class)
          .description(
              "What rules on both sides over an L2 that hardware cannot run, instead of KVM: "
                  + policies()
                  + ".")
          .build();
  private final OptionSpec comparePlans =
      OptionSpec.builder("--compare-plans")
          .type(boolean.class)
          .description("All plans that are shipped, side by side, and --plan if it is a file.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  MigrateVerb() {
    spec.addPositional(input)
        .addOption(plan)
        .addOption(at)
        .addOption(every)
        .addOption(toKernel)
        .addOption(policy)
        .addOption(comparePlans);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Saves a vCPU as the plan of a VMM does, restores it on a fresh one, lets the recorded"
                + " calls go on up to the next KVM_RUN, and compares it with the vCPU that stayed:"
                + " faithful, lost (what the guest would notice), refused, fault, or cannot tell."
                + " Ctrl-C prints what is known so far.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    try (InputFinder inputs = common.inputs()) {
      return migrate(StateVerb.one(inputs, input.<Path>getValue()));
    }
  }

  private int migrate(RecordingSource source) throws IOException {
    boolean compare = isSet(comparePlans);
    List<Plan> plans = plans(compare);
    String moment = at.<@Nullable String>getValue();
    if (moment != null && isSet(every)) {
      throw new UsageException(
          ErrorCode.USAGE, "--at and --every: expected one of them, found both");
    }
    KernelModel told = KernelFacts.model(source.readFacts());
    KernelModel recorded = common.kernel(told);
    KernelModel destination = destination(recorded);
    MigrationReport.Subject subject =
        new MigrationReport.Subject(
            source.name(),
            plans.getFirst(),
            recorded,
            destination,
            policy(),
            moment != null,
            common.kernelAsked());
    PrintWriter out = spec.commandLine().getOut();
    StringWriter held = new StringWriter();
    int status;
    Work work;
    try (Progress progress = Progress.over(List.of(source))) {
      PrintWriter to = progress.isShown() ? new PrintWriter(held) : out;
      AskedMoment asked = moment == null ? null : AskedMoment.parse("--at", moment);
      work = new Work(source, subject, plans, asked, progress);
      status = compare ? work.compare(to) : work.report(to);
      to.flush();
    }
    out.print(held);
    out.flush();
    work.complain(spec.commandLine().getErr());
    return status;
  }

  private static boolean isSet(OptionSpec option) {
    return Boolean.TRUE.equals(option.<@Nullable Boolean>getValue());
  }

  private List<Plan> plans(boolean compare) {
    String asked = plan.<@Nullable String>getValue();
    List<Plan> plans = new ArrayList<>();
    if (compare) {
      plans.addAll(Plans.shipped());
    }
    if (asked != null && !(compare && Plans.SHIPPED.contains(asked))) {
      plans.add(Plans.open(asked));
    }
    if (plans.isEmpty()) {
      throw new UsageException(
          ErrorCode.USAGE,
          "--plan: expected "
              + String.join(", ", Plans.SHIPPED)
              + ", or a file that ends in .yaml, found nothing; or give --compare-plans");
    }
    return plans;
  }

  private @Nullable Policy policy() {
    String asked = policy.<@Nullable String>getValue();
    if (asked == null) {
      return null;
    }
    for (Policy each : Policy.all()) {
      if (each.label().equals(asked)) {
        return each;
      }
    }
    throw new UsageException(
        ErrorCode.USAGE, "--policy: expected one of " + policies() + ", found '" + asked + "'");
  }

  private static String policies() {
    return Policy.all().stream().map(Policy::label).collect(Collectors.joining(", "));
  }

  private KernelModel destination(KernelModel source) {
    String asked = toKernel.<@Nullable String>getValue();
    if (asked == null) {
      return source;
    }
    KernelVersion version = KernelVersion.of(asked);
    if (version == null) {
      throw new UsageException(
          ErrorCode.KERNEL_UNKNOWN,
          "--to-kernel: expected one of "
              + List.of(KernelVersion.values()).stream()
                  .map(KernelVersion::label)
                  .collect(Collectors.joining(", "))
              + ", found '"
              + asked
              + "'");
    }
    return source.withVersion(version);
  }

  /** One recording, played once. */
  private final class Work {
    private final RecordingSource source;
    private final MigrationReport.Subject subject;
    private final List<Plan> plans;
    private final @Nullable AskedMoment asked;
    private final Progress progress;
    private final VcpuFilter vcpus = common.vcpus();
    private boolean met;
    private boolean stopped;
    private @Nullable FaultlineException damage;
    private long firstSeq = Long.MAX_VALUE;
    private long lastSeq = -1;

    Work(
        RecordingSource source,
        MigrationReport.Subject subject,
        List<Plan> plans,
        @Nullable AskedMoment asked,
        Progress progress) {
      this.source = source;
      this.subject = subject;
      this.plans = plans;
      this.asked = asked;
      this.progress = progress;
    }

    int report(PrintWriter to) throws IOException {
      MigrationReport report =
          switch (common.format()) {
            case TEXT -> new MigrationText(to, common.ink());
            case JSON -> new MigrationJson(to);
          };
      MigrationReport.Counts counts = new MigrationReport.Counts();
      report.begin(subject);
      play((_, outcome) -> {
        counts.add(outcome);
        report.add(outcome);
      });
      report.end(counts);
      return counts.hasFindings() ? FINDINGS : 0;
    }

    int compare(PrintWriter to) throws IOException {
      PlanMatrix matrix = new PlanMatrix(plans);
      play(matrix::add);
      switch (common.format()) {
        case TEXT -> matrix.text(to, subject, common.ink());
        case JSON -> matrix.json(to, subject);
      }
      return matrix.hasFindings() ? FINDINGS : 0;
    }

    private void play(Sink sink) throws IOException {
      try {
        Migrations migrations =
            new Migrations(
                source.name(),
                subject.from(),
                subject.to(),
                subject.policy(),
                plans,
                asked == null ? null : this::isAsked,
                (plan, outcome) -> {
                  if (vcpus.takes(outcome.vcpu())) {
                    accept(sink, plan, outcome);
                  }
                });
        follow(migrations);
        migrations.finish();
        if (damage == null && !stopped) {
          demand(migrations);
        }
      } catch (UncheckedIOException e) {
        throw e.getCause();
      }
    }

    /** Up to the end of the recording, or of its whole part, or until nobody waits any longer. */
    private void follow(Migrations migrations) {
      try (Interruption interruption = new Interruption();
          ObservationReader reader = source.open()) {
        while (!met && !interruption.isAsked() && reader.hasNext()) {
          step(migrations, reader);
        }
        // The guest goes on at the next KVM_RUN, and that is recorded, too.
        while (migrations.isWaiting() && !interruption.isAsked() && reader.hasNext()) {
          step(migrations, reader);
        }
        stopped = interruption.isAsked();
      } catch (TraceSyntaxException | FormatException e) {
        damage = e;
      }
    }

    /** Says why the results end before the recording does. */
    void complain(PrintWriter err) {
      if (damage != null) {
        throw damage;
      }
      if (stopped) {
        err.println("faultline: stopped; what is told ends with seq " + lastSeq);
      }
    }

    private void step(Migrations migrations, ObservationReader reader) {
      Recorded fact = RecordedCalls.convert(reader.next(), migrations.nextMoment());
      if (fact.seq() >= 0) {
        firstSeq = Math.min(firstSeq, fact.seq());
        lastSeq = Math.max(lastSeq, fact.seq());
      }
      migrations.accept(fact);
      progress.lineDone();
    }

    private void accept(Sink sink, Plan plan, MomentOutcome outcome) {
      try {
        sink.accept(plan, outcome);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }

    private boolean isAsked(Recorded fact, int first, int last) {
      boolean is = asked != null && !met && asked.isAt(fact, first, last);
      met |= is;
      return is;
    }

    private void demand(Migrations migrations) {
      if (asked != null && !met) {
        throw asked.unknown("--at", migrations.nextMoment() - 1, firstSeq, lastSeq);
      }
      vcpus.demand(migrations.vcpus().keySet(), "this recording");
    }
  }

  /** Takes outcomes. */
  private interface Sink {
    void accept(Plan plan, MomentOutcome outcome) throws IOException;
  }
}
