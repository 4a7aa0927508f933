package dev.faultline.record;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An instance of the kernel's tracing of our own: buffers, events and clock that nobody else has.
 *
 * <p>It is removed by {@link #remove}; by a shell that waits for the end of this process, however
 * that ends; and, should that shell be killed as well, by the next recorder that makes one.
 */
final class TraceInstance {
  private static final String PREFIX = "faultline-";
  private static final String CLOCK = "mono";
  private static final int MOST_KIB = 256 << 10;
  private static final int KIB_A_CPU = 16 << 10;
  private static final int LEAST_KIB = 1 << 10;

  /** Of the host's memory, or too many to be of use. */
  private static final List<String> LEFT_OUT =
      List.of(
          "kvm_fpu",
          "kvm_track_tsc",
          "kvm_update_master_clock",
          "kvm_age_hva",
          "kvm_test_age_hva",
          "kvm_unmap_hva_range");

  private static final String GUARD =
      "trap '' INT TERM HUP QUIT; cat >/dev/null; echo 0 >\"$1/tracing_on\"; n=0;"
          + " while [ -d \"$1\" ] && [ $n -lt 50 ]; do rmdir \"$1\" && exit; n=$((n+1)); sleep 0.1;"
          + " done";

  private final Path folder;
  private final @Nullable Process guard;

  private TraceInstance(Path folder, @Nullable Process guard) {
    this.folder = folder;
    this.guard = guard;
  }

  /**
   * Makes one that traces KVM's events by CLOCK_MONOTONIC, and takes away what dead recorders left.
   *
   * @throws UsageException if the machine has none, or we may not
   */
  static TraceInstance make() {
    Path instances = root().resolve("instances");
    try {
      sweep(instances);
      Path folder = instances.resolve(PREFIX + ProcessHandle.current().pid());
      Files.createDirectory(folder);
      TraceInstance made = new TraceInstance(folder, guard(folder));
      made.begin();
      return made;
    } catch (IOException e) {
      throw cannot("that " + instances + " cannot be used (" + ChunkFile.reason(e) + ")", e);
    }
  }

  private static Path root() {
    try {
      for (String mount : Files.readAllLines(Path.of("/proc/self/mounts"))) {
        String[] words = mount.split(" ", 4);
        if (words.length == 4 && words[2].equals("tracefs")) {
          return Path.of(words[1].replace("\\040", " "));
        }
      }
    } catch (IOException e) {
      throw cannot("that /proc/self/mounts cannot be read", e);
    }
    throw cannot("none mounted (mount -t tracefs nodev /sys/kernel/tracing)", null);
  }

  private static UsageException cannot(String found, @Nullable Exception e) {
    String sentence =
        "--ftrace: expected tracefs with KVM's events, and the right to use it, found " + found;
    return e == null
        ? new UsageException(ErrorCode.CANNOT_RECORD, sentence)
        : new UsageException(ErrorCode.CANNOT_RECORD, sentence, e);
  }

  private static void sweep(Path instances) throws IOException {
    try (DirectoryStream<Path> left = Files.newDirectoryStream(instances, PREFIX + "*")) {
      for (Path folder : left) {
        String pid = String.valueOf(folder.getFileName()).substring(PREFIX.length());
        if (pid.matches("[0-9]{1,10}") && !isRecorder(pid)) {
          takeAway(folder);
        }
      }
    }
  }

  /** True if the process lives and is a program of the same name as this one. */
  private static boolean isRecorder(String pid) {
    try {
      String name = Files.readString(Path.of("/proc/" + pid + "/comm"));
      return name.equals(Files.readString(Path.of("/proc/self/comm")));
    } catch (IOException e) {
      return false;
    }
  }

  private static void takeAway(Path folder) {
    try {
      Files.writeString(folder.resolve("tracing_on"), "0", StandardOpenOption.WRITE);
      Files.delete(folder);
    } catch (IOException e) {
      // Another recorder is as fast, or somebody looks into it: the next one will try again.
      return;
    }
  }

  private static Process guard(Path folder) throws IOException {
    return new ProcessBuilder("/bin/sh", "-c", GUARD, "sh", folder.toString())
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(ProcessBuilder.Redirect.DISCARD)
        .start();
  }

  private void begin() throws IOException {
    int cpus = Math.max(1, Runtime.getRuntime().availableProcessors());
    write("trace_clock", CLOCK);
    write(
        "buffer_size_kb",
        Integer.toString(Math.max(LEAST_KIB, Math.min(KIB_A_CPU, MOST_KIB / cpus))));
    write("options/event-fork", "1");
    write("events/kvm/enable", "1");
    for (String event : LEFT_OUT) {
      leaveOut(event);
    }
  }

  /** Traces no more events of this name, where the kernel has it. */
  void leaveOut(String event) throws IOException {
    if (Files.exists(folder.resolve("events/kvm/" + event))) {
      write("events/kvm/" + event + "/enable", "0");
    }
  }

  /** Traces only these threads, and those that they make. */
  void follow(List<Integer> threads) throws IOException {
    StringBuilder numbers = new StringBuilder();
    threads.forEach(tid -> numbers.append(tid).append(' '));
    write("set_event_pid", numbers.toString());
  }

  /** Traces nothing more. */
  void stop() throws IOException {
    write("tracing_on", "0");
  }

  private void write(String file, String text) throws IOException {
    Files.write(
        folder.resolve(file), text.getBytes(StandardCharsets.US_ASCII), StandardOpenOption.WRITE);
  }

  /** A file of the instance. */
  Path file(String name) {
    return folder.resolve(name);
  }

  /** Takes it away; nothing of it may be open. */
  void remove() {
    takeAway(folder);
    if (guard != null) {
      try {
        guard.getOutputStream().close();
      } catch (IOException e) {
        guard.destroy();
      }
    }
  }
}
