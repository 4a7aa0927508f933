package dev.faultline.record;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Follows threads by ptrace(2) from the one thread that attached to them, which is the only one the
 * kernel takes requests from.
 *
 * <p>When that thread ends, for whatever reason, the kernel lets go of all it followed, and they
 * run on as if nothing had been: nothing in a traced program is changed.
 */
final class Tracer {
  private static final int PTRACE_CONT = 7;
  private static final int PTRACE_SYSCALL = 24;
  private static final int PTRACE_GETSIGINFO = 0x4202;
  private static final int PTRACE_SEIZE = 0x4206;
  private static final int PTRACE_INTERRUPT = 0x4207;
  private static final int PTRACE_LISTEN = 0x4208;
  private static final int PTRACE_GET_SYSCALL_INFO = 0x420e;

  private static final int OPTIONS =
      1 // TRACESYSGOOD
          | 1 << 1 // TRACEFORK
          | 1 << 2 // TRACEVFORK
          | 1 << 3 // TRACECLONE
          | 1 << 4; // TRACEEXEC
  private static final int OPTION_SECCOMP = 1 << 7;

  private static final int EVENT_EXEC = 4;
  private static final int EVENT_SECCOMP = 7;
  private static final int EVENT_STOP = 128;

  private static final int WUNTRACED = 2;

  private static final int SIGTRAP = 5;
  private static final int SIGCONT = 18;
  private static final int SIGSTOP = 19;
  private static final int SIGTSTP = 20;
  private static final int SIGTTOU = 22;
  private static final int SYSCALL_STOP = SIGTRAP | 0x80;

  private static final int SIGINFO_SIZE = 128;
  private static final int SIGINFO_CODE = 8;

  /** The kernel sent a signal by itself, as it does for a key of the terminal. */
  private static final int SI_KERNEL = 0x80;

  private static final long LONGEST_TO_STOP_NS = 5_000_000_000L;

  private static final int INFO_SIZE = 88;
  private static final int INFO_ADDRESS = 1;
  private static final int INFO_VALUE = 3;
  private static final int INFO_ARGS = 4;
  private static final byte OP_ENTRY = 1;
  private static final byte OP_EXIT = 2;
  private static final byte OP_SECCOMP = 3;

  private static final int MAP_ANONYMOUS = 0x20;

  private final LibC libc;
  private final LineQueue file;
  private final CallRecorder calls;
  private final MemorySegment status;
  private final Waiting waiting;
  private final MemorySegment siginfo;
  private final MemorySegment info;

  /** What {@link #info} holds: operation and architecture in the first. */
  private final long[] words = new long[INFO_SIZE / Long.BYTES];

  private final Map<Integer, Tracee> tracees = new HashMap<>();
  private final Map<Integer, TracedProcess> processes = new HashMap<>();
  private final @Nullable SyscallFilter filter;
  private final @Nullable Probe probe;
  private @Nullable Tracee changedLast;
  private int root;
  private boolean begun;
  private int resume = PTRACE_SYSCALL;
  private int rootStatus = -1;
  private @Nullable String failure;
  private volatile boolean stopped;

  /** When the terminal last asked the program to stop; 0 if it did not. */
  private long askedToStopNs;

  Tracer(
      LibC libc,
      Arena arena,
      LineQueue file,
      @Nullable KernelTrace trace,
      @Nullable SyscallFilter filter,
      @Nullable Probe probe) {
    this.libc = libc;
    this.file = file;
    this.filter = filter;
    this.probe = probe;
    this.calls = new CallRecorder(new TraceeMemory(libc, arena), libc, file, trace);
    this.status = arena.allocate(ValueLayout.JAVA_INT);
    this.waiting = new Waiting(libc, status);
    this.info = arena.allocate(INFO_SIZE, Long.BYTES);
    this.siginfo = arena.allocate(SIGINFO_SIZE, Long.BYTES);
  }

  CallRecorder calls() {
    return calls;
  }

  /** Asks the loop to end; whoever asks also wakes its thread. */
  void stop() {
    stopped = true;
  }

  /** What the wait status of the launched program was; -1 while it runs. */
  int rootStatus() {
    return rootStatus;
  }

