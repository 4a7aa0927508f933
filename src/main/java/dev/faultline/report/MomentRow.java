package dev.faultline.report;

import dev.faultline.Check;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One moment of a timeline, or a divergence found there, ready to be shown.
 *
 * @param moment the position in the timeline
 * @param seq the recording's sequence number of the call, or a negative number
 * @param ns CLOCK_MONOTONIC, or a negative number for what has no time of its own
 * @param lane the vCPU or VM, or empty
 * @param kind the word by which programs tell rows apart, {@code ioctl}, {@code vm-exit}
 * @param sort how it is shown
 * @param name the ioctl, or what happened in words
 * @param result what the call returned; null for what is no call
 * @param check the check that failed, where one did
 * @param changes what a call's payload tells that was not known
 * @param text what else there is to say, in words; may be empty
 */
public record MomentRow(
    int moment,
    long seq,
    long ns,
    String lane,
    String kind,
    Sort sort,
    String name,
    @Nullable Result result,
    @Nullable Check check,
    List<FieldChange> changes,
    String text) {

  /** How a row is shown. */
  public enum Sort {
    /** A call, or a line of the recording that is none. */
    FACT,
    /** A call that nobody made. */
    DECIDED,
    /** Something inside a KVM_RUN. */
    INSIDE,
    /** Something inside a KVM_RUN that the model added. */
    SYNTHESIZED,
    /** A difference between the recording and the model. */
    DIVERGENCE
  }

  /**
   * What an ioctl returned.
   *
   * @param ret the return value
   * @param errno the error number, or 0
   */
  public record Result(int ret, int errno) {}
}
