package dev.faultline.record;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * What the kernel traces of KVM while a recording is made, written beside it as text of tracefs.
 *
 * <p>The recorder marks the beginning and the end of each call in the trace, so that an event
 * belongs to a call without doubt.
 *
 * <p><i>Errors</i>: a trace that cannot be written ends with a sentence, and the recording goes on.
 */
final class KernelTrace {
  private static final int O_RDONLY_NONBLOCK_CLOEXEC = 0x800 | 0x80000;
  private static final int O_WRONLY_CLOEXEC = 1 | 0x80000;
  private static final int READ_SIZE = 1 << 16;
  private static final int WRITE_SIZE = 256 << 10;
  private static final int WAIT_MS = 20;
  private static final long LONGEST_END_NS = 30_000_000_000L;
  private static final int MARK_SIZE = 256;
  private static final List<String> ALWAYS = List.of("kvm_entry", "kvm_exit");

  private final TraceInstance instance;
  private final ChunkFile file;
  private final Path path;
  private final Consumer<String> notes;
  private final List<String> notTraced = new ArrayList<>();
  private final Thread reader;
  private volatile boolean ending;
  private volatile @Nullable String failure;

  /** Of the thread that marks. */
  private @Nullable LibC libc;

  private MemorySegment mark = MemorySegment.NULL;
  private int marker = -1;

  private KernelTrace(TraceInstance instance, ChunkFile file, Path path, Consumer<String> notes) {
    this.instance = instance;
    this.file = file;
    this.path = path;
    this.notes = notes;
    this.reader = Thread.ofPlatform().name("trace-reader").daemon(true).unstarted(this::read);
  }

  /** The trace beside a recording: {@code NAME.ftrace.txt.gz} beside {@code NAME.jsonl.gz}. */
  static Path beside(Path recording) {
    String name = String.valueOf(recording.getFileName());
    int end = name.indexOf(".jsonl");
    return recording.resolveSibling((end < 0 ? name : name.substring(0, end)) + ".ftrace.txt.gz");
  }

  /**
   * Begins to trace, whatever thread KVM is used by; {@link #follow} makes it only some.
   *
   * @throws UsageException if tracefs cannot be used
   * @throws StoreException if the file cannot be made
   */
  static KernelTrace begin(Path recording, Consumer<String> notes) {
    Path path = beside(recording);
    ChunkFile file = ChunkFile.create(path);
    TraceInstance instance = TraceInstance.make();
    KernelTrace trace = new KernelTrace(instance, file, path, notes);
    try (Arena arena = Arena.ofConfined()) {
      trace.tryOut(new LibC(arena), arena);
    } catch (IOException | RuntimeException e) {
      instance.remove();
      if (e instanceof RuntimeException known) {
        throw known;
      }
      throw new UsageException(
          ErrorCode.CANNOT_RECORD,
          "--ftrace: expected an instance of tracing to work, found that it does not ("
              + ChunkFile.reason((IOException) e)
              + ")",
          e);
    }
    trace.reader.start();
    return trace;
  }

  /** Runs a guest, and sees what of it is traced. */
  private void tryOut(LibC libc, Arena arena) throws IOException {
    StringBuilder seen = new StringBuilder();
    boolean ran = TrialGuest.run(libc);
    int pipe = open(libc, arena, "trace_pipe", O_RDONLY_NONBLOCK_CLOEXEC);
    MemorySegment buffer = arena.allocate(READ_SIZE);
    for (long size = libc.read(pipe, buffer); size > 0; size = libc.read(pipe, buffer)) {
      byte[] bytes = buffer.asSlice(0, size).toArray(ValueLayout.JAVA_BYTE);
      seen.append(new String(bytes, StandardCharsets.ISO_8859_1));
    }
    libc.close(pipe);
    if (!ran) {
      notes.accept("--ftrace: there is no /dev/kvm for us to see what is traced of a guest");
      return;
    }
    for (String event : ALWAYS) {
      if (seen.indexOf(": " + event + ":") < 0) {
        notTraced.add(event);
      }
    }
    if (!notTraced.isEmpty()) {
      // Such a KVM emulates every instruction of some guests, millions a second.
      instance.leaveOut("kvm_emulate_insn");
      notes.accept(
          "--ftrace: this host's KVM does not trace "
              + String.join(" and ", notTraced)
              + ": what the guest does within KVM_RUN stays unknown (kvm_emulate_insn is left"
              + " out)");
    }
  }

