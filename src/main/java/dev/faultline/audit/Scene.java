package dev.faultline.audit;

import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Everything that the rules remember of a recording; bounded. */
final class Scene {
  /** So many VMs are remembered at once; the oldest ends when another comes. */
  static final int MAX_VMS = 256;

  private final KernelModel kernel;
  private final LinkedHashMap<String, VmTrack> vms = new LinkedHashMap<>();
  private final TreeMap<String, Saved> saves = new TreeMap<>();
  private final TreeMap<Integer, Integer> extensions = new TreeMap<>();
  private @Nullable KvmCpuid2 supported;
  private @Nullable TreeSet<Integer> msrIndexes;
  private boolean permissionAsked;

  Scene(KernelModel kernel) {
    this.kernel = kernel;
  }

  /**
   * What was read of a vCPU to be saved.
   *
   * @param vcpu whose
   * @param reads the calls
   */
  record Saved(VcpuTrack vcpu, Window reads) {}

  KernelModel kernel() {
    return kernel;
  }

  /** Whether the kernel is certainly this one or a later one. */
  boolean since(KernelVersion version) {
    return kernel.versionCertain() && kernel.version().compareTo(version) >= 0;
  }

  /** Whether the kernel is certainly older than this one. */
  boolean before(KernelVersion version) {
    return kernel.versionCertain() && kernel.version().compareTo(version) < 0;
  }

  LinkedHashMap<String, VmTrack> vms() {
    return vms;
  }

  List<VmTrack> open() {
    return new ArrayList<>(vms.values());
  }

  /** The latest save of the vCPU of that index, before now; null if there is none. */
  @Nullable Saved saved(String index) {
    return saves.get(index);
  }

  boolean anySaved() {
    return !saves.isEmpty();
  }

  void saved(VcpuTrack vcpu, Window reads) {
    if (saves.size() < MAX_VMS || saves.containsKey(vcpu.index())) {
      saves.put(vcpu.index(), new Saved(vcpu, reads));
    }
  }

  /** What KVM_CHECK_EXTENSION answered, by capability. */
  TreeMap<Integer, Integer> extensions() {
    return extensions;
  }

  void msrIndexes(List<Integer> indexes) {
    msrIndexes = new TreeSet<>(indexes);
  }

  /** What KVM_GET_MSR_INDEX_LIST answered; null if it was not asked. */
  @Nullable TreeSet<Integer> msrIndexes() {
    return msrIndexes;
  }

  void supported(KvmCpuid2 table) {
    supported = table;
  }

  /** What KVM_GET_SUPPORTED_CPUID answered; null if it was not asked. */
  @Nullable KvmCpuid2 supported() {
    return supported;
  }

  void askedPermission() {
    permissionAsked = true;
  }

  /** Whether the recording shows that the use of AMX was asked for. */
  boolean permissionAsked() {
    return permissionAsked;
  }
}
