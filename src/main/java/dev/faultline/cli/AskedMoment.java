package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.vcpu.Recorded;

/**
 * A moment as a user writes it: {@code 31}, an index into the timeline, or {@code seq:31}, the
 * recording's own number of a call.
 *
 * <p>A call may be several moments, a KVM_RUN with what happened in it; {@code seq:} means the last
 * of them, when the call has returned.
 *
 * @param isSeq whether {@code number} is a sequence number
 * @param number the index, or the sequence number
 */
record AskedMoment(boolean isSeq, long number) {
  private static final String SEQ = "seq:";

  /**
   * The moment written in {@code text}.
   *
   * @param option the option it was given to, for the sentence
   */
  static AskedMoment parse(String option, String text) {
    boolean seq = text.startsWith(SEQ);
    String digits = seq ? text.substring(SEQ.length()) : text;
    if (!digits.matches("[0-9]{1,18}")) {
      throw new UsageException(
          ErrorCode.MOMENT_UNKNOWN,
          option
              + ": expected a moment, an index as in 31 or a sequence number as in seq:31, found '"
              + text
              + "'");
    }
    return new AskedMoment(seq, Long.parseLong(digits));
  }

  /** True if the fact that was played last is, or holds, this moment. */
  boolean isAt(Playback playback) {
    return isSeq
        ? playback.fact().seq() == number
        : playback.first() <= number && number <= playback.last();
  }

  /** True if a fact that takes these moments is, or holds, this moment. */
  boolean isAt(Recorded fact, int first, int last) {
    return isSeq ? fact.seq() == number : first <= number && number <= last;
  }

  /** The index, once {@link #isAt} is true. */
  int index(Playback playback) {
    return isSeq ? playback.last() : (int) number;
  }

  /** What to say of a moment that the recording, played to its end, does not have. */
  UsageException unknown(String option, Playback playback, long firstSeq, long lastSeq) {
    return unknown(option, playback.reexecution().nextMoment() - 1, firstSeq, lastSeq);
  }

  /** The same, of a recording whose last moment this is. */
  UsageException unknown(String option, int lastMoment, long firstSeq, long lastSeq) {
    String range =
        isSeq
            ? "a sequence number from seq:" + firstSeq + " to seq:" + lastSeq
            : "a moment from 0 to " + lastMoment;
    return new UsageException(
        ErrorCode.MOMENT_UNKNOWN, option + ": expected " + range + ", found " + this);
  }

  @Override
  public String toString() {
    return (isSeq ? SEQ : "") + number;
  }
}
