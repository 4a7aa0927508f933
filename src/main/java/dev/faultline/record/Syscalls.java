package dev.faultline.record;

import dev.faultline.kvm.Ioctl;
import dev.faultline.record.Tracee.Interest;

/** Which system calls matter to a recording, by their numbers on x86. */
final class Syscalls {
  /** AUDIT_ARCH_X86_64 of {@code linux/audit.h}. */
  static final int ARCH_X86_64 = 0xc000003e;

  static final int IOCTL = 16;
  static final int CLOSE = 3;
  static final int MMAP = 9;
  static final int MUNMAP = 11;
  static final int DUP = 32;
  static final int DUP2 = 33;
  static final int DUP3 = 292;
  static final int FCNTL = 72;
  static final int CLOSE_RANGE = 436;
  static final int PRCTL = 157;
  static final int SECCOMP = 317;

  /** Calls by their x32 numbers have this bit. */
  static final int X32 = 1 << 30;

  private static final int X32_IOCTL = 514;
  private static final int I386_IOCTL = 54;
  private static final int I386_CLOSE = 6;
  private static final int I386_DUP = 41;
  private static final int I386_DUP2 = 63;
  private static final int I386_MUNMAP = 91;
  private static final int I386_MMAP2 = 192;
  private static final int I386_FCNTL64 = 221;
  private static final int I386_DUP3 = 330;
  private static final long F_DUPFD = 0;
  private static final long F_DUPFD_CLOEXEC = 1030;

  private Syscalls() {}

  /** What the call with the thread's arguments means; only ioctls of KVM's type count. */
  static Interest interest(int arch, long number, long[] args) {
    Interest interest =
        arch == ARCH_X86_64
            ? (number & X32) == 0
                ? native64((int) number)
                : (number ^ X32) == X32_IOCTL ? Interest.IOCTL : native64((int) (number ^ X32))
            : native32((int) number);
    return switch (interest) {
      case IOCTL -> Ioctl.isKvm((int) args[1]) ? Interest.IOCTL : Interest.NONE;
      case DUP ->
          isFcntl(arch, number) && args[1] != F_DUPFD && args[1] != F_DUPFD_CLOEXEC
              ? Interest.NONE
              : Interest.DUP;
      case NONE, CLOSE, CLOSE_RANGE, MMAP, MUNMAP -> interest;
    };
  }

  private static boolean isFcntl(int arch, long number) {
    return number == (arch == ARCH_X86_64 ? FCNTL : I386_FCNTL64);
  }

  private static Interest native64(int number) {
    return switch (number) {
      case IOCTL -> Interest.IOCTL;
      case CLOSE -> Interest.CLOSE;
      case MMAP -> Interest.MMAP;
      case MUNMAP -> Interest.MUNMAP;
      case DUP, DUP2, DUP3, FCNTL -> Interest.DUP;
      case CLOSE_RANGE -> Interest.CLOSE_RANGE;
      default -> Interest.NONE;
    };
  }

  private static Interest native32(int number) {
    return switch (number) {
      case I386_IOCTL -> Interest.IOCTL;
      case I386_CLOSE -> Interest.CLOSE;
      case I386_MMAP2 -> Interest.MMAP;
      case I386_MUNMAP -> Interest.MUNMAP;
      case I386_DUP, I386_DUP2, I386_DUP3, I386_FCNTL64 -> Interest.DUP;
      case CLOSE_RANGE -> Interest.CLOSE_RANGE;
      default -> Interest.NONE;
    };
  }
}
