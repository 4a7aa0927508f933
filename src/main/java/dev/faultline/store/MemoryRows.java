package dev.faultline.store;

import dev.faultline.Bytes;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/** Rows on the heap: the twin of the databases, gone when it is let go of. */
final class MemoryRows implements Rows {
  private final TreeMap<Long, Timeline> timelines = new TreeMap<>();
  private final TreeMap<Long, Stream> streams = new TreeMap<>();
  private final TreeMap<Long, Page> pages = new TreeMap<>();
  private final TreeMap<Long, List<Segment>> segments = new TreeMap<>();
  private final TreeMap<Long, TreeMap<Integer, Checkpoint>> checkpoints = new TreeMap<>();
  private final TreeMap<Long, TreeMap<String, TreeMap<Integer, ClosedVmRow>>> closedVms =
      new TreeMap<>();
  private final TreeMap<Long, Summary> summaries = new TreeMap<>();
  private final TreeSet<SummaryLane> lanes =
      new TreeSet<>(
          Comparator.comparingLong(SummaryLane::timeline).thenComparing(SummaryLane::lane));
  private final TreeMap<String, Snapshot> snapshots = new TreeMap<>();
  private long nextEvent;
  private long nextId = 1;

  @Override
  public synchronized List<Timeline> timelines() {
    return timelines.values().stream().sorted(Comparator.comparing(Timeline::name)).toList();
  }

  @Override
  public synchronized @Nullable Timeline timeline(String name) {
    return first(timelines.values(), t -> t.name().equals(name));
  }

  @Override
  public synchronized @Nullable Timeline timeline(long id) {
    return timelines.get(id);
  }

  @Override
  public synchronized long newId() {
    return nextId++;
  }

  @Override
  public synchronized boolean create(Timeline timeline, List<Stream> begun) {
    if (timeline(timeline.name()) != null) {
      return false;
    }
    timelines.put(timeline.id(), timeline);
    begun.forEach(stream -> streams.put(stream.id(), stream));
    return true;
  }

  @Override
  public synchronized List<Stream> streams(long timeline) {
    return streams.values().stream()
        .filter(s -> s.timeline() == timeline)
        .sorted(Comparator.comparing(Stream::lane))
        .toList();
  }

  @Override
  public synchronized List<Stream> streams(long timeline, Collection<String> wanted) {
    return streams.values().stream()
        .filter(s -> s.timeline() == timeline && wanted.contains(s.lane()))
        .toList();
  }

  @Override
  public synchronized @Nullable Stream stream(long timeline, String lane) {
    return first(streams.values(), s -> s.timeline() == timeline && s.lane().equals(lane));
  }

  @Override
  public synchronized @Nullable Stream stream(long id) {
    return streams.get(id);
  }

  @Override
  public synchronized boolean append(Append append) {
    if (!append.before().equals(timelines.get(append.before().id()))) {
      return false;
    }
    for (Stream seen : append.streamsBefore()) {
      Stream there = streams.get(seen.id());
      Stream ofLane = stream(seen.timeline(), seen.lane());
      boolean fresh = there == null && ofLane == null && seen.next() == 0;
      if (!fresh && !seen.equals(there)) {
        return false;
      }
    }
    timelines.put(append.after().id(), append.after());
    append.streamsAfter().forEach(stream -> streams.put(stream.id(), stream));
    for (PackedPage page : append.pages()) {
      put(page.page().at(nextEvent), page.segments());
      nextEvent += page.page().events();
    }
    return true;
  }

  private void put(Page page, List<Segment> of) {
    pages.put(page.firstEvent(), page);
    segments.put(
        page.firstEvent(), of.stream().map(segment -> segment.in(page.firstEvent())).toList());
  }

