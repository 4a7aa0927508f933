package dev.faultline.report;

import java.io.IOException;

/** Takes the rows of a timeline as they come. */
public interface MomentReport {
  /** One row more. */
  void add(MomentRow row) throws IOException;

  /** There are no more. */
  void end() throws IOException;
}
