package dev.faultline.migration;

import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Host;
import java.util.List;

/**
 * Which MSRs a step reads or writes.
 *
 * @param listed those that {@code KVM_GET_MSR_INDEX_LIST} names when it reads; all that were saved
 *     when it writes
 * @param named these in any case
 * @param except these in no case
 */
public record MsrSet(boolean listed, List<Integer> named, List<Integer> except) {
  /** No MSR. */
  public static final MsrSet NONE = new MsrSet(false, List.of(), List.of());

  /** All of the list, or all that were saved. */
  public static final MsrSet ALL = new MsrSet(true, List.of(), List.of());

  public MsrSet {
    named = List.copyOf(named);
    except = List.copyOf(except);
  }

  /** Whether a step that reads takes this MSR. */
  Answer reads(Host host, int index) {
    if (except.contains(index)) {
      return Answer.NO;
    }
    return named.contains(index) ? Answer.YES : listed ? host.listsMsr(index) : Answer.NO;
  }

  /** Whether a step that writes takes this MSR out of those that were saved. */
  boolean writes(int index) {
    return !except.contains(index) && (listed || named.contains(index));
  }
}
