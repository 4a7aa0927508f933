package dev.faultline.report;

import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MomentOutcome;
import dev.faultline.migration.Plan;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Policy;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/** Writes what became of the migrations of one recording by one plan. */
public interface MigrationReport {
  /**
   * What is migrated.
   *
   * @param policy what rules instead of KVM over an invalid L2, or null
   * @param atOnce whether all vCPUs migrate at one moment
   * @param kernelAsked whether the user chose the kernel of the source
   */
  record Subject(
      String recording,
      Plan plan,
      KernelModel from,
      KernelModel to,
      @Nullable Policy policy,
      boolean atOnce,
      boolean kernelAsked) {}

  /** How many migrations ended in each way. */
  final class Counts {
    private static final int MOST_VMS = 1024;
    private static final int MOST_VCPUS = 1024;

    private final Map<Kind, Long> counts = new EnumMap<>(Kind.class);
    private long assumed;
    private long second;
    private final SequencedMap<String, List<MomentOutcome>> byVm = new LinkedHashMap<>();

    /** Counts one more. */
    public void add(MomentOutcome outcome) {
      counts.merge(outcome.outcome().kind(), 1L, Long::sum);
      assumed += outcome.outcome().assumed().isEmpty() ? 0 : 1;
      Kind again = outcome.outcome().second().kind();
      int slash = outcome.vcpu().indexOf('/');
      if (slash > 0 && byVm.size() <= MOST_VMS) {
        List<MomentOutcome> of =
            byVm.computeIfAbsent(outcome.vcpu().substring(0, slash), _ -> new ArrayList<>());
        if (of.size() < MOST_VCPUS) {
          of.add(outcome);
        }
      }
      second += again == Kind.LOST || again == Kind.REFUSED ? 1 : 0;
    }

    /** The outcomes of each VM: of vCPUs that migrate at once, where they do. */
    public SequencedMap<String, List<MomentOutcome>> byVm() {
      return byVm;
    }

    /** The worst of some outcomes: a VM goes on only if all its vCPUs do. */
    public static Kind worst(List<MomentOutcome> outcomes) {
      return outcomes.stream()
          .map(o -> o.outcome().kind())
          .min(Comparator.naturalOrder())
          .orElse(Kind.FAITHFUL);
    }

    /** How many ended so. */
    public long of(Kind kind) {
      return counts.getOrDefault(kind, 0L);
    }

    /** How many rest on what KVM takes back. */
    public long assumed() {
      return assumed;
    }

    /** How many lose something again in the second generation. */
    public long second() {
      return second;
    }

    /** How many migrations. */
    public long total() {
      return counts.values().stream().mapToLong(Long::longValue).sum();
    }

    /** Whether any failed or lost something. */
    public boolean hasFindings() {
      return of(Kind.REFUSED) + of(Kind.FAULT) + of(Kind.LOST) > 0;
    }
  }

  void begin(Subject subject) throws IOException;

  void add(MomentOutcome outcome) throws IOException;

  void end(Counts counts) throws IOException;
}
