package dev.faultline.ingest;

import dev.faultline.FormatException;
import dev.faultline.UsageException;
import dev.faultline.trace.Chunks;
import dev.faultline.trace.FtraceReader;
import dev.faultline.trace.InputFormat;
import dev.faultline.trace.KernelTraceReader;
import dev.faultline.trace.MergedReader;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.PairedReader;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.RecordingReader;
import dev.faultline.trace.StraceReader;
import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A recording on disk or in a store, not yet opened.
 *
 * @param name what it is called: {@code scn_a}, or {@code vmx/scn_a} if a folder above was named
 * @param recording the file of its lines
 * @param trace the kernel's trace beside it, null if there is none
 * @param facts the file of its facts, null if there is none
 * @param origin what else it is than this one file
 */
public record RecordingSource(
    String name, Path recording, @Nullable Path trace, @Nullable Path facts, Origin origin) {

  /** What an input is made of. */
  public sealed interface Origin {
    /** One file, with what lies beside it. */
    record OneFile() implements Origin {}

    /** A timeline of a store; no file is read. */
    record InStore(StoredTimeline timeline) implements Origin {}

    /** Files of {@code strace -ff}, one a thread. */
    record Threads(List<Path> files) implements Origin {
      /** Takes the list as it is now. */
      public Threads {
        files = List.copyOf(files);
      }
    }

    /** Inputs that are merged by clock. */
    record Several(List<RecordingSource> inputs) implements Origin {
      /** Takes the list as it is now. */
      public Several {
        inputs = List.copyOf(inputs);
      }
    }
  }

  /** A recording on disk. */
  public RecordingSource(String name, Path recording, @Nullable Path trace, @Nullable Path facts) {
    this(name, recording, trace, facts, new Origin.OneFile());
  }

  /** The timeline of a store that this is; null for files. */
  public @Nullable StoredTimeline stored() {
    return origin instanceof Origin.InStore(StoredTimeline timeline) ? timeline : null;
  }

  /** The same under another name. */
  RecordingSource named(String other) {
    return new RecordingSource(other, recording, trace, facts, origin);
  }

  /** A timeline of a store. */
  public static RecordingSource of(StoredTimeline stored) {
    return new RecordingSource(
        stored.name(), Path.of(stored.name()), null, null, new Origin.InStore(stored));
  }

  /** Whether its lines are those of a file, which may be copied. */
  public boolean isOneFile() {
    return origin instanceof Origin.OneFile;
  }

  private static final int LONGEST_START = 1 << 18;
  private static final String START = "\"ev\":\"start\"";
  private static final String KERNEL = "\"kernel\":";

  /**
   * Opens the recording and its trace; the caller closes the reader. May be called again, for
   * another reader from the start.
   *
   * @throws UsageException if a file cannot be opened
   * @throws FormatException if a file is compressed and damaged at its start, or compressed in an
   *     unknown way
   */
  public ObservationReader open() {
    return switch (origin) {
      case Origin.InStore(StoredTimeline timeline) -> timeline.open();
      case Origin.Several(List<RecordingSource> inputs) -> merged(inputs);
      case Origin.Threads(List<Path> files) ->
          paired(ThreadFilesOf.open(recording, files).reader(label(recording)));
      case Origin.OneFile _ -> openFile();
    };
  }

  private static ObservationReader merged(List<RecordingSource> inputs) {
    List<ObservationReader> readers = new ArrayList<>();
    try {
      inputs.forEach(input -> readers.add(input.open()));
      return new MergedReader(inputs.stream().map(RecordingSource::label).toList(), readers);
    } catch (RuntimeException e) {
      readers.forEach(ObservationReader::close);
      throw e;
    }
  }

  private String label() {
    return origin instanceof Origin.Threads ? label(recording) + ".*" : label(recording);
  }

  private ObservationReader paired(ObservationReader calls) {
    return trace == null
        ? calls
        : new PairedReader(calls, new KernelTraceReader(label(trace), openTrace(trace)));
  }

  /** The format that the content of the file is in. */
  InputFormat format() {
    try (BufferedInputStream in = new BufferedInputStream(CompressedFile.open(recording))) {
      return format(in);
    } catch (IOException e) {
      throw Inputs.unopened(recording, e);
    }
  }

  private ObservationReader openFile() {
    InputStream lines = CompressedFile.open(recording);
    try {
      BufferedInputStream in = new BufferedInputStream(lines);
      return switch (format(in)) {
        case STRACE -> paired(new StraceReader(label(recording), in));
        case KERNEL_TRACE ->
            new KernelTraceReader(label(recording), new FtraceReader(label(recording), in));
        // What is no trace either is told by the reader of recordings, with its line.
        case RECORDING, UNKNOWN ->
            new RecordingReader(label(recording), in, trace == null ? null : openTrace(trace));
      };
    } catch (RuntimeException e) {
      try {
        lines.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      throw e;
    }
  }

  /** The format that the content is in; the stream stands at its beginning again. */
  private static InputFormat format(BufferedInputStream in) {
    byte[] head = new byte[InputFormat.HEAD_SIZE];
    in.mark(InputFormat.HEAD_SIZE + 1);
    int size = 0;
    try {
      for (int read = 0; read >= 0 && size < head.length; size += Math.max(read, 0)) {
        read = in.read(head, size, head.length - size);
      }
    } catch (IOException _) {
      // Cut or damaged near its start: the reader comes to the same place, and tells it.
    }
    try {
      in.reset();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    return InputFormat.of(head, size);
  }

  /** How many lines the file has, so that one can tell how much is left; 0 where it is not told. */
  public long countLines() {
    return switch (origin) {
      case Origin.InStore _ -> 0;
      case Origin.OneFile _ -> lines(recording);
      case Origin.Threads(List<Path> files) ->
          files.stream().mapToLong(RecordingSource::lines).sum();
      case Origin.Several(List<RecordingSource> inputs) ->
          inputs.stream().mapToLong(RecordingSource::countLines).sum();
    };
  }

  private static long lines(Path file) {
    long lines = 0;
    byte[] buffer = new byte[1 << 16];
    try (InputStream in = CompressedFile.open(file)) {
      for (int size = in.read(buffer); size >= 0; size = in.read(buffer)) {
        for (int i = 0; i < size; i++) {
          lines += buffer[i] == '\n' ? 1 : 0;
        }
      }
    } catch (IOException _) {
      // Damaged: whoever reads it will say so.
      return lines;
    }
    return lines;
  }

  /**
   * Opens a recording or a timeline that may still be written; the reader waits at the end of what
   * is there, until the recording was ended or {@code patience} is.
   *
   * @throws UsageException if the file cannot be opened, or is not one that {@code record} writes
   */
  public ObservationReader follow(Chunks.Patience patience) {
    StoredTimeline stored = stored();
    if (stored != null) {
      return stored.follow(patience);
    }
    return new RecordingReader(label(recording), CompressedFile.follow(recording, patience));
  }

  private FtraceReader openTrace(Path file) {
    return new FtraceReader(label(file), CompressedFile.open(file));
  }

  /**
   * Reads the facts; of a recording without, those that its own first line tells, or nothing but
   * its name.
   *
   * @throws UsageException if the file cannot be opened
   * @throws FormatException if it is damaged
   */
  public RecordingFacts readFacts() {
    StoredTimeline stored = stored();
    if (stored != null) {
      return stored.readFacts();
    }
    if (origin instanceof Origin.Several(List<RecordingSource> inputs)) {
      return factsOf(inputs);
    }
    if (origin instanceof Origin.Threads) {
      return RecordingFacts.unknown(name);
    }
    if (facts == null) {
      return ownFacts();
    }
    try (InputStream in = CompressedFile.open(facts)) {
      return RecordingFacts.read(name, label(facts), in);
    } catch (IOException e) {
      throw Inputs.unopened(facts, e);
    }
  }

  /** What the first one tells that tells anything; all are of one machine. */
  private RecordingFacts factsOf(List<RecordingSource> inputs) {
    for (RecordingSource input : inputs) {
      RecordingFacts told = input.readFacts();
      if (!told.kernel().isEmpty() || !told.params().isEmpty()) {
        return new RecordingFacts(
            name, told.command(), told.kernel(), told.insmodParams(), told.params());
      }
    }
    return RecordingFacts.unknown(name);
  }

  /** What the first line tells of the machine; older recorders write nothing of it there. */
  private RecordingFacts ownFacts() {
    try (InputStream in = CompressedFile.open(recording)) {
      byte[] head = in.readNBytes(LONGEST_START);
      int end = 0;
      while (end < head.length && head[end] != '\n') {
        end++;
      }
      String line = new String(head, 0, end, StandardCharsets.UTF_8);
      if (end < head.length && line.contains(START) && line.contains(KERNEL)) {
        return RecordingFacts.read(name, label(recording), new ByteArrayInputStream(head, 0, end));
      }
    } catch (IOException | FormatException e) {
      // Whoever reads the recording itself is told what is wrong with it.
      return RecordingFacts.unknown(name);
    }
    return RecordingFacts.unknown(name);
  }

  /**
   * What messages and {@code where()} call a file: its path below what was named, so that it is the
   * same on every machine.
   */
  String label(Path file) {
    if (Inputs.isShipped(recording)) {
      return name + "/" + Inputs.fileName(file);
    }
    return name.substring(0, name.lastIndexOf('/') + 1) + Inputs.fileName(file);
  }
}
