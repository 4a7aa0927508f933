package dev.faultline.timeline;

import dev.faultline.vcpu.NestedPhase;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.TimelineEvent;
import org.jspecify.annotations.Nullable;

/** Is told of each moment of a timeline as it is replayed. */
public interface TimelineListener {
  /** Listens to nothing. */
  TimelineListener NONE = new TimelineListener() {};

  /**
   * A recorded fact took its place at this moment.
   *
   * @param predicted what the model says the call answers, where it is a call that is modelled
   */
  default void fact(int moment, Recorded fact, @Nullable Outcome predicted) {}

  /** Something happened inside the KVM_RUN of {@code run}, or was synthesized there. */
  default void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {}

  /** The guest executed RSM in this KVM_RUN, and enough of SMRAM is known to judge it. */
  default void rsm(int moment, Recorded.VcpuCall run, RsmVerdict verdict) {}

  /**
   * A vCPU went from one phase of the nested and SMM machine to another, both known.
   *
   * @param byIoctl whether an ioctl other than KVM_RUN made the change
   */
  default void transition(
      int moment, String vcpu, NestedPhase from, NestedPhase to, boolean byIoctl) {}

  /** A difference was found. */
  default void divergence(Divergence divergence) {}

  /** This listener and another one. */
  default TimelineListener and(TimelineListener other) {
    return new BothListeners(this, other);
  }
}
