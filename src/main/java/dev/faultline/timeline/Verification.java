package dev.faultline.timeline;

import dev.faultline.vcpu.KernelModel;
import java.util.List;

/**
 * What deciding every call of a recording again showed.
 *
 * @param recording its name
 * @param kernel the kernel model that decided
 * @param calls ioctls on vCPUs and VMs but for KVM_RUN and questions about the host
 * @param runs KVM_RUN: all, those of which the model says how they end, those that ended so
 * @param fields fields of payloads that KVM wrote: all, those known before, those as predicted
 * @param synthesized exits that KVM made by its own rules
 * @param divergences differences, in order
 * @param unread calls and lines that were carried but not understood
 */
public record Verification(
    String recording,
    KernelModel kernel,
    Tally calls,
    Tally runs,
    Tally fields,
    List<Synthesized> synthesized,
    List<Divergence> divergences,
    long unread) {

  /**
   * Three counts.
   *
   * @param total all there are
   * @param compared those that the model predicts
   * @param agree those that are as predicted
   */
  public record Tally(long total, long compared, long agree) {
    public static final Tally ZERO = new Tally(0, 0, 0);

    public Tally plus(Tally other) {
      return new Tally(total + other.total, compared + other.compared, agree + other.agree);
    }
  }

  public boolean clean() {
    return divergences.isEmpty();
  }
}
