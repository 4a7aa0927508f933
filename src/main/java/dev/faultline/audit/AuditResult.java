package dev.faultline.audit;

import dev.faultline.vcpu.KernelModel;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * What an audit found.
 *
 * @param recording its name
 * @param kernel whose rules were taken
 * @param findings in the order of the recording, at most {@link Findings#MAX_KEPT} of them
 * @param found how many there are, by rule
 * @param doubts rules that cannot be judged, once each
 * @param moments how long the timeline is
 */
public record AuditResult(
    String recording,
    KernelModel kernel,
    List<Finding> findings,
    Map<String, Integer> found,
    List<Doubt> doubts,
    int moments) {

  /** The same with the findings on these vCPUs only; those on a VM stay. */
  public AuditResult only(Predicate<String> vcpus) {
    List<Finding> kept =
        findings.stream().filter(f -> !f.lane().contains("/") || vcpus.test(f.lane())).toList();
    if (kept.size() == findings.size()) {
      return this;
    }
    TreeMap<String, Integer> counted = new TreeMap<>();
    kept.forEach(f -> counted.merge(f.rule().id(), 1, Integer::sum));
    return new AuditResult(recording, kernel, kept, counted, doubts, moments);
  }

  /** All findings, kept or not. */
  public int total() {
    return found.values().stream().mapToInt(Integer::intValue).sum();
  }

  /** Whether a finding is more than information. */
  public boolean isDirty() {
    return findings.stream().anyMatch(f -> f.severity() != Severity.INFORMATION);
  }
}
