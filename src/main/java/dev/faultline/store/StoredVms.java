package dev.faultline.store;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.store.Rows.ClosedVmRow;
import dev.faultline.store.Rows.Timeline;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.ClosedVms;
import java.util.Collection;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** The closed VMs of a stored timeline; of a fork, those of what it shares as well. */
final class StoredVms implements ClosedVms {
  private final Rows rows;
  private final Timeline timeline;

  StoredVms(Rows rows, Timeline timeline) {
    this.rows = rows;
    this.timeline = timeline;
  }

  @Override
  public @Nullable ClosedVm find(String vm, int moment) {
    Timeline at = timeline;
    int limit = moment;
    while (at != null) {
      ClosedVmRow row = rows.closedVm(at.id(), vm, limit, ModelStamp.current());
      if (row != null) {
        return read(row);
      }
      limit = Math.min(limit, at.forkMoment());
      at = Forks.parentOf(rows, at);
    }
    return null;
  }

  private ClosedVm read(ClosedVmRow row) {
    Object read = CheckpointCodec.read(row.state(), new StoredMoments(rows, timeline), this);
    if (read instanceof ClosedVm closed) {
      return closed;
    }
    throw new StoreException(
        ErrorCode.STORE_IO,
        timeline.name()
            + "@"
            + row.moment()
            + ": expected the state of "
            + row.vm()
            + " among the derived data, found damage; run 'faultline reproject'");
  }

  /** The names of all that were closed at this moment or before. */
  Collection<String> names(int moment) {
    TreeSet<String> all = new TreeSet<>();
    Timeline at = timeline;
    int limit = moment;
    while (at != null) {
      all.addAll(rows.closedVmNames(at.id(), limit, ModelStamp.current()));
      limit = Math.min(limit, at.forkMoment());
      at = Forks.parentOf(rows, at);
    }
    return all;
  }
}
