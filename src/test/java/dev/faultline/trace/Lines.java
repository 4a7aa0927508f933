package dev.faultline.trace;

import dev.faultline.FaultlineException;
import dev.faultline.trace.Observation.Call;
import java.io.ByteArrayInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Small recordings and traces, written by hand. */
final class Lines {
  static final String START =
      "{\"seq\":0,\"ev\":\"start\",\"t_enter\":0,\"pid\":7,\"argv\":[\"vmm\"]}\n";

  private Lines() {}

  /** What a reader came to: the observations before the error, and the error if there was one. */
  record Reading(
      List<Observation> observations,
      @Nullable FaultlineException error,
      @Nullable MergeReport report) {

    FaultlineException failure() {
      if (error == null) {
        throw new AssertionError("expected an error, found " + observations.size() + " lines");
      }
      return error;
    }

    List<Call> calls() {
      return observations.stream().filter(Call.class::isInstance).map(Call.class::cast).toList();
    }

    MergeReport merge() {
      if (report == null) {
        throw new AssertionError("expected a report of the merge, found none");
      }
      return report;
    }
  }

  /** A call of thread 7 that lasts from {@code enterUs} to {@code exitUs}. */
  static String call(long seq, String name, long enterUs, long exitUs) {
    return call(seq, name, 7, enterUs * 1000, exitUs * 1000);
  }

  static String call(long seq, String name, long tid, long enterNs, long exitNs) {
    return "{\"seq\":"
        + seq
        + ",\"ev\":\"ioctl\",\"t_enter\":"
        + enterNs
        + ",\"t_exit\":"
        + exitNs
        + ",\"pid\":7,\"tid\":"
        + tid
        + ",\"fd\":8,\"fd_kind\":\"vcpu\",\"obj\":\"vm1/vcpu0\",\"req\":\"0x0000ae80\",\"name\":\""
        + name
        + "\",\"arg\":\"0x0\",\"ret\":0}\n";
  }

  /** A trace event of a thread at a time in microseconds. */
  static String event(long tid, long us, String text) {
    String fraction = Long.toString(1_000_000 + us % 1_000_000).substring(1);
    return "             vmm-"
        + tid
        + "       [000] d..1.     "
        + us / 1_000_000
        + "."
        + fraction
        + ": "
        + text
        + "\n";
  }

  static String enter(long seq, long us, String name) {
    return event(6, us, "tracing_mark_write: kvmrec seq=" + seq + " enter " + name);
  }

  static String exit(long seq, long us, String name) {
    return event(6, us, "tracing_mark_write: kvmrec seq=" + seq + " exit " + name + " ret=0");
  }

  static InputStream stream(String text) {
    return new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8));
  }

  /** A stream that breaks off after the text, as one of a cut gzip file. */
  static InputStream cut(String text) {
    return new SequenceInputStream(stream(text), new Broken());
  }

  private static final class Broken extends InputStream {
    @Override
    public int read() throws IOException {
      throw new EOFException("Unexpected end of ZLIB input stream");
    }

    @Override
    public int read(byte[] to, int off, int len) throws IOException {
      throw new EOFException("Unexpected end of ZLIB input stream");
    }
  }

  static Reading read(String recording) {
    return read(new RecordingReader("boot.jsonl", stream(recording)));
  }

  static Reading read(String recording, String trace) {
    return read(
        new RecordingReader(
            "boot.jsonl", stream(recording), new FtraceReader("boot.ftrace.txt", stream(trace))));
  }

  /** Reads to the end or to the error. */
  static Reading read(RecordingReader reader) {
    List<Observation> observations = new ArrayList<>();
    FaultlineException error = null;
    try (reader) {
      while (reader.hasNext()) {
        observations.add(reader.next());
      }
    } catch (FaultlineException e) {
      error = e;
    }
    return new Reading(observations, error, reader.mergeReport());
  }
}
