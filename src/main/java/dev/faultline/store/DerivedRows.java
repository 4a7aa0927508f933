package dev.faultline.store;

import dev.faultline.store.Rows.Checkpoint;
import dev.faultline.store.Rows.ClosedVmRow;
import dev.faultline.store.Rows.Snapshot;
import dev.faultline.store.Rows.Summary;
import dev.faultline.store.Rows.SummaryLane;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The rows that can be made anew from the events: states, projections, snapshots. */
interface DerivedRows {
  void putCheckpoints(List<Checkpoint> checkpoints);

  /** The last checkpoint with a state at or before a moment, or null. */
  @Nullable Checkpoint checkpointAt(long timeline, int moment, String stamp);

  /** The calls of the page that begins at this moment, or null. */
  @Nullable Checkpoint checkpointOf(long timeline, int firstMoment);

  /** Takes the states of a timeline away: checkpoints and closed VMs. */
  void dropCheckpoints(long timeline);

  void putClosedVms(List<ClosedVmRow> closed);

  /** The VM as it was left last, at this moment or before, or null. */
  @Nullable ClosedVmRow closedVm(long timeline, String vm, int moment, String stamp);

  /** The VMs that were left at this moment or before. */
  List<String> closedVmNames(long timeline, int moment, String stamp);

  /** The number of the last event that the projections hold; -1 if there is none. */
  long projected();

  List<Summary> summaries();

  List<SummaryLane> summaryLanes();

  void putSummary(Summary summary, List<String> newLanes);

  void dropSummaries();

  @Nullable Snapshot snapshot(String aggregate);

  void putSnapshot(Snapshot snapshot);
}
