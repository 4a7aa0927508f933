package dev.faultline.timeline;

import dev.faultline.Check;
import dev.faultline.vcpu.CallCheck;
import dev.faultline.vcpu.EventsCheck;
import dev.faultline.vcpu.MsrCheck;
import dev.faultline.vcpu.NestedPhase;
import dev.faultline.vcpu.NestedStateCheck;
import dev.faultline.vcpu.NestedTransition;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmCheck;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.SregsCheck;
import dev.faultline.vcpu.SvmNestedCheck;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.vmx.VmEntryCheck;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What recordings exercise of the model: which checks refused something, which ioctls ended how,
 * which transitions of the nested machine were taken; and what none of them does.
 */
public final class Coverage implements TimelineListener {
  private final SortedMap<String, Long> checks = new TreeMap<>();
  private final SortedMap<String, Long> outcomes = new TreeMap<>();
  private final SortedMap<String, Long> transitions = new TreeMap<>();
  private final SortedMap<String, Long> untabled = new TreeMap<>();

  @Override
  public void fact(int moment, Recorded fact, @Nullable Outcome predicted) {
    if (predicted == null) {
      return;
    }
    switch (predicted) {
      case Outcome.Refused r -> checks.merge(r.check().id(), 1L, Long::sum);
      case Outcome.Exits e -> checks.merge(e.check().id(), 1L, Long::sum);
      case Outcome.Returns r when r.stopped() != null ->
          checks.merge(r.stopped().id(), 1L, Long::sum);
      case Outcome.Runs _, Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ -> {}
    }
    if (fact instanceof Recorded.VcpuCall call) {
      String outcome =
          VcpuModel.ioctl(call.command()).uapiName() + " " + kind(call.command(), predicted);
      outcomes.merge(outcome, 1L, Long::sum);
    }
  }

  private static String kind(VcpuCommand command, Outcome outcome) {
    return switch (outcome) {
      case Outcome.Returns r when r.value() < entries(command) -> "stops short";
      case Outcome.Returns _, Outcome.Succeeds _ -> "succeeds";
      case Outcome.Refused r -> r.errno().name();
      case Outcome.Exits e -> e.exit().name();
      case Outcome.Runs r -> r.fault() == null ? "runs the guest" : "TRIPLE_FAULT to L1";
      case Outcome.Undecided _ -> "cannot tell";
    };
  }

  /** How many entries the call asks for that returns the number it processed; otherwise 0. */
  private static long entries(VcpuCommand command) {
    return switch (command) {
      case VcpuCommand.SetMsrs c -> c.msrs().count();
      case VcpuCommand.GetMsrs c -> c.msrs().count();
      default -> 0;
    };
  }

  @Override
  public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
    if (event instanceof TimelineEvent.TripleFaultSynthesized fault && fault.failed() != null) {
      checks.merge(fault.failed().id(), 1L, Long::sum);
    }
  }

  @Override
  public void rsm(int moment, Recorded.VcpuCall run, RsmVerdict verdict) {
    if (verdict.failed() != null) {
      checks.merge(verdict.failed().id(), 1L, Long::sum);
    }
  }

  @Override
  public void transition(
      int moment, String vcpu, NestedPhase from, NestedPhase to, boolean byIoctl) {
    NestedTransition row = NestedTransition.of(from, to, byIoctl);
    if (row == null) {
      untabled.merge(from.label() + " -> " + to.label(), 1L, Long::sum);
    } else {
      transitions.merge(row.name(), 1L, Long::sum);
    }
  }

  /** How often each check decided, by its identifier. */
  public SortedMap<String, Long> checks() {
    return Collections.unmodifiableSortedMap(checks);
  }

  /** How often each ioctl ended in each way. */
  public SortedMap<String, Long> outcomes() {
    return Collections.unmodifiableSortedMap(outcomes);
  }

  /** How often each row of the transition table was taken. */
  public SortedMap<String, Long> transitions() {
    return Collections.unmodifiableSortedMap(transitions);
  }

  /** Changes that the transition table does not have. */
  public SortedMap<String, Long> untabled() {
    return Collections.unmodifiableSortedMap(untabled);
  }

  /** Checks of the model that decided nothing, in KVM's order within each family. */
  public List<Check> uncoveredChecks() {
    List<Check> all = new ArrayList<>();
    all.addAll(List.of(SregsCheck.values()));
    all.addAll(List.of(EventsCheck.values()));
    all.addAll(List.of(NestedStateCheck.values()));
    all.addAll(List.of(SvmNestedCheck.values()));
    all.addAll(List.of(MsrCheck.values()));
    all.addAll(List.of(CallCheck.values()));
    all.addAll(List.of(RsmCheck.values()));
    all.addAll(List.of(GuestStateCheck.values()));
    all.addAll(List.of(VmEntryCheck.values()));
    all.removeIf(check -> checks.containsKey(check.id()));
    return List.copyOf(all);
  }

  /** Rows of the transition table that were not taken. */
  public List<NestedTransition> uncoveredTransitions() {
    List<NestedTransition> all = new ArrayList<>(List.of(NestedTransition.values()));
    all.removeIf(row -> transitions.containsKey(row.name()));
    return List.copyOf(all);
  }
}
