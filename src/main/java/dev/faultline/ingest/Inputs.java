package dev.faultline.ingest;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * Finds the recordings in what a user names.
 *
 * <p><i>Shape</i>: a recording is {@code NAME.jsonl}, what strace printed {@code NAME.strace}, what
 * perf printed {@code NAME.perf.txt}, each plain or with {@code .gz} or {@code .xz} behind it.
 * Beside a recording may lie {@code NAME.ftrace.txt} (.gz, .xz), the kernel's trace, and {@code
 * NAME.meta.json}, its facts; a kernel's trace with nothing beside it is an input of its own. A
 * folder that holds an input called {@code recording} is that one, with the name of the folder. Any
 * other folder is searched, the folders in it too. {@code NAME.outcome.jsonl} is no recording.
 *
 * <p>A file that is named itself may have any name: what it is, its content tells.
 *
 * <p><i>Order</i>: by path, compared as text with {@code /} between names, so that every machine
 * finds the same order.
 */
public final class Inputs {
  private static final int MAX_DEPTH = 16;
  private static final String LINES = ".jsonl";
  private static final List<String> ENDINGS = List.of(LINES, ".strace", ".perf.txt", ".ftrace.txt");
  private static final String OUTCOMES = ".outcome";
  private static final String TRACE = ".ftrace.txt";
  private static final String FACTS = ".meta.json";
  private static final String SHIPPED = "recording";
  private static final List<String> COMPRESSIONS = List.of("", ".gz", ".xz");

  private Inputs() {}

  /**
   * The recordings of a file or folder; at least one.
   *
   * @throws UsageException if there is no such file or folder, if it cannot be read, or if it holds
   *     no recording
   */
  public static List<RecordingSource> open(Path input) {
    if (!Files.exists(input)) {
      throw new UsageException(
          ErrorCode.INPUT_NOT_FOUND,
          input + ": expected a recording or a folder of recordings, found nothing of this name");
    }
    if (!Files.isReadable(input)) {
      throw unreadable(input);
    }
    if (!Files.isDirectory(input)) {
      return List.of(source(nameOf(input), input));
    }
    Path shipped = shipped(input);
    if (shipped != null) {
      return List.of(source(folderName(shipped), shipped));
    }
    List<RecordingSource> found = search(input);
    if (found.isEmpty()) {
      throw new UsageException(
          ErrorCode.INPUT_NOT_FOUND,
          input
              + ": expected a folder of recordings or traces (*.jsonl, *.strace, *.ftrace.txt,"
              + " *.perf.txt, each plain, .gz or .xz), found none in it");
    }
    return found;
  }

  /** What the recording of a file is called, also before there is one. */
  static String nameOf(Path file) {
    return isShipped(file) ? folderName(file) : baseName(fileName(file));
  }

  private static List<RecordingSource> search(Path folder) {
    List<RecordingSource> found = new ArrayList<>();
    try (Stream<Path> walk = Files.walk(folder, MAX_DEPTH)) {
      walk.filter(Inputs::isRecording)
          .forEach(file -> found.add(source(nameIn(folder, file), file)));
    } catch (UncheckedIOException e) {
      throw unsearchable(folder, e.getCause(), e);
    } catch (IOException e) {
      throw unsearchable(folder, e, e);
    }
    found.sort(Comparator.comparing(RecordingSource::name));
    return List.copyOf(found);
  }

  private static UsageException unsearchable(
      Path folder, @Nullable Throwable reason, Exception thrown) {
    Path where =
        reason instanceof AccessDeniedException denied ? Path.of(denied.getFile()) : folder;
    return new UsageException(ErrorCode.INPUT_NOT_FOUND, unreadableSentence(where), thrown);
  }

  static UsageException unreadable(Path input) {
    return new UsageException(ErrorCode.INPUT_NOT_FOUND, unreadableSentence(input));
  }

  static UsageException unopened(Path input, IOException e) {
    String found = e instanceof NoSuchFileException ? "that it is gone" : "that it cannot be read";
    return new UsageException(
        ErrorCode.INPUT_NOT_FOUND,
        input + ": expected a file to read, found " + found + "; look at its permissions",
        e);
  }

  private static String unreadableSentence(Path input) {
    return input
        + ": expected a file or folder to read, found that it cannot be read; look at its"
        + " permissions";
  }

  /** True for a recording by its name; in a folder that is one recording, only that one. */
  private static boolean isRecording(Path file) {
    String name = fileName(file);
    String base = baseName(name);
    if (base.equals(name) || base.endsWith(OUTCOMES) || !Files.isRegularFile(file)) {
      return false;
    }
    if (isTrace(name) && isBeside(file, base)) {
      return false;
    }
    Path folder = file.getParent();
    Path shipped = folder == null ? null : shipped(folder);
    return shipped == null || shipped.equals(file);
  }

  private static boolean isTrace(String name) {
    return COMPRESSIONS.stream().anyMatch(compression -> name.endsWith(TRACE + compression));
  }

  /** True for a trace that belongs to another input of the same name. */
  private static boolean isBeside(Path trace, String base) {
    for (String ending : ENDINGS) {
      for (String compression : COMPRESSIONS) {
        if (!ending.equals(TRACE)
            && Files.isRegularFile(trace.resolveSibling(base + ending + compression))) {
          return true;
        }
      }
    }
    return false;
  }

  private static @Nullable Path shipped(Path folder) {
    for (String ending : ENDINGS) {
      for (String compression : COMPRESSIONS) {
        Path file = folder.resolve(SHIPPED + ending + compression);
        if (Files.isRegularFile(file)) {
          return file;
        }
      }
    }
    return null;
  }

  /** The path of a recording below a folder, without its suffix: {@code vmx/scn_a}. */
  private static String nameIn(Path folder, Path file) {
    Path path = folder.relativize(file);
    StringBuilder name = new StringBuilder();
    for (int i = 0; i < path.getNameCount() - 1; i++) {
      name.append(path.getName(i)).append('/');
    }
    String base = baseName(fileName(file));
    return base.equals(SHIPPED)
        ? name.substring(0, name.length() - 1)
        : name.append(base).toString();
  }

  /**
   * The name of a file without what tells its format; the name itself if it is not one of a
   * recording.
   */
  private static String baseName(String name) {
    for (String ending : ENDINGS) {
      for (String compression : COMPRESSIONS) {
        if (name.endsWith(ending + compression)) {
          return name.substring(0, name.length() - ending.length() - compression.length());
        }
      }
    }
    return name;
  }

  private static RecordingSource source(String name, Path recording) {
    String base = baseName(fileName(recording));
    Path facts = recording.resolveSibling(base + FACTS);
    return new RecordingSource(
        name, recording, trace(recording, base), Files.isRegularFile(facts) ? facts : null);
  }

  private static @Nullable Path trace(Path recording, String base) {
    for (String compression : COMPRESSIONS) {
      Path trace = recording.resolveSibling(base + TRACE + compression);
      if (Files.isRegularFile(trace) && !isTrace(fileName(recording))) {
        return trace;
      }
    }
    return null;
  }

  /** True for a recording that is all of its folder. */
  static boolean isShipped(Path recording) {
    return baseName(fileName(recording)).equals(SHIPPED);
  }

  private static String folderName(Path recording) {
    Path folder = recording.toAbsolutePath().normalize().getParent();
    return folder == null ? SHIPPED : fileName(folder);
  }

  static String fileName(Path path) {
    Path name = path.getFileName();
    return name == null ? path.toString() : name.toString();
  }
}
