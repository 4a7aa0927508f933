package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.store.Rows.Checkpoint;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Timeline;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.MomentIndex;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the states of a timeline that is stored already, page by page, in order. A fork keeps those
 * of what follows; what it shares is kept with its parent.
 */
public final class CheckpointWriter {
  private static final int AT_ONCE = 64;

  private final Rows rows;
  private final Timeline timeline;
  private final Deque<Page> pages;
  private final List<Checkpoint> pending = new ArrayList<>();
  private final CheckpointSpacing spacing = new CheckpointSpacing();
  private int eventsBefore;
  private final List<Rows.ClosedVmRow> closed = new ArrayList<>();
  private @Nullable Page page;
  private @Nullable Bytes state;

  CheckpointWriter(Rows rows, Timeline timeline) {
    this.rows = rows;
    this.timeline = timeline;
    this.pages = new ArrayDeque<>(rows.pageRows(timeline.id()));
    rows.dropCheckpoints(timeline.id());
  }

  /** True if a page begins at this moment, or has begun. */
  public boolean wants(int moment) {
    Page next = pages.peek();
    return next != null && moment >= next.firstMoment();
  }

  /** The state before this moment, at which a page begins. */
  public void add(int moment, ReplayState before, MomentIndex index) {
    end(index);
    page = pages.remove();
    boolean kept = moment > 0 && moment == page.firstMoment() && spacing.isDue(eventsBefore);
    state = kept ? spacing.kept(TimelineWriter.keep(before)) : null;
    eventsBefore = page.events();
  }

  /** The VMs put away so far. */
  public ClosedVms closedVms() {
    return this::find;
  }

  private @Nullable ClosedVm find(String vm, int moment) {
    flush();
    return new StoredVms(rows, timeline).find(vm, moment);
  }

  /**
   * Keeps a VM of which no descriptor is open; what a fork shares, its parent has kept.
   *
   * @param moment the first one without it
   * @return false if it is not kept
   */
  public boolean putAway(ClosedVm vm, int moment) {
    if (page == null && timeline.parent() != Rows.NOBODY) {
      return find(vm.vm().name(), moment) != null;
    }
    Bytes kept = TimelineWriter.keepAny(vm);
    if (kept != null) {
      closed.add(new TimelineWriter.Closing(vm, moment, kept).of(timeline));
    }
    return kept != null;
  }

  /** The replay is over. */
  public void finish(MomentIndex index) {
    end(index);
    flush();
  }

  private void flush() {
    rows.putClosedVms(List.copyOf(closed));
    rows.putCheckpoints(List.copyOf(pending));
    closed.clear();
    pending.clear();
  }

  private void end(MomentIndex index) {
    Page ended = page;
    if (ended == null) {
      return;
    }
    pending.add(
        new Checkpoint(
            timeline.id(),
            ended.firstMoment(),
            ModelStamp.current(),
            state,
            StoredCalls.write(
                index,
                Math.min(ended.firstMoment(), index.size()),
                Math.min(ended.nextMoment(), index.size()))));
    if (pending.size() == AT_ONCE) {
      flush();
      if (timeline.parent() == Rows.NOBODY) {
        index.forget(ended.nextMoment(), new StoredMoments(rows, timeline));
      }
    }
  }
}
