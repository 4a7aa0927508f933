package dev.faultline.timeline;

import dev.faultline.trace.Observation.Call;

/**
 * One recorded call, altered so that it tells what KVM did not do.
 *
 * @param kind what was altered
 * @param what the alteration in words
 * @param told the call as it is told now
 */
record Lie(Kind kind, String what, Call told) {
  /** What is altered. */
  enum Kind {
    /** A success becomes -1 EINVAL, or another error. */
    FAILURE_FOR_SUCCESS,
    /** A failure becomes 0. */
    SUCCESS_FOR_FAILURE,
    /** A count or a value is one off. */
    ONE_OFF,
    /** A failure has another errno. */
    OTHER_ERRNO,
    /** A KVM_RUN ends with another exit reason. */
    OTHER_EXIT,
    /** An internal error has another suberror. */
    OTHER_SUBERROR,
    /** A byte of a payload that KVM wrote is another. */
    PAYLOAD_BYTE
  }

  @Override
  public String toString() {
    return kind + " " + told.where() + " " + told.name() + ": " + what;
  }
}