  /** Why the recording ended before the program did; null if it did not. */
  @Nullable String failure() {
    return failure;
  }

  /** Takes over a child that stopped itself before it becomes the program. */
  void takeChild(int pid) {
    root = pid;
    int found = libc.waitpid(pid, status, WUNTRACED);
    while (found < 0 && libc.errno() == LibC.EINTR) {
      found = libc.waitpid(pid, status, WUNTRACED);
    }
    if (found != pid || (status.get(ValueLayout.JAVA_INT, 0) & 0xff) != 0x7f) {
      throw cannot("the program's shell ended before it could be recorded");
    }
    seize(pid);
    tracee(pid);
    libc.kill(pid, SIGCONT);
  }

  /** Attaches to every thread of a process. */
  void attach(int pid) {
    root = pid;
    begun = true;
    boolean more = true;
    while (more) {
      more = false;
      for (int tid : threads(pid)) {
        if (!tracees.containsKey(tid) && trySeize(tid)) {
          tracee(tid);
          libc.ptrace(PTRACE_INTERRUPT, tid, 0, 0);
          more = true;
        }
      }
    }
    if (tracees.isEmpty()) {
      throw cannot("process " + pid + " has ended");
    }
  }

  /** The threads that are followed. */
  List<Integer> followed() {
    return List.copyOf(tracees.keySet());
  }

  private static List<Integer> threads(int pid) {
    List<Integer> threads = new ArrayList<>();
    try (var folder = Files.newDirectoryStream(Path.of("/proc/" + pid + "/task"))) {
      for (Path thread : folder) {
        threads.add(Integer.parseInt(String.valueOf(thread.getFileName())));
      }
    } catch (IOException e) {
      throw new UsageException(
          ErrorCode.CANNOT_RECORD,
          "--pid: expected the number of a running process, found none of number " + pid,
          e);
    }
    return threads;
  }

  private boolean trySeize(int tid) {
    int options = OPTIONS | (filter == null ? 0 : OPTION_SECCOMP);
    if (libc.ptrace(PTRACE_SEIZE, tid, 0, options) == 0) {
      return true;
    }
    if (libc.errno() == LibC.ESRCH) {
      return false;
    }
    throw cannot(
        "process "
            + tid
            + " may not be traced (ptrace: errno "
            + libc.errno()
            + "); become its user or root, see /proc/sys/kernel/yama/ptrace_scope, and make sure"
            + " that no debugger or strace has it");
  }

  private void seize(int tid) {
    if (!trySeize(tid)) {
      throw cannot("process " + tid + " has ended");
    }
  }

  private static UsageException cannot(String why) {
    return new UsageException(
        ErrorCode.CANNOT_RECORD, "expected a program that can be traced, found that " + why);
  }

  private Tracee tracee(int tid) {
    Tracee last = changedLast;
    if (last != null && last.tid == tid) {
      return last;
    }
    Tracee known = tracees.get(tid);
    if (known != null) {
      changedLast = known;
      return known;
    }
    ProcStatus of = ProcStatus.read(tid);
    TracedProcess process = processes.get(of.tgid());
    if (process == null) {
      process = new TracedProcess(of.tgid());
      processes.put(of.tgid(), process);
      TracedProcess parent = processes.get(of.parent());
      if (parent != null) {
        calls.descriptors().forked(parent, process);
      }
    }
    process.countThreads(1);
    Tracee made = new Tracee(tid, process);
    tracees.put(tid, made);
    return made;
  }

  /**
   * Follows until all have ended, or until it is stopped; returns at once when the recording cannot
   * go on.
   */
  void run() {
    while (!stopped && failure == null) {
      int tid = waiting.next();
      if (tid == 0) {
        continue;
      }
      if (tid < 0) {
        break;
      }
      changed(tid, waiting.status());
      if (failure == null) {
        failure = file.failureSentence();
      }
    }
    tracees.values().forEach(this::unreturned);
    calls.release();
  }

  private void unreturned(Tracee t) {
    if (t.inside && t.interest == Tracee.Interest.IOCTL) {
      calls.unreturned(t);
    }
  }

