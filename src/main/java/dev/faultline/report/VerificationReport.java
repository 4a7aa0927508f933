package dev.faultline.report;

import dev.faultline.timeline.Coverage;
import dev.faultline.timeline.Verification;
import dev.faultline.timeline.Verification.Tally;
import java.io.IOException;

/** Takes the verifications of recordings as they are done, one after the other. */
public interface VerificationReport {
  /**
   * A recording that was verified.
   *
   * @param verification what was found; its list of divergences may be cut
   * @param divergencesFound how many divergences there are
   * @param traceNote what a reader should know of the trace beside the recording; empty for nothing
   * @param kernelAsked whether the user chose the kernel; else it is what the recording tells
   */
  record Verified(
      Verification verification, long divergencesFound, String traceNote, boolean kernelAsked) {}

  /** The sums over all recordings. */
  record Total(
      int recordings, Tally calls, Tally runs, Tally fields, long synthesized, long divergences) {
    /** Of no recording. */
    public static final Total NONE = new Total(0, Tally.ZERO, Tally.ZERO, Tally.ZERO, 0, 0);

    /** With one recording more. */
    public Total plus(Verified verified) {
      Verification v = verified.verification();
      return new Total(
          recordings + 1,
          calls.plus(v.calls()),
          runs.plus(v.runs()),
          fields.plus(v.fields()),
          synthesized + v.synthesized().size(),
          divergences + verified.divergencesFound());
    }
  }

  /** One recording more. */
  void add(Verified verified) throws IOException;

  /** What the recordings together exercise; told after the last of them, if at all. */
  void coverage(Coverage coverage) throws IOException;

  /** There are no more. */
  void end() throws IOException;
}
