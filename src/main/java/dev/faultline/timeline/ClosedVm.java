package dev.faultline.timeline;

import dev.faultline.vcpu.NestedPhase;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vm;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * A VM of which no descriptor is open, as it was left.
 *
 * @param vcpus in order of first appearance
 * @param phases of the vCPUs, by name
 */
public record ClosedVm(Vm vm, List<Vcpu> vcpus, NavigableMap<String, NestedPhase> phases) {
  /** Takes the list and the map as they are now. */
  public ClosedVm {
    vcpus = List.copyOf(vcpus);
    phases = Collections.unmodifiableNavigableMap(new TreeMap<>(phases));
  }

  /** The phases of those among {@code all} that are vCPUs of this VM. */
  static NavigableMap<String, NestedPhase> phasesOf(
      List<Vcpu> vcpus, Map<String, NestedPhase> all) {
    TreeMap<String, NestedPhase> own = new TreeMap<>();
    for (Vcpu each : vcpus) {
      NestedPhase phase = all.get(each.name());
      if (phase != null) {
        own.put(each.name(), phase);
      }
    }
    return own;
  }
}
