package dev.faultline.record;

import dev.faultline.kvm.FdKind;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Finds out what descriptors stand for: from the calls that make them, and where a descriptor came
 * another way (dup, fork, a socket, or before the recording began) from /proc and from the kernel's
 * own comparison of two descriptors.
 */
final class Descriptors {
  /** Is told of descriptors that come and go without a call that says so. */
  interface Finder {
    /** A descriptor was found in /proc and not seen to be made. */
    void found(TracedProcess process, int fd, KvmObject object);

    /** The last descriptor that is known of an object is gone. */
    void gone(KvmObject object);
  }

  private static final long SYS_KCMP = 312;
  private static final long KCMP_FILE = 0;
  private static final String VM_LINK = "anon_inode:kvm-vm";
  private static final String VCPU_LINK = "anon_inode:kvm-vcpu";
  private static final int KVM_MAJOR_MINOR = 10 << 8 | 232;

  private final LibC libc;
  private final Finder finder;
  private final KvmObject system = new KvmObject(FdKind.SYSTEM, "kvm", null);

  /** A descriptor that stands for a known VM, vCPU or device. */
  private record Holder(TracedProcess process, int fd, KvmObject object) {}

  private final List<Holder> holders = new ArrayList<>();
  private int vms;

  Descriptors(LibC libc, Finder finder) {
    this.libc = libc;
    this.finder = finder;
  }

  /** What the descriptor stands for. */
  KvmObject of(TracedProcess process, int fd) {
    KvmObject known = process.descriptors().get(fd);
    return known != null ? known : look(process, fd);
  }

  private KvmObject look(TracedProcess process, int fd) {
    KvmObject found = found(process, fd);
    if (found.kind() != null) {
      hold(process, fd, found);
      finder.found(process, fd, found);
    }
    // What is none of KVM's is looked at again: nobody watches how it goes away.
    return found;
  }

  private KvmObject found(TracedProcess process, int fd) {
    Path path = Path.of("/proc/" + process.pid() + "/fd/" + fd);
    String link = link(path);
    if (link.equals("/dev/kvm") || (link.endsWith("kvm") && isKvmDevice(path))) {
      return system;
    }
    FdKind kind =
        link.equals(VM_LINK)
            ? FdKind.VM
            : link.equals(VCPU_LINK) || link.startsWith(VCPU_LINK + ":")
                ? FdKind.VCPU
                : link.startsWith("anon_inode:kvm-") && !link.contains("stats")
                    ? FdKind.DEVICE
                    : null;
    if (kind == null) {
      return KvmObject.other(link.startsWith("/") ? link : link.replaceAll("[^ -~]", "."));
    }
    KvmObject same = same(process, fd, kind);
    return same != null ? same : unseen(process, fd, kind, link);
  }

  private static String link(Path path) {
    try {
      return Files.readSymbolicLink(path).toString();
    } catch (IOException e) {
      return "none";
    }
  }

  private static boolean isKvmDevice(Path path) {
    try {
      return Files.getAttribute(path, "unix:rdev") instanceof Long rdev && rdev == KVM_MAJOR_MINOR;
    } catch (IOException | UnsupportedOperationException e) {
      return false;
    }
  }

  private @Nullable KvmObject same(TracedProcess process, int fd, FdKind kind) {
    for (Holder holder : holders) {
      if (holder.object.is(kind)
          && libc.syscall(SYS_KCMP, process.pid(), holder.process.pid(), KCMP_FILE, fd, holder.fd)
              == 0) {
        return holder.object;
      }
    }
    return null;
  }

  /**
   * Made before the recording began, or by someone who is not recorded. To which VM a vCPU belongs
   * cannot be asked; VMMs make the VM first, so it is the one with the nearest lower descriptor.
   */
  private KvmObject unseen(TracedProcess process, int fd, FdKind kind, String link) {
    if (kind == FdKind.VM) {
      return newVm();
    }
    KvmObject vm = null;
    for (int lower = fd - 1; lower >= 0 && vm == null; lower--) {
      if (link(Path.of("/proc/" + process.pid() + "/fd/" + lower)).equals(VM_LINK)) {
        vm = of(process, lower);
      }
    }
    KvmObject owner = vm != null ? vm : newVm();
    if (kind == FdKind.DEVICE) {
      return new KvmObject(FdKind.DEVICE, owner.nextDeviceName(), owner);
    }
    String number = link.substring(VCPU_LINK.length()).replace(":", "");
    return newVcpu(owner, number.isEmpty() ? "0" : number);
  }

  private KvmObject newVm() {
    return new KvmObject(FdKind.VM, "vm" + ++vms, null);
  }

  private static KvmObject newVcpu(KvmObject vm, String number) {
    return new KvmObject(FdKind.VCPU, vm.name() + "/vcpu" + number, vm);
  }

  /** KVM_CREATE_VM returned a descriptor. */
  void vmMade(TracedProcess process, int fd) {
    hold(process, fd, newVm());
  }

  /** KVM_CREATE_VCPU returned a descriptor. */
  void vcpuMade(TracedProcess process, KvmObject vm, long id, int fd) {
    hold(process, fd, newVcpu(vm, Long.toString(id)));
  }

  /** KVM_CREATE_DEVICE returned a descriptor. */
  void deviceMade(TracedProcess process, KvmObject vm, int fd) {
    hold(process, fd, new KvmObject(FdKind.DEVICE, vm.nextDeviceName(), vm));
  }

  /** A call like dup(2) made another descriptor of the same. */
  void duplicated(TracedProcess process, int fd, int other) {
    KvmObject object = process.descriptors().get(fd);
    closed(process, other);
    if (object != null) {
      hold(process, other, object);
    }
  }

  /** A child has the descriptors that its parent had. */
  void forked(TracedProcess parent, TracedProcess child) {
    parent.descriptors().forEach((fd, object) -> hold(child, fd, object));
  }

  private void hold(TracedProcess process, int fd, KvmObject object) {
    closed(process, fd);
    process.descriptors().put(fd, object);
    if (object != system) {
      holders.add(new Holder(process, fd, object));
    }
  }

  /** The descriptor stands for nothing now. */
  void closed(TracedProcess process, int fd) {
    KvmObject object = process.descriptors().remove(fd);
    if (object != null) {
      holders.removeIf(holder -> holder.process == process && holder.fd == fd);
      tellGone(List.of(object));
    }
  }

  private void tellGone(Collection<KvmObject> objects) {
    for (KvmObject object : objects) {
      if (object != system && holders.stream().noneMatch(holder -> holder.object == object)) {
        finder.gone(object);
      }
    }
  }

  /** Every object that is held by someone. */
  List<KvmObject> held() {
    return holders.stream().map(Holder::object).distinct().toList();
  }

  /** The process is gone, or has no descriptor of before. */
  void gone(TracedProcess process) {
    List<KvmObject> had = List.copyOf(process.descriptors().values());
    process.descriptors().clear();
    holders.removeIf(holder -> holder.process == process);
    tellGone(had);
  }
}
