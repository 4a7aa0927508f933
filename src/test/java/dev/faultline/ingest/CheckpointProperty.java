package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.store.CheckpointProbe;
import dev.faultline.store.ReplayState;
import dev.faultline.store.StateComparison;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.timeline.Verification;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Recorded;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * A checkpoint at each line k of a recording, and the rest, is the replay from the beginning.
 *
 * <p>To replay the rest from each k would take the square of a recording's length. Two replays show
 * the same. One goes undisturbed. The other is a relay: before <em>every</em> line its state is
 * kept as bytes and thrown away, and what was read back goes on. At each k both must be equal field
 * by field, so that the checkpoint of k is the state of k and one more step from it leads to that
 * of k + 1; and at the end they must have found the same. What a checkpoint left out, the relay
 * would have lost at every line, wherever it matters later. From some k the rest is replayed as
 * well, without keeping anything on the way.
 *
 * <p>The relay puts closed VMs away, the replay it is held against at the end does not.
 *
 * <p>With {@code -Dfaultline.store.long=true}: every recording that is at hand.
 */
final class CheckpointProperty {
  private static final int RESTS = 6;

  static List<RecordingSource> recordings() {
    List<RecordingSource> all = Recordings.all();
    return Boolean.getBoolean("faultline.store.long")
        ? all
        : all.stream()
            .filter(source -> source.recording().startsWith("timelines"))
            .filter(source -> !source.name().startsWith("fuzz"))
            .toList();
  }

  /** A replay, and the VMs that it put away. */
  private static final class Lane implements ClosedVms {
    private final TreeMap<String, ClosedVm> putAway = new TreeMap<>();
    private Reexecution reexecution;
    private Descriptors descriptors;

    Lane(RecordingSource source) {
      reexecution =
          new Reexecution("t", KernelFacts.model(source.readFacts()), TimelineListener.NONE);
      reexecution.shelf().know(this);
      descriptors = new Descriptors(reexecution);
    }

    @Override
    public @Nullable ClosedVm find(String vm, int moment) {
      return putAway.get(vm);
    }

    void step(Observation line) {
      Recorded fact = RecordedCalls.convert(line, reexecution.nextMoment());
      reexecution.accept(fact);
      ClosedVm gone = descriptors.follow(line, fact);
      if (gone != null) {
        putAway.put(gone.vm().name(), CheckpointProbe.keepAndReadBack(gone));
        descriptors.putAway(gone);
      }
    }

    /** Goes on with what was read back. */
    void resume(ReplayState state) {
      reexecution = state.reexecution();
      descriptors = new Descriptors(reexecution, state);
    }
  }

  @ParameterizedTest
  @MethodSource("recordings")
  void a_checkpoint_at_each_line_and_the_rest_are_the_whole(RecordingSource source) {
    List<Observation> lines = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      reader.forEachRemaining(lines::add);
    }
    Verification expected = whole(source, lines);
    Lane live = new Lane(source);
    Lane relay = new Lane(source);
    int stride = Math.max(1, lines.size() / RESTS);
    for (int k = 0; k < lines.size(); k++) {
      Bytes kept = CheckpointProbe.keep(relay.descriptors.state());
      relay.resume(CheckpointProbe.readBack(kept, live.reexecution.index(), relay));
      assertThat(StateComparison.difference(live.descriptors.state(), relay.descriptors.state()))
          .as("the state before line %s", k)
          .isEmpty();
      if (k % stride == 0) {
        rest(source, kept, live, lines.subList(k, lines.size()), expected);
      }
      live.step(lines.get(k));
      relay.step(lines.get(k));
    }
    assertThat(StateComparison.difference(live.descriptors.state(), relay.descriptors.state()))
        .isEmpty();
    assertThat(live.reexecution.result()).isEqualTo(expected);
    assertSame(relay.reexecution.result(), expected);
  }

  private static Verification whole(RecordingSource source, List<Observation> lines) {
    Reexecution whole =
        new Reexecution("t", KernelFacts.model(source.readFacts()), TimelineListener.NONE);
    lines.forEach(line -> whole.accept(RecordedCalls.convert(line, whole.nextMoment())));
    return whole.result();
  }

  private static void rest(
      RecordingSource source,
      Bytes kept,
      Lane live,
      List<Observation> lines,
      Verification expected) {
    Lane rest = new Lane(source);
    rest.putAway.putAll(live.putAway);
    rest.resume(CheckpointProbe.readBack(kept, live.reexecution.index(), rest));
    lines.forEach(rest::step);
    assertSame(rest.reexecution.result(), expected);
  }

  private static void assertSame(Verification found, Verification expected) {
    assertThat(found.calls()).isEqualTo(expected.calls());
    assertThat(found.runs()).isEqualTo(expected.runs());
    assertThat(found.fields()).isEqualTo(expected.fields());
    assertThat(expected.divergences()).endsWith(found.divergences().toArray(new Divergence[0]));
  }
}
