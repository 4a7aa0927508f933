package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Caller;
import dev.faultline.trace.Observation.Extras;
import dev.faultline.trace.Observation.Holding;
import dev.faultline.trace.Observation.Payload;
import dev.faultline.trace.Observation.Request;
import dev.faultline.trace.Observation.Result;
import dev.faultline.trace.Observation.Target;
import dev.faultline.trace.Observation.Traced;
import dev.faultline.x86.SmramMap;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads lines of a recording into observations: which keys each kind of line must have, and what
 * they mean.
 */
final class RecordingLine {
  /** The version of the format that is read here. */
  static final int FORMAT_VERSION = 1;

  private static final String RECORDER_BUG = "no recorder writes that: record again";
  private static final Key[] CALL = {
    Key.T_ENTER,
    Key.T_EXIT,
    Key.PID,
    Key.TID,
    Key.FD,
    Key.FD_KIND,
    Key.OBJ,
    Key.REQ,
    Key.NAME,
    Key.ARG,
    Key.RET
  };
  private static final Key[] MAPPED = {
    Key.T_ENTER, Key.TID, Key.FD, Key.OBJ, Key.LEN, Key.OFF, Key.ADDR
  };
  private static final Key[] CLOSED = {Key.T_ENTER, Key.TID, Key.FD, Key.FD_KIND, Key.OBJ, Key.RET};
  private static final Key[] MARK = {Key.T_ENTER, Key.TID, Key.TEXT};
  private static final Key[] STARTED = {Key.T_ENTER, Key.PID, Key.ARGV};
  private static final Key[] EXITED = {Key.T_ENTER, Key.TID, Key.TGID};
  private static final Key[] TIMED_OUT = {Key.T_ENTER};
  private static final Key[] SMRAM = {
    Key.T_ENTER, Key.TID, Key.OBJ, Key.SMBASE, Key.MAP, Key.MAP_LEN
  };
  private static final Key[] EV = {Key.EV};
  private static final Key[] FORMAT = {Key.VERSION};

  private static final String VCPU = FdKind.VCPU.word();
  private static final int RUN = Ioctl.RUN.number();

  private final LineValues values;
  private final RunPages pages = new RunPages();

  RecordingLine(String source) {
    this.values = new LineValues(source);
  }

  /**
   * The observation of the line that {@code lines} is at; null if it only declares the format.
   *
   * @throws TraceSyntaxException if the line is not what its kind must be
   * @throws FormatException if the line declares another version of the format
   */
  @Nullable Observation read(LineSource lines) {
    values.read(lines);
    return observation();
  }

  private @Nullable Observation observation() {
    if (!values.has(Key.EV)) {
      throw values.error(
          ErrorCode.TRACE_KEY_MISSING,
          "expected the key ev of a recording's line, found none; is this file a recording?");
    }
    String kind = values.text(Key.EV);
    if (kind.isEmpty()) {
      values.demand(EV);
      throw values.error(
          ErrorCode.TRACE_VALUE, "ev must name a kind of line, found nothing; " + RECORDER_BUG);
    }
    Observation observation =
        switch (kind) {
          case "ioctl" -> call();
          case "mmap" -> mapped();
          case "close" -> closed();
          case "mark" -> mark();
          case "start" -> started();
          case "exit" -> exited();
          case "timeout" -> timedOut();
          case "smram" -> smram();
          case "format" -> null;
          default -> unknown(kind);
        };
    if (observation == null) {
      values.demand(FORMAT);
      demandVersion(values.number(Key.VERSION));
    }
    return observation;
  }

  private Call call() {
    demandWithSeq(CALL);
    return new Call(
        seq(),
        values.number(Key.T_ENTER),
        values.number(Key.T_EXIT),
        new Caller(values.number(Key.PID), values.number(Key.TID)),
        new Target(values.int32(Key.FD), values.text(Key.FD_KIND), values.text(Key.OBJ)),
        new Request(req(), values.text(Key.NAME), values.number(Key.ARG)),
        result(),
        payload(),
        Traced.ABSENT,
        values.where());
  }

  private int req() {
    long req = values.number(Key.REQ);
    if (req >>> 32 != 0) {
      throw values.error(
          ErrorCode.TRACE_VALUE,
          "req must fit into 32 bits, found 0x" + Long.toHexString(req) + "; " + RECORDER_BUG);
    }
    return (int) req;
  }

  private Result result() {
    int ret = values.int32(Key.RET);
    boolean decided = values.has(Key.DECIDED) && values.number(Key.DECIDED) != 0;
    if (ret < -1) {
      throw values.outOfRange(Key.RET, "must be -1 or more, as ioctl(2) returns it");
    }
    if (ret != -1) {
      return new Result(ret, 0, decided);
    }
    if (!values.has(Key.ERRNO)) {
      throw values.error(
          ErrorCode.TRACE_KEY_MISSING,
          "expected the key errno beside ret -1, found none; " + RECORDER_BUG);
    }
    int errno = values.int32(Key.ERRNO);
    if (errno <= 0) {
      throw values.outOfRange(Key.ERRNO, "must be more than 0 beside ret -1");
    }
    return new Result(ret, errno, decided);
  }

