package dev.faultline.record;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmRun;
import org.jspecify.annotations.Nullable;

/** A thread under ptrace, and the system call that it is in. */
final class Tracee {
  /** What a system call means to the recording. */
  enum Interest {
    /** Nothing. */
    NONE,
    IOCTL,
    CLOSE,
    CLOSE_RANGE,
    DUP,
    MMAP,
    MUNMAP
  }

  private static final int FIRST_PAYLOAD = 4352;

  final int tid;
  TracedProcess process;

  /** True between the entry and the exit of a system call. */
  boolean inside;

  Interest interest = Interest.NONE;
  final long[] args = new long[6];
  boolean compat;

  /** True in a call that the recorder sent the thread into. */
  boolean probe;

  /** How many seccomp filters the thread has; -1 as long as nobody has asked. */
  int filters = -1;

  long seq;
  long enterNs;

  /** Of an ioctl on KVM. */
  @Nullable KvmObject object;

  @Nullable Ioctl ioctl;

  /** What goes in, {@link #inSize} bytes; -1 if it cannot be read. */
  byte[] in = new byte[FIRST_PAYLOAD];

  int inSize;

  /** Of KVM_RUN: the page before and after. */
  final byte[] pageIn = new byte[KvmRun.SIZE];

  final byte[] pageOut = new byte[KvmRun.SIZE];

  /** Whether {@link #pageIn} holds this call's page. */
  boolean hasPage;

  /** Where the VMM has the page; 0 if that is not known. */
  long pageAddress;

  /** Whether the line of a KVM_RUN that returned is yet to be written. */
  boolean unwritten;

  /** When the call returned, and what: -errno for a failure. */
  long exitNs;

  long value;

  Tracee(int tid, TracedProcess process) {
    this.tid = tid;
    this.process = process;
  }

  int fd() {
    return (int) args[0];
  }

  int req() {
    return (int) args[1];
  }

  long arg() {
    return args[2];
  }

  byte[] roomForIn(int size) {
    if (in.length < size) {
      in = java.util.Arrays.copyOf(in, size);
    }
    return in;
  }
}
