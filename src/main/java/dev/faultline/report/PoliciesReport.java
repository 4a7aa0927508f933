package dev.faultline.report;

import dev.faultline.timeline.PolicyReview;
import java.io.IOException;

/** Takes the comparisons of policies over recordings as they are done, one after the other. */
public interface PoliciesReport {
  /**
   * A recording over which the policies were compared.
   *
   * @param kernelAsked whether the user chose the kernel; else it is what the recording tells
   */
  record Compared(PolicyReview review, boolean kernelAsked) {}

  /** One recording more. */
  void add(Compared compared) throws IOException;

  /** There are no more. */
  void end() throws IOException;
}
