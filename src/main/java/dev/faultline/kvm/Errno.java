package dev.faultline.kvm;

import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * The error numbers that KVM's ioctls fail with, and some that a trace may show.
 *
 * <p><i>Source</i>: {@code include/uapi/asm-generic/errno-base.h, errno.h, v6.1}.
 */
public enum Errno {
  EPERM(1),
  ENOENT(2),
  EINTR(4),
  EIO(5),
  ENXIO(6),
  E2BIG(7),
  EBADF(9),
  EAGAIN(11),
  ENOMEM(12),
  EACCES(13),
  EFAULT(14),
  EBUSY(16),
  EEXIST(17),
  EXDEV(18),
  ENODEV(19),
  ENOTDIR(20),
  EINVAL(22),
  ENFILE(23),
  EMFILE(24),
  ENOTTY(25),
  EFBIG(27),
  ENOSPC(28),
  ESPIPE(29),
  EROFS(30),
  EDOM(33),
  ERANGE(34),
  ENOSYS(38),
  ENODATA(61),
  EOVERFLOW(75),
  EOPNOTSUPP(95),
  ETIMEDOUT(110),
  EALREADY(114),
  ECANCELED(125),
  EHWPOISON(133);

  private static final TreeMap<Integer, Errno> BY_NUMBER = new TreeMap<>();

  static {
    for (Errno errno : values()) {
      BY_NUMBER.put(errno.number, errno);
    }
  }

  private final int number;

  Errno(int number) {
    this.number = number;
  }

  /** The error of that number; null if it has no name here. */
  public static @Nullable Errno of(int number) {
    return BY_NUMBER.get(number);
  }

  /** The error of that name; null if there is none. */
  public static @Nullable Errno ofName(String name) {
    for (Errno errno : values()) {
      if (errno.name().equals(name)) {
        return errno;
      }
    }
    return null;
  }

  /** The number, positive. */
  public int number() {
    return number;
  }
}
