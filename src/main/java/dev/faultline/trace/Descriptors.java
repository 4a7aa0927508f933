package dev.faultline.trace;

import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import java.util.HashMap;
import org.jspecify.annotations.Nullable;

/**
 * What the numbers of file descriptors stand for in a trace that does not say so itself: concluded
 * from the calls that make KVM's descriptors, and, of those that were made before the trace began,
 * from what is called on them.
 */
final class Descriptors {
  /** More are held for no process. */
  private static final int MAX_OPEN = 1 << 16;

  private final Names names;
  private final HashMap<Integer, Known> open;

  /** A descriptor: its kind, and its name as recordings have it. */
  record Known(FdKind kind, String obj) {
    String kindWord() {
      return kind.word();
    }
  }

  /** Counts the VMs of all processes of a trace. */
  static final class Names {
    private int vms;
    private String lastVm = "";

    private String newVm() {
      vms++;
      lastVm = "vm" + vms;
      return lastVm;
    }

    /** The VM of a descriptor that says nothing of it: the last one there was. */
    private String anyVm() {
      return lastVm.isEmpty() ? newVm() : lastVm;
    }
  }

  Descriptors(Names names) {
    this.names = names;
    this.open = new HashMap<>();
  }

  private Descriptors(Descriptors from) {
    this.names = from.names;
    this.open = new HashMap<>(from.open);
  }

  /** Those of a child that has copies of them. */
  Descriptors copy() {
    return new Descriptors(this);
  }

  /**
   * What an ioctl is called on.
   *
   * @param label what the trace prints beside the number, empty if it prints nothing
   */
  Known of(int fd, String label, Ioctl ioctl) {
    Known known = open.get(fd);
    Known labelled = label.isEmpty() ? null : labelled(fd, label, known);
    if (labelled != null) {
      return labelled;
    }
    if (known != null && ioctl.takenBy(known.kind())) {
      return known;
    }
    return guess(fd, ioctl);
  }

  private @Nullable Known labelled(int fd, String label, @Nullable Known known) {
    FdKind kind = kind(label);
    if (kind == null) {
      return null;
    }
    if (known != null && known.kind() == kind && (kind != FdKind.VCPU || sameId(known, label))) {
      return known;
    }
    Known fresh =
        switch (kind) {
          case SYSTEM -> new Known(kind, "kvm");
          case VM -> new Known(kind, names.newVm());
          case VCPU -> new Known(kind, names.anyVm() + "/vcpu" + id(label));
          case DEVICE -> new Known(kind, names.anyVm() + "/device" + fd);
        };
    keep(fd, fresh);
    return fresh;
  }

  private static boolean sameId(Known known, String label) {
    return known.obj().endsWith("/vcpu" + id(label));
  }

  private static String id(String label) {
    int colon = label.lastIndexOf(':');
    int at = colon + 1;
    while (at < label.length() && Character.isDigit(label.charAt(at))) {
      at++;
    }
    return label.substring(colon + 1, at);
  }

  private static @Nullable FdKind kind(String label) {
    if (label.contains("kvm-vcpu")) {
      return FdKind.VCPU;
    }
    if (label.contains("kvm-vm")) {
      return FdKind.VM;
    }
    if (label.startsWith("/dev/kvm")) {
      return FdKind.SYSTEM;
    }
    return label.contains("anon_inode:kvm-") || label.contains("anon_inode:[kvm-")
        ? FdKind.DEVICE
        : null;
  }

  /** Of the kinds that take the ioctl the likeliest; for two kinds alike, not the system. */
  private Known guess(int fd, Ioctl ioctl) {
    Known guess;
    if (ioctl.takenBy(FdKind.VCPU) && !ioctl.takenBy(FdKind.DEVICE) && !ioctl.takenBy(FdKind.VM)) {
      guess = new Known(FdKind.VCPU, names.anyVm() + "/fd" + fd);
    } else if (ioctl.takenBy(FdKind.SYSTEM) && !ioctl.takenBy(FdKind.DEVICE)) {
      guess = new Known(FdKind.SYSTEM, "kvm");
    } else if (ioctl.takenBy(FdKind.DEVICE)) {
      guess = new Known(FdKind.DEVICE, names.anyVm() + "/device" + fd);
    } else {
      guess = new Known(FdKind.VM, names.anyVm());
    }
    keep(fd, guess);
    return guess;
  }

  /** A call that succeeded made a descriptor. */
  void made(Ioctl ioctl, Known on, long arg, int fd) {
    switch (ioctl) {
      case CREATE_VM -> keep(fd, new Known(FdKind.VM, names.newVm()));
      case CREATE_VCPU -> keep(fd, new Known(FdKind.VCPU, on.obj() + "/vcpu" + arg));
      default -> {}
    }
  }

  /** The file /dev/kvm was opened. */
  void opened(int fd) {
    keep(fd, new Known(FdKind.SYSTEM, "kvm"));
  }

  /** A copy of a descriptor was made. */
  void duplicated(int from, int to) {
    Known known = open.get(from);
    if (known == null) {
      open.remove(to);
    } else {
      keep(to, known);
    }
  }

  /** What was closed; null if it was none of KVM's. */
  @Nullable Known closed(int fd) {
    return open.remove(fd);
  }

  private void keep(int fd, Known known) {
    if (open.size() < MAX_OPEN || open.containsKey(fd)) {
      open.put(fd, known);
    }
  }
}
