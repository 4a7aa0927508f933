package dev.faultline.record;

import dev.faultline.kvm.Ioctl;
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

  /** Of KVM_RUN: the page before, and where it lies; null if it is not mapped. */
  byte @Nullable [] pageIn;

  long pageAddress;

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
