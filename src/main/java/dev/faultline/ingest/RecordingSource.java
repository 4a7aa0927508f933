package dev.faultline.ingest;

import dev.faultline.FormatException;
import dev.faultline.UsageException;
import dev.faultline.trace.FtraceReader;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.RecordingReader;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * A recording on disk, not yet opened.
 *
 * @param name what it is called: {@code scn_a}, or {@code vmx/scn_a} if a folder above was named
 * @param recording the file of its lines
 * @param trace the kernel's trace beside it, null if there is none
 * @param facts the file of its facts, null if there is none
 */
public record RecordingSource(
    String name, Path recording, @Nullable Path trace, @Nullable Path facts) {

  /**
   * Opens the recording and its trace; the caller closes the reader. May be called again, for
   * another reader from the start.
   *
   * @throws UsageException if a file cannot be opened
   * @throws FormatException if a file is compressed and damaged at its start, or compressed in an
   *     unknown way
   */
  public RecordingReader open() {
    InputStream lines = CompressedFile.open(recording);
    try {
      return new RecordingReader(label(recording), lines, trace == null ? null : openTrace(trace));
    } catch (RuntimeException e) {
      try {
        lines.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      throw e;
    }
  }

  private FtraceReader openTrace(Path file) {
    return new FtraceReader(label(file), CompressedFile.open(file));
  }

  /**
   * Reads the facts; of a recording without, nothing is known but its name.
   *
   * @throws UsageException if the file cannot be opened
   * @throws FormatException if it is damaged
   */
  public RecordingFacts readFacts() {
    if (facts == null) {
      return RecordingFacts.unknown(name);
    }
    try (InputStream in = CompressedFile.open(facts)) {
      return RecordingFacts.read(name, label(facts), in);
    } catch (IOException e) {
      throw Inputs.unopened(facts, e);
    }
  }

  /**
   * What messages and {@code where()} call a file: its path below what was named, so that it is the
   * same on every machine.
   */
  private String label(Path file) {
    if (Inputs.isShipped(recording)) {
      return name + "/" + Inputs.fileName(file);
    }
    return name.substring(0, name.lastIndexOf('/') + 1) + Inputs.fileName(file);
  }
}
