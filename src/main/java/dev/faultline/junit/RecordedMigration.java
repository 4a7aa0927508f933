package dev.faultline.junit;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.Plans;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.Migrations;
import dev.faultline.migration.MomentOutcome;
import dev.faultline.migration.Plan;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * The vCPUs of a recording, migrated after each of their calls. Assertions return this, so that one
 * can follow another.
 *
 * <p>What the recording does not tell is no failure, but for {@link #restoresFaithfully()}.
 */
public final class RecordedMigration {
  private static final int MOST_TOLD = 5;

  private final String name;
  private final Plan plan;
  private final List<MomentOutcome> outcomes;

  private RecordedMigration(String name, Plan plan, List<MomentOutcome> outcomes) {
    this.name = name;
    this.plan = plan;
    this.outcomes = outcomes;
  }

  /**
   * Migrates the vCPUs of a recording.
   *
   * @param recording a file, or the folder of one recording
   * @param plan the name of a shipped plan, or a file that ends in .yaml
   * @param toKernel the kernel of the destination, or empty for the recorded one
   */
  public static RecordedMigration of(String recording, String plan, String toKernel) {
    RecordingSource source = one(recording);
    Plan opened = Plans.open(plan);
    KernelModel kernel = KernelFacts.model(source.readFacts());
    KernelModel to = toKernel.isEmpty() ? kernel : kernel.withVersion(Kernels.of(toKernel));
    List<MomentOutcome> outcomes = new ArrayList<>();
    Migrations migrations =
        new Migrations(
            source.name(),
            kernel,
            to,
            null,
            List.of(opened),
            null,
            (_, outcome) -> outcomes.add(outcome));
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        migrations.accept(RecordedCalls.convert(reader.next(), migrations.nextMoment()));
      }
    }
    migrations.finish();
    return new RecordedMigration(source.name(), opened, List.copyOf(outcomes));
  }

  static RecordingSource one(String recording) {
    List<RecordingSource> found = Inputs.open(Path.of(recording));
    if (found.size() > 1) {
      throw new UsageException(
          ErrorCode.USAGE, recording + ": expected one recording, found " + found.size());
    }
    return found.getFirst();
  }

  /** The same, of the migrations after one call: the recording's number of it. */
  public RecordedMigration after(long seq) {
    List<MomentOutcome> there = outcomes.stream().filter(o -> o.seq() == seq).toList();
    if (there.isEmpty()) {
      throw new UsageException(
          ErrorCode.MOMENT_UNKNOWN,
          name + ": expected a call on a vCPU or its VM, found none of the number " + seq);
    }
    return new RecordedMigration(name, plan, there);
  }

  /** All outcomes, in order. */
  public List<MomentOutcome> outcomes() {
    return outcomes;
  }

  /** Nothing is refused, nothing faults, nothing is lost, and nothing is left open. */
  public RecordedMigration restoresFaithfully() {
    return none(EnumSet.complementOf(EnumSet.of(Kind.FAITHFUL)), "be faithful");
  }

  /** KVM refuses no call for which the VMM gives up, and the next KVM_RUN kills no guest. */
  public RecordedMigration neverFaults() {
    return none(EnumSet.of(Kind.REFUSED, Kind.FAULT), "never fault");
  }

  /** Nothing is refused, nothing faults and nothing is certainly lost, at any moment. */
  public RecordedMigration survivesMigrationAtEveryMoment() {
    return none(EnumSet.of(Kind.REFUSED, Kind.FAULT, Kind.LOST), "survive at every moment");
  }

  private RecordedMigration none(Set<Kind> kinds, String what) {
    List<MomentOutcome> wrong =
        outcomes.stream().filter(o -> kinds.contains(o.outcome().kind())).toList();
    if (!wrong.isEmpty()) {
      StringBuilder text = new StringBuilder();
      text.append(name)
          .append(" by plan ")
          .append(plan.name())
          .append(": expected ")
          .append(outcomes.size())
          .append(" migrations to ")
          .append(what)
          .append(", found ")
          .append(wrong.size())
          .append(" that do not");
      for (MomentOutcome o : wrong.subList(0, Math.min(MOST_TOLD, wrong.size()))) {
        MigrationOutcome outcome = o.outcome();
        text.append("\n  ")
            .append(o.vcpu())
            .append(" after ")
            .append(o.call())
            .append(" (seq ")
            .append(o.seq())
            .append("): ")
            .append(Assertions.sentence(outcome));
      }
      throw new AssertionError(text.toString());
    }
    return this;
  }
}
