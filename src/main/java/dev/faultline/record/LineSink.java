package dev.faultline.record;

import org.jspecify.annotations.Nullable;

/**
 * Takes the lines of a recording while it is made; called by one thread, which is not the VMM's.
 */
public interface LineSink {
  /**
   * Takes whole lines, and may wait; waits long, the VMM waits too.
   *
   * @param last whether these are the last ones
   * @return null, or a sentence that tells why no more can be taken
   */
  @Nullable String take(byte[] lines, boolean last);
}
