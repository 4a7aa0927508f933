package dev.faultline.store;

/** The state of a lane's aggregate, as a snapshot keeps it. */
interface LaneState {
  /** The first moment that is not in it. */
  int nextMoment();
}
