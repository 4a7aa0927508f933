package dev.faultline.store;

import dev.faultline.store.Rows.PackedPage;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Snapshot;
import dev.faultline.store.Rows.Timeline;
import dev.faultline.timeline.Reexecution;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vm;
import java.util.List;
import org.axonframework.eventhandling.DomainEventMessage;
import org.axonframework.eventhandling.GenericDomainEventMessage;
import org.jspecify.annotations.Nullable;

/**
 * Snapshots of the aggregates of lanes: states that the timeline gives at any time again.
 *
 * <p>A vCPU's state hangs on what other lanes did. So a snapshot is good as long as nothing but its
 * own lane has gone on since; else, and where there is none of this model, the timeline is replayed
 * in its total order, and a snapshot of its end is kept.
 */
final class LaneSnapshots {
  private static final int PAGES_AT_ONCE = 64;

  private final TimelineStore store;
  private final Rows rows;
  private final WhatIf.Replay replay;

  LaneSnapshots(TimelineStore store, WhatIf.Replay replay) {
    this.store = store;
    this.rows = store.rows();
    this.replay = replay;
  }

  /** The state of a lane as the first of its events; null if the timeline has no such lane. */
  @Nullable DomainEventMessage<?> read(String stream) {
    Timeline timeline = rows.timeline(LaneEvent.timelineOf(stream));
    if (timeline == null) {
      return null;
    }
    Snapshot found = rows.snapshot(stream);
    LaneState kept = found == null ? null : state(timeline, found);
    if (found != null && kept != null && isAlone(timeline, stream, kept.nextMoment())) {
      return message(stream, found.sequence(), kept);
    }
    return rebuilt(timeline, stream);
  }

  private @Nullable LaneState state(Timeline timeline, Snapshot found) {
    if (!found.stamp().equals(ModelStamp.current())) {
      return null;
    }
    return CheckpointCodec.read(
                found.payload(), new StoredMoments(rows, timeline), new StoredVms(rows, timeline))
            instanceof LaneState state
        ? state
        : null;
  }

  private static DomainEventMessage<?> message(String stream, long sequence, LaneState state) {
    return new GenericDomainEventMessage<>(
        StoredEventMessage.typeOf(LaneEvent.laneOf(stream)), stream, sequence, state);
  }

  /** Whether from a moment on no other lane has an event. */
  private boolean isAlone(Timeline timeline, String stream, int moment) {
    if (moment < timeline.forkMoment() || moment > timeline.nextMoment()) {
      return false;
    }
    Rows.Stream own = rows.stream(timeline.id(), LaneEvent.laneOf(stream));
    int from = moment;
    List<Page> pages = rows.pages(timeline.id(), from, PAGES_AT_ONCE);
    while (!pages.isEmpty()) {
      for (Page page : pages) {
        PageReader reader = new PageReader(new PackedPage(page, rows.segments(page.firstEvent())));
        while (reader.advance()) {
          boolean others = own == null || reader.stream() != own.id();
          if (reader.event().moment() >= moment && others) {
            return false;
          }
        }
        from = page.nextMoment();
      }
      pages = rows.pages(timeline.id(), from, PAGES_AT_ONCE);
    }
    return true;
  }

  private @Nullable DomainEventMessage<?> rebuilt(Timeline timeline, String stream) {
    String lane = LaneEvent.laneOf(stream);
    Reexecution end = replay.toEnd(store, timeline.name());
    LaneState state = state(end, stream, lane);
    if (state == null) {
      return null;
    }
    Rows.Stream own = rows.stream(timeline.id(), lane);
    long sequence = own == null ? -1 : own.next() - 1;
    try {
      rows.putSnapshot(
          new Snapshot(stream, sequence, ModelStamp.current(), CheckpointCodec.write(state)));
    } catch (CheckpointCodec.NotKept _) {
      // It is made anew each time.
      return message(stream, sequence, state);
    }
    return message(stream, sequence, state);
  }

  private static @Nullable LaneState state(Reexecution end, String stream, String lane) {
    int slash = lane.indexOf('/');
    if (slash < 0) {
      Vm vm = end.vm(lane);
      return vm == null ? null : new VmAggregate(stream, vm, end.nextMoment());
    }
    Vcpu vcpu = end.vcpu(lane);
    if (vcpu == null) {
      vcpu = end.createdVcpu(lane, lane.substring(0, slash), DecidedEvents.descriptor(lane));
    }
    return vcpu == null ? null : new VcpuAggregate(stream, vcpu, end.nextMoment());
  }
}
