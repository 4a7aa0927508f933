package dev.faultline.reorder;

import dev.faultline.vcpu.Vcpu;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Calls to be put into every order, and what stays around them.
 *
 * @param start the vCPU before the first of them
 * @param calls the calls in the order in which they were recorded
 * @param pinned positions in {@code calls} of those that must stay where they are
 * @param tail calls that come after all of these, in their recorded order
 * @param run the KVM_RUN after them, or null when there is none
 */
public record Window(
    Vcpu start,
    List<WindowCall> calls,
    List<Integer> pinned,
    List<WindowCall> tail,
    @Nullable WindowCall run) {
  public Window {
    calls = List.copyOf(calls);
    pinned = List.copyOf(pinned);
    tail = List.copyOf(tail);
  }

  /** How many calls. */
  public int size() {
    return calls.size();
  }
}
