package dev.faultline.reorder;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Divergence;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.TimelineEvent;
import org.jspecify.annotations.Nullable;

/**
 * Something that a re-execution or an audit shows of one call, and that a shorter timeline can show
 * as well. Equal where it is the same thing at the same call, whatever its moment.
 */
public sealed interface Symptom {
  /** The recording's own number of the call. */
  long seq();

  /** A divergence. */
  record Diverges(
      long seq,
      String vcpu,
      String ioctl,
      Divergence.What what,
      @Nullable String field,
      String recorded,
      String predicted)
      implements Symptom {}

  /** A triple fault that KVM makes. */
  record Faults(long seq, FaultCause cause, @Nullable Check check) implements Symptom {}

  /** A KVM_RUN that fails with EIO and leaves a dead VM, as a later call shows. */
  record Dies(long seq) implements Symptom {}

  /** A call that KVM refuses for this reason. */
  record Refuses(long seq, Ioctl ioctl, Errno errno, Check check) implements Symptom {}

  /** A finding of the audit, on a vCPU or its VM. */
  record Finds(long seq, String lane, String rule, String message) implements Symptom {}

  static Symptom of(Divergence d) {
    return new Diverges(
        d.seq(), d.lane(), d.ioctl(), d.what(), d.field(), d.recorded(), d.predicted());
  }

  static Symptom of(long seq, TimelineEvent.TripleFaultSynthesized fault) {
    return new Faults(seq, fault.cause(), fault.failed());
  }
}
