package dev.faultline.cli;

import dev.faultline.ingest.StoredTimeline;
import dev.faultline.store.TimelineStore;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.vcpu.Vcpu;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;

/** The vCPUs that a kept state leaves out, since all descriptors of their VMs were closed. */
final class ClosedVcpus {
  private ClosedVcpus() {}

  /** Those that may be shown: the ones asked for, or the one that was called last of all. */
  static SequencedMap<String, Vcpu> before(
      StoredTimeline stored, TimelineStore.Resumed resumed, VcpuFilter filter) {
    ClosedVms closed = stored.store().closedVms(stored.name());
    SequencedMap<String, Vcpu> found = new LinkedHashMap<>();
    for (String vm : vms(stored, resumed, filter)) {
      ClosedVm left = closed.find(vm, resumed.from());
      if (left != null && !resumed.state().reexecution().shelf().holds(vm)) {
        left.vcpus().stream()
            .filter(v -> filter.takes(v.name()))
            .forEach(v -> found.put(v.name(), v));
      }
    }
    return found;
  }

  private static Collection<String> vms(
      StoredTimeline stored, TimelineStore.Resumed resumed, VcpuFilter filter) {
    String named = filter.isAll() ? resumed.state().lastUsed() : filter.asked();
    int slash = named.indexOf('/');
    if (slash >= 0) {
      return List.of(named.substring(0, slash));
    }
    if (filter.isAll()) {
      return List.of();
    }
    return stored.store().closedVmNames(stored.name(), resumed.from()).stream()
        .sorted(Comparator.comparingInt(String::length).thenComparing(Comparator.naturalOrder()))
        .toList();
  }
}
