package dev.faultline.timeline;

import dev.faultline.vcpu.Host;
import dev.faultline.vcpu.HostFact;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Vm;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * All VMs and vCPUs of a timeline at its present moment, and the descriptors by which creations and
 * later calls are joined.
 */
final class Machine {
  private static final int UNKNOWN_ID = -1;

  private final KernelModel kernel;
  private final SequencedMap<String, Vm> vms = new LinkedHashMap<>();
  private final SequencedMap<String, Vcpu> vcpus = new LinkedHashMap<>();
  private final List<Creation> pendingVms = new ArrayList<>();
  private final List<Creation> refusedVms = new ArrayList<>();
  private final List<Creation> pendingVcpus = new ArrayList<>();
  private Host host = Host.UNKNOWN;

  Machine(KernelModel kernel) {
    this.kernel = kernel;
  }

  /** The same machine, to go on in another way; what it holds is immutable. */
  Machine copy() {
    Machine copy = new Machine(kernel);
    copy.vms.putAll(vms);
    copy.vcpus.putAll(vcpus);
    copy.pendingVms.addAll(pendingVms);
    copy.refusedVms.addAll(refusedVms);
    copy.pendingVcpus.addAll(pendingVcpus);
    copy.host = host;
    return copy;
  }

  /** A descriptor was returned; the name of what it stands for is first seen in a later call. */
  record Creation(int moment, long seq, String vm, int id, int ret, int errno, String where) {
    long fd() {
      return ret;
    }
  }

  KernelModel kernel() {
    return kernel;
  }

  SequencedMap<String, Vcpu> vcpus() {
    return vcpus;
  }

  void learn(HostFact fact) {
    host = fact.learn(host);
  }

  Host host() {
    return host;
  }

  void host(Host learned) {
    host = learned;
  }

  void vmCreated(Creation creation) {
    pendingVms.removeIf(c -> c.fd() == creation.fd());
    pendingVms.add(creation);
  }

  /** A KVM_CREATE_VM that failed, as the recording tells. */
  void vmRefused(Creation creation) {
    refusedVms.add(creation);
  }

  void vcpuCreated(Creation creation) {
    pendingVcpus.removeIf(c -> c.fd() == creation.fd());
    pendingVcpus.add(creation);
  }

  /** What the first sight of an object told about its creation. */
  record Sighting(boolean created, @Nullable Creation mismatched) {
    static final Sighting KNOWN = new Sighting(false, null);
  }

  boolean knowsVm(String name) {
    return vms.containsKey(name);
  }

  boolean knowsVcpu(String name) {
    return vcpus.containsKey(name);
  }

  /** The vCPUs of a VM, in order of first appearance. */
  List<Vcpu> vcpusOf(String vm) {
    String prefix = vm + "/";
    return vcpus.values().stream().filter(v -> v.name().startsWith(prefix)).toList();
  }

  /** Lets go of a VM and its vCPUs, which somebody else keeps. */
  void putAway(ClosedVm closed) {
    vms.remove(closed.vm().name());
    closed.vcpus().forEach(v -> vcpus.remove(v.name()));
  }

  /** Takes back a VM that was put away. */
  void takeBack(ClosedVm closed) {
    vms.put(closed.vm().name(), closed.vm());
    closed.vcpus().forEach(v -> vcpus.put(v.name(), v));
  }

  /** The VM enters the timeline, with its creation where the recording shows it. */
  Sighting seeVm(String name, int fd) {
    Creation match = take(pendingVms, fd, null);
    Creation other = match == null && pendingVms.size() == 1 ? pendingVms.removeFirst() : null;
    if (match == null && other == null && !refusedVms.isEmpty()) {
      // Every VM of a program that was recorded from its start was created in the recording.
      other = refusedVms.removeLast();
    }
    boolean created = match != null || other != null;
    vms.put(name, created ? Vm.created(name, kernel, host) : Vm.unseen(name, kernel, host));
    return new Sighting(created, other);
  }

  /** The vCPU enters the timeline, with its creation where the recording shows it. */
  Sighting seeVcpu(String name, String vmName, int fd, int moment) {
    Vm vm = vm(vmName);
    Creation match = take(pendingVcpus, fd, vmName);
    Creation other = null;
    if (match == null) {
      List<Creation> same = pendingVcpus.stream().filter(c -> c.vm().equals(vmName)).toList();
      if (same.size() == 1) {
        other = same.getFirst();
        pendingVcpus.remove(other);
      }
    }
    Creation creation = match != null ? match : other;
    Vcpu unseen = VcpuModel.unseen(name, creation == null ? UNKNOWN_ID : creation.id(), vm);
    vcpus.put(
        name,
        creation == null
            ? unseen
            : VcpuModel.evolve(
                unseen,
                new TimelineEvent.VcpuCreated(
                    creation.moment(),
                    creation.id(),
                    vm.settings().isBootCpu(creation.id()),
                    vm.irqchip().lapicInKernel())));
    return new Sighting(creation != null, other);
  }

  private static @Nullable Creation take(List<Creation> pending, int fd, @Nullable String vm) {
    for (Creation c : pending) {
      if (c.fd() == fd && (vm == null || c.vm().equals(vm))) {
        pending.remove(c);
        return c;
      }
    }
    return null;
  }

  @SuppressWarnings("ReferenceEquality") // The host changes by being replaced, and seldom.
  Vm vm(String name) {
    Vm vm = vms.get(name);
    if (vm == null) {
      vm = Vm.unseen(name, kernel, host);
      vms.put(name, vm);
    }
    if (vm.host() != host) {
      vm = vm.withHost(host);
      vms.put(name, vm);
    }
    return vm;
  }

  void put(Vm vm) {
    vms.put(vm.name(), vm);
  }

  Vcpu vcpu(String name, String vmName) {
    Vcpu v = vcpus.get(name);
    if (v == null) {
      v = VcpuModel.unseen(name, UNKNOWN_ID, vm(vmName));
      vcpus.put(name, v);
    }
    return v.withVm(vm(vmName));
  }

  /** Keeps the vCPU, and what it says of its VM. */
  void put(Vcpu v) {
    vcpus.put(v.name(), v);
    vms.put(v.vm().name(), v.vm());
  }
}