  /**
   * After the recording has ended before the program did: where a filter is installed, the program
   * needs somebody who lets its calls through, as long as it lives.
   */
  void accompany() {
    if (resume != PTRACE_CONT) {
      return;
    }
    for (int tid = waiting.next(); tid >= 0; tid = waiting.next()) {
      int wait = tid == 0 ? 0 : waiting.status();
      if (tid > 0 && (wait & 0xff) != 0x7f) {
        rootStatus = tid == root ? wait : rootStatus;
      } else if (tid > 0) {
        int signal = wait >> 8 & 0xff;
        int event = wait >>> 16;
        boolean group = event == EVENT_STOP && signal >= SIGSTOP && signal <= SIGTTOU;
        boolean sent = event == 0 && signal != SYSCALL_STOP;
        libc.ptrace(group ? PTRACE_LISTEN : PTRACE_CONT, tid, 0, sent ? signal : 0);
      }
    }
  }

  private void changed(int tid, int wait) {
    if ((wait & 0xff) != 0x7f) {
      ended(tid, wait);
      return;
    }
    Tracee t = tracee(tid);
    int signal = wait >> 8 & 0xff;
    int event = wait >>> 16;
    if (signal == SYSCALL_STOP) {
      syscallStop(t);
    } else if (event == EVENT_STOP && signal >= SIGSTOP && signal <= SIGTTOU) {
      // A stop of the whole process, by job control: it stays stopped until it is continued.
      libc.ptrace(PTRACE_LISTEN, tid, 0, 0);
      if (tid == root) {
        stopWithProgram();
      }
    } else if (event == EVENT_SECCOMP) {
      seccompStop(t);
    } else if (event == EVENT_EXEC) {
      execed(t);
      go(t, resume, 0);
    } else {
      if (signal == SIGTSTP && event == 0) {
        noteTerminalStop(t);
      }
      go(t, t.inside ? PTRACE_SYSCALL : resume, event == 0 ? signal : 0);
    }
  }

  /** The program is sent SIGTSTP; it may stop, now or when it has put the terminal in order. */
  private void noteTerminalStop(Tracee t) {
    if (t.process.pid() == root
        && libc.ptrace(PTRACE_GETSIGINFO, t.tid, 0, siginfo.address()) == 0
        && siginfo.get(ValueLayout.JAVA_INT, SIGINFO_CODE) == SI_KERNEL) {
      askedToStopNs = System.nanoTime();
    }
  }

  /**
   * The program has stopped. If that is because of a key, the shell waits for the recorder, which
   * it started, to stop too, and continues both.
   */
  private void stopWithProgram() {
    if (askedToStopNs != 0 && System.nanoTime() - askedToStopNs < LONGEST_TO_STOP_NS) {
      askedToStopNs = 0;
      libc.kill((int) ProcessHandle.current().pid(), SIGSTOP);
    }
  }

  private void go(Tracee t, int request, int signal) {
    // Whoever was killed meanwhile is no longer there to go on; its end is told by waitpid.
    libc.ptrace(request, t.tid, 0, signal);
  }

  private void ended(int tid, int wait) {
    if (tid == root) {
      rootStatus = wait;
    }
    changedLast = null;
    Tracee t = tracees.remove(tid);
    if (t == null) {
      return;
    }
    unreturned(t);
    if (t.process.countThreads(-1) == 0) {
      processes.remove(t.process.pid());
      calls.descriptors().gone(t.process);
    }
    if (!begun) {
      return;
    }
    int signal = wait & 0x7f;
    LineBuffer line =
        file.line()
            .number("seq", calls.nextSeq())
            .word("ev", "exit")
            .number("t_enter", System.nanoTime())
            .number("tid", tid)
            .number("tgid", t.process.pid());
    if (signal == 0) {
      line.number("code", wait >> 8 & 0xff);
    } else {
      line.number("signal", signal);
    }
    file.ended();
  }

  /** The other threads of the process are gone, and this one has the number of the process. */
  private void execed(Tracee t) {
    t.inside = false;
    begun = true;
    int pid = t.process.pid();
    tracees.values().removeIf(other -> other != t && other.process.pid() == pid);
    t.process.countThreads(1 - t.process.countThreads(0));
    calls.descriptors().gone(t.process);
    t.process.execed();
  }

