package dev.faultline.timeline;

import dev.faultline.vcpu.NestedPhase;
import dev.faultline.vcpu.Vcpu;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where a re-execution puts VMs of which no descriptor is open, so that it need not hold all there
 * ever were. Whoever asks for that keeps them, and knows them when they are called nevertheless.
 */
public final class Shelf {
  private final Machine machine;
  private final Scores scores;
  private final DeathWatch deaths;
  private final Map<String, NestedPhase> phases;
  private final List<ClosedVm> takenBack = new ArrayList<>();
  private ClosedVms known = ClosedVms.NONE;

  Shelf(Machine machine, Scores scores, DeathWatch deaths, Map<String, NestedPhase> phases) {
    this.machine = machine;
    this.scores = scores;
    this.deaths = deaths;
    this.phases = phases;
  }

  /** Whoever puts VMs away says first who knows them from then on. */
  public void know(ClosedVms closed) {
    known = closed;
  }

  void knowAs(Shelf other) {
    known = other.known;
  }

  /** Whether the state holds this VM now. */
  public boolean holds(String vm) {
    return machine.knowsVm(vm);
  }

  /**
   * A VM of which no descriptor is open, to be kept by somebody else; null if there is none of this
   * name, or if it is still to be shown what became of it.
   */
  public @Nullable ClosedVm closable(String vm) {
    if (!machine.knowsVm(vm) || deaths.awaits(vm)) {
      return null;
    }
    List<Vcpu> vcpus = machine.vcpusOf(vm);
    return new ClosedVm(machine.vm(vm), vcpus, ClosedVm.phasesOf(vcpus, phases));
  }

  /** Lets go of a VM; should something be called on it nevertheless, it is taken back. */
  public void putAway(ClosedVm vm) {
    machine.putAway(vm);
    phases.keySet().removeAll(vm.phases().keySet());
    scores.putAway(vm.vm().name());
    vm.vcpus().forEach(v -> scores.putAway(v.name()));
  }

  /** The VMs that were taken back since this was asked last. */
  public List<ClosedVm> takenBack() {
    List<ClosedVm> all = List.copyOf(takenBack);
    takenBack.clear();
    return all;
  }

  /** Takes a VM back that was put away at this moment or before; true if the state holds it now. */
  boolean takeBack(String vm, int moment) {
    if (machine.knowsVm(vm)) {
      return true;
    }
    ClosedVm closed = known.find(vm, moment);
    if (closed == null) {
      return false;
    }
    machine.takeBack(closed);
    phases.putAll(closed.phases());
    takenBack.add(closed);
    return true;
  }
}
