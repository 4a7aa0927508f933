package dev.faultline.reorder;

import dev.faultline.kvm.Errno;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Outcome;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What comes of an order after the last call that was moved.
 *
 * @param refused calls after the window that answer otherwise than after the order it is measured
 *     by
 * @param run how the KVM_RUN after them begins, or null when there is none
 * @param l2 whether L2 is active at that KVM_RUN
 * @param smm whether the vCPU is in SMM there
 */
public record Ending(List<Deviation> refused, @Nullable Outcome run, Answer l2, Answer smm) {
  public Ending {
    refused = List.copyOf(refused);
  }

  /** Whether the KVM_RUN does not come to run the guest by KVM's own rules. */
  public boolean isFault() {
    return switch (run) {
      case null -> false;
      case Outcome.Runs r -> r.fault() != null;
      case Outcome.Exits _ -> true;
      case Outcome.Refused r -> r.errno() != Errno.EINTR;
      case Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ -> false;
    };
  }

  /** Whether the guest runs, or would, as far as KVM has a say in it. */
  boolean isFine() {
    return !isFault() && !(run instanceof Outcome.Undecided);
  }
}
