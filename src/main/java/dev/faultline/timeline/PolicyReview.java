package dev.faultline.timeline;

import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Policy;
import java.util.List;
import java.util.function.Predicate;

/**
 * The policies over one timeline.
 *
 * @param recording its name
 * @param kernel the kernel model
 * @param policies the policies, in order
 * @param moments the moments at which one of them does more than go on
 * @param entries how often L2 was about to run
 * @param failedRsms RSMs to L2 that failed themselves: no policy has a say in them
 * @param restores vCPUs that were restored from another's saved state with L2 active
 * @param changed for each policy, how many of these made it remember something else
 */
public record PolicyReview(
    String recording,
    KernelModel kernel,
    List<Policy> policies,
    List<PolicyMoment> moments,
    long entries,
    long failedRsms,
    long restores,
    List<Long> changed) {

  /**
   * How a policy did.
   *
   * @param falsePositives it punished a state that was valid in time, or userspace for the guest
   * @param missed it let an invalid L2 run
   * @param lost it decided by what a migration loses
   * @param open moments that cannot be judged
   */
  public record Score(Policy policy, long falsePositives, long missed, long lost, long open) {
    public boolean isClean() {
      return falsePositives == 0 && missed == 0 && lost == 0;
    }
  }

  /** The score of the policy at this index. */
  public Score score(int policy) {
    return new Score(
        policies.get(policy),
        count(policy, PolicyMoment.Judged::isFalsePositive),
        count(policy, PolicyMoment.Judged::isMissed),
        count(policy, PolicyMoment.Judged::isLost),
        count(policy, PolicyMoment.Judged::open));
  }

  /** How many verdicts of a policy at moments of a kind are such. */
  public long count(int policy, Predicate<PolicyMoment.Judged> such) {
    return moments.stream().filter(m -> such.test(m.verdicts().get(policy))).count();
  }

  /** How many verdicts of a policy violate a criterion. */
  public long against(int policy, Criterion criterion) {
    return count(policy, j -> j.against().contains(criterion));
  }

  /** How many moments of this kind have this culprit. */
  public long recorded(PolicyMoment.Point point, Culprit culprit) {
    return moments.stream().filter(m -> m.point() == point && m.culprit() == culprit).count();
  }

  /** How many moments of this kind the recorded kernel ended so. */
  public long ended(PolicyMoment.Point point, RunEnding ending) {
    return moments.stream().filter(m -> m.point() == point && m.recorded() == ending).count();
  }
}
