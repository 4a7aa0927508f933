package dev.faultline.ingest;

import dev.faultline.store.CheckpointWriter;
import dev.faultline.store.ReplayState;
import dev.faultline.store.TimelineStore;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Recorded;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Replays a timeline once, and keeps its state before every page again. */
public final class CheckpointRebuild {
  private CheckpointRebuild() {}

  /** Keeps the states of a timeline anew. */
  public static void run(TimelineStore store, String name) {
    StoredTimeline stored = new StoredTimeline(store, name);
    Reexecution reexecution =
        new Reexecution(name, KernelFacts.model(stored.readFacts()), TimelineListener.NONE);
    Set<String> closed = new LinkedHashSet<>();
    String lastUsed = "";
    CheckpointWriter writer = store.checkpoints(name);
    try (ObservationReader reader = stored.open()) {
      while (reader.hasNext()) {
        Observation observation = reader.next();
        int moment = reexecution.nextMoment();
        if (writer.wants(moment)) {
          ReplayState state =
              new ReplayState(reexecution.withoutFindings(), List.copyOf(closed), lastUsed);
          writer.add(moment, state, reexecution.index());
        }
        Recorded fact = RecordedCalls.convert(observation, moment);
        reexecution.accept(fact);
        if (fact instanceof Recorded.VcpuCall call) {
          lastUsed = call.vcpu();
        }
        if (observation instanceof Observation.Closed close && close.ret() == 0) {
          closed.add(close.obj());
        }
      }
    }
    writer.finish(reexecution.index());
  }
}
