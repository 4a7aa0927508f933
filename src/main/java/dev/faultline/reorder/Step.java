package dev.faultline.reorder;

import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import org.jspecify.annotations.Nullable;

/**
 * A call carried out by KVM's rules alone, in a place where nobody recorded it.
 *
 * @param outcome what it answers
 * @param after the vCPU after it
 */
record Step(Outcome outcome, Vcpu after) {

  /**
   * The call on this vCPU.
   *
   * @param excused what the model does not know where the call was recorded, or null if it knows
   *     all. If the same is missing here the call does what was recorded: it is a fact of the host
   *     or of guest memory, which are the same in every order.
   */
  static Step of(Vcpu v, WindowCall call, @Nullable String excused) {
    Decision decision = VcpuModel.decide(v, call.command());
    if (decision.outcome() instanceof Outcome.Undecided undecided) {
      return undecided(v, call, decision, undecided.missing().equals(excused));
    }
    return new Step(decision.outcome(), carryOut(v, decision));
  }

  private static Step undecided(Vcpu v, WindowCall call, Decision decision, boolean asRecorded) {
    if (!asRecorded || call.ret() < 0) {
      Vcpu after = asRecorded ? v : carryOut(v, decision);
      return new Step(
          decision.outcome(),
          VcpuModel.evolve(
              after, new TimelineEvent.CallDoubted(call.command().moment(), call.ioctl())));
    }
    Outcome recorded = new Outcome.Returns(call.ret());
    if (call.command() instanceof VcpuCommand.SetMsrs set) {
      TimelineEvent written = new TimelineEvent.MsrsSet(set.moment(), set.msrs(), call.ret(), true);
      return new Step(recorded, VcpuModel.evolve(v, written));
    }
    return new Step(recorded, carryOut(v, decision));
  }

  private static Vcpu carryOut(Vcpu v, Decision decision) {
    Vcpu next = v;
    for (TimelineEvent event : decision.events()) {
      next = VcpuModel.evolve(next, event);
    }
    return next;
  }

  /** What the model misses about the call where it was recorded; null if nothing. */
  static @Nullable String missing(Vcpu v, WindowCall call) {
    return VcpuModel.decide(v, call.command()).outcome() instanceof Outcome.Undecided u
        ? u.missing()
        : null;
  }
}
