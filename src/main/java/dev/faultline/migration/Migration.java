package dev.faultline.migration;

import dev.faultline.kvm.KvmRun;
import dev.faultline.migration.MigrationOutcome.Fault;
import dev.faultline.migration.MigrationOutcome.Generation;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MigrationOutcome.Refusal;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.RunInput;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Vm;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import java.util.function.IntPredicate;
import org.jspecify.annotations.Nullable;

/** Migrates vCPUs by one plan to one kernel. */
final class Migration {
  private static final RunInput RUN = new RunInput(0, KvmRun.zero());

  private final Plan plan;
  private final KernelModel destination;
  private final IntPredicate byCpuid;
  private final @Nullable Policy policy;
  private final Saving saving;
  private final Arrivals arrivals = new Arrivals();
  private @Nullable Vm lastSource;
  private @Nullable Vm lastDestination;
  private @Nullable Vcpu lastFresh;

  /**
   * Migrates by a plan.
   *
   * @param byCpuid whether KVM_SET_CPUID2 wrote at a moment of the timeline
   * @param policy what rules instead of KVM over an L2 that hardware cannot run, or null
   */
  Migration(Plan plan, KernelModel destination, IntPredicate byCpuid, @Nullable Policy policy) {
    this.plan = plan;
    this.destination = destination;
    this.byCpuid = byCpuid;
    this.policy = policy;
    this.saving = new Saving(plan, policy);
  }

  /**
   * A vCPU that arrived, beside the one it was made from.
   *
   * @param reference the source after it was read
   * @param memory what the policy remembers of the source then
   * @param moved whether reading changed the source
   */
  record Moved(
      Vcpu reference,
      Memory memory,
      boolean moved,
      Arrival arrival,
      @Nullable Refusal refused,
      Generation second) {

    Vcpu vcpu() {
      return arrival.vcpu();
    }

    boolean isFatal() {
      return refused != null && refused.fatal();
    }
  }

  /** Migrates a vCPU, and what arrived once more. */
  Moved migrate(Vcpu source, Memory memory) {
    Saving.Saved saved = saving.save(memory.worldOr(source), memory);
    Moved first = moved(saved);
    if (first.isFatal()) {
      return first;
    }
    Saving.Saved again = saving.save(first.vcpu(), first.arrival().memory());
    // What saves as it was saved before arrives as it arrived before.
    Generation second =
        again.state().isSame(saved.state()) && !again.moved()
            ? first.refused() == null ? SAME : second(moved(again))
            : second(moved(again));
    return new Moved(
        first.reference(), first.memory(), first.moved(), first.arrival(), first.refused(), second);
  }

  private static final Generation SAME = new Generation(Kind.FAITHFUL, List.of());

  private Generation second(Moved again) {
    if (again.isFatal()) {
      return new Generation(Kind.REFUSED, List.of());
    }
    List<Difference> differences =
        Comparison.of(again.reference(), again.vcpu(), again.arrival(), byCpuid);
    List<String> lost =
        differences.stream().filter(Difference::certain).map(Difference::field).toList();
    return new Generation(
        !lost.isEmpty() ? Kind.LOST : differences.isEmpty() ? Kind.FAITHFUL : Kind.CANNOT_TELL,
        lost);
  }

  private Moved moved(Saving.Saved saved) {
    SavedState.Failure failure = saved.state().failure();
    if (failure != null) {
      Refusal refusal =
          new Refusal(
              true,
              failure.step() + 1,
              failure.ioctl(),
              failure.errno(),
              failure.check(),
              -1,
              "",
              true);
      Arrival none =
          new Arrival(saved.source(), List.of(), null, false, new TreeSet<>(), saved.memory());
      return new Moved(
          saved.source(), saved.memory(), saved.moved(), none, refusal, Generation.NONE);
    }
    Vcpu fresh = fresh(saved.source());
    Arrivals.Key key = Arrivals.key(saved.state(), fresh);
    Arrival arrival = arrivals.find(key);
    if (arrival == null) {
      boolean same = saved.source().kernel().version() == destination.version();
      arrival = new Restoring(plan, same, policy).restore(saved.state(), fresh);
      arrivals.keep(key, arrival);
    } else {
      arrival = Arrivals.on(arrival, fresh);
    }
    return new Moved(
        saved.source(), saved.memory(), saved.moved(), arrival, refusal(arrival), Generation.NONE);
  }

  /** The refusal for which the VMM gives up, else the first one. */
  private @Nullable Refusal refusal(Arrival arrival) {
    Arrival.Step worst = arrival.aborted();
    for (Arrival.Step step : arrival.steps()) {
      if (worst == null && step.end() == Arrival.End.REFUSED) {
        worst = step;
      }
    }
    return worst == null
        ? null
        : new Refusal(
            false,
            worst.number() + 1,
            worst.ioctl(),
            worst.errno(),
            worst.check(),
            worst.processed(),
            worst.missing(),
            arrival.aborted() != null);
  }

  /** The destination's vCPU before the first call; made anew when the VM or the settings change. */
  @SuppressWarnings("ReferenceEquality") // VMs are replaced when they change, and seldom.
  private Vcpu fresh(Vcpu source) {
    Vm vm = source.vm();
    Vm target = lastDestination;
    if (vm != lastSource || target == null) {
      target =
          new Vm(
              vm.name(),
              destination,
              vm.host(),
              Answer.NO,
              vm.irqchip(),
              vm.settings(),
              vm.vcpuIds(),
              vm.slots());
      lastSource = vm;
      lastDestination = target;
      lastFresh = null;
    }
    Vcpu last = lastFresh;
    if (last == null || last.id() != source.id() || !last.name().equals(source.name())) {
      last = Restoring.fresh(source, target);
      lastFresh = last;
    }
    return Restoring.configured(last, source);
  }

