package dev.faultline.record;

import dev.faultline.FaultlineException;
import dev.faultline.InvariantViolation;
import dev.faultline.UsageException;
import dev.faultline.kvm.KvmCap;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * Records a VMM: starts it, or attaches to it, and writes each of its KVM ioctls to a file while it
 * runs.
 *
 * <p>What the VMM does and how it ends is its own affair. When the recording cannot go on, or the
 * recorder is killed, the VMM runs on.
 */
public final class Recorder {
  private static final int SIGINT = 2;
  private static final int SIGQUIT = 3;
  private static final int SIGKILL = 9;
  private static final int SIGTERM = 15;
  private static final int SIGTSTP = 20;
  private static final int SIG_IGN = 1;

  /** Neither the JVM nor the C library uses it; its handler does nothing but end a wait. */
  private static final int WAKING_SIGNAL = 60;

  private static final int SIGACTION_SIZE = 152;
  private static final long SYS_GETTID = 186;
  private static final long SYS_TGKILL = 234;
  private static final int WAKE_EVERY_MS = 20;
  private static final int KILLED = 128;
  private static final int STOPPED = 0x7f;

  /**
   * What to record.
   *
   * @param file where to; null for no file
   * @param command the program to start and its arguments; empty to attach
   * @param pid the process to attach to; 0 to start one
   * @param seccomp whether to stop only the calls that matter, by a filter that the program cannot
   *     live without the recorder afterwards
   * @param probe whether each vCPU reads its state after each KVM_RUN
   * @param ftrace whether the kernel's trace is written beside the file, which must be there
   */
  public record Order(
      @Nullable Path file,
      List<String> command,
      int pid,
      boolean seccomp,
      boolean probe,
      boolean ftrace) {
    /** Takes the list as it is now. */
    public Order {
      command = List.copyOf(command);
    }
  }

  /**
   * How it ended.
   *
   * @param status the exit status of the program that was started, 128 and the signal if one ended
   *     it; 0 for one that was attached to
   * @param failure why the recording ended before the program; null if it did not
   * @param lines of the recording
   */
  public record Outcome(int status, @Nullable String failure, long lines) {}

  private final Order order;
  private final Consumer<String> notes;

  /** Descriptors that whoever started the recorder gave it, and perhaps some of the JVM's. */
  private final Set<Integer> inherited = Launcher.openDescriptors();

  private final List<LineSink> sinks = new ArrayList<>();
  private final Thread thread;
  private volatile int threadId;
  private volatile @Nullable Tracer tracer;
  private volatile @Nullable Throwable thrown;
  private volatile @Nullable String failure;
  private @Nullable KernelTrace trace;
  private volatile int child;

  /**
   * Of what {@code order} says; nothing happens before {@link #record}.
   *
   * @param notes told at once what the user should know
   */
  public Recorder(Order order, Consumer<String> notes) {
    this.order = order;
    this.notes = notes;
    this.thread = Thread.ofPlatform().name("tracer").unstarted(this::trace);
  }

  /**
   * Records until the program and all that it started have ended, or until {@link #stop}; after a
   * failure still waits for the program. What the caller opened between {@code new Recorder} and
   * this, the program does not inherit.
   *
   * @param others given the lines, beside the file
   * @throws FaultlineException if the program cannot be recorded or the file not be made
   */
  public Outcome record(List<LineSink> others) {
    sinks.addAll(others);
    if (!order.command().isEmpty()) {
      Launcher.demand(order.command().getFirst());
    }
    Path file = order.file();
    // Its guard must be no child of the thread that waits for the VMM.
    KernelTrace tracing = order.ftrace() && file != null ? KernelTrace.begin(file, notes) : null;
    trace = tracing;
    thread.start();
    join(0);
    switch (thrown) {
      case null -> {}
      case FaultlineException told -> throw told;
      case Throwable bug -> throw new InvariantViolation("the recorder failed", bug);
    }
    Tracer ended = Objects.requireNonNull(tracer);
    int status = ended.rootStatus();
    if (child != 0 && status < 0) {
      status = awaitChild();
    }
    return new Outcome(child == 0 ? 0 : exitStatus(status), failure, ended.calls().count());
  }

  /** What a shell would say of such a wait status. */
  private static int exitStatus(int wait) {
    int signal = wait & 0x7f;
    return signal == 0 ? wait >> 8 & 0xff : KILLED + signal;
  }

  private int awaitChild() {
    try (Arena arena = Arena.ofConfined()) {
      LibC libc = new LibC(arena);
      MemorySegment status = arena.allocate(ValueLayout.JAVA_INT);
      boolean ended = false;
      while (!ended) {
        int found = libc.waitpid(child, status, 0);
        if (found < 0 && libc.errno() != LibC.EINTR) {
          return 0;
        }
        // The tracing thread may be dying still, and then its stops are told as well.
        ended = found == child && (status.get(ValueLayout.JAVA_INT, 0) & 0xff) != STOPPED;
      }
      return status.get(ValueLayout.JAVA_INT, 0);
    }
  }

