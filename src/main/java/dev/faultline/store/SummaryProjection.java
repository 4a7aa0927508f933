package dev.faultline.store;

import dev.faultline.store.Rows.Summary;
import dev.faultline.store.Rows.Timeline;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import org.axonframework.eventhandling.DomainEventMessage;
import org.axonframework.eventhandling.EventHandler;
import org.axonframework.eventhandling.ResetHandler;
import org.axonframework.messaging.unitofwork.CurrentUnitOfWork;
import org.axonframework.messaging.unitofwork.UnitOfWork;
import org.jspecify.annotations.Nullable;

/**
 * Keeps for each timeline how many events, VMs, vCPUs, synthesized faults and divergences it has,
 * and its span of time, so that a list of timelines replays none.
 *
 * <p>A batch of events is summed up and written at once, in the transaction of its token.
 */
final class SummaryProjection {
  private static final String BATCH = "summaries of the batch";

  private final Rows rows;

  /** The lanes that the rows hold, by timeline; empty until they are first needed. */
  private final TreeMap<Long, TreeSet<String>> known = new TreeMap<>();

  SummaryProjection(Rows rows) {
    this.rows = rows;
  }

  /** What the events of a batch add to a timeline. */
  static final class Sum {
    private long events;
    private long firstNs = -1;
    private long lastNs = -1;
    private long synthesized;
    private long divergences;
    private final TreeSet<String> lanes = new TreeSet<>();

    void add(StoredEvent event, String lane) {
      events++;
      switch (event.type()) {
        case TRIPLE_FAULT_SYNTHESIZED -> synthesized++;
        case DIVERGENCE_FOUND -> divergences++;
        default -> {}
      }
      long ns = event.ns();
      if (ns >= 0) {
        firstNs = firstNs < 0 ? ns : Math.min(firstNs, ns);
        lastNs = Math.max(lastNs, ns);
      }
      lanes.add(lane);
    }

    Summary onto(Summary before) {
      return new Summary(
          before.timeline(),
          before.events() + events,
          before.firstNs() < 0
              ? firstNs
              : firstNs < 0 ? before.firstNs() : Math.min(before.firstNs(), firstNs),
          Math.max(before.lastNs(), lastNs),
          before.synthesized() + synthesized,
          before.divergences() + divergences);
    }
  }

  @EventHandler
  void on(StoredEvent event, DomainEventMessage<StoredEvent> message) {
    String stream = message.getAggregateIdentifier();
    UnitOfWork<?> batch = CurrentUnitOfWork.get().root();
    TreeMap<String, Sum> sums =
        batch.getOrComputeResource(
            BATCH,
            _ -> {
              TreeMap<String, Sum> fresh = new TreeMap<>();
              batch.onPrepareCommit(_ -> write(fresh));
              batch.onRollback(_ -> forgetLanes());
              return fresh;
            });
    sums.computeIfAbsent(LaneEvent.timelineOf(stream), _ -> new Sum())
        .add(event, LaneEvent.laneOf(stream));
  }

  /** Others may have written since. */
  synchronized void forgetLanes() {
    known.clear();
  }

  @ResetHandler
  void reset() {
    forgetLanes();
    rows.dropSummaries();
    for (Timeline timeline : rows.timelines()) {
      if (timeline.parent() != Rows.NOBODY) {
        begin(timeline);
      }
    }
  }

  /** The summary of what a fork shares. */
  void begin(Timeline fork) {
    Sum shared = new Sum();
    TimelineEvents events = new TimelineEvents(rows, fork, 0);
    while (events.hasNext() && events.peek().moment() < fork.forkMoment()) {
      shared.add(events.next(), LaneEvent.HOST);
    }
    List<String> lanes = new ArrayList<>();
    rows.streams(fork.id()).forEach(stream -> lanes.add(stream.lane()));
    rows.putSummary(shared.onto(Summary.none(fork.id())), List.copyOf(lanes));
  }

  private synchronized void write(TreeMap<String, Sum> sums) {
    List<Summary> all = rows.summaries();
    if (known.isEmpty()) {
      rows.summaryLanes()
          .forEach(lane ->
              known.computeIfAbsent(lane.timeline(), _ -> new TreeSet<>()).add(lane.lane()));
    }
    sums.forEach((name, sum) -> {
      Timeline timeline = rows.timeline(name);
      if (timeline != null) {
        Summary before = summary(all, timeline.id());
        TreeSet<String> lanes = known.computeIfAbsent(timeline.id(), _ -> new TreeSet<>());
        List<String> fresh = sum.lanes.stream().filter(lanes::add).toList();
        rows.putSummary(sum.onto(before == null ? Summary.none(timeline.id()) : before), fresh);
      }
    });
    sums.clear();
  }

  private static @Nullable Summary summary(List<Summary> all, long timeline) {
    for (Summary each : all) {
      if (each.timeline() == timeline) {
        return each;
      }
    }
    return null;
  }
}
