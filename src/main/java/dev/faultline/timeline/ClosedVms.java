package dev.faultline.timeline;

import org.jspecify.annotations.Nullable;

/** Knows the VMs that a re-execution put away, since nothing can be called on them any more. */
@FunctionalInterface
public interface ClosedVms {
  /** Nothing was put away. */
  ClosedVms NONE = (_, _) -> null;

  /** The VM as it was put away last, at that moment or before; null if it was not. */
  @Nullable ClosedVm find(String vm, int moment);
}