  private Payload payload() {
    Bytes in = values.payload(Key.IN, Key.IN_LEN);
    Bytes out = values.payload(Key.OUT, Key.OUT_LEN);
    Bytes runIn = pages.before(values);
    Bytes runOut = pages.after(values, runIn);
    if (values.text(Key.FD_KIND).equals(VCPU) && req() == RUN && runIn.isEmpty()) {
      // The vCPU's page was mapped nowhere that the recorder could see.
      return Payload.UNSEEN;
    }
    Bytes bitmap = values.payload(Key.BITMAP, Key.BITMAP_LEN);
    Bytes attrData = values.payload(Key.ATTR_DATA, Key.ATTR_DATA_LEN);
    List<Bytes> filters = values.filterBitmaps();
    boolean plain = bitmap.isEmpty() && attrData.isEmpty() && filters.isEmpty();
    Extras extras = plain ? Extras.NONE : new Extras(bitmap, attrData, filters);
    boolean none = plain && in.isEmpty() && out.isEmpty() && runIn.isEmpty() && runOut.isEmpty();
    if (values.has(Key.UNSEEN) && values.number(Key.UNSEEN) != 0) {
      // Of kvm_run only the exit reason is in the page then.
      Holding holding = runOut.isEmpty() ? Holding.NOTHING : Holding.EXIT_REASON;
      return none ? Payload.UNSEEN : new Payload(in, out, runIn, runOut, extras, holding);
    }
    return none ? Payload.NONE : new Payload(in, out, runIn, runOut, extras);
  }

  private Observation mapped() {
    demandWithSeq(MAPPED);
    return new Observation.Mapped(
        seq(),
        values.number(Key.T_ENTER),
        values.number(Key.TID),
        values.int32(Key.FD),
        values.text(Key.OBJ),
        values.number(Key.LEN),
        values.number(Key.OFF),
        values.number(Key.ADDR),
        values.where());
  }

  private Observation closed() {
    demandWithSeq(CLOSED);
    return new Observation.Closed(
        seq(),
        values.number(Key.T_ENTER),
        values.number(Key.TID),
        values.int32(Key.FD),
        values.text(Key.FD_KIND),
        values.text(Key.OBJ),
        values.int32(Key.RET),
        values.where());
  }

  private Observation mark() {
    demandWithSeq(MARK);
    return new Observation.Mark(
        seq(),
        values.number(Key.T_ENTER),
        values.number(Key.TID),
        values.text(Key.TEXT),
        values.where());
  }

  private Observation started() {
    if (values.has(Key.FORMAT)) {
      demandVersion(values.number(Key.FORMAT));
    }
    demandWithSeq(STARTED);
    String recorder = values.has(Key.RECORDER) ? values.text(Key.RECORDER) : "";
    return new Observation.Started(
        seq(),
        values.number(Key.T_ENTER),
        values.number(Key.PID),
        values.argv(),
        recorder,
        values.where());
  }

  private Observation exited() {
    demandWithSeq(EXITED);
    if (!values.has(Key.CODE) && !values.has(Key.SIGNAL)) {
      throw values.error(
          ErrorCode.TRACE_KEY_MISSING,
          "expected the key code or signal of a line of ev exit, found neither; " + RECORDER_BUG);
    }
    return new Observation.Exited(
        seq(),
        values.number(Key.T_ENTER),
        values.number(Key.TID),
        values.number(Key.TGID),
        values.has(Key.CODE) ? values.int32(Key.CODE) : -1,
        values.has(Key.SIGNAL) ? values.int32(Key.SIGNAL) : 0,
        values.where());
  }

  private Observation timedOut() {
    demandWithSeq(TIMED_OUT);
    return new Observation.TimedOut(seq(), values.number(Key.T_ENTER), values.where());
  }

  private Observation smram() {
    demandWithSeq(SMRAM);
    long smbase = values.number(Key.SMBASE);
    if (smbase >>> 32 != 0) {
      throw values.error(
          ErrorCode.TRACE_VALUE,
          "smbase must fit into 32 bits, found 0x"
              + Long.toHexString(smbase)
              + "; "
              + RECORDER_BUG);
    }
    Bytes map = values.payload(Key.MAP, Key.MAP_LEN);
    if (map.size() != SmramMap.SIZE) {
      throw values.error(
          ErrorCode.TRACE_VALUE,
          "map must hold "
              + SmramMap.SIZE
              + " bytes from smbase + 0xfe00, found "
              + map.size()
              + "; "
              + RECORDER_BUG);
    }
    return new Observation.SmramCaptured(
        seq(),
        values.number(Key.T_ENTER),
        values.number(Key.TID),
        values.text(Key.OBJ),
        smbase,
        map,
        values.where());
  }

  private Observation unknown(String kind) {
    return new Observation.UnknownLine(
        values.has(Key.SEQ) && values.isSound() ? values.number(Key.SEQ) : -1,
        values.has(Key.T_ENTER) && values.isSound() ? values.number(Key.T_ENTER) : -1,
        kind,
        values.raw(),
        values.where());
  }

  private void demandVersion(long version) {
    if (version == FORMAT_VERSION) {
      return;
    }
    String found =
        values.where()
            + ": expected version "
            + FORMAT_VERSION
            + " of the recording format, found version "
            + version;
    if (version > FORMAT_VERSION) {
      throw new FormatException(
          FormatException.Kind.TOO_NEW,
          ErrorCode.RECORDING_TOO_NEW,
          found + "; read it with a later Faultline");
    }
    throw FormatException.corrupt(
        ErrorCode.RECORDING_CORRUPT, found + "; there is no such version");
  }

  private void demandWithSeq(Key[] keys) {
    values.demand(keys);
    if (!values.has(Key.SEQ)) {
      throw values.missing(Key.SEQ);
    }
    if (seq() < 0) {
      throw values.outOfRange(Key.SEQ, "must be 0 or more");
    }
  }

  private long seq() {
    return values.number(Key.SEQ);
  }
}
