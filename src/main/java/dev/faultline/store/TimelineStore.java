package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.store.Rows.Checkpoint;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Stream;
import dev.faultline.store.Rows.Summary;
import dev.faultline.store.Rows.SummaryLane;
import dev.faultline.store.Rows.Timeline;
import dev.faultline.timeline.ClosedVms;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.IntConsumer;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/**
 * A store of timelines, open.
 *
 * <p>What only reads needs no more than the rows. What appends goes through Axon's event store, and
 * projections through its processors; those are started when they are first needed.
 */
public final class TimelineStore implements AutoCloseable {
  private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._+@/-]{0,199}");

  private final Rows rows;
  private final PackedEventStorageEngine engine;
  private @Nullable Machinery machinery;

  TimelineStore(Rows rows) {
    this.rows = rows;
    this.engine = new PackedEventStorageEngine(rows);
  }

  /**
   * Opens a store, and makes it where there is none yet.
   *
   * @throws StoreException if that cannot be done
   */
  public static TimelineStore open(StoreLocation location) {
    return new TimelineStore(new JdbcRows(Database.open(location)));
  }

  /** A store on the heap. */
  public static TimelineStore inMemory() {
    return new TimelineStore(new MemoryRows());
  }

  Rows rows() {
    return rows;
  }

  PackedEventStorageEngine engine() {
    return engine;
  }

  synchronized Machinery machinery() {
    Machinery running = machinery;
    if (running == null) {
      running = new Machinery(engine);
      machinery = running;
    }
    return running;
  }

  /** Demands that a name may be one of a timeline. */
  public static void demandName(String name) {
    if (!NAME.matcher(name).matches()) {
      throw new UsageException(
          ErrorCode.USAGE,
          "a timeline's name: expected letters, digits and . _ + @ / -, at most 200, found '"
              + name
              + "'");
    }
  }

  static Timeline create(Rows rows, String name) {
    demandName(name);
    Timeline fresh = Timeline.sealed(rows.newId(), name, Rows.NOBODY, 0, 0);
    if (rows.create(fresh, List.of())) {
      return fresh;
    }
    Timeline there = rows.timeline(name);
    return there == null ? fresh : there;
  }

  /** Whether there is a timeline of this name. */
  public boolean has(String name) {
    return rows.timeline(name) != null;
  }

  /** The names of all timelines. */
  public List<String> names() {
    return rows.timelines().stream().map(Timeline::name).toList();
  }

  /** The names of all streams of a timeline: its lanes. */
  public List<String> lanes(String name) {
    return rows.streams(demand(name).id()).stream().map(Stream::lane).toList();
  }

  private Timeline demand(String name) {
    Timeline timeline = rows.timeline(name);
    if (timeline == null) {
      throw new UsageException(
          ErrorCode.INPUT_NOT_FOUND,
          name
              + ": expected a timeline of the store, found none of this name; 'faultline ls' lists"
              + " them");
    }
    return timeline;
  }

  /** The events of a timeline, from the page on that holds {@code moment}. */
  public TimelineEvents events(String name, int moment) {
    return new TimelineEvents(rows, demand(name), moment);
  }

  /** How many moments a timeline has. */
  public int moments(String name) {
    return demand(name).nextMoment();
  }

  /** Appends to a timeline, which need not be there yet. */
  public TimelineWriter writer(String name) {
    return writer(name, TimelineWriter.EVENTS_AT_ONCE);
  }

  /** As above, with about so many events in a transaction. */
  public TimelineWriter writer(String name, int eventsAtOnce) {
    demandName(name);
    return new TimelineWriter(this, name, eventsAtOnce);
  }

  /**
   * A state from which a moment is quickly reached, if there is one.
   *
   * @param from the first moment that is not in it
   */
  public record Resumed(ReplayState state, int from) {}

  /** The last state kept before a moment; null if the moment is best reached from the beginning. */
  public @Nullable Resumed resume(String name, int moment) {
    Timeline timeline = demand(name);
    Timeline owner = StoredMoments.owner(rows, timeline, moment);
    int limit = moment;
    while (true) {
      Checkpoint found = rows.checkpointAt(owner.id(), limit, ModelStamp.current());
      if (found != null) {
        return resumed(timeline, found);
      }
      Timeline parent = Forks.parentOf(rows, owner);
      if (parent == null) {
        return null;
      }
      limit = Math.min(limit, owner.forkMoment());
      owner = parent;
    }
  }

  private @Nullable Resumed resumed(Timeline timeline, Checkpoint found) {
    Bytes state = found.state();
    Object read =
        state == null
            ? null
            : CheckpointCodec.read(
                state, new StoredMoments(rows, timeline), new StoredVms(rows, timeline));
    return read instanceof ReplayState kept ? new Resumed(kept, found.firstMoment()) : null;
  }

  /** Finds the VMs of a timeline of which no descriptor is open. */
  public ClosedVms closedVms(String name) {
    return new StoredVms(rows, demand(name));
  }

  /** The names of the VMs that were put away at this moment or before. */
  public Collection<String> closedVmNames(String name, int moment) {
    return new StoredVms(rows, demand(name)).names(moment);
  }

  /**
   * The first moment of a page that holds the call of this sequence number; -1 if there is none.
   */
  public int pageOfSeq(String name, long seq) {
    Timeline at = demand(name);
    int before = Integer.MAX_VALUE;
    while (true) {
      for (Page page : rows.pagesOfSeq(at.id(), seq)) {
        if (page.firstMoment() < before && holds(page, seq)) {
          return page.firstMoment();
        }
      }
      Timeline parent = Forks.parentOf(rows, at);
      if (parent == null) {
        return -1;
      }
      before = at.forkMoment();
      at = parent;
    }
  }

  /** The last moment of the call of this sequence number; -1 if there is none. */
  public int lastMomentOfSeq(String name, long seq) {
    int from = pageOfSeq(name, seq);
    if (from < 0) {
      return -1;
    }
    TimelineEvents events = events(name, from);
    int last = -1;
    while (events.hasNext()) {
      StoredEvent event = events.next();
      if (event.type().isFirstOfLine() && last >= 0) {
        return last;
      }
      boolean own = event.type().isFirstOfLine() && event.number(0) == seq;
      if (own || (last >= 0 && !event.type().isLastOfMoment())) {
        last = event.moment();
      }
    }
    return last;
  }

  private boolean holds(Page page, long seq) {
    PageReader reader = new PageReader(new Rows.PackedPage(page, rows.segments(page.firstEvent())));
    while (reader.advance()) {
      if (reader.event().type().isFirstOfLine() && reader.event().number(0) == seq) {
        return true;
      }
    }
    return false;
  }

  /** Takes a timeline away. One that others are forks of stays. */
  public void remove(String name) {
    Timeline timeline = demand(name);
    List<String> forks = new ArrayList<>();
    for (Timeline each : rows.timelines()) {
      if (each.parent() == timeline.id()) {
        forks.add(each.name());
      }
    }
    if (!forks.isEmpty()) {
      throw new UsageException(
          ErrorCode.TIMELINE_EXISTS,
          name
              + ": expected a timeline that no other is a fork of, found "
              + String.join(", ", forks)
              + "; take those away first");
    }
    rows.remove(timeline);
  }

  /** What the projections tell of every timeline, by name; they are brought up to date first. */
  public List<TimelineInfo> list() {
    long next = rows.nextEvent();
    if (next > 0 && rows.projected() < next - 1) {
      machinery().catchUp();
    }
    Map<Long, Summary> summaries = new TreeMap<>();
    rows.summaries().forEach(summary -> summaries.put(summary.timeline(), summary));
    List<SummaryLane> lanes = rows.summaryLanes();
    List<TimelineInfo> all = new ArrayList<>();
    for (Timeline timeline : rows.timelines()) {
      Summary s = summaries.getOrDefault(timeline.id(), Summary.none(timeline.id()));
      TreeSet<String> vms = new TreeSet<>();
      long vcpus = 0;
      for (SummaryLane lane : lanes) {
        if (lane.timeline() == timeline.id() && !lane.lane().equals(LaneEvent.HOST)) {
          int slash = lane.lane().indexOf('/');
          vcpus += slash < 0 ? 0 : 1;
          vms.add(slash < 0 ? lane.lane() : lane.lane().substring(0, slash));
        }
      }
      all.add(
          new TimelineInfo(
              timeline.name(),
              s.events(),
              vms.size(),
              vcpus,
              s.firstNs(),
              s.lastNs(),
              s.synthesized(),
              s.divergences()));
    }
    return List.copyOf(all);
  }

  /** Makes the projections anew from the events. */
  public void reproject() {
    if (rows.nextEvent() > 0) {
      machinery().reproject();
    }
  }

  /** Keeps the states of a timeline anew; those that were kept are gone. */
  public CheckpointWriter checkpoints(String name) {
    return new CheckpointWriter(rows, demand(name));
  }

  /**
   * Checks that a timeline is as it was written.
   *
   * @param progress is told of events read, now and then
   */
  public IntegrityReport check(String name, IntConsumer progress) {
    return Checker.check(rows, demand(name), progress);
  }

  /** Rows of no timeline, or null if there are none. */
  public IntegrityReport.@Nullable Damage orphans() {
    return Checker.orphans(rows);
  }

  /**
   * Begins a timeline that shares another up to a moment, that one included, and keeps only what
   * follows.
   *
   * @param moment the last moment of a call
   */
  public void fork(String name, int moment, String as) {
    demandName(as);
    Timeline named = demand(name);
    demandFree(as);
    int before = moment + 1;
    if (before > named.nextMoment() || moment < 0 || isInside(name, before)) {
      throw new UsageException(
          ErrorCode.MOMENT_UNKNOWN,
          name
              + "@"
              + moment
              + ": expected the last moment of a call (seq:N names it by its number), from 0 to "
              + (named.nextMoment() - 1)
              + ", found another");
    }
    Timeline parent = StoredMoments.owner(rows, named, moment);
    Timeline fork = Timeline.sealed(rows.newId(), as, parent.id(), before, before);
    List<Stream> streams = new ArrayList<>();
    for (Stream each : rows.streams(parent.id())) {
      long base = Forks.shared(rows, each, before);
      if (base > 0) {
        streams.add(
            Stream.sealed(
                rows.newId(), fork.id(), each.lane(), base, base, Hashes.first(each.lane(), base)));
      }
    }
    if (!rows.create(fork, List.copyOf(streams))) {
      demandFree(as);
    }
    machinery().forked(fork);
  }

  /** Goes on with forks by calls that nobody made. */
  public WhatIf whatIf(WhatIf.Replay replay) {
    return new WhatIf(this, replay);
  }

  /** Demands a timeline to which decided calls may be added: what was recorded stays as it is. */
  void demandFork(String name) {
    if (demand(name).parent() == Rows.NOBODY) {
      throw new UsageException(
          ErrorCode.USAGE,
          name
              + ": expected a fork, since a recording's timeline holds what was recorded, found"
              + " none; make one by 'faultline fork "
              + name
              + " --at M --as NAME2'");
    }
  }

  /** A sequence number behind all of a timeline. */
  long nextSeq(String name) {
    Timeline at = demand(name);
    int before = Integer.MAX_VALUE;
    long most = -1;
    while (at != null) {
      for (Page page : rows.pageRows(at.id())) {
        if (page.firstMoment() < before) {
          most = Math.max(most, page.nextMoment() <= before ? page.maxSeq() : seqIn(page, before));
        }
      }
      before = Math.min(before, at.forkMoment());
      at = Forks.parentOf(rows, at);
    }
    return most + 1;
  }

  /** The most that a sequence number of a page is before a moment. */
  private long seqIn(Page page, int before) {
    PageReader reader = new PageReader(new Rows.PackedPage(page, rows.segments(page.firstEvent())));
    long most = -1;
    while (reader.advance() && reader.event().moment() < before) {
      if (reader.event().type().isFirstOfLine()) {
        most = Math.max(most, reader.event().number(0));
      }
    }
    return most;
  }

  private void demandFree(String name) {
    if (rows.timeline(name) != null) {
      throw new UsageException(
          ErrorCode.TIMELINE_EXISTS,
          name + ": expected a name that no timeline has, found one; name another by --as");
    }
  }

  /** Whether a moment is one of a call that began before it. */
  private boolean isInside(String name, int moment) {
    TimelineEvents events = events(name, moment);
    while (events.hasNext()) {
      StoredEvent event = events.next();
      if (event.moment() >= moment) {
        return !event.type().isFirstOfLine();
      }
    }
    return false;
  }

  @Override
  public void close() {
    Machinery running = machinery;
    if (running != null) {
      running.close();
    }
    rows.close();
  }
}
