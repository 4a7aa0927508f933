package dev.faultline.store;

import dev.faultline.Bytes;
import java.util.Collection;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The rows of a store, wherever they are: in a database or on the heap.
 *
 * <p>Each method is one transaction, or part of the one that its thread has open.
 */
interface Rows extends DerivedRows, AutoCloseable {
  /** No timeline; the parent of one that is no fork. */
  long NOBODY = 0;

  /**
   * A timeline.
   *
   * @param parent the timeline whose moments before {@code forkMoment} it shares, or {@link
   *     #NOBODY}
   * @param nextMoment the first moment that no page reaches
   * @param seal hash of the row
   */
  record Timeline(long id, String name, long parent, int forkMoment, int nextMoment, Bytes seal) {

    static Timeline sealed(long id, String name, long parent, int forkMoment, int nextMoment) {
      return new Timeline(
          id,
          name,
          parent,
          forkMoment,
          nextMoment,
          Hashes.seal(name, List.of(id, parent, (long) forkMoment, (long) nextMoment)));
    }

    Timeline grown(int newNextMoment) {
      return sealed(id, name, parent, forkMoment, newNextMoment);
    }
  }

  /**
   * A lane of a timeline.
   *
   * @param base the first sequence number of its own; a fork has those before from its parent
   * @param next the next sequence number
   * @param hash the running hash up to there
   * @param seal hash of the row
   */
  record Stream(long id, long timeline, String lane, long base, long next, Bytes hash, Bytes seal) {

    static Stream sealed(long id, long timeline, String lane, long base, long next, Bytes hash) {
      String text = lane + "\n" + hash.toHex();
      return new Stream(
          id,
          timeline,
          lane,
          base,
          next,
          hash,
          Hashes.seal(text, List.of(id, timeline, base, next)));
    }

    Stream grown(long newNext, Bytes newHash) {
      return sealed(id, timeline, lane, base, newNext, newHash);
    }
  }

  /**
   * A stretch of the total order.
   *
   * @param firstEvent the number of its first event among all events of the store
   * @param minSeq the least sequence number of the recording in it, -1 if there is none
   */
  record Page(
      long firstEvent,
      int events,
      long timeline,
      int firstMoment,
      int nextMoment,
      long minSeq,
      long maxSeq) {

    Page at(long newFirstEvent) {
      return new Page(newFirstEvent, events, timeline, firstMoment, nextMoment, minSeq, maxSeq);
    }
  }

  /**
   * A run of events of one stream in one page.
   *
   * @param payload one part or several, each with its count and size
   * @param hash the stream's running hash behind it
   */
  record Segment(long stream, long first, int events, long page, Bytes payload, Bytes hash) {
    Segment in(long newPage) {
      return new Segment(stream, first, events, newPage, payload, hash);
    }

    long next() {
      return first + events;
    }
  }

  /** A page and its segments, in order of stream and sequence number. */
  record PackedPage(Page page, List<Segment> segments) {}

  /**
   * What is appended in one transaction.
   *
   * @param before the timeline and its streams as the writer saw them; a new stream has nothing yet
   * @param after the same afterwards
   * @param pages still without their numbers among all events
   */
  record Append(
      Timeline before,
      Timeline after,
      List<Stream> streamsBefore,
      List<Stream> streamsAfter,
      List<PackedPage> pages) {}

  /**
   * Derived data of a page: the state before its first moment, and the calls in it.
   *
   * @param stamp the model that it belongs to
   * @param state null where the state could not be kept
   */
  record Checkpoint(
      long timeline, int firstMoment, String stamp, @Nullable Bytes state, Bytes calls) {}

  /**
   * Derived data: a VM of which no descriptor is open from a moment on, as it was left.
   *
   * @param stamp the model that it belongs to
   */
  record ClosedVmRow(long timeline, String vm, int moment, String stamp, Bytes state) {}

  /** The projection of a timeline. */
  record Summary(
      long timeline, long events, long firstNs, long lastNs, long synthesized, long divergences) {
    static Summary none(long timeline) {
      return new Summary(timeline, 0, -1, -1, 0, 0);
    }
  }

  /** A lane met by the projection. */
  record SummaryLane(long timeline, String lane) {}

  /** A snapshot of an aggregate. */
  record Snapshot(String aggregate, long sequence, String stamp, Bytes payload) {}

  /** All timelines, by name. */
  List<Timeline> timelines();

  @Nullable Timeline timeline(String name);

  @Nullable Timeline timeline(long id);

  /** An identifier that was never given before. */
  long newId();

  /** Adds a timeline and the streams that it begins with; false if the name is taken. */
  boolean create(Timeline timeline, List<Stream> streams);

  List<Stream> streams(long timeline);

  @Nullable Stream stream(long timeline, String lane);

  /** Those of these lanes that there are. */
  List<Stream> streams(long timeline, Collection<String> lanes);

  @Nullable Stream stream(long id);

  /**
   * Appends; the pages get the next numbers.
   *
   * @return false, and nothing is appended, if a stream or the timeline is not as it was seen
   */
  boolean append(Append append);

  /** Puts one page in the place of several neighbours; false if another was first. */
  boolean replace(List<Page> old, PackedPage merged);

  /** Pages of a timeline that reach beyond a moment, in order. */
  List<Page> pages(long timeline, int moment, int most);

  /** All pages of a timeline by moment, whatever they say of themselves. */
  List<Page> pageRows(long timeline);

  /** How many segments the streams of a timeline have. */
  long segmentCount(long timeline);

  /** The last segment of a stream in a page that begins at or before a moment, or null. */
  @Nullable Segment lastSegment(long stream, int moment);

  /** The last page of a timeline that begins at or before a moment, or null. */
  @Nullable Page pageAt(long timeline, int moment);

  /** Pages that hold this sequence number of the recording between their least and most. */
  List<Page> pagesOfSeq(long timeline, long seq);

  /** Pages of all timelines that hold an event from that number on, in order. */
  List<Page> pagesFrom(long event, int most);

  /** The number that the next event will get. */
  long nextEvent();

  /** The segments of a page. */
  List<Segment> segments(long page);

  /** Segments of a stream that reach beyond a sequence number, in order. */
  List<Segment> segments(long stream, long sequence, int most);

  /**
   * The hash behind the events of a stream before {@code first}, or null if no segment ends there.
   */
  @Nullable Bytes hashBefore(Stream stream, long first);

  /**
   * How many pages, segments and streams are of no timeline, or have numbers that were not given
   * yet.
   */
  long orphans();

  /** Takes a timeline and everything of it away. */
  void remove(Timeline timeline);

  @Override
  void close();
}
