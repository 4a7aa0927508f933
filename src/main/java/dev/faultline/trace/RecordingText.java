package dev.faultline.trace;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.StreamWriteFeature;
import com.fasterxml.jackson.core.util.MinimalPrettyPrinter;
import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Extras;
import dev.faultline.trace.Observation.Payload;
import java.io.IOException;
import java.io.Writer;
import java.util.List;

/**
 * Writes observations as lines of a recording, which {@link RecordingReader} reads back as the same
 * observations.
 *
 * <p>What the kernel traced during a call is not part of a line, and of a struct that was shown in
 * part nothing is written.
 */
public final class RecordingText implements AutoCloseable {
  private static final JsonFactory FACTORY =
      JsonFactory.builder().disable(StreamWriteFeature.AUTO_CLOSE_TARGET).build();

  private final JsonGenerator json;

  /** Lines to {@code out}, which stays open. */
  public RecordingText(Writer out) throws IOException {
    json = FACTORY.createGenerator(out);
    json.setPrettyPrinter(new MinimalPrettyPrinter("\n"));
  }

  /** Writes a line. */
  public void write(Observation observation) throws IOException {
    switch (observation) {
      case Observation.UnknownLine line -> json.writeRawValue(line.text());
      case Call call -> call(call);
      case Observation.Mapped m -> {
        begin(m.seq(), "mmap", m.enterNs());
        number(Key.TID, m.tid());
        number(Key.FD, m.fd());
        text(Key.OBJ, m.obj());
        number(Key.LEN, m.length());
        number(Key.OFF, m.offset());
        hex(Key.ADDR, m.address());
        json.writeEndObject();
      }
      case Observation.Closed c -> {
        begin(c.seq(), "close", c.enterNs());
        number(Key.TID, c.tid());
        number(Key.FD, c.fd());
        text(Key.FD_KIND, c.fdKind());
        text(Key.OBJ, c.obj());
        number(Key.RET, c.ret());
        json.writeEndObject();
      }
      case Observation.Mark m -> {
        begin(m.seq(), "mark", m.enterNs());
        number(Key.TID, m.tid());
        text(Key.TEXT, m.text());
        json.writeEndObject();
      }
      case Observation.Started s -> {
        begin(s.seq(), "start", s.enterNs());
        number(Key.PID, s.pid());
        json.writeArrayFieldStart(Key.ARGV.key());
        for (String word : s.argv()) {
          json.writeString(word);
        }
        json.writeEndArray();
        if (!s.recorder().isEmpty()) {
          text(Key.RECORDER, s.recorder());
        }
        json.writeEndObject();
      }
      case Observation.Exited e -> {
        begin(e.seq(), "exit", e.enterNs());
        number(Key.TID, e.tid());
        number(Key.TGID, e.tgid());
        if (e.signal() != 0) {
          number(Key.SIGNAL, e.signal());
        } else {
          number(Key.CODE, e.code());
        }
        json.writeEndObject();
      }
      case Observation.SmramCaptured s -> {
        begin(s.seq(), "smram", s.enterNs());
        number(Key.TID, s.tid());
        text(Key.OBJ, s.obj());
        hex(Key.SMBASE, s.smbase());
        bytes(Key.MAP, Key.MAP_LEN, s.map());
        json.writeEndObject();
      }
      case Observation.TimedOut t -> {
        begin(t.seq(), "timeout", t.enterNs());
        json.writeEndObject();
      }
    }
  }

  private void begin(long seq, String kind, long enterNs) throws IOException {
    json.writeStartObject();
    number(Key.SEQ, seq);
    text(Key.EV, kind);
    number(Key.T_ENTER, enterNs);
  }

  private void call(Call call) throws IOException {
    begin(call.seq(), "ioctl", call.enterNs());
    number(Key.T_EXIT, call.exitNs());
    number(Key.PID, call.pid());
    number(Key.TID, call.tid());
    number(Key.FD, call.fd());
    text(Key.FD_KIND, call.fdKind());
    text(Key.OBJ, call.obj());
    json.writeStringField(Key.REQ.key(), String.format("0x%08x", call.req()));
    text(Key.NAME, call.name());
    hex(Key.ARG, call.arg());
    number(Key.RET, call.ret());
    if (call.ret() == -1) {
      number(Key.ERRNO, Math.max(1, call.errno()));
      Errno errno = Errno.of(call.errno());
      if (errno != null) {
        json.writeStringField("err", errno.name());
      }
    }
    if (call.result().decided()) {
      number(Key.DECIDED, 1);
    }
    payload(call.payload());
    json.writeEndObject();
  }

  private void payload(Payload payload) throws IOException {
    if (!payload.seen()) {
      number(Key.UNSEEN, 1);
    }
    if (payload.holding().fields() == null) {
      bytes(Key.IN, Key.IN_LEN, payload.in());
      bytes(Key.OUT, Key.OUT_LEN, payload.out());
    }
    bytes(Key.RUN_IN, Key.RUN_IN_LEN, payload.runIn());
    bytes(Key.RUN_OUT, Key.RUN_OUT_LEN, payload.runOut());
    Extras extras = payload.extras();
    bytes(Key.BITMAP, Key.BITMAP_LEN, extras.bitmap());
    bytes(Key.ATTR_DATA, Key.ATTR_DATA_LEN, extras.attrData());
    List<Bytes> filters = extras.msrFilterBitmaps();
    if (!filters.isEmpty()) {
      json.writeArrayFieldStart(Key.MSR_FILTER_BITMAPS.key());
      for (Bytes filter : filters) {
        json.writeString(filter.toBase64());
      }
      json.writeEndArray();
    }
  }

  private void bytes(Key key, Key length, Bytes bytes) throws IOException {
    if (!bytes.isEmpty()) {
      number(length, bytes.size());
      text(key, bytes.toBase64());
    }
  }

  private void number(Key key, long value) throws IOException {
    json.writeNumberField(key.key(), value);
  }

  private void hex(Key key, long value) throws IOException {
    json.writeStringField(key.key(), "0x" + Long.toHexString(value));
  }

  private void text(Key key, String value) throws IOException {
    json.writeStringField(key.key(), value);
  }

  /** Ends the last line. */
  @Override
  public void close() throws IOException {
    json.writeRaw('\n');
    json.close();
  }
}
