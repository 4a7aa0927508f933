package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import org.jspecify.annotations.Nullable;

/** What the rules remember of a vCPU. */
final class VcpuTrack {
  private final String name;
  private final VmTrack vm;
  private final boolean fromCreation;
  private final int id;
  private Window written = new Window();
  private Window read = new Window();
  private @Nullable Call cpuid;
  private @Nullable Call lastRun;
  private int runs;
  private boolean exitUnknown;
  private @Nullable Call restoredRun;
  private @Nullable Call lastSet;
  private @Nullable Call clockCtrl;
  private @Nullable Call suspectedSync;
  private boolean closed;

  /**
   * A vCPU that is seen for the first time.
   *
   * @param id its identifier, or -1
   * @param fromCreation whether the recording shows its creation
   */
  VcpuTrack(String name, VmTrack vm, int id, boolean fromCreation) {
    this.name = name;
    this.vm = vm;
    this.id = id;
    this.fromCreation = fromCreation;
  }

  String name() {
    return name;
  }

  VmTrack vm() {
    return vm;
  }

  /** Its identifier, or -1 if nobody knows. */
  int id() {
    return id;
  }

  /** What it is called within its VM: vCPUs of two VMs correspond by it. */
  String index() {
    return name.substring(name.indexOf('/') + 1);
  }

  boolean fromCreation() {
    return fromCreation;
  }

  /** What was written since the last KVM_RUN. */
  Window written() {
    return written;
  }

  /** What was read since the last KVM_RUN. */
  Window read() {
    return read;
  }

  /** The KVM_SET_CPUID2 in force; null if there was none. */
  @Nullable Call cpuidCall() {
    return cpuid;
  }

  /** The CPUID table in force; null if there is none, or nobody knows it. */
  @Nullable KvmCpuid2 cpuid() {
    return Window.cpuidOf(cpuid);
  }

  boolean hasRun() {
    return runs > 0;
  }

  @Nullable Call lastRun() {
    return lastRun;
  }

  /** Why the last KVM_RUN came back, if it did not fail and nothing ran since. */
  @Nullable KvmExit lastExit() {
    return lastRun == null ? null : lastRun.exit();
  }

  /** Whether a KVM_RUN returned and nobody knows why. */
  boolean exitUnknown() {
    return exitUnknown;
  }

  /** The first KVM_RUN after the last restore; null if there was none. */
  @Nullable Call restoredRun() {
    return restoredRun;
  }

  /** The last KVM_KVMCLOCK_CTRL since the last KVM_RUN, whatever it returned. */
  @Nullable Call clockCtrl() {
    return clockCtrl;
  }

  /** The last call that wrote state. */
  @Nullable Call lastSet() {
    return lastSet;
  }

  /** Nested state was written although the vCPU may only be synced; the rest will show. */
  void suspectSync(Call call) {
    suspectedSync = call;
  }

  @Nullable Call suspectedSync() {
    return suspectedSync;
  }

  boolean isClosed() {
    return closed;
  }

  void close() {
    closed = true;
  }

  /** Takes a call other than KVM_RUN. */
  void add(Call call) {
    if (isRead(call.ioctl())) {
      read.add(call);
      if (call.ioctl() == Ioctl.GET_DEVICE_ATTR) {
        vm.offsetRead();
      }
      return;
    }
    written.add(call);
    if (call.ioctl() == Ioctl.KVMCLOCK_CTRL) {
      clockCtrl = call;
    }
    if (call.done()) {
      lastSet = call;
      if (call.ioctl() == Ioctl.SET_CPUID2 || call.ioctl() == Ioctl.SET_CPUID) {
        cpuid = call;
      }
    }
  }

  private static boolean isRead(Ioctl ioctl) {
    return ioctl.name().startsWith("GET_") || ioctl == Ioctl.HAS_DEVICE_ATTR;
  }

  /** Takes a KVM_RUN. */
  void run(Call call) {
    if (written.isRestore()) {
      restoredRun = call;
    }
    runs++;
    lastRun = call;
    exitUnknown = call.done() && call.exit() == null && call.unseen();
    written = new Window();
    read = new Window();
    clockCtrl = null;
    suspectedSync = null;
  }
}