  private int open(LibC with, Arena arena, String name, int flags) throws IOException {
    int fd = with.open(arena.allocateFrom(instance.file(name).toString()), flags);
    if (fd < 0) {
      throw new IOException(name + " cannot be opened, errno " + with.errno());
    }
    return fd;
  }

  /** Traces these threads and those that they make, and marks from the thread that calls this. */
  void follow(LibC of, Arena arena, List<Integer> threads) {
    try {
      instance.follow(threads);
      marker = open(of, arena, "trace_marker", O_WRONLY_CLOEXEC);
      mark = arena.allocate(MARK_SIZE);
      libc = of;
    } catch (IOException e) {
      failure = "--ftrace: nothing is traced (" + ChunkFile.reason(e) + ")";
      notes.accept(failure);
    }
  }

  /** A call begins: from here on, what its thread traces belongs to it. */
  void enter(long seq, String name) {
    mark("kvmrec seq=" + seq + " enter " + name + "\n");
  }

  /** A call has ended. */
  void exit(long seq, String name, long value) {
    mark("kvmrec seq=" + seq + " exit " + name + " ret=" + value + "\n");
  }

  private void mark(String text) {
    LibC of = libc;
    if (of != null) {
      byte[] bytes = text.getBytes(StandardCharsets.US_ASCII);
      MemorySegment.copy(bytes, 0, mark, ValueLayout.JAVA_BYTE, 0, bytes.length);
      of.write(marker, mark, bytes.length);
    }
  }

  /** Nothing is marked any more; by the thread that marked. */
  void stopMarking() {
    LibC of = libc;
    libc = null;
    if (of != null) {
      of.close(marker);
    }
  }

  /** Ends the trace, writes what is left of it, and takes the instance away. */
  void end() {
    ending = true;
    boolean interrupted = false;
    while (reader.isAlive()) {
      try {
        reader.join();
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    instance.remove();
  }

  private void read() {
    try (Arena arena = Arena.ofConfined()) {
      LibC own = new LibC(arena);
      int pipe = open(own, arena, "trace_pipe", O_RDONLY_NONBLOCK_CLOEXEC);
      try {
        write(header(), false);
        read(own, arena, pipe);
      } finally {
        own.close(pipe);
      }
    } catch (IOException e) {
      notes.accept("--ftrace: the trace ends here (" + ChunkFile.reason(e) + ")");
    }
  }

  private byte[] header() {
    String text = "# tracer: nop\n#\n";
    if (!notTraced.isEmpty()) {
      text += "# not traced by this host: " + String.join(" ", notTraced) + "\n#\n";
    }
    return text.getBytes(StandardCharsets.US_ASCII);
  }

  private void read(LibC own, Arena arena, int pipe) throws IOException {
    MemorySegment buffer = arena.allocate(READ_SIZE);
    byte[] bytes = new byte[READ_SIZE];
    TraceLines lines = new TraceLines();
    long until = Long.MAX_VALUE;
    boolean stopped = false;
    while (true) {
      boolean last = ending;
      if (last && !stopped) {
        // From here on there is an end to what can be read.
        instance.stop();
        stopped = true;
        until = System.nanoTime() + LONGEST_END_NS;
      }
      long size = own.read(pipe, buffer);
      for (int sum = 0; size > 0 && sum < WRITE_SIZE; size = own.read(pipe, buffer)) {
        MemorySegment.copy(buffer, ValueLayout.JAVA_BYTE, 0, bytes, 0, (int) size);
        lines.add(bytes, (int) size);
        sum += (int) size;
      }
      boolean empty = size <= 0;
      last &= empty || System.nanoTime() > until;
      write(lines.take(last), last);
      if (last) {
        return;
      }
      if (empty) {
        pause();
      }
    }
  }

  private static void pause() {
    try {
      Thread.sleep(WAIT_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void write(byte[] text, boolean last) {
    if (failure != null || (text.length == 0 && !last)) {
      return;
    }
    String refused = file.take(text, last);
    if (refused != null) {
      failure = refused;
      notes.accept(refused + "; " + path.getFileName() + " ends there, the recording goes on");
    }
  }
}