  /** What is different between the vCPU that stayed and the one that was migrated. */
  List<Difference> compare(Vcpu stayed, Vcpu migrated, Arrival arrival) {
    return Comparison.of(stayed, migrated, arrival, byCpuid);
  }

  /** A vCPU with what the policy remembers of it. */
  record Side(Vcpu vcpu, Memory memory) {}

  /** What the policy remembers after a call that KVM accepted. */
  Memory remember(Memory memory, Vcpu before, VcpuCommand command, Vcpu after) {
    return policy == null ? memory : policy.atIoctl(memory, before, command, after).memory();
  }

  /** How a KVM_RUN that both make now ends on the migrated vCPU, if that is its end alone. */
  RunDifference run(Side stayed, Side migrated) {
    return run(stayed, migrated, new VcpuCommand.Run(Arrival.BASE - 1, RUN));
  }

  /**
   * A comparison of two KVM_RUNs.
   *
   * @param fault how only the migrated vCPU's ends
   * @param open whether only the migrated vCPU's end cannot be told
   * @param spared the sentence that only the vCPU that stayed has a bad end, or empty
   */
  record RunDifference(@Nullable Fault fault, boolean open, String spared) {}

  RunDifference run(Side stayed, Side migrated, VcpuCommand.Run run) {
    Vcpu there = stayed.memory().worldOr(stayed.vcpu());
    Vcpu here = migrated.memory().worldOr(migrated.vcpu());
    PolicyRun one = PolicyRun.of(policy, stayed.memory(), there, run);
    Memory carried =
        policy == null ? migrated.memory() : policy.migrated(stayed.memory(), migrated.memory());
    PolicyRun other = PolicyRun.of(policy, carried, here, run);
    return one.isAccepted() && other.isAccepted()
        ? run(there, here, run)
        : PolicyRun.difference(one, other);
  }

  private static RunDifference run(Vcpu stayed, Vcpu migrated, VcpuCommand.Run run) {
    Outcome one = VcpuModel.decide(stayed, run).outcome();
    Outcome other = VcpuModel.decide(migrated, run).outcome();
    Fault fault = fault(other);
    if (fault == null) {
      boolean open = other instanceof Outcome.Undecided && !(one instanceof Outcome.Undecided);
      return new RunDifference(null, open, "");
    }
    if (one instanceof Outcome.Undecided || fault.equals(fault(one))) {
      return new RunDifference(null, one instanceof Outcome.Undecided, "");
    }
    return new RunDifference(fault, false, "");
  }

  private static @Nullable Fault fault(Outcome outcome) {
    return switch (outcome) {
      case Outcome.Exits e ->
          new Fault(
              e.exit().name() + (e.suberror() < 0 ? "" : " suberror " + e.suberror()), e.check());
      case Outcome.Refused r -> new Fault(r.errno().name(), r.check());
      case Outcome.Runs r -> fault(r.fault());
      case Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ -> null;
    };
  }

  private static @Nullable Fault fault(TimelineEvent.@Nullable TripleFaultSynthesized fault) {
    if (fault == null) {
      return null;
    }
    String why =
        switch (fault.cause()) {
          case INVALID_GUEST_STATE -> "";
          case REQUESTED -> ", requested";
          case NO_PAGE_ROOT -> ", no memory at the root of its page tables";
        };
    return new Fault("TRIPLE_FAULT for L1" + why, fault.failed());
  }

  /** The outcome, from what was found when the guest goes on. */
  static MigrationOutcome outcome(
      Moved moved,
      List<Difference> differences,
      List<String> healed,
      RunDifference run,
      List<String> calls) {
    List<String> later = new ArrayList<>(calls);
    if (!run.spared().isEmpty()) {
      later.add(run.spared());
    }
    List<Difference> lost = differences.stream().filter(Difference::certain).toList();
    List<Difference> open = differences.stream().filter(d -> !d.certain()).toList();
    List<String> assumed = new ArrayList<>();
    List<String> undecided = new ArrayList<>();
    for (Arrival.Step step : moved.arrival().steps()) {
      switch (step.end()) {
        case ASSUMED -> assumed.add(step.ioctl().uapiName());
        case OPEN -> undecided.add(step.ioctl().uapiName() + ": " + step.missing());
        case ACCEPTED, REFUSED -> {}
      }
    }
    Kind kind;
    if (moved.isFatal()) {
      kind = Kind.REFUSED;
    } else if (run.fault() != null) {
      kind = Kind.FAULT;
    } else if (!lost.isEmpty()) {
      kind = Kind.LOST;
    } else if (!open.isEmpty() || !undecided.isEmpty() || run.open()) {
      kind = Kind.CANNOT_TELL;
    } else {
      kind = Kind.FAITHFUL;
    }
    return new MigrationOutcome(
        kind,
        lost,
        open,
        List.copyOf(healed),
        moved.refused(),
        run.fault(),
        List.copyOf(later),
        List.copyOf(assumed),
        List.copyOf(undecided),
        moved.second());
  }

  Plan plan() {
    return plan;
  }
}
