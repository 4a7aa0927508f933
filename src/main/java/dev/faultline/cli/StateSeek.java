package dev.faultline.cli;

import dev.faultline.ingest.RecordingSource;
import dev.faultline.ingest.StoredTimeline;
import dev.faultline.report.StateAt;
import dev.faultline.store.TimelineStore;
import dev.faultline.timeline.ClosedVm;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.Observation;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Plays a recording, no further than needed, and takes the vCPUs at the moments asked for. */
final class StateSeek implements TimelineListener {
  private final VcpuFilter filter;
  private final Set<String> closed = new LinkedHashSet<>();
  private final List<TimelineEvent> inside = new ArrayList<>();
  private String lastUsed = "";
  private long firstSeq = Long.MAX_VALUE;
  private long lastSeq = -1;
  private SequencedMap<String, Vcpu> putAway = new LinkedHashMap<>();

  private StateSeek(VcpuFilter filter) {
    this.filter = filter;
  }

  /** A moment, and the option that asked for it. */
  record Asked(String option, AskedMoment moment) {}

  /** As {@link #at}, but from states that a store kept, where it did. */
  static List<StateAt> atStored(
      RecordingSource source, KernelModel kernel, VcpuFilter filter, List<Asked> asked) {
    StoredTimeline stored = source.stored();
    if (stored == null) {
      return at(source, kernel, filter, asked);
    }
    List<StateAt> all = new ArrayList<>();
    for (Asked each : asked) {
      TimelineStore.Resumed resumed = resumed(stored, each.moment());
      all.addAll(
          resumed == null
              ? at(source, kernel, filter, List.of(each))
              : new StateSeek(filter).from(source, stored, resumed, each));
    }
    return List.copyOf(all);
  }

  private static TimelineStore.@Nullable Resumed resumed(
      StoredTimeline stored, AskedMoment moment) {
    TimelineStore store = stored.store();
    long at = moment.isSeq() ? store.pageOfSeq(stored.name(), moment.number()) : moment.number();
    return at < 0 || at >= store.moments(stored.name())
        ? null
        : store.resume(stored.name(), (int) at);
  }

  private List<StateAt> from(
      RecordingSource source, StoredTimeline stored, TimelineStore.Resumed resumed, Asked asked) {
    closed.addAll(resumed.state().closed());
    lastUsed = resumed.state().lastUsed();
    putAway = ClosedVcpus.before(stored, resumed, filter);
    try (Playback playback = new Playback(stored, resumed, this)) {
      while (advance(playback)) {
        if (asked.moment().isAt(playback)) {
          StateAt found = state(source, playback, asked.moment().index(playback));
          SequencedMap<String, Vcpu> all = new LinkedHashMap<>(putAway);
          all.putAll(playback.reexecution().vcpus());
          filter.demand(all.keySet(), "this recording up to that moment");
          return List.of(found);
        }
      }
      throw asked.moment().unknown(asked.option(), playback, firstSeq, lastSeq);
    }
  }

  /** The states at the moments, in the order in which they are asked for. */
  static List<StateAt> at(
      RecordingSource source, KernelModel kernel, VcpuFilter filter, List<Asked> asked) {
    StateSeek seek = new StateSeek(filter);
    StateAt[] found = new StateAt[asked.size()];
    int missing = found.length;
    try (Playback playback = new Playback(source, kernel, seek)) {
      while (missing > 0 && seek.advance(playback)) {
        for (int i = 0; i < found.length; i++) {
          AskedMoment moment = asked.get(i).moment();
          if (found[i] == null && moment.isAt(playback)) {
            found[i] = seek.state(source, playback, moment.index(playback));
            missing--;
          }
        }
      }
      for (int i = 0; i < found.length; i++) {
        if (found[i] == null) {
          Asked unmet = asked.get(i);
          throw unmet.moment().unknown(unmet.option(), playback, seek.firstSeq, seek.lastSeq);
        }
      }
      filter.demand(playback.reexecution().vcpus().keySet(), "this recording up to that moment");
    }
    return List.of(found);
  }

  private boolean advance(Playback playback) {
    inside.clear();
    if (!playback.advance()) {
      return false;
    }
    Recorded fact = playback.fact();
    if (fact.seq() >= 0) {
      firstSeq = Math.min(firstSeq, fact.seq());
      lastSeq = Math.max(lastSeq, fact.seq());
    }
    if (fact instanceof Recorded.VcpuCall call) {
      lastUsed = call.vcpu();
    }
    for (ClosedVm back : playback.reexecution().shelf().takenBack()) {
      closed.add(back.vm().name());
      back.vcpus().forEach(v -> closed.add(v.name()));
    }
    if (playback.observation() instanceof Observation.Closed close && close.ret() == 0) {
      closed.add(close.obj());
    }
    return true;
  }

  @Override
  public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
    inside.add(event);
  }

  private StateAt state(RecordingSource source, Playback playback, int moment) {
    Reexecution reexecution = playback.reexecution();
    SequencedMap<String, Vcpu> all = new LinkedHashMap<>(putAway);
    closed.addAll(putAway.keySet());
    all.putAll(reexecution.vcpus());
    if (moment < playback.last() && playback.fact() instanceof Recorded.VcpuCall run) {
      Vcpu after = all.get(run.vcpu());
      if (after != null) {
        all.put(run.vcpu(), inside(playback.before(), after, run, moment));
      }
    }
    List<Vcpu> shown = all.values().stream().filter(v -> isShown(v.name())).toList();
    if (shown.isEmpty() && filter.isAll() && all.containsKey(lastUsed)) {
      shown = List.of(all.get(lastUsed));
    }
    return new StateAt(source.name(), moment, reexecution.index(), shown, List.copyOf(closed));
  }

  private boolean isShown(String vcpu) {
    return filter.isAll() ? !closed.contains(vcpu) : filter.takes(vcpu);
  }

  /** The vCPU in the middle of a KVM_RUN: as it was before, and what happened since. */
  private Vcpu inside(@Nullable Vcpu before, Vcpu after, Recorded.VcpuCall run, int moment) {
    Vcpu v = before != null ? before : VcpuModel.unseen(after.name(), after.id(), after.vm());
    if (run.command() instanceof VcpuCommand.Run command) {
      v = VcpuModel.evolve(v, new TimelineEvent.RunEntered(command.moment(), command.input()));
    }
    for (TimelineEvent event : inside) {
      if (event.moment() <= moment) {
        v = VcpuModel.evolve(v, event);
      }
    }
    return v;
  }
}
