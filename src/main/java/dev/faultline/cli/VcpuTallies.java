package dev.faultline.cli;

import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.timeline.Verification;
import dev.faultline.timeline.Verification.Tally;
import dev.faultline.vcpu.Recorded;

/**
 * The part of a verification that concerns the vCPUs that the user wants to hear of: what the
 * counts of the whole grow by while a call of theirs is played.
 */
final class VcpuTallies implements TimelineListener {
  private final VcpuFilter vcpus;
  private long divergences;
  private Tally calls = Tally.ZERO;
  private Tally runs = Tally.ZERO;
  private Tally fields = Tally.ZERO;
  private Tally callsBefore = Tally.ZERO;
  private Tally runsBefore = Tally.ZERO;
  private Tally fieldsBefore = Tally.ZERO;

  VcpuTallies(VcpuFilter vcpus) {
    this.vcpus = vcpus;
  }

  @Override
  public void divergence(Divergence divergence) {
    if (vcpus.takes(divergence.lane())) {
      divergences++;
    }
  }

  /** How many divergences there are; a result holds only the first ten thousand. */
  long divergences() {
    return divergences;
  }

  /** The playback advanced by one fact. */
  void played(Playback playback) {
    if (vcpus.isAll()) {
      return;
    }
    Verification now = playback.reexecution().result();
    if (playback.fact() instanceof Recorded.VcpuCall call && vcpus.takes(call.vcpu())) {
      calls = calls.plus(growth(callsBefore, now.calls()));
      runs = runs.plus(growth(runsBefore, now.runs()));
      fields = fields.plus(growth(fieldsBefore, now.fields()));
    }
    callsBefore = now.calls();
    runsBefore = now.runs();
    fieldsBefore = now.fields();
  }

  private static Tally growth(Tally before, Tally now) {
    return new Tally(
        now.total() - before.total(),
        now.compared() - before.compared(),
        now.agree() - before.agree());
  }

  /** The verification without the vCPUs that the user does not want to hear of. */
  Verification only(Verification whole) {
    if (vcpus.isAll()) {
      return whole;
    }
    return new Verification(
        whole.recording(),
        whole.kernel(),
        calls,
        runs,
        fields,
        whole.synthesized().stream().filter(s -> vcpus.takes(s.vcpu())).toList(),
        whole.divergences().stream().filter(d -> vcpus.takes(d.lane())).toList(),
        whole.unread());
  }
}
