package dev.faultline.report;

import com.google.protobuf.ByteString;
import com.google.protobuf.CodedOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes a trace that the Perfetto UI opens: tracks, slices, instants, and flows between them.
 *
 * <p><i>Shape</i>: {@code perfetto.protos.Trace}, a sequence of {@code TracePacket}; each holds a
 * {@code TrackDescriptor} or a {@code TrackEvent}. Only the few fields named below are written.
 *
 * <p><i>Source</i>: Perfetto, {@code protos/perfetto/trace}, {@code trace_packet.proto}, {@code
 * track_event/track_event.proto}, {@code track_descriptor.proto}, {@code debug_annotation.proto}.
 */
public final class PerfettoTrace implements AutoCloseable {
  private static final int TRACE_PACKET = 1;
  private static final int PACKET_TIMESTAMP = 8;
  private static final int PACKET_SEQUENCE_ID = 10;
  private static final int PACKET_TRACK_EVENT = 11;
  private static final int PACKET_TRACK_DESCRIPTOR = 60;
  private static final int TRACK_UUID = 1;
  private static final int TRACK_NAME = 2;
  private static final int TRACK_PARENT_UUID = 5;
  private static final int EVENT_DEBUG_ANNOTATIONS = 4;
  private static final int EVENT_TYPE = 9;
  private static final int EVENT_TRACK_UUID = 11;
  private static final int EVENT_CATEGORIES = 22;
  private static final int EVENT_NAME = 23;
  private static final int EVENT_FLOW_IDS = 47;
  private static final int ANNOTATION_INT = 4;
  private static final int ANNOTATION_STRING = 6;
  private static final int ANNOTATION_NAME = 10;
  private static final int SEQUENCE = 1;

  private final CodedOutputStream out;

  /** What a track event is. */
  public enum EventType {
    SLICE_BEGIN(1),
    SLICE_END(2),
    INSTANT(3);

    private final int number;

    EventType(int number) {
      this.number = number;
    }
  }

  /** A named value that the UI shows of a slice or instant. */
  public sealed interface Argument {
    String name();
  }

  /** A text. */
  public record Text(String name, String value) implements Argument {}

  /** An integer. */
  public record Whole(String name, long value) implements Argument {}

  /**
   * A track event.
   *
   * @param ns when, of the clock of the recording
   * @param name empty for the end of a slice
   * @param flows events that share a flow are joined by an arrow
   */
  public record Event(
      EventType type,
      long track,
      long ns,
      String category,
      String name,
      List<Argument> arguments,
      List<Long> flows) {
    /** Takes the lists as they are now. */
    public Event {
      arguments = List.copyOf(arguments);
      flows = List.copyOf(flows);
    }
  }

  /** Writes to {@code out}, which stays open. */
  public PerfettoTrace(OutputStream out) {
    this.out = CodedOutputStream.newInstance(out);
  }

  /**
   * Names a track.
   *
   * @param parent the track that it lies in; 0 for none
   */
  public void track(long uuid, String name, long parent) throws IOException {
    ByteString descriptor =
        message(to -> {
          to.writeUInt64(TRACK_UUID, uuid);
          to.writeString(TRACK_NAME, name);
          if (parent != 0) {
            to.writeUInt64(TRACK_PARENT_UUID, parent);
          }
        });
    packet(to -> {
      to.writeUInt32(PACKET_SEQUENCE_ID, SEQUENCE);
      to.writeBytes(PACKET_TRACK_DESCRIPTOR, descriptor);
    });
  }

  /** Writes an event; those of one track come in order of time. */
  public void event(Event event) throws IOException {
    List<ByteString> annotations = new ArrayList<>();
    for (Argument argument : event.arguments()) {
      annotations.add(annotation(argument));
    }
    ByteString body =
        message(to -> {
          for (ByteString annotation : annotations) {
            to.writeBytes(EVENT_DEBUG_ANNOTATIONS, annotation);
          }
          to.writeEnum(EVENT_TYPE, event.type().number);
          to.writeUInt64(EVENT_TRACK_UUID, event.track());
          if (!event.category().isEmpty()) {
            to.writeString(EVENT_CATEGORIES, event.category());
          }
          if (!event.name().isEmpty()) {
            to.writeString(EVENT_NAME, event.name());
          }
          for (long flow : event.flows()) {
            to.writeFixed64(EVENT_FLOW_IDS, flow);
          }
        });
    packet(to -> {
      to.writeUInt64(PACKET_TIMESTAMP, event.ns());
      to.writeUInt32(PACKET_SEQUENCE_ID, SEQUENCE);
      to.writeBytes(PACKET_TRACK_EVENT, body);
    });
  }

  private static ByteString annotation(Argument argument) throws IOException {
    return message(to -> {
      to.writeString(ANNOTATION_NAME, argument.name());
      switch (argument) {
        case Text t -> to.writeString(ANNOTATION_STRING, t.value());
        case Whole n -> to.writeInt64(ANNOTATION_INT, n.value());
      }
    });
  }

  /** Writes the fields of a message. */
  @FunctionalInterface
  private interface Fields {
    void write(CodedOutputStream to) throws IOException;
  }

  private static ByteString message(Fields fields) throws IOException {
    ByteString.Output bytes = ByteString.newOutput();
    CodedOutputStream to = CodedOutputStream.newInstance(bytes);
    fields.write(to);
    to.flush();
    return bytes.toByteString();
  }

  private void packet(Fields fields) throws IOException {
    out.writeBytes(TRACE_PACKET, message(fields));
  }

  /** Writes what is left. */
  @Override
  public void close() throws IOException {
    out.flush();
  }
}
