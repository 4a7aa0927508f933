package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.store.Rows.Append;
import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Stream;
import dev.faultline.store.Rows.Timeline;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Packs events of one timeline, in its total order, into pages and segments.
 *
 * <p>Events are only sorted into runs, one of each lane in each page, until all are there. What is
 * left to do is done by as many threads as there are: the bytes of each run by itself, then the
 * running hash of each lane. The result does not depend on their number.
 */
final class Packer {
  /** A part of at most so many bytes; more events go into another segment. */
  private static final int PART_SIZE = 1 << 19;

  /** Fewer events are packed sooner than other threads have woken up. */
  private static final int PARALLEL_FROM = 4096;

  private final Timeline before;
  private final Function<String, @Nullable Stream> known;
  private final LongSupplier newId;
  private final Map<String, Lane> lanes = new HashMap<>();
  private final List<Lane> inOrder = new ArrayList<>();
  private final List<Draft> drafts = new ArrayList<>();
  private final PageRule rule = new PageRule();

  private @Nullable Lane last;
  private Draft draft;
  private int nextMoment;
  private int events;

  /**
   * @param known the stream of a lane as it is now, or null if there is none
   * @param newId gives a new stream its identifier
   */
  Packer(Timeline before, Function<String, @Nullable Stream> known, LongSupplier newId) {
    this.before = before;
    this.known = known;
    this.newId = newId;
    this.nextMoment = before.nextMoment();
    this.draft = new Draft(nextMoment);
  }

  /** A sequence number that is not the next one of its stream. */
  record Gap(String lane, long expected, long found) {}

  /** A lane that grows. */
  private static final class Lane {
    private final Stream before;
    private final List<Run> runs = new ArrayList<>();
    private @Nullable Run open;
    private long next;

    Lane(Stream before) {
      this.before = before;
      this.next = before.next();
    }

    /** Gives each part the running hash behind it; the stream as it is then. */
    Stream chain() {
      Bytes hash = before.hash();
      long first = before.next();
      for (Run run : runs) {
        for (Part part : run.parts) {
          byte[] bytes = part.bytes;
          hash = Hashes.next(hash, first, part.count, bytes, 0, bytes.length);
          run.segments.add(
              new Segment(before.id(), first, part.count, 0, Bytes.wrap(part.framed()), hash));
          first += part.count;
        }
      }
      return before.grown(first, hash);
    }
  }

  /** Some events as bytes. */
  private static final class Part {
    private final int count;
    private final byte[] bytes;

    Part(PartWriter writer) {
      count = writer.count();
      bytes = writer.finish();
    }

    /** With count and size before them. */
    byte[] framed() {
      ByteSink frame = new ByteSink(16);
      frame.number(count);
      frame.number(bytes.length);
      return frame.followedBy(bytes, bytes.length);
    }
  }

  /** The events of a lane in a page. */
  private static final class Run {
    private final List<StoredEvent> events = new ArrayList<>();
    private final Map<Integer, EventExtra> extras = new HashMap<>();
    private final List<Part> parts = new ArrayList<>();
    private final List<Segment> segments = new ArrayList<>();

    void encode() {
      PartWriter part = new PartWriter();
      for (int i = 0; i < events.size(); i++) {
        if (part.size() >= PART_SIZE) {
          parts.add(new Part(part));
          part = new PartWriter();
        }
        part.add(events.get(i), extras.isEmpty() ? null : extras.get(i));
      }
      parts.add(new Part(part));
      events.clear();
      extras.clear();
    }
  }

  /** A page to be. */
  private static final class Draft {
    private final int firstMoment;
    private final List<Run> runs = new ArrayList<>();
    private final List<Lane> lanes = new ArrayList<>();
    private int nextMoment;
    private int events;
    private long minSeq = -1;
    private long maxSeq = -1;

    Draft(int firstMoment) {
      this.firstMoment = firstMoment;
    }

    void add(Lane lane, StoredEvent event, @Nullable EventExtra extra) {
      Run run = lane.open;
      if (run == null) {
        run = new Run();
        lane.open = run;
        lane.runs.add(run);
        lanes.add(lane);
        runs.add(run);
      }
      if (extra != null) {
        run.extras.put(run.events.size(), extra);
      }
      run.events.add(event);
      events++;
      if (event.type().isFirstOfLine()) {
        long seq = event.number(0);
        if (seq >= 0) {
          minSeq = minSeq < 0 ? seq : Math.min(minSeq, seq);
          maxSeq = Math.max(maxSeq, seq);
        }
      }
    }

    /** No more events come into it. */
    void close(int before) {
      nextMoment = before;
      lanes.forEach(lane -> lane.open = null);
    }

    PackedPage packed(long timeline) {
      List<Segment> segments = new ArrayList<>();
      runs.forEach(run -> segments.addAll(run.segments));
      segments.sort(Comparator.comparingLong(Segment::stream));
      return new PackedPage(
          new Page(0, events, timeline, firstMoment, nextMoment, minSeq, maxSeq),
          List.copyOf(segments));
    }
  }

  /** The stream does not go on with this event; null if all is well. */
  @Nullable Gap add(String name, long sequence, StoredEvent event, @Nullable EventExtra extra) {
    Lane lane = lane(name);
    if (sequence != lane.next) {
      return new Gap(name, lane.next, sequence);
    }
    lane.next++;
    if (rule.begins(event) && draft.events > 0) {
      end();
    }
    draft.add(lane, event, extra);
    events++;
    nextMoment = Math.max(nextMoment, event.moment() + 1);
    return null;
  }

  /** Everything that was added. */
  Append finish() {
    if (draft.events > 0) {
      end();
    }
    List<Run> runs = new ArrayList<>();
    drafts.forEach(page -> runs.addAll(page.runs));
    stream(runs).forEach(Run::encode);
    List<Lane> byName =
        inOrder.stream().sorted(Comparator.comparing(lane -> lane.before.lane())).toList();
    List<Stream> after = stream(byName).map(Lane::chain).toList();
    return new Append(
        before,
        before.grown(nextMoment),
        inOrder.stream().map(lane -> lane.before).toList(),
        after,
        drafts.stream().map(page -> page.packed(before.id())).toList());
  }

  private <T> java.util.stream.Stream<T> stream(Collection<T> all) {
    return events < PARALLEL_FROM ? all.stream() : all.parallelStream();
  }

  private Lane lane(String name) {
    Lane again = last;
    if (again != null && again.before.lane().equals(name)) {
      return again;
    }
    Lane lane = lanes.get(name);
    if (lane == null) {
      Stream stream = known.apply(name);
      if (stream == null) {
        stream = Stream.sealed(newId.getAsLong(), before.id(), name, 0, 0, Hashes.first(name, 0));
      }
      lane = new Lane(stream);
      lanes.put(name, lane);
      inOrder.add(lane);
    }
    last = lane;
    return lane;
  }

  private void end() {
    draft.close(nextMoment);
    drafts.add(draft);
    draft = new Draft(nextMoment);
  }
}
