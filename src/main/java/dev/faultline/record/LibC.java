package dev.faultline.record;

import dev.faultline.InvariantViolation;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import org.jspecify.annotations.Nullable;

/**
 * The calls of the C library that a recorder needs, each as the manual page has it; on x86-64. An
 * instance belongs to one thread, because {@link #errno()} does.
 *
 * <p><i>Errors</i>: -1, and {@link #errno()} tells why.
 */
@SuppressWarnings("restricted") // what this class is for
final class LibC {
  /** No such process, or no longer one that is stopped. */
  static final int ESRCH = 3;

  /** Nothing is there now. */
  static final int EAGAIN = 11;

  /** A system call was interrupted. */
  static final int EINTR = 4;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final VarHandle ERRNO_OF =
      Linker.Option.captureStateLayout().varHandle(MemoryLayout.PathElement.groupElement("errno"));
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  /**
   * Any function, by its address: each shape of its own would cost a recorder tens of milliseconds
   * at its start. Numbers and pointers go in registers, and a function does not look at those that
   * it does not know.
   */
  private static final MethodHandle CALL =
      LINKER.downcallHandle(
          FunctionDescriptor.of(LONG, LONG, LONG, LONG, LONG, LONG, LONG, LONG),
          Linker.Option.captureCallState("errno"));

  private static final MemorySegment SYSCALL = symbol("syscall");

  private static final int SPAWN_ATTRIBUTES_SIZE = 512;
  private static final int SPAWN_SETSIGMASK = 8;

  private static final int SYS_READ = 0;
  private static final int SYS_WRITE = 1;
  private static final int SYS_OPEN = 2;
  private static final int SYS_CLOSE = 3;
  private static final int SYS_MMAP = 9;
  private static final int SYS_MUNMAP = 11;
  private static final int SYS_IOCTL = 16;
  private static final int SYS_WAIT4 = 61;
  private static final int SYS_KILL = 62;
  private static final int SYS_PTRACE = 101;
  private static final int SYS_PROCESS_VM_READV = 310;
  private static final int SYS_PROCESS_VM_WRITEV = 311;
  private static final int SYS_PIDFD_OPEN = 434;
  private static final int SYS_PIDFD_GETFD = 438;
  private static final int PROT_READ = 1;
  private static final int MAP_SHARED = 1;

  private final MemorySegment state;

  /** For the thread that calls. */
  LibC(Arena arena) {
    state = arena.allocate(Linker.Option.captureStateLayout());
  }

  /** Where a function of the C library lies. */
  static MemorySegment symbol(String name) {
    return LINKER
        .defaultLookup()
        .find(name)
        .orElseThrow(() -> new InvariantViolation("the C library has no " + name));
  }

  /** The environment, as execve(2) takes it. */
  static MemorySegment environment() {
    return symbol("environ").reinterpret(Long.BYTES).get(ValueLayout.ADDRESS, 0);
  }

  /** Why the last call of this thread failed. */
  int errno() {
    return (int) ERRNO_OF.get(state, 0L);
  }

  private long call(
      MemorySegment function, long a, long b, long c, long d, long e, long f, long g) {
    try {
      return (long) CALL.invokeExact(function, state, a, b, c, d, e, f, g);
    } catch (Throwable thrown) {
      throw new InvariantViolation("a function of the C library cannot throw", thrown);
    }
  }

  /** The system call with this number; its arguments may be addresses in another process. */
  long syscall(long number, long a, long b, long c, long d, long e) {
    return call(SYSCALL, number, a, b, c, d, e, 0);
  }

  long ptrace(int request, int pid, long address, long data) {
    return syscall(SYS_PTRACE, request, pid, address, data, 0);
  }

  int waitpid(int pid, MemorySegment status, int options) {
    return (int) syscall(SYS_WAIT4, pid, status.address(), options, 0, 0);
  }

  long processVmReadv(
      int pid, MemorySegment local, int localCount, MemorySegment remote, int count) {
    return call(
        SYSCALL,
        SYS_PROCESS_VM_READV,
        pid,
        local.address(),
        localCount,
        remote.address(),
        count,
        0);
  }

  long processVmWritev(int pid, MemorySegment local, MemorySegment remote) {
    return call(SYSCALL, SYS_PROCESS_VM_WRITEV, pid, local.address(), 1, remote.address(), 1, 0);
  }

  int kill(int pid, int signal) {
    return (int) syscall(SYS_KILL, pid, signal, 0, 0, 0);
  }

  int open(MemorySegment path, int flags) {
    return (int) syscall(SYS_OPEN, path.address(), flags, 0, 0, 0);
  }

  /** Reads at most as much as there is room for. */
  long read(int fd, MemorySegment into) {
    return syscall(SYS_READ, fd, into.address(), into.byteSize(), 0, 0);
  }

  long write(int fd, MemorySegment from, long size) {
    return syscall(SYS_WRITE, fd, from.address(), size, 0, 0);
  }

  int close(int fd) {
    return (int) syscall(SYS_CLOSE, fd, 0, 0, 0, 0);
  }

  int ioctl(int fd, long request, long argument) {
    return (int) syscall(SYS_IOCTL, fd, request, argument, 0, 0);
  }

  /** A descriptor of another process, as one of our own; by a pidfd of its process. */
  int takeFd(int pid, int fd) {
    int process = (int) syscall(SYS_PIDFD_OPEN, pid, 0, 0, 0, 0);
    if (process < 0) {
      return -1;
    }
    int own = (int) syscall(SYS_PIDFD_GETFD, process, fd, 0, 0, 0);
    close(process);
    return own;
  }

  /** Maps so many bytes of a descriptor, shared and to be read; null if that cannot be. */
  @Nullable MemorySegment map(int fd, long sizeBytes) {
    long at = call(SYSCALL, SYS_MMAP, 0, sizeBytes, PROT_READ, MAP_SHARED, fd, 0);
    return at == -1 ? null : MemorySegment.ofAddress(at).reinterpret(sizeBytes);
  }

  void unmap(MemorySegment mapped) {
    syscall(SYS_MUNMAP, mapped.address(), mapped.byteSize(), 0, 0, 0);
  }

  int sigaction(int signal, MemorySegment action) {
    return (int) call(symbol("sigaction"), signal, action.address(), 0, 0, 0, 0, 0);
  }

  /**
   * Starts a program with the environment given and with a signal mask of its own; 0, or why not.
   */
  int spawn(
      MemorySegment pid,
      MemorySegment path,
      MemorySegment mask,
      MemorySegment argv,
      MemorySegment environment,
      Arena arena) {
    MemorySegment attributes = arena.allocate(SPAWN_ATTRIBUTES_SIZE, Long.BYTES);
    long at = attributes.address();
    int done = (int) call(symbol("posix_spawnattr_init"), at, 0, 0, 0, 0, 0, 0);
    done |= (int) call(symbol("posix_spawnattr_setflags"), at, SPAWN_SETSIGMASK, 0, 0, 0, 0, 0);
    done |= (int) call(symbol("posix_spawnattr_setsigmask"), at, mask.address(), 0, 0, 0, 0, 0);
    if (done != 0) {
      return done;
    }
    return (int)
        call(
            symbol("posix_spawn"),
            pid.address(),
            path.address(),
            0,
            at,
            argv.address(),
            environment.address(),
            0);
  }
}
