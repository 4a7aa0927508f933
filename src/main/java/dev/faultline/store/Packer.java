package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.store.Rows.Append;
import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Stream;
import dev.faultline.store.Rows.Timeline;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/** Packs events of one timeline, in its total order, into pages and segments. */
final class Packer {
  /** A part of at most so many bytes; more events go into another segment. */
  private static final int PART_SIZE = 1 << 19;

  private final Timeline before;
  private final Function<String, @Nullable Stream> known;
  private final LongSupplier newId;
  private final List<Stream> streamsBefore = new ArrayList<>();
  private final TreeMap<String, Stream> streams = new TreeMap<>();
  private final List<PackedPage> pages = new ArrayList<>();
  private final PageRule rule = new PageRule();

  private final TreeMap<String, PartWriter> parts = new TreeMap<>();
  private final List<Segment> segments = new ArrayList<>();
  private int firstMoment;
  private int nextMoment;
  private int events;
  private long minSeq;
  private long maxSeq;

  /**
   * @param known the stream of a lane as it is now, or null if there is none
   * @param newId gives a new stream its identifier
   */
  Packer(Timeline before, Function<String, @Nullable Stream> known, LongSupplier newId) {
    this.before = before;
    this.known = known;
    this.newId = newId;
    this.nextMoment = before.nextMoment();
    begin();
  }

  /** A sequence number that is not the next one of its stream. */
  record Gap(String lane, long expected, long found) {}

  /** The stream does not go on with this event; null if all is well. */
  @Nullable Gap add(String lane, long sequence, StoredEvent event, @Nullable EventExtra extra) {
    Stream stream = stream(lane);
    PartWriter part = parts.get(lane);
    long expected = stream.next() + (part == null ? 0 : part.count());
    if (sequence != expected) {
      return new Gap(lane, expected, sequence);
    }
    if (rule.begins(event) && events > 0) {
      end();
      part = null;
    }
    if (part != null && part.size() >= PART_SIZE) {
      cut(lane, part);
      part = null;
    }
    if (part == null) {
      part = new PartWriter();
      parts.put(lane, part);
    }
    part.add(event, extra);
    events++;
    nextMoment = Math.max(nextMoment, event.moment() + 1);
    if (event.type().isFirstOfLine()) {
      long seq = event.number(0);
      if (seq >= 0) {
        minSeq = minSeq < 0 ? seq : Math.min(minSeq, seq);
        maxSeq = Math.max(maxSeq, seq);
      }
    }
    return null;
  }

  /** Everything that was added. */
  Append finish() {
    if (events > 0) {
      end();
    }
    return new Append(
        before,
        before.grown(nextMoment),
        List.copyOf(streamsBefore),
        List.copyOf(streams.values()),
        List.copyOf(pages));
  }

  private Stream stream(String lane) {
    Stream stream = streams.get(lane);
    if (stream == null) {
      stream = known.apply(lane);
      if (stream == null) {
        stream = Stream.sealed(newId.getAsLong(), before.id(), lane, 0, 0, Hashes.first(lane, 0));
      }
      streamsBefore.add(stream);
      streams.put(lane, stream);
    }
    return stream;
  }

  private void begin() {
    firstMoment = nextMoment;
    events = 0;
    minSeq = -1;
    maxSeq = -1;
    segments.clear();
  }

  private void end() {
    parts.forEach(this::cut);
    parts.clear();
    segments.sort((a, b) -> Long.compare(a.stream(), b.stream()));
    pages.add(
        new PackedPage(
            new Page(0, events, before.id(), firstMoment, nextMoment, minSeq, maxSeq),
            List.copyOf(segments)));
    begin();
  }

  private void cut(String lane, PartWriter part) {
    Stream stream = stream(lane);
    byte[] bytes = part.finish();
    Bytes hash = Hashes.next(stream.hash(), stream.next(), part.count(), bytes, 0, bytes.length);
    ByteSink payload = new ByteSink();
    payload.number(part.count());
    payload.number(bytes.length);
    payload.raw(bytes, 0, bytes.length);
    segments.add(
        new Segment(
            stream.id(), stream.next(), part.count(), 0, Bytes.wrap(payload.toArray()), hash));
    streams.put(lane, stream.grown(stream.next() + part.count(), hash));
  }
}
