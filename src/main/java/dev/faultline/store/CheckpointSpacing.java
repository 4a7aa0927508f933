package dev.faultline.store;

import dev.faultline.Bytes;
import org.jspecify.annotations.Nullable;

/**
 * Before which pages the state is kept: reading a state back must cost no more than the replay that
 * it saves. States of many VMs are large, and lie further apart.
 */
public final class CheckpointSpacing {
  /** Bytes of a state that cost about as much as an event. */
  private static final int BYTES_PER_EVENT = 16;

  private long events;
  private long lastSize;

  /** Whether a state is to be kept after a page of so many events. */
  public boolean isDue(int pageEvents) {
    events += pageEvents;
    return events * BYTES_PER_EVENT >= lastSize;
  }

  /** Takes note of a state as it was kept, or that it could not be. */
  public @Nullable Bytes kept(@Nullable Bytes state) {
    if (state != null) {
      lastSize = state.size();
      events = 0;
    }
    return state;
  }
}
