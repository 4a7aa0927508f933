package dev.faultline.record;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/**
 * Starts the program to record: a shell that stops itself, so that it can be attached to, and then
 * becomes the program. Terminal, environment, working directory, open files and signal mask are
 * those that the recorder was started with.
 */
final class Launcher {
  private static final String SHELL = "/bin/sh";
  private static final String SCRIPT = "kill -STOP $$; exec \"$@\"";
  private static final int SIGSET_SIZE = 128;
  private static final int STDERR = 2;
  private static final long F_SETFD = 2;
  private static final long FD_CLOEXEC = 1;

  private static final Path OWN_DESCRIPTORS = Path.of("/proc/self/fd");

  private Launcher() {}

  /**
   * Demands that there is such a program.
   *
   * @throws UsageException if not
   */
  static void demand(String program) {
    if (program.indexOf('/') >= 0) {
      if (!Files.isExecutable(Path.of(program)) || Files.isDirectory(Path.of(program))) {
        throw missing(program, "none that can be run");
      }
      return;
    }
    String path = System.getenv().getOrDefault("PATH", "/usr/bin:/bin");
    for (String folder : path.split(":", -1)) {
      Path file = Path.of(folder.isEmpty() ? "." : folder, program);
      if (Files.isExecutable(file) && !Files.isDirectory(file)) {
        return;
      }
    }
    throw missing(program, "none in $PATH");
  }

  private static UsageException missing(String program, String found) {
    return new UsageException(
        ErrorCode.CANNOT_RECORD, "expected a program after --, found " + found + ": " + program);
  }

  /** The numbers of all descriptors that are open now. */
  static Set<Integer> openDescriptors() {
    Set<Integer> numbers = new TreeSet<>();
    try (DirectoryStream<Path> open = Files.newDirectoryStream(OWN_DESCRIPTORS)) {
      for (Path fd : open) {
        // Not the one that this folder is read by.
        if (!link(fd).startsWith("/proc/")) {
          numbers.add(Integer.parseInt(String.valueOf(fd.getFileName())));
        }
      }
    } catch (IOException e) {
      throw new UsageException(
          ErrorCode.CANNOT_RECORD,
          "expected /proc of this machine, found that it cannot be read",
          e);
    }
    return numbers;
  }

  /**
   * Keeps from the program what the JVM and the recorder have opened: its descriptors shall be
   * those that it would have without them.
   */
  private static void closeOwn(LibC libc, Set<Integer> inherited) {
    List<String> owned = new ArrayList<>(List.of(System.getProperty("java.home") + "/"));
    owned.addAll(List.of(System.getProperty("java.class.path").split(File.pathSeparator, -1)));
    for (int number : openDescriptors()) {
      String link = link(OWN_DESCRIPTORS.resolve(Integer.toString(number)));
      boolean own =
          !inherited.contains(number)
              || link.endsWith(".jar")
              || link.endsWith(".jsa")
              || owned.stream().anyMatch(one -> !one.isEmpty() && link.startsWith(one));
      if (own && number > STDERR) {
        libc.syscall(Syscalls.FCNTL, number, F_SETFD, FD_CLOEXEC, 0, 0);
      }
    }
  }

  private static String link(Path fd) {
    try {
      return Files.readSymbolicLink(fd).toString();
    } catch (IOException e) {
      return "";
    }
  }

  /**
   * Starts it; the process, which stops itself at once.
   *
   * @param inherited the descriptors that were open before the recorder opened its own
   */
  static int start(LibC libc, List<String> command, Set<Integer> inherited) {
    closeOwn(libc, inherited);
    try (Arena arena = Arena.ofConfined()) {
      List<String> words = new ArrayList<>(List.of("sh", "-c", SCRIPT, "sh"));
      words.addAll(command);
      MemorySegment argv = arena.allocate(ValueLayout.ADDRESS, words.size() + 1L);
      for (int i = 0; i < words.size(); i++) {
        argv.setAtIndex(ValueLayout.ADDRESS, i, arena.allocateFrom(words.get(i)));
      }
      MemorySegment mask = arena.allocate(SIGSET_SIZE, Long.BYTES);
      // The JVM's own threads block other signals than the thread that it was started in.
      long blocked = ProcStatus.read((int) ProcessHandle.current().pid()).blockedSignals();
      mask.set(ValueLayout.JAVA_LONG, 0, blocked);
      MemorySegment pid = arena.allocate(ValueLayout.JAVA_INT);
      MemorySegment environment = LibC.environment();
      int refused = libc.spawn(pid, arena.allocateFrom(SHELL), mask, argv, environment, arena);
      if (refused != 0) {
        throw new UsageException(
            ErrorCode.CANNOT_RECORD,
            "expected "
                + SHELL
                + " to start the program, found that it cannot be run (errno "
                + refused
                + ")");
      }
      return pid.get(ValueLayout.JAVA_INT, 0);
    }
  }
}
