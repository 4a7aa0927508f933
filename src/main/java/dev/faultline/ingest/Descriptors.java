package dev.faultline.ingest;

import dev.faultline.store.ReplayState;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.Reexecution;
import dev.faultline.trace.Observation;
import dev.faultline.vcpu.Recorded;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Follows which descriptors are closed, and which vCPU was called last. A VM none of whose
 * descriptors is open can be put away, so that a timeline of many VMs, one after the other, takes
 * the memory of those that are there at once.
 */
final class Descriptors {
  private final Reexecution reexecution;
  private final Set<String> closed = new LinkedHashSet<>();
  private String lastUsed = "";

  Descriptors(Reexecution reexecution) {
    this.reexecution = reexecution;
  }

  /** Goes on with what a state says. */
  Descriptors(Reexecution reexecution, ReplayState state) {
    this(reexecution);
    closed.addAll(state.closed());
    lastUsed = state.lastUsed();
  }

  /** Takes note of a line that was re-executed; the VM that can be put away now, or null. */
  @Nullable ClosedVm follow(Observation observation, Recorded fact) {
    if (fact instanceof Recorded.VcpuCall call) {
      lastUsed = call.vcpu();
    }
    for (ClosedVm back : reexecution.shelf().takenBack()) {
      closed.add(back.vm().name());
      back.vcpus().forEach(v -> closed.add(v.name()));
    }
    if (observation instanceof Observation.Closed close && close.ret() == 0) {
      closed.add(close.obj());
      return closable(close.obj());
    }
    return null;
  }

  private @Nullable ClosedVm closable(String obj) {
    int slash = obj.indexOf('/');
    String vm = slash < 0 ? obj : obj.substring(0, slash);
    if (!closed.contains(vm)) {
      return null;
    }
    ClosedVm found = reexecution.shelf().closable(vm);
    return found != null && found.vcpus().stream().allMatch(v -> closed.contains(v.name()))
        ? found
        : null;
  }

  /** The VM is kept elsewhere from now on. */
  void putAway(ClosedVm vm) {
    String name = vm.vm().name();
    reexecution.shelf().putAway(vm);
    closed.removeIf(obj -> obj.equals(name) || obj.startsWith(name + "/"));
  }

  /** Everything that is known at the present moment. */
  ReplayState state() {
    return new ReplayState(reexecution.withoutFindings(), List.copyOf(closed), lastUsed);
  }
}
