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

/**
 * The calls of the C library that a recorder needs, each as the manual page has it; an instance
 * belongs to one thread, because {@link #errno()} does.
 *
 * <p><i>Errors</i>: -1, and {@link #errno()} tells why.
 */
@SuppressWarnings("restricted") // what this class is for
final class LibC {
  /** No such process, or no longer one that is stopped. */
  static final int ESRCH = 3;

  /** A system call was interrupted. */
  static final int EINTR = 4;

  /** No such child. */
  static final int ECHILD = 10;

  /** An address cannot be read. */
  static final int EFAULT = 14;

  private static final Linker LINKER = Linker.nativeLinker();
  private static final Linker.Option ERRNO = Linker.Option.captureCallState("errno");
  private static final VarHandle ERRNO_OF =
      Linker.Option.captureStateLayout().varHandle(MemoryLayout.PathElement.groupElement("errno"));
  private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
  private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG;

  /** The pointers are passed as numbers: most are addresses in another process. */
  private static final MethodHandle PTRACE =
      variadic("ptrace", 1, FunctionDescriptor.of(LONG, INT, INT, LONG, LONG));

  private static final MethodHandle WAITPID =
      of("waitpid", FunctionDescriptor.of(INT, INT, LONG, INT));
  private static final MethodHandle READV =
      of("process_vm_readv", FunctionDescriptor.of(LONG, INT, LONG, LONG, LONG, LONG, LONG));
  private static final MethodHandle WRITEV =
      of("process_vm_writev", FunctionDescriptor.of(LONG, INT, LONG, LONG, LONG, LONG, LONG));
  private static final MethodHandle KILL = of("kill", FunctionDescriptor.of(INT, INT, INT));
  private static final MethodHandle SYSCALL =
      variadic("syscall", 1, FunctionDescriptor.of(LONG, LONG, LONG, LONG, LONG, LONG, LONG));
  private static final MethodHandle OPEN =
      variadic("open", 2, FunctionDescriptor.of(INT, LONG, INT, INT));
  private static final MethodHandle CLOSE = of("close", FunctionDescriptor.of(INT, INT));
  private static final MethodHandle IOCTL =
      variadic("ioctl", 2, FunctionDescriptor.of(INT, INT, LONG, LONG));
  private static final MethodHandle SIGACTION =
      of("sigaction", FunctionDescriptor.of(INT, INT, LONG, LONG));
  private static final MethodHandle SPAWN =
      of("posix_spawn", FunctionDescriptor.of(INT, LONG, LONG, LONG, LONG, LONG, LONG));
  private static final MethodHandle ATTR_INIT =
      of("posix_spawnattr_init", FunctionDescriptor.of(INT, LONG));
  private static final MethodHandle ATTR_FLAGS =
      of("posix_spawnattr_setflags", FunctionDescriptor.of(INT, LONG, ValueLayout.JAVA_SHORT));
  private static final MethodHandle ATTR_MASK =
      of("posix_spawnattr_setsigmask", FunctionDescriptor.of(INT, LONG, LONG));

  private static final int SPAWN_ATTRIBUTES_SIZE = 512;
  private static final short SPAWN_SETSIGMASK = 8;

  private final MemorySegment state;

  /** For the thread that calls. */
  LibC(Arena arena) {
    state = arena.allocate(Linker.Option.captureStateLayout());
  }

  private static MethodHandle of(String name, FunctionDescriptor shape) {
    return LINKER.downcallHandle(symbol(name), shape, ERRNO);
  }

  private static MethodHandle variadic(String name, int fixed, FunctionDescriptor shape) {
    return LINKER.downcallHandle(symbol(name), shape, ERRNO, Linker.Option.firstVariadicArg(fixed));
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

  long ptrace(int request, int pid, long address, long data) {
    try {
      return (long) PTRACE.invokeExact(state, request, pid, address, data);
    } catch (Throwable e) {
      throw broken("ptrace", e);
    }
  }

  int waitpid(int pid, MemorySegment status, int options) {
    try {
      return (int) WAITPID.invokeExact(state, pid, status.address(), options);
    } catch (Throwable e) {
      throw broken("waitpid", e);
    }
  }

  long processVmReadv(
      int pid, MemorySegment local, int localCount, MemorySegment remote, int count) {
    try {
      return (long)
          READV.invokeExact(
              state, pid, local.address(), (long) localCount, remote.address(), (long) count, 0L);
    } catch (Throwable e) {
      throw broken("process_vm_readv", e);
    }
  }

  long processVmWritev(int pid, MemorySegment local, MemorySegment remote) {
    try {
      return (long) WRITEV.invokeExact(state, pid, local.address(), 1L, remote.address(), 1L, 0L);
    } catch (Throwable e) {
      throw broken("process_vm_writev", e);
    }
  }

  int kill(int pid, int signal) {
    try {
      return (int) KILL.invokeExact(state, pid, signal);
    } catch (Throwable e) {
      throw broken("kill", e);
    }
  }

  long syscall(long number, long a, long b, long c, long d, long e) {
    try {
      return (long) SYSCALL.invokeExact(state, number, a, b, c, d, e);
    } catch (Throwable thrown) {
      throw broken("syscall", thrown);
    }
  }

  int open(MemorySegment path, int flags) {
    try {
      return (int) OPEN.invokeExact(state, path.address(), flags, 0);
    } catch (Throwable e) {
      throw broken("open", e);
    }
  }

  int close(int fd) {
    try {
      return (int) CLOSE.invokeExact(state, fd);
    } catch (Throwable e) {
      throw broken("close", e);
    }
  }

  int ioctl(int fd, long request, long argument) {
    try {
      return (int) IOCTL.invokeExact(state, fd, request, argument);
    } catch (Throwable e) {
      throw broken("ioctl", e);
    }
  }

  int sigaction(int signal, MemorySegment action) {
    try {
      return (int) SIGACTION.invokeExact(state, signal, action.address(), 0L);
    } catch (Throwable e) {
      throw broken("sigaction", e);
    }
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
    try {
      int done = (int) ATTR_INIT.invokeExact(state, attributes.address());
      done |= (int) ATTR_FLAGS.invokeExact(state, attributes.address(), SPAWN_SETSIGMASK);
      done |= (int) ATTR_MASK.invokeExact(state, attributes.address(), mask.address());
      if (done != 0) {
        return done;
      }
      return (int)
          SPAWN.invokeExact(
              state,
              pid.address(),
              path.address(),
              0L,
              attributes.address(),
              argv.address(),
              environment.address());
    } catch (Throwable e) {
      throw broken("posix_spawn", e);
    }
  }

  private static InvariantViolation broken(String name, Throwable thrown) {
    return new InvariantViolation("calling " + name + " of the C library cannot throw", thrown);
  }
}