  @Override
  public synchronized boolean replace(List<Page> old, PackedPage merged) {
    if (!old.stream().allMatch(page -> page.equals(pages.get(page.firstEvent())))) {
      return false;
    }
    for (Page page : old) {
      pages.remove(page.firstEvent());
      segments.remove(page.firstEvent());
    }
    put(merged.page(), merged.segments());
    return true;
  }

  @Override
  public synchronized List<Page> pages(long timeline, int moment, int most) {
    return pages.values().stream()
        .filter(p -> p.timeline() == timeline && p.nextMoment() > moment)
        .limit(most)
        .toList();
  }

  @Override
  public synchronized List<Page> pageRows(long timeline) {
    return pages.values().stream()
        .filter(p -> p.timeline() == timeline)
        .sorted(Comparator.comparingInt(Page::firstMoment))
        .toList();
  }

  @Override
  public synchronized long segmentCount(long timeline) {
    List<Long> own = streams(timeline).stream().map(Stream::id).toList();
    return segments.values().stream()
        .flatMap(List::stream)
        .filter(s -> own.contains(s.stream()))
        .count();
  }

  @Override
  public synchronized @Nullable Segment lastSegment(long stream, int moment) {
    Segment last = null;
    for (Page page : pages.values()) {
      if (page.firstMoment() <= moment) {
        for (Segment segment : segments(page.firstEvent())) {
          if (segment.stream() == stream && (last == null || segment.first() > last.first())) {
            last = segment;
          }
        }
      }
    }
    return last;
  }

  @Override
  public synchronized @Nullable Page pageAt(long timeline, int moment) {
    Page at = null;
    for (Page page : pages.values()) {
      if (page.timeline() == timeline && page.firstMoment() <= moment) {
        at = page;
      }
    }
    return at;
  }

  @Override
  public synchronized List<Page> pagesOfSeq(long timeline, long seq) {
    return pages.values().stream()
        .filter(p -> p.timeline() == timeline && p.minSeq() <= seq && p.maxSeq() >= seq)
        .toList();
  }

  @Override
  public synchronized List<Page> pagesFrom(long event, int most) {
    Long from = pages.floorKey(event);
    return pages.tailMap(from == null ? event : from).values().stream()
        .filter(p -> p.firstEvent() + p.events() > event)
        .limit(most)
        .toList();
  }

  @Override
  public synchronized long nextEvent() {
    return nextEvent;
  }

  @Override
  public synchronized List<Segment> segments(long page) {
    return segments.getOrDefault(page, List.of());
  }

  @Override
  public synchronized List<Segment> segments(long stream, long sequence, int most) {
    return segments.values().stream()
        .flatMap(List::stream)
        .filter(s -> s.stream() == stream && s.next() > sequence)
        .sorted(Comparator.comparingLong(Segment::first))
        .limit(most)
        .toList();
  }

  @Override
  public synchronized @Nullable Bytes hashBefore(Stream stream, long firstSequence) {
    if (firstSequence == stream.base()) {
      return Hashes.first(stream.lane(), stream.base());
    }
    Segment found =
        first(
            segments.values().stream().flatMap(List::stream).toList(),
            s -> s.stream() == stream.id() && s.next() == firstSequence);
    return found == null ? null : found.hash();
  }

  @Override
  public synchronized long orphans() {
    long lost = streams.values().stream().filter(s -> !timelines.containsKey(s.timeline())).count();
    lost += pages.values().stream().filter(p -> !timelines.containsKey(p.timeline())).count();
    return lost
        + segments.values().stream()
            .flatMap(List::stream)
            .filter(s -> !streams.containsKey(s.stream()) || !pages.containsKey(s.page()))
            .count();
  }

  @Override
  public synchronized void remove(Timeline removed) {
    long timeline = removed.id();
    timelines.remove(timeline);
    snapshots.keySet().removeIf(name -> LaneEvent.timelineOf(name).equals(removed.name()));
    streams.values().removeIf(s -> s.timeline() == timeline);
    List<Page> own = pages.values().stream().filter(p -> p.timeline() == timeline).toList();
    for (Page page : own) {
      pages.remove(page.firstEvent());
      segments.remove(page.firstEvent());
    }
    dropCheckpoints(timeline);
    summaries.remove(timeline);
    lanes.removeIf(lane -> lane.timeline() == timeline);
  }

