package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.store.Rows.Checkpoint;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Timeline;
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

  /** The replay is over. */
  public void finish(MomentIndex index) {
    end(index);
    rows.putCheckpoints(List.copyOf(pending));
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
      rows.putCheckpoints(List.copyOf(pending));
      pending.clear();
      if (timeline.parent() == Rows.NOBODY) {
        index.forget(ended.nextMoment(), new StoredMoments(rows, timeline));
      }
    }
  }
}
