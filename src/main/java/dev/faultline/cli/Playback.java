package dev.faultline.cli;

import dev.faultline.ingest.RecordingSource;
import dev.faultline.ingest.StoredTimeline;
import dev.faultline.store.TimelineStore;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vcpu;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Plays a recording to a re-execution, one fact after the other, as far as the caller wants. */
final class Playback implements AutoCloseable {
  private final ObservationReader reader;
  private final Reexecution reexecution;
  private @Nullable Observation observation;
  private @Nullable Recorded fact;
  private @Nullable Vcpu before;
  private int first;

  Playback(RecordingSource source, KernelModel kernel, TimelineListener listener) {
    this(source.open(), source.name(), kernel, listener);
  }

  Playback(ObservationReader reader, String name, KernelModel kernel, TimelineListener listener) {
    this.reader = reader;
    reexecution = new Reexecution(name, kernel, listener);
  }

  /** Goes on with what a store kept of the playing up to a moment. */
  Playback(StoredTimeline stored, TimelineStore.Resumed resumed, TimelineListener listener) {
    reader = stored.openAt(resumed.from());
    reexecution = resumed.state().reexecution().fork(listener);
  }

  /** Plays the next fact; false if there is none. */
  boolean advance() {
    if (!reader.hasNext()) {
      reexecution.end();
      return false;
    }
    Observation next = reader.next();
    first = reexecution.nextMoment();
    Recorded converted = RecordedCalls.convert(next, first);
    before =
        converted instanceof Recorded.VcpuCall call ? reexecution.vcpus().get(call.vcpu()) : null;
    observation = next;
    fact = converted;
    reexecution.accept(converted);
    return true;
  }

  /** Plays everything that is left. */
  void finish() {
    while (advance()) {}
  }

  Reexecution reexecution() {
    return reexecution;
  }

  /** The line that was played last. */
  Observation observation() {
    return Objects.requireNonNull(observation);
  }

  /** The fact that was played last. */
  Recorded fact() {
    return Objects.requireNonNull(fact);
  }

  /** The vCPU of the fact as it was before it; null if there is none, or it was not yet seen. */
  @Nullable Vcpu before() {
    return before;
  }

  /** The first moment of the fact that was played last. */
  int first() {
    return first;
  }

  /** The last moment of the fact that was played last. */
  int last() {
    return reexecution.nextMoment() - 1;
  }

  /** What the recording is read by, to ask what it could not read. */
  ObservationReader reader() {
    return reader;
  }

  @Override
  public void close() {
    reader.close();
  }
}
