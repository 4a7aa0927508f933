package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.InvariantViolation;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Reexecution;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import org.axonframework.commandhandling.CommandExecutionException;
import org.axonframework.modelling.command.ConcurrencyException;
import org.jspecify.annotations.Nullable;

/**
 * Goes on with a fork by calls that nobody made: KVM's rules decide each, and what they decide is
 * stored as events of their own kinds, beside the facts that the fork shares.
 *
 * <p><i>Order</i>: a call is a command to the aggregate of its lane, whose state is rebuilt from
 * the stream; all of its events leave in one append.
 */
public final class WhatIf {
  /** Replays a timeline to its end, with whatever helps it to be quick. */
  @FunctionalInterface
  public interface Replay {
    /** The state behind the last event of a timeline. */
    Reexecution toEnd(TimelineStore store, String timeline);
  }

  /**
   * A call to be decided.
   *
   * @param arg the third argument of ioctl(2), where it is no pointer
   * @param in the struct that the argument points to, or kvm_run's page for KVM_RUN
   * @param supposed the answer to take where the rules cannot tell; null to refuse the call then
   */
  public record Call(Ioctl ioctl, long arg, Bytes in, @Nullable Supposed supposed) {}

  /** An answer that the user supposes. */
  public record Supposed(int ret, int errno) {}

  /**
   * What came of a call.
   *
   * @param moment its first moment
   * @param seq its sequence number in the timeline
   * @param outcome what the rules say
   * @param fault the TRIPLE_FAULT that KVM makes at the VM-Enter of this KVM_RUN, or null
   */
  public record Answered(
      int moment,
      long seq,
      Outcome outcome,
      int ret,
      int errno,
      TimelineEvent.@Nullable TripleFaultSynthesized fault) {}

  private final TimelineStore store;

  WhatIf(TimelineStore store, Replay replay) {
    this.store = store;
    store.engine().rebuildSnapshots(new LaneSnapshots(store, replay));
  }

  /**
   * Makes a call on a lane of a fork, as the next thing that happens there.
   *
   * @param moment the moment that the caller knows as the next one
   * @throws UsageException if the rules cannot tell the answer and none is supposed, or the
   *     timeline is none to go on with
   * @throws StoreException if another writer was first
   */
  public Answered call(String timeline, String lane, int moment, Call call) {
    try {
      return dispatch(timeline, lane, moment, call);
    } catch (ConcurrencyException e) {
      throw new StoreException(ErrorCode.STORE_CONFLICT, String.valueOf(e.getMessage()), e);
    } catch (CommandExecutionException e) {
      if (e.getCause() instanceof RuntimeException own) {
        throw own;
      }
      throw e;
    }
  }

  /**
   * A vCPU at the end of a timeline, also one that was created and not called yet; null if none.
   */
  public @Nullable Vcpu vcpu(Reexecution end, String lane) {
    Vcpu known = end.vcpu(lane);
    return known != null
        ? known
        : end.createdVcpu(
            lane, lane.substring(0, lane.indexOf('/')), DecidedEvents.descriptor(lane));
  }

  /** The same, with Axon's own exceptions. */
  Answered dispatch(String timeline, String lane, int moment, Call call) {
    store.demandFork(timeline);
    long seq = store.nextSeq(timeline);
    String stream = LaneEvent.stream(timeline, lane);
    Object command =
        lane.indexOf('/') < 0
            ? new CallVm(stream, moment, seq, call)
            : new CallVcpu(stream, moment, seq, call);
    Object answered = store.machinery().configuration().commandGateway().sendAndWait(command);
    if (answered instanceof Answered answer) {
      return answer;
    }
    throw new InvariantViolation("a command was answered by " + answered);
  }
}
