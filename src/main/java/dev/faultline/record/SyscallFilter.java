package dev.faultline.record;

import dev.faultline.kvm.Ioctl;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Has the program's shell install a seccomp filter on itself before it becomes the program, so that
 * only the calls that matter stop.
 *
 * <p>A system call of the shell is turned into seccomp(2), and after that it is done as it was
 * meant. What is not x86-64 stops at every call.
 *
 * <p>The filter outlives the tracer: without one, the calls that it picks out fail with ENOSYS. So
 * a program recorded this way does not survive a recorder that is killed.
 */
final class SyscallFilter {
  private static final int PTRACE_GETREGS = 12;
  private static final int PTRACE_SETREGS = 13;
  private static final int REGS_SIZE = 27 * Long.BYTES;
  private static final int R10 = 7 * Long.BYTES;
  private static final int RAX = 10 * Long.BYTES;
  private static final int RDX = 12 * Long.BYTES;
  private static final int RSI = 13 * Long.BYTES;
  private static final int RDI = 14 * Long.BYTES;
  private static final int ORIG_RAX = 15 * Long.BYTES;
  private static final int RIP = 16 * Long.BYTES;
  private static final int RSP = 19 * Long.BYTES;
  private static final int R8 = 9 * Long.BYTES;
  private static final int SYSCALL_INSN_SIZE = 2;
  private static final int BELOW_STACK = 4096;

  private static final long PR_SET_NO_NEW_PRIVS = 38;
  private static final long SECCOMP_SET_MODE_FILTER = 1;
  private static final int EACCES = 13;

  private static final int RET_TRACE = 0x7ff00000;
  private static final int RET_ALLOW = 0x7fff0000;
  private static final short LD_ABS = 0x20;
  private static final short AND = 0x54;
  private static final short JEQ = 0x15;
  private static final short JGE = 0x35;
  private static final short RET = 0x06;
  private static final int DATA_NR = 0;
  private static final int DATA_ARCH = 4;
  private static final int DATA_ARGS = 16;

  /** What was done so far. */
  private enum Step {
    WAITING,
    FILTER_ENTERED,
    PRIVILEGES_ENTERED,
    DONE,
    REFUSED
  }

  private final LibC libc;
  private final TraceeMemory memory;
  private final MemorySegment regs;
  private final MemorySegment saved;
  private Step step = Step.WAITING;
  private boolean privilegesGiven;

  SyscallFilter(LibC libc, TraceeMemory memory, Arena arena) {
    this.libc = libc;
    this.memory = memory;
    regs = arena.allocate(REGS_SIZE, Long.BYTES);
    saved = arena.allocate(REGS_SIZE, Long.BYTES);
  }

  /** True once every later call is filtered. */
  boolean isInstalled() {
    return step == Step.DONE;
  }

  /** True if the kernel refused the filter. */
  boolean isRefused() {
    return step == Step.REFUSED;
  }

  /** The shell enters a system call; true if it enters another one now. */
  boolean entered(int tid) {
    return switch (step) {
      case WAITING -> libc.ptrace(PTRACE_GETREGS, tid, 0, saved.address()) == 0 && enterFilter(tid);
      case FILTER_ENTERED, PRIVILEGES_ENTERED -> true;
      case DONE, REFUSED -> false;
    };
  }