  @Override
  public synchronized void putCheckpoints(List<Checkpoint> added) {
    for (Checkpoint each : added) {
      checkpoints
          .computeIfAbsent(each.timeline(), _ -> new TreeMap<>())
          .put(each.firstMoment(), each);
    }
  }

  @Override
  public synchronized @Nullable Checkpoint checkpointAt(long timeline, int moment, String stamp) {
    TreeMap<Integer, Checkpoint> own = checkpoints.get(timeline);
    if (own == null) {
      return null;
    }
    for (Map.Entry<Integer, Checkpoint> each :
        own.headMap(moment, true).descendingMap().entrySet()) {
      if (each.getValue().state() != null && each.getValue().stamp().equals(stamp)) {
        return each.getValue();
      }
    }
    return null;
  }

  @Override
  public synchronized @Nullable Checkpoint checkpointOf(long timeline, int firstMoment) {
    TreeMap<Integer, Checkpoint> own = checkpoints.get(timeline);
    return own == null ? null : own.get(firstMoment);
  }

  @Override
  public synchronized void dropCheckpoints(long timeline) {
    checkpoints.remove(timeline);
    closedVms.remove(timeline);
  }

  @Override
  public synchronized void putClosedVms(List<ClosedVmRow> closed) {
    for (ClosedVmRow each : closed) {
      closedVms
          .computeIfAbsent(each.timeline(), _ -> new TreeMap<>())
          .computeIfAbsent(each.vm(), _ -> new TreeMap<>())
          .put(each.moment(), each);
    }
  }

  @Override
  public synchronized @Nullable ClosedVmRow closedVm(
      long timeline, String vm, int moment, String stamp) {
    var found =
        closedVms
            .getOrDefault(timeline, new TreeMap<>())
            .getOrDefault(vm, new TreeMap<>())
            .floorEntry(moment);
    return found == null ? null : found.getValue();
  }

  @Override
  public synchronized List<String> closedVmNames(long timeline, int moment, String stamp) {
    return closedVms.getOrDefault(timeline, new TreeMap<>()).entrySet().stream()
        .filter(vm -> vm.getValue().firstKey() <= moment)
        .map(Map.Entry::getKey)
        .toList();
  }

  /** Where they are is kept by Axon, on the heap too. */
  @Override
  public long projected() {
    return -1;
  }

  @Override
  public synchronized List<Summary> summaries() {
    return List.copyOf(summaries.values());
  }

  @Override
  public synchronized List<SummaryLane> summaryLanes() {
    return List.copyOf(lanes);
  }

  @Override
  public synchronized void putSummary(Summary summary, List<String> newLanes) {
    if (timelines.containsKey(summary.timeline())) {
      summaries.put(summary.timeline(), summary);
      newLanes.forEach(lane -> lanes.add(new SummaryLane(summary.timeline(), lane)));
    }
  }

  @Override
  public synchronized void dropSummaries() {
    summaries.clear();
    lanes.clear();
  }

  @Override
  public synchronized @Nullable Snapshot snapshot(String aggregate) {
    return snapshots.get(aggregate);
  }

  @Override
  public synchronized void putSnapshot(Snapshot snapshot) {
    snapshots.put(snapshot.aggregate(), snapshot);
  }

  @Override
  public void close() {}

  private static <T> @Nullable T first(Iterable<T> all, Predicate<T> wanted) {
    List<T> found = new ArrayList<>();
    for (T each : all) {
      if (wanted.test(each)) {
        found.add(each);
        break;
      }
    }
    return found.isEmpty() ? null : found.getFirst();
  }
}
