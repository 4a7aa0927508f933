package dev.faultline.trace;

import dev.faultline.ErrorCode;
import dev.faultline.FaultlineException;
import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Started;
import java.io.IOException;
import java.io.InputStream;
import java.util.NoSuchElementException;
import org.jspecify.annotations.Nullable;

/**
 * Reads a recording, one observation a line, and gives each call what the kernel traced during it.
 *
 * <p><i>Shape</i>: JSON Lines, version 1. A first line {@code {"ev":"format","version":N}}, or a
 * key {@code format} of the {@code start} line, tells another version.
 *
 * <p><i>Order</i>: of the lines. Sequence numbers may go back where several threads ran, but none
 * comes twice.
 *
 * <p><i>Errors</i>: the first damaged line ends the reading; the observations before it have been
 * given. A damaged line is a {@link TraceSyntaxException}, a damaged or cut file or another version
 * a {@link FormatException}; each is one sentence that begins with {@code file:line}.
 *
 * <p>Neither a long recording, a long line nor a long trace fills the heap: at most one line and
 * {@link TraceFeed#MAX_WEIGHT} of waiting events are held.
 */
public final class RecordingReader implements ObservationReader {
  /** The longest line, in bytes. */
  public static final int MAX_LINE_SIZE = 8 << 20;

  /** The largest payload, in bytes after decoding. */
  public static final int MAX_PAYLOAD_SIZE = 1 << 20;

  private final String source;
  private final InputStream in;
  private final LineSource lines;
  private final RecordingLine line;
  private final SeqSet seqs = new SeqSet();
  private final @Nullable FtraceReader trace;
  private final @Nullable TraceMerge merge;

  private @Nullable Observation ahead;

  /** What the line after {@code ahead} came to, told once {@code ahead} is given. */
  private @Nullable FaultlineException failure;

  private boolean ended;
  private boolean drained;
  private long given;

  /**
   * A reader of a recording without a trace beside it.
   *
   * @param source the name by which errors tell the input
   * @param in the recording, uncompressed; closed by this reader
   */
  public RecordingReader(String source, InputStream in) {
    this(source, in, null);
  }

  /**
   * A reader of a recording and the trace beside it.
   *
   * @param source the name by which errors tell the input
   * @param in the recording, uncompressed; closed by this reader
   * @param trace closed by this reader
   */
  public RecordingReader(String source, InputStream in, @Nullable FtraceReader trace) {
    this.source = source;
    this.in = in;
    this.lines = new LineSource(in, MAX_LINE_SIZE);
    this.line = new RecordingLine(source);
    this.trace = trace;
    this.merge = trace == null ? null : new TraceMerge(trace);
  }

  @Override
  public boolean hasNext() {
    if (ahead == null && failure == null && !ended) {
      readAhead();
    }
    if (ahead != null) {
      return true;
    }
    if (failure == null) {
      drain();
    }
    if (failure != null) {
      throw failure;
    }
    return false;
  }

  @Override
  public Observation next() {
    Observation current = hasNext() ? ahead : null;
    if (current == null) {
      throw new NoSuchElementException("the recording " + source + " is at its end");
    }
    ahead = null;
    given++;
    return merge == null ? current : merged(merge, current);
  }

  private Observation merged(TraceMerge merge, Observation current) {
    if (current instanceof Started started) {
      merge.started(started.recorder());
    }
    if (!(current instanceof Call call)) {
      return current;
    }
    if (merge.looksAhead() && !ended && failure == null) {
      readAhead();
    }
    try {
      return call.withTraced(merge.attach(call, ahead));
    } catch (FaultlineException e) {
      ahead = null;
      failure = e;
      throw e;
    }
  }

  /** Reads the next observation; if it cannot be read, that is told when its turn comes. */
  private void readAhead() {
    try {
      ahead = read();
      ended = ahead == null;
    } catch (FaultlineException e) {
      failure = e;
    }
  }

  /** Reads the trace to its end, so that damage in what belongs to no call is told too. */
  private void drain() {
    if (merge == null || drained) {
      return;
    }
    drained = true;
    try {
      merge.drain();
    } catch (FaultlineException e) {
      failure = e;
    }
  }

  private @Nullable Observation read() {
    while (nextLine()) {
      if (lines.overlong()) {
        throw new TraceSyntaxException(
            ErrorCode.TRACE_LINE_TOO_LONG,
            where()
                + ": expected a line of at most "
                + MAX_LINE_SIZE
                + " bytes, found a longer one; is this file a recording?");
      }
      if (isBlank()) {
        continue;
      }
      Observation read = line.read(lines);
      if (read != null) {
        demandNew(read);
        return read;
      }
    }
    if (given == 0 && ahead == null) {
      throw FormatException.corrupt(
          ErrorCode.RECORDING_CORRUPT,
          source + " holds no recording: it is empty; record again, or leave it out");
    }
    return null;
  }

  private boolean nextLine() {
    try {
      return lines.next();
    } catch (IOException e) {
      throw new FormatException(
          FormatException.Kind.CORRUPT,
          ErrorCode.INPUT_COMPRESSION,
          source
              + ":"
              + (lines.number() + 1)
              + ": expected more of the recording, found "
              + Shown.reason(e)
              + "; copy the file again",
          e);
    }
  }

  private boolean isBlank() {
    byte[] array = lines.array();
    for (int i = lines.from(); i < lines.to(); i++) {
      if (array[i] != ' ' && array[i] != '\t') {
        return false;
      }
    }
    return true;
  }

  private void demandNew(Observation read) {
    if (read.seq() >= 0 && !seqs.add(read.seq())) {
      throw new TraceSyntaxException(
          ErrorCode.TRACE_ORDER,
          where()
              + ": expected a sequence number of its own, found seq "
              + read.seq()
              + " a second time; were two recordings joined?");
    }
  }

  private String where() {
    return source + ":" + lines.number();
  }

  @Override
  public InputFormat format() {
    return InputFormat.RECORDING;
  }

  @Override
  public @Nullable MergeReport mergeReport() {
    return merge == null ? null : merge.report();
  }

  /** Closes the recording and the trace. */
  @Override
  public void close() {
    if (trace != null) {
      trace.close();
    }
    try {
      in.close();
    } catch (IOException e) {
      // Everything wanted of the stream was read; nothing is left that closing it could lose.
      return;
    }
  }
}
