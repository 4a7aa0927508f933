package dev.faultline.store;

import dev.faultline.timeline.Reexecution;
import java.util.List;

/**
 * Everything that a replay knows at a moment.
 *
 * @param reexecution the VMs and vCPUs
 * @param closed the descriptors closed so far, by what they stood for
 * @param lastUsed the vCPU that was called last, or an empty text
 */
public record ReplayState(Reexecution reexecution, List<String> closed, String lastUsed) {
  /** Takes the list as it is now. */
  public ReplayState {
    closed = List.copyOf(closed);
  }
}
