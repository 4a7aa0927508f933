package dev.faultline.timeline;

import dev.faultline.vcpu.KernelVersion;
import java.util.List;

/**
 * What became of one test case of a recorded program, which marks in the recording name.
 *
 * @param recording the recording's name
 * @param kernel the kernel that it was recorded on
 * @param variant the test case
 * @param recorded what the kernel did with the guest that it was about to enter
 * @param predicted what the model says it may do; empty where it cannot tell
 * @param rsm whether RSM made the state that the guest was entered with
 */
public record VariantOutcome(
    String recording,
    KernelVersion kernel,
    String variant,
    RunEnding recorded,
    List<RunEnding> predicted,
    boolean rsm) {

  /** Whether the model could tell. */
  public boolean isTold() {
    return !predicted.isEmpty();
  }

  /** Whether the model was wrong. */
  public boolean isWrong() {
    return isTold() && !predicted.contains(recorded);
  }
}
