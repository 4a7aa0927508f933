package dev.faultline.vcpu;

import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What KVM answers to a command and what the call does, refused or not: KVM_SET_NESTED_STATE, for
 * one, can fail after it has changed state.
 *
 * @param outcome the answer
 * @param events what happens, in order
 * @param reply what a KVM_GET_* returns, as far as it is known
 */
public record Decision(Outcome outcome, List<TimelineEvent> events, @Nullable Reply reply) {

  public static Decision of(Outcome outcome, TimelineEvent event) {
    return new Decision(outcome, List.of(event), null);
  }

  static Decision done(TimelineEvent event) {
    return new Decision(Outcome.ZERO, List.of(event), null);
  }

  static Decision reads(Reply reply) {
    return new Decision(Outcome.ZERO, List.of(), reply);
  }

  static Decision undecided(TimelineEvent event, String missing) {
    return new Decision(new Outcome.Undecided(missing), List.of(event), null);
  }
}
