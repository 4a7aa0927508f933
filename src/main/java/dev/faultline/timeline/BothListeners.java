package dev.faultline.timeline;

import dev.faultline.vcpu.NestedPhase;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.TimelineEvent;
import org.jspecify.annotations.Nullable;

/** Tells two listeners the same. */
record BothListeners(TimelineListener one, TimelineListener other) implements TimelineListener {
  @Override
  public void fact(int moment, Recorded fact, @Nullable Outcome predicted) {
    one.fact(moment, fact, predicted);
    other.fact(moment, fact, predicted);
  }

  @Override
  public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
    one.event(moment, run, event);
    other.event(moment, run, event);
  }

  @Override
  public void rsm(int moment, Recorded.VcpuCall run, RsmVerdict verdict) {
    one.rsm(moment, run, verdict);
    other.rsm(moment, run, verdict);
  }

  @Override
  public void transition(
      int moment, String vcpu, NestedPhase from, NestedPhase to, boolean byIoctl) {
    one.transition(moment, vcpu, from, to, byIoctl);
    other.transition(moment, vcpu, from, to, byIoctl);
  }

  @Override
  public void divergence(Divergence divergence) {
    one.divergence(divergence);
    other.divergence(divergence);
  }
}
