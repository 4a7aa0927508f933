package dev.faultline.audit;

import dev.faultline.vcpu.Vcpu;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A violated rule with its evidence.
 *
 * @param rule the rule
 * @param severity how bad this violation is, no worse than the rule's
 * @param lane the vCPU, or the VM
 * @param silent whether KVM returned success all the same
 * @param message what is wrong, in one sentence
 * @param evidence the calls that show it, in the order of the recording; at least one
 * @param at the call that broke the rule, one of the evidence
 * @param states the vCPU around that call; null where none is concerned, or after so many findings
 */
public record Finding(
    Rule rule,
    Severity severity,
    String lane,
    boolean silent,
    String message,
    List<Evidence> evidence,
    Evidence at,
    @Nullable States states) {

  /** Takes the list as it is now. */
  public Finding {
    evidence = List.copyOf(evidence);
  }

  /**
   * The vCPU before and after a call.
   *
   * @param before null if the call is the first on it
   */
  public record States(@Nullable Vcpu before, Vcpu after) {}

  /** Position in the timeline of the call that broke the rule. */
  public int moment() {
    return at.moment();
  }

  /** The recording's number of the call that broke the rule. */
  public long seq() {
    return at.seq();
  }
}
