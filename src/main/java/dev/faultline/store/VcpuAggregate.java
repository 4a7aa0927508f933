package dev.faultline.store;

import dev.faultline.InvariantViolation;
import dev.faultline.kvm.Ioctl;
import dev.faultline.store.WhatIf.Answered;
import dev.faultline.vcpu.CommandPayload;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import org.axonframework.commandhandling.CommandHandler;
import org.axonframework.eventsourcing.EventSourcingHandler;
import org.axonframework.modelling.command.AggregateIdentifier;
import org.axonframework.modelling.command.AggregateLifecycle;
import org.axonframework.modelling.command.AggregateRoot;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU that goes on by calls that nobody made.
 *
 * <p>What was recorded of it comes with a snapshot, which is made from the timeline's total order:
 * a vCPU's answers hang on its VM and on the host, too. What was decided since is in its stream.
 *
 * <p><i>Order</i>: KVM_RUN that comes to a VM-Enter says so; where L2 is one that hardware cannot
 * run, the TRIPLE_FAULT stands directly behind, in the same append. On replay it is not decided
 * again.
 */
@AggregateRoot(type = "Vcpu")
final class VcpuAggregate implements LaneState {
  @AggregateIdentifier private String stream = "";
  private @Nullable Vcpu vcpu;
  private int nextMoment;

  /** For Axon, which fills it. */
  VcpuAggregate() {}

  VcpuAggregate(String stream, Vcpu vcpu, int nextMoment) {
    this.stream = stream;
    this.vcpu = vcpu;
    this.nextMoment = nextMoment;
  }

  @Override
  public int nextMoment() {
    return nextMoment;
  }

  /** The vCPU as it is now. */
  Vcpu vcpu() {
    Vcpu known = vcpu;
    if (known == null) {
      throw new InvariantViolation(stream + " is asked for its state before it has one");
    }
    return known;
  }

  @CommandHandler
  Answered handle(CallVcpu c) {
    VcpuCommand command =
        CommandPayload.vcpu(c.moment(), c.call().ioctl(), c.call().arg(), c.call().in());
    Decision decision = VcpuModel.decide(vcpu(), command);
    String lane = LaneEvent.laneOf(stream);
    return command instanceof VcpuCommand.Run
        ? run(c, lane, decision)
        : ioctl(c, lane, decision.outcome());
  }

  private static Answered ioctl(CallVcpu c, String lane, Outcome outcome) {
    Answered answered = DecidedEvents.answer(c.moment(), c.seq(), c.call(), outcome, 0);
    AggregateLifecycle.apply(
        DecidedEvents.called(answered, lane, DecidedEvents.descriptor(lane), c.call()));
    return answered;
  }

  private static Answered run(CallVcpu c, String lane, Decision decision) {
    Answered answered = DecidedEvents.answer(c.moment(), c.seq(), c.call(), decision.outcome(), 0);
    int moment = c.moment();
    AggregateLifecycle.apply(DecidedEvents.runEntered(answered, lane, c.call()));
    if (decision.outcome() instanceof Outcome.Runs runs) {
      AggregateLifecycle.apply(DecidedEvents.vmEntry(moment, c.seq()));
      if (runs.fault() != null) {
        moment++;
        AggregateLifecycle.apply(DecidedEvents.fault(moment, c.seq(), runs.fault()));
      }
    }
    AggregateLifecycle.apply(DecidedEvents.runReturned(moment + 1, answered));
    return answered;
  }

  @EventSourcingHandler
  void on(StoredEvent event) {
    nextMoment = Math.max(nextMoment, event.moment() + 1);
    switch (event.type()) {
      case CALL_DECIDED -> called(event);
      case RUN_DECIDED -> carryOut(decide(event));
      case VM_ENTRY_DECIDED -> {
        // The state at which L2 is judged; entering changes nothing of it.
      }
      case TRIPLE_FAULT_SYNTHESIZED ->
          vcpu = VcpuModel.evolve(vcpu(), DecidedEvents.faultOf(event));
      case RUN_ANSWERED ->
          vcpu =
              VcpuModel.evolve(
                  vcpu(),
                  new TimelineEvent.RunReturned(event.moment(), DecidedEvents.resultOf(event)));
      default ->
          throw new InvariantViolation(
              stream + ": " + event + " is a fact, and facts come with the snapshot");
    }
  }

  private Decision decide(StoredEvent event) {
    return VcpuModel.decide(vcpu(), DecidedEvents.commandOf(event));
  }

  private void called(StoredEvent event) {
    Decision decision = decide(event);
    Ioctl ioctl = DecidedEvents.ioctlOf(event);
    boolean undecided = decision.outcome() instanceof Outcome.Undecided;
    if (undecided
        && DecidedEvents.commandOf(event) instanceof VcpuCommand.SetMsrs set
        && !DecidedEvents.failed(event)) {
      int processed = (int) event.number("ret");
      vcpu =
          VcpuModel.evolve(
              vcpu(), new TimelineEvent.MsrsSet(event.moment(), set.msrs(), processed, true));
    } else if (undecided && DecidedEvents.resultIsFailure(event, ioctl)) {
      vcpu = VcpuModel.evolve(vcpu(), new TimelineEvent.CallDoubted(event.moment(), ioctl));
    } else {
      carryOut(decision);
    }
  }

  private void carryOut(Decision decision) {
    for (TimelineEvent each : decision.events()) {
      vcpu = VcpuModel.evolve(vcpu(), each);
    }
  }
}
