package dev.faultline.ingest;

import dev.faultline.store.TimelineStore;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;

/** Replays timelines of a store. */
public final class Replays {
  private Replays() {}

  /** The state behind the last event of a timeline, from the last state that was kept on. */
  public static Reexecution toEnd(TimelineStore store, String name) {
    StoredTimeline stored = new StoredTimeline(store, name);
    TimelineStore.Resumed resumed = store.resume(name, Math.max(0, store.moments(name) - 1));
    Reexecution state =
        resumed == null
            ? new Reexecution(name, KernelFacts.model(stored.readFacts()), TimelineListener.NONE)
            : resumed.state().reexecution().fork(TimelineListener.NONE);
    try (ObservationReader reader =
        resumed == null ? stored.open() : stored.openAt(resumed.from())) {
      while (reader.hasNext()) {
        state.accept(RecordedCalls.convert(reader.next(), state.nextMoment()));
      }
    }
    return state;
  }
}
