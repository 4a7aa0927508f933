package dev.faultline.vmx;

/**
 * The values of guest_activity_state.
 *
 * <p><i>Source</i>: Intel SDM vol. 3C, "Guest Non-Register State".
 */
public final class ActivityState {
  /** Executing instructions. */
  public static final int ACTIVE = 0;

  /** After HLT. */
  public static final int HLT = 1;

  /** After a triple fault. */
  public static final int SHUTDOWN = 2;

  /** Waiting for a startup IPI. */
  public static final int WAIT_SIPI = 3;

  private ActivityState() {}
}