  private boolean enterFilter(int tid) {
    byte[] program = program();
    long at = programAddress();
    ByteBuffer bytes = ByteBuffer.allocate(16 + program.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.putLong(program.length / 8).putLong(at + 16).put(program);
    if (!memory.write(tid, at, bytes.array())) {
      step = Step.REFUSED;
      return false;
    }
    MemorySegment.copy(saved, 0, regs, 0, REGS_SIZE);
    arguments(SECCOMP_SET_MODE_FILTER, 0, at);
    regs.set(ValueLayout.JAVA_LONG, ORIG_RAX, Syscalls.SECCOMP);
    libc.ptrace(PTRACE_SETREGS, tid, 0, regs.address());
    step = Step.FILTER_ENTERED;
    return true;
  }

  /** The shell leaves a system call; true if it was one of these. */
  boolean returned(int tid) {
    return switch (step) {
      case WAITING, DONE, REFUSED -> false;
      case FILTER_ENTERED -> filterReturned(tid);
      case PRIVILEGES_ENTERED -> {
        again(tid, Syscalls.SECCOMP, SECCOMP_SET_MODE_FILTER, 0, programAddress());
        step = Step.FILTER_ENTERED;
        yield true;
      }
    };
  }

  private boolean filterReturned(int tid) {
    libc.ptrace(PTRACE_GETREGS, tid, 0, regs.address());
    long value = regs.get(ValueLayout.JAVA_LONG, RAX);
    if (value == -EACCES && !privilegesGiven) {
      privilegesGiven = true;
      again(tid, Syscalls.PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0);
      step = Step.PRIVILEGES_ENTERED;
      return true;
    }
    step = value == 0 ? Step.DONE : Step.REFUSED;
    MemorySegment.copy(saved, 0, regs, 0, REGS_SIZE);
    back(tid, saved.get(ValueLayout.JAVA_LONG, ORIG_RAX));
    return true;
  }

  private long programAddress() {
    return (saved.get(ValueLayout.JAVA_LONG, RSP) - BELOW_STACK) & -16;
  }

  /** Has the thread do the instruction once more, as another call. */
  private void again(int tid, long number, long a, long b, long c) {
    MemorySegment.copy(saved, 0, regs, 0, REGS_SIZE);
    arguments(a, b, c);
    back(tid, number);
  }

  private void arguments(long a, long b, long c) {
    regs.set(ValueLayout.JAVA_LONG, RDI, a);
    regs.set(ValueLayout.JAVA_LONG, RSI, b);
    regs.set(ValueLayout.JAVA_LONG, RDX, c);
    regs.set(ValueLayout.JAVA_LONG, R10, 0);
    regs.set(ValueLayout.JAVA_LONG, R8, 0);
  }

  private void back(int tid, long number) {
    regs.set(ValueLayout.JAVA_LONG, RAX, number);
    regs.set(ValueLayout.JAVA_LONG, ORIG_RAX, -1);
    regs.set(ValueLayout.JAVA_LONG, RIP, saved.get(ValueLayout.JAVA_LONG, RIP) - SYSCALL_INSN_SIZE);
    libc.ptrace(PTRACE_SETREGS, tid, 0, regs.address());
  }

  /** Each instruction: u16 code, u8 and u8 jumps when true and false, u32 constant. */
  private static byte[] program() {
    int[] stopping = {
      Syscalls.CLOSE,
      Syscalls.MUNMAP,
      Syscalls.DUP,
      Syscalls.DUP2,
      Syscalls.DUP3,
      Syscalls.FCNTL,
      Syscalls.CLOSE_RANGE
    };
    // After the list: allow, then what ioctl and mmap ask, then trace at the very end.
    int count = stopping.length;
    int ioctlAt = 7 + count;
    int mmapAt = ioctlAt + 4;
    int traceAt = mmapAt + 3;
    ByteBuffer code = ByteBuffer.allocate((traceAt + 1) * 8).order(ByteOrder.LITTLE_ENDIAN);
    insn(code, LD_ABS, 0, 0, DATA_ARCH);
    insn(code, JEQ, 0, traceAt - 2, Syscalls.ARCH_X86_64);
    insn(code, LD_ABS, 0, 0, DATA_NR);
    insn(code, JGE, traceAt - 4, 0, Syscalls.X32);
    insn(code, JEQ, ioctlAt - 5, 0, Syscalls.IOCTL);
    for (int i = 0; i < count; i++) {
      insn(code, JEQ, traceAt - 6 - i, 0, stopping[i]);
    }
    insn(code, JEQ, mmapAt - 6 - count, 0, Syscalls.MMAP);
    insn(code, RET, 0, 0, RET_ALLOW);
    insn(code, LD_ABS, 0, 0, DATA_ARGS + 8);
    insn(code, AND, 0, 0, 0xff00);
    insn(code, JEQ, traceAt - ioctlAt - 3, 0, Ioctl.KVMIO << 8);
    insn(code, RET, 0, 0, RET_ALLOW);
    insn(code, LD_ABS, 0, 0, DATA_ARGS + 4 * 8);
    insn(code, JEQ, 0, 1, -1);
    insn(code, RET, 0, 0, RET_ALLOW);
    insn(code, RET, 0, 0, RET_TRACE);
    return code.array();
  }

  private static void insn(ByteBuffer code, short op, int yes, int no, int constant) {
    code.putShort(op).put((byte) yes).put((byte) no).putInt(constant);
  }
}