  private void syscallStop(Tracee t) {
    if (t.inside && t.interest == Tracee.Interest.NONE) {
      // The exit of a call that is of no interest.
      t.inside = false;
      go(t, resume, 0);
      return;
    }
    if (!inform(t)) {
      return;
    }
    byte op = (byte) words[0];
    if (op == OP_ENTRY) {
      if (filter != null && !begun && t.tid == root && filter.entered(t.tid)) {
        go(t, PTRACE_SYSCALL, 0);
        return;
      }
      entry(t);
    } else if (op == OP_EXIT) {
      if (filter != null && !begun && t.tid == root && filter.returned(t.tid)) {
        if (filter.isInstalled()) {
          resume = PTRACE_CONT;
        }
        go(t, PTRACE_SYSCALL, 0);
        return;
      }
      exit(t);
      go(t, resume, 0);
      calls.wentOn(t);
      return;
    }
    go(t, PTRACE_SYSCALL, 0);
  }

  /** The filter let a call through that may matter; its exit has to be seen as well. */
  private void seccompStop(Tracee t) {
    if (t.inside) {
      // A thread that was told to stop at every call is at the same call still.
      go(t, PTRACE_SYSCALL, 0);
      return;
    }
    if (!inform(t)) {
      return;
    }
    if ((byte) words[0] == OP_SECCOMP) {
      entry(t);
    }
    boolean ofInterest = t.inside && t.interest != Tracee.Interest.NONE;
    if (!ofInterest) {
      t.inside = false;
    }
    go(t, ofInterest ? PTRACE_SYSCALL : PTRACE_CONT, 0);
  }

  /** Asks at what call the thread is; false if it was killed meanwhile. */
  private boolean inform(Tracee t) {
    if (libc.ptrace(PTRACE_GET_SYSCALL_INFO, t.tid, INFO_SIZE, info.address()) > 0) {
      MemorySegment.copy(info, ValueLayout.JAVA_LONG, 0, words, 0, words.length);
      return true;
    }
    if (libc.errno() != LibC.ESRCH) {
      failure =
          "expected Linux 5.3 or later, found a kernel without PTRACE_GET_SYSCALL_INFO (errno "
              + libc.errno()
              + ")";
    }
    return false;
  }

  private void entry(Tracee t) {
    t.inside = true;
    t.interest = Tracee.Interest.NONE;
    if (!begun) {
      return;
    }
    long number = words[INFO_VALUE];
    int arch = (int) (words[0] >>> Integer.SIZE);
    System.arraycopy(words, INFO_ARGS, t.args, 0, t.args.length);
    Tracee.Interest interest = Syscalls.interest(arch, number, t.args);
    t.compat = arch != Syscalls.ARCH_X86_64;
    t.probe = probe != null && probe.isAt(t.process, words[INFO_ADDRESS]);
    switch (interest) {
      case IOCTL -> calls.entered(t);
      case NONE, MUNMAP -> {}
      case CLOSE, DUP, CLOSE_RANGE -> {
        if (t.process.descriptors().isEmpty()) {
          interest = Tracee.Interest.NONE;
        }
      }
      case MMAP -> {
        if ((t.args[3] & MAP_ANONYMOUS) != 0
            || !t.process.descriptors().containsKey((int) t.args[4])) {
          interest = Tracee.Interest.NONE;
        }
      }
    }
    t.interest = interest;
  }

  private void exit(Tracee t) {
    if (!t.inside) {
      return;
    }
    t.inside = false;
    Tracee.Interest interest = t.interest;
    t.interest = Tracee.Interest.NONE;
    long value = words[INFO_VALUE];
    if (interest == Tracee.Interest.IOCTL) {
      failure = calls.returned(t, value);
      if (probe != null && CallRecorder.isRun(t) && (value == 0 || value == -LibC.EINTR)) {
        probe.send(t, t.hasPage ? t.pageOut : null);
      }
    } else if (interest != Tracee.Interest.NONE) {
      calls.descriptorCall(t, interest, value);
    }
  }
}