  private void trace() {
    try (Arena arena = Arena.ofConfined()) {
      LibC libc = new LibC(arena);
      threadId = (int) libc.syscall(SYS_GETTID, 0, 0, 0, 0, 0);
      disposition(libc, arena, WAKING_SIGNAL, LibC.symbol("getpid").address());
      LineQueue file = LineQueue.to(allSinks());
      try {
        trace(libc, arena, file);
      } finally {
        file.close();
        endTrace();
      }
      Tracer ended = Objects.requireNonNull(tracer);
      failure = ended.failure() != null ? ended.failure() : file.failureSentence();
      if (failure != null) {
        notes.accept(failure + "; the recording ends there, the program runs on");
      }
      ended.accompany();
    } catch (RuntimeException | Error e) {
      thrown = e;
    } finally {
      endTrace();
    }
  }

  private void endTrace() {
    KernelTrace tracing = trace;
    trace = null;
    if (tracing != null) {
      tracing.stopMarking();
      tracing.end();
    }
  }

  private List<LineSink> allSinks() {
    List<LineSink> all = new ArrayList<>();
    Path path = order.file();
    if (path != null) {
      all.add(ChunkFile.create(path));
    }
    all.addAll(sinks);
    return all;
  }

  private void trace(LibC libc, Arena arena, LineQueue file) {
    SyscallFilter filter =
        order.seccomp() ? new SyscallFilter(libc, new TraceeMemory(libc, arena), arena) : null;
    HostFacts facts = HostFacts.read(libc, arena);
    KernelTrace tracing = trace;
    Tracer made = new Tracer(libc, arena, file, tracing, filter, probe(libc, arena, facts));
    tracer = made;
    List<String> argv = order.command();
    int pid = order.pid();
    if (argv.isEmpty()) {
      made.attach(pid);
      argv = commandLine(pid);
    } else {
      pid = Launcher.start(libc, argv, inherited);
      child = pid;
      // What the user types is for the program; it decides whether to end.
      disposition(libc, arena, SIGINT, SIG_IGN);
      disposition(libc, arena, SIGQUIT, SIG_IGN);
      disposition(libc, arena, SIGTSTP, SIG_IGN);
      try {
        made.takeChild(pid);
      } catch (UsageException e) {
        // It waits, stopped, for somebody who does not come.
        libc.kill(pid, SIGKILL);
        throw e;
      }
    }
    if (tracing != null) {
      tracing.follow(libc, arena, made.followed());
    }
    start(file, made.calls(), pid, argv, facts);
    made.run();
    file.line()
        .number("seq", made.calls().nextSeq())
        .word("ev", "end")
        .number("t_enter", System.nanoTime());
    file.ended();
  }

  private @Nullable Probe probe(LibC libc, Arena arena, HostFacts facts) {
    return order.probe()
        ? new Probe(
            libc,
            new TraceeMemory(libc, arena),
            arena,
            facts.capabilities().containsKey(KvmCap.KVM_CAP_NESTED_STATE.name()),
            order.seccomp() ? 1 : 0,
            notes)
        : null;
  }

  private void start(
      LineQueue file, CallRecorder calls, int pid, List<String> argv, HostFacts facts) {
    LineBuffer line =
        file.line()
            .number("seq", calls.nextSeq())
            .word("ev", "start")
            .number("t_enter", System.nanoTime())
            .number("pid", pid)
            .texts("argv", argv)
            .number("format", 1);
    if (order.command().isEmpty()) {
      line.flag("attached");
    }
    line.text("kernel", facts.kernel()).text("cpu", facts.cpu()).open("params");
    facts.params().forEach(line::text);
    line.close().open("capabilities");
    facts.capabilities().forEach(line::number);
    line.close().word("cpuid", facts.cpuid().toBase64());
    file.ended();
  }

  private static List<String> commandLine(int pid) {
    try {
      String text = Files.readString(Path.of("/proc/" + pid + "/cmdline"), StandardCharsets.UTF_8);
      return List.of(text.split("\0"));
    } catch (IOException e) {
      return List.of();
    }
  }

  private static void disposition(LibC libc, Arena arena, int signal, long handler) {
    MemorySegment action = arena.allocate(SIGACTION_SIZE, Long.BYTES);
    action.set(ValueLayout.JAVA_LONG, 0, handler);
    if (libc.sigaction(signal, action) != 0) {
      throw new InvariantViolation("signal " + signal + " has no disposition");
    }
  }

  /**
   * Somebody wants the recorder to end: a program that it started is asked to end, and recorded
   * until it does; one that it attached to is let go. Returns when the file is written.
   */
  public void stop() {
    try (Arena arena = Arena.ofConfined()) {
      LibC libc = new LibC(arena);
      long self = ProcessHandle.current().pid();
      boolean asked = false;
      while (thread.isAlive()) {
        Tracer running = tracer;
        if (order.command().isEmpty()) {
          if (running != null) {
            running.stop();
          }
          libc.syscall(SYS_TGKILL, self, threadId, WAKING_SIGNAL, 0, 0);
        } else if (!asked && child != 0 && running != null && running.rootStatus() < 0) {
          libc.kill(child, SIGTERM);
          asked = true;
        }
        join(WAKE_EVERY_MS);
      }
    }
  }

  private void join(int ms) {
    boolean interrupted = false;
    try {
      while (thread.isAlive()) {
        try {
          thread.join(ms);
          if (ms > 0) {
            return;
          }
        } catch (InterruptedException e) {
          interrupted = true;
        }
      }
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
