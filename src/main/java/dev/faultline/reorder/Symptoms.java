package dev.faultline.reorder;

import dev.faultline.kvm.Errno;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.vcpu.CallCheck;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.VcpuModel;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.SequencedSet;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Gathers what a re-execution shows, in order. */
public final class Symptoms implements TimelineListener {
  private final SequencedSet<Symptom> found = new LinkedHashSet<>();
  private final Map<String, Long> killed = new TreeMap<>();

  /** Everything found so far. */
  public SequencedSet<Symptom> all() {
    return found;
  }

  /**
   * What is most worth an explanation: the first divergence, else the first triple fault that KVM
   * makes, else the first KVM_RUN that kills its VM, else the first refused call; an EINTR that
   * userspace asked for comes last.
   */
  public @Nullable Symptom first() {
    Symptom best = null;
    for (Symptom each : found) {
      if (best == null || rank(each) < rank(best)) {
        best = each;
      }
    }
    return best;
  }

  /** The same of one call. */
  public @Nullable Symptom firstOf(long seq) {
    Symptom best = null;
    for (Symptom each : found) {
      if (each.seq() == seq && (best == null || rank(each) < rank(best))) {
        best = each;
      }
    }
    return best;
  }

  private static int rank(Symptom symptom) {
    return switch (symptom) {
      case Symptom.Diverges _ -> 0;
      case Symptom.Faults _ -> 1;
      case Symptom.Dies _ -> 2;
      case Symptom.Finds _ -> 3;
      case Symptom.Refuses r -> r.errno() == Errno.EINTR || r.check() == CallCheck.VM_DEAD ? 4 : 3;
    };
  }

  @Override
  public void fact(int moment, Recorded fact, @Nullable Outcome predicted) {
    if (!(fact instanceof Recorded.VcpuCall call) || call.ret() >= 0) {
      return;
    }
    if (call.run() != null && call.errno() == Errno.EIO.number()) {
      killed.putIfAbsent(call.vm(), call.seq());
    }
    if (predicted instanceof Outcome.Refused refused && refused.errno().number() == call.errno()) {
      Long run = killed.get(call.vm());
      if (refused.check() == CallCheck.VM_DEAD && run != null && run != call.seq()) {
        found.add(new Symptom.Dies(run));
      }
      found.add(
          new Symptom.Refuses(
              call.seq(), VcpuModel.ioctl(call.command()), refused.errno(), refused.check()));
    }
  }

  @Override
  public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
    if (event instanceof TimelineEvent.TripleFaultSynthesized fault) {
      found.add(Symptom.of(run.seq(), fault));
    }
  }

  @Override
  public void divergence(Divergence divergence) {
    found.add(Symptom.of(divergence));
  }
}
