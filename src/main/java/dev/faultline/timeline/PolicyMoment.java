package dev.faultline.timeline;

import dev.faultline.vcpu.Verdict;
import dev.faultline.vmx.GuestStateCheck;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A moment at which the policies for invalid nested state do not all just go on.
 *
 * @param moment where in the timeline
 * @param seq the recording's sequence number of the call
 * @param vcpu the vCPU
 * @param point what kind of moment
 * @param call the ioctl
 * @param variant what the recorded program called its present test case, or an empty text
 * @param culprit who made the state invalid
 * @param failed the first guest-state check that fails, if it is known
 * @param writerSeq the sequence number of the call that wrote the field that the check blames, or a
 *     negative number
 * @param recorded what the recorded kernel did
 * @param verdicts one for each policy, in their order
 */
public record PolicyMoment(
    int moment,
    long seq,
    String vcpu,
    Point point,
    String call,
    String variant,
    Culprit culprit,
    @Nullable GuestStateCheck failed,
    long writerSeq,
    RunEnding recorded,
    List<Judged> verdicts) {

  /** Kinds of moments. */
  public enum Point {
    /** An ioctl that KVM accepted. */
    IOCTL,
    /** KVM_RUN begins. */
    RUN,
    /** RSM inside a KVM_RUN returned to L2. */
    RSM
  }

  /**
   * What a policy does, and what is to be held against it.
   *
   * @param against the criteria that the verdict violates, in order; empty if none
   * @param open whether it cannot be told, or the recording ends before it shows
   */
  public record Judged(Verdict verdict, List<Criterion> against, boolean open) {
    public boolean isFalsePositive() {
      return against.contains(Criterion.R1) || against.contains(Criterion.R2);
    }

    public boolean isMissed() {
      return against.contains(Criterion.R3);
    }

    public boolean isLost() {
      return against.contains(Criterion.R4);
    }
  }

  /** Whether the policies do not all do the same. */
  public boolean isDisputed() {
    return verdicts.stream().map(j -> j.verdict().getClass()).distinct().count() > 1;
  }
}
