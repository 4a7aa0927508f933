package dev.faultline.store;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.store.Rows.Checkpoint;
import dev.faultline.store.Rows.Page;
import dev.faultline.store.Rows.Timeline;
import dev.faultline.timeline.MomentIndex;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Which call each moment of a stored timeline is, looked up page by page; keeps the last few. */
final class StoredMoments implements MomentIndex.Earlier {
  private static final int PAGES_KEPT = 256;

  private final Rows rows;
  private final Timeline timeline;
  private final Map<Integer, Kept> kept =
      new LinkedHashMap<>(PAGES_KEPT, 0.75f, true) {
        private static final long serialVersionUID = 1L;

        @Override
        protected boolean removeEldestEntry(Map.Entry<Integer, Kept> eldest) {
          return size() > PAGES_KEPT;
        }
      };
  private @Nullable Kept last;

  /** The calls of a page. */
  private record Kept(int first, int next, StoredCalls calls) {}

  StoredMoments(Rows rows, Timeline timeline) {
    this.rows = rows;
    this.timeline = timeline;
  }

  @Override
  public synchronized long seq(int moment) {
    Kept page = page(moment);
    return page.calls().seq(moment - page.first());
  }

  @Override
  public synchronized String name(int moment) {
    Kept page = page(moment);
    return page.calls().name(moment - page.first());
  }

  private Kept page(int moment) {
    Kept at = last;
    if (at == null || moment < at.first() || moment >= at.next()) {
      at = kept(moment);
      last = at;
    }
    return at;
  }

  private Kept kept(int moment) {
    for (Kept each : kept.values()) {
      if (each.first() <= moment && moment < each.next()) {
        return each;
      }
    }
    Timeline owner = owner(rows, timeline, moment);
    Page page = rows.pageAt(owner.id(), moment);
    Checkpoint checkpoint = page == null ? null : rows.checkpointOf(owner.id(), page.firstMoment());
    StoredCalls calls = checkpoint == null ? null : StoredCalls.read(checkpoint.calls());
    if (page == null || calls == null) {
      throw new StoreException(
          ErrorCode.STORE_IO,
          timeline.name()
              + "@"
              + moment
              + ": expected the calls of this moment among the derived data, found none; run"
              + " 'faultline reproject'");
    }
    Kept found = new Kept(page.firstMoment(), page.nextMoment(), calls);
    kept.put(found.first(), found);
    return found;
  }

  /** The timeline that holds a moment: this one, or one that it is a fork of. */
  static Timeline owner(Rows rows, Timeline timeline, int moment) {
    Timeline at = timeline;
    Timeline parent = Forks.parentOf(rows, at);
    while (parent != null && moment < at.forkMoment()) {
      at = parent;
      parent = Forks.parentOf(rows, at);
    }
    return at;
  }
}
