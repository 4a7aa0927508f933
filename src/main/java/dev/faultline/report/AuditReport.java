package dev.faultline.report;

import dev.faultline.audit.AuditResult;
import java.io.IOException;

/** Takes the results of audits as they come. */
public interface AuditReport {
  /**
   * One recording.
   *
   * @param result what was found
   * @param file the file that the recording was read from, as the user named it
   * @param kernelAsked whether the user chose the kernel
   */
  record Audited(AuditResult result, String file, boolean kernelAsked) {}

  /** One recording more. */
  void add(Audited audited) throws IOException;

  /** There are no more. */
  void end() throws IOException;
}
