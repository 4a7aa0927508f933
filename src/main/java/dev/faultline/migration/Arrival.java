package dev.faultline.migration;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Vcpu;
import java.util.List;
import java.util.SortedSet;
import org.jspecify.annotations.Nullable;

/**
 * The destination's vCPU when the plan has been carried out.
 *
 * @param vcpu the vCPU
 * @param steps how each call of the plan ended; those that were not made are left out
 * @param aborted the refusal for which the VMM gives up, if there is one
 * @param tscWritten whether the time-stamp counter was among the MSRs that were written
 * @param carriedMsrs the MSRs that were written with a value that is not known
 * @param memory what the policy that is asked remembers of the vCPU
 */
record Arrival(
    Vcpu vcpu,
    List<Step> steps,
    @Nullable Step aborted,
    boolean tscWritten,
    SortedSet<Integer> carriedMsrs,
    Memory memory) {

  /** How a call ended. */
  enum End {
    /** KVM accepts it. */
    ACCEPTED,
    /** KVM accepts it if it takes back what it gave. */
    ASSUMED,
    /** KVM refuses it, or does only the first MSRs of its list. */
    REFUSED,
    /** Nobody can tell. */
    OPEN
  }

  /**
   * A call of the plan.
   *
   * @param number its position in the plan, from zero
   * @param processed how many MSRs it wrote, or -1
   * @param missing why nobody can tell, or what it was taken back for
   */
  record Step(
      int number,
      Ioctl ioctl,
      End end,
      @Nullable Errno errno,
      @Nullable Check check,
      int processed,
      String missing) {

    static Step accepted(int number, Ioctl ioctl) {
      return new Step(number, ioctl, End.ACCEPTED, null, null, -1, "");
    }

    static Step assumed(int number, Ioctl ioctl, String missing) {
      return new Step(number, ioctl, End.ASSUMED, null, null, -1, missing);
    }

    static Step open(int number, Ioctl ioctl, String missing) {
      return new Step(number, ioctl, End.OPEN, null, null, -1, missing);
    }

    static Step refused(int number, Ioctl ioctl, Errno errno, @Nullable Check check) {
      return new Step(number, ioctl, End.REFUSED, errno, check, -1, "");
    }

    static Step cutShort(
        int number, Ioctl ioctl, int processed, @Nullable Check check, String missing) {
      return new Step(number, ioctl, End.REFUSED, null, check, processed, missing);
    }
  }

  /** Moments that the calls of a plan take: none of a timeline, and one of its own for each. */
  static final int BASE = 1 << 30;

  static int moment(int step) {
    return BASE + step;
  }

  /** Whether the call that wrote at this moment is one of these, and was carried out. */
  boolean wroteBy(int moment, List<Ioctl> ioctls) {
    for (Step step : steps) {
      if (moment(step.number()) == moment) {
        return ioctls.contains(step.ioctl()) && step.end() != End.OPEN;
      }
    }
    return false;
  }

  /** Whether one of these calls wrote at this moment, and was carried out. */
  boolean wrote(int moment) {
    for (Step step : steps) {
      if (moment(step.number()) == moment) {
        return step.end() != End.OPEN && step.ioctl() != Ioctl.SET_CPUID2;
      }
    }
    return false;
  }

  /** Whether a call of this kind was carried out. */
  boolean carriedOut(Ioctl ioctl) {
    for (Step step : steps) {
      if (step.ioctl() == ioctl && (step.end() == End.ACCEPTED || step.end() == End.ASSUMED)) {
        return true;
      }
    }
    return false;
  }
}
