package dev.faultline.store;

import dev.faultline.InvariantViolation;
import dev.faultline.store.WhatIf.Answered;
import dev.faultline.vcpu.CommandPayload;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vm;
import dev.faultline.vcpu.VmCommand;
import dev.faultline.vcpu.VmRules;
import org.axonframework.commandhandling.CommandHandler;
import org.axonframework.eventsourcing.EventSourcingHandler;
import org.axonframework.modelling.command.AggregateIdentifier;
import org.axonframework.modelling.command.AggregateLifecycle;
import org.axonframework.modelling.command.AggregateRoot;
import org.jspecify.annotations.Nullable;

/** A VM that goes on by calls that nobody made; see {@link VcpuAggregate}. */
@AggregateRoot(type = "Vm")
final class VmAggregate implements LaneState {
  @AggregateIdentifier private String stream = "";
  private @Nullable Vm vm;
  private int nextMoment;

  /** For Axon, which fills it. */
  VmAggregate() {}

  VmAggregate(String stream, Vm vm, int nextMoment) {
    this.stream = stream;
    this.vm = vm;
    this.nextMoment = nextMoment;
  }

  @Override
  public int nextMoment() {
    return nextMoment;
  }

  /** The VM as it is now. */
  Vm vm() {
    Vm known = vm;
    if (known == null) {
      throw new InvariantViolation(stream + " is asked for its state before it has one");
    }
    return known;
  }

  @CommandHandler
  Answered handle(CallVm c) {
    VmCommand command =
        CommandPayload.vm(c.moment(), c.call().ioctl(), c.call().arg(), c.call().in());
    Outcome outcome = VmRules.decide(vm(), command).outcome();
    int descriptor =
        command instanceof VmCommand.CreateVcpu create ? DecidedEvents.descriptor(create.id()) : 0;
    Answered answered = DecidedEvents.answer(c.moment(), c.seq(), c.call(), outcome, descriptor);
    AggregateLifecycle.apply(
        DecidedEvents.called(answered, LaneEvent.laneOf(stream), -1, c.call()));
    return answered;
  }

  @EventSourcingHandler
  void on(StoredEvent event) {
    nextMoment = Math.max(nextMoment, event.moment() + 1);
    if (event.type() != EventType.CALL_DECIDED) {
      throw new InvariantViolation(
          stream + ": " + event + " is a fact, and facts come with the snapshot");
    }
    VmRules.Result result = VmRules.decide(vm(), DecidedEvents.vmCommandOf(event));
    boolean didNothing =
        result.outcome() instanceof Outcome.Undecided && DecidedEvents.failed(event);
    if (!didNothing) {
      vm = result.after();
    }
  }
}
