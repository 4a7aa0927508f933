package dev.faultline.timeline;

import org.jspecify.annotations.Nullable;

/**
 * A difference between what was recorded and what KVM's rules predict.
 *
 * @param moment where in the timeline
 * @param seq the recording's sequence number of the call
 * @param lane the vCPU or VM, e.g. {@code vm1/vcpu0}
 * @param ioctl the call, e.g. {@code KVM_SET_SREGS}
 * @param what which kind of difference
 * @param field the field of the payload, for {@link What#FIELD}
 * @param recorded what the recording holds, in words
 * @param predicted what the model says, in words
 * @param because the rule behind the prediction, or the last writer of the field
 * @param where {@code file:line} of the call
 */
public record Divergence(
    int moment,
    long seq,
    String lane,
    String ioctl,
    What what,
    @Nullable String field,
    String recorded,
    String predicted,
    String because,
    String where) {

  /** The kinds of differences. */
  public enum What {
    /** The return value or errno. */
    RETURN,
    /** How a KVM_RUN ended. */
    RUN,
    /** A field of a payload that KVM wrote. */
    FIELD;

    /** The word used in results. */
    public String word() {
      return switch (this) {
        case RETURN -> "return";
        case RUN -> "run";
        case FIELD -> "field";
      };
    }
  }
}
