package dev.faultline.ingest;

import dev.faultline.store.CheckpointWriter;
import dev.faultline.store.TimelineStore;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Recorded;

/** Replays a timeline once, and keeps its state before every page again. */
public final class CheckpointRebuild {
  private CheckpointRebuild() {}

  /** Keeps the states of a timeline anew. */
  public static void run(TimelineStore store, String name) {
    StoredTimeline stored = new StoredTimeline(store, name);
    Reexecution reexecution =
        new Reexecution(name, KernelFacts.model(stored.readFacts()), TimelineListener.NONE);
    Descriptors descriptors = new Descriptors(reexecution);
    CheckpointWriter writer = store.checkpoints(name);
    reexecution.shelf().know(writer.closedVms());
    try (ObservationReader reader = stored.open()) {
      while (reader.hasNext()) {
        Observation observation = reader.next();
        int moment = reexecution.nextMoment();
        if (writer.wants(moment)) {
          writer.add(moment, descriptors.state(), reexecution.index());
        }
        Recorded fact = RecordedCalls.convert(observation, moment);
        reexecution.accept(fact);
        ClosedVm gone = descriptors.follow(observation, fact);
        if (gone != null && writer.putAway(gone, reexecution.nextMoment())) {
          descriptors.putAway(gone);
        }
      }
    }
    writer.finish(reexecution.index());
  }
}
