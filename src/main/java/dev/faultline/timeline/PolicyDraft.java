package dev.faultline.timeline;

import dev.faultline.timeline.PolicyMoment.Judged;
import dev.faultline.timeline.PolicyMoment.Point;
import dev.faultline.vcpu.Verdict;
import dev.faultline.vmx.GuestStateCheck;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A moment whose judgements are not all known yet. */
final class PolicyDraft {
  final PolicyLane.Place place;
  final Point point;
  final Culprit culprit;
  final @Nullable GuestStateCheck failed;
  final long writerSeq;
  RunEnding recorded;
  final List<Verdict> verdicts = new ArrayList<>();
  final List<List<Criterion>> against = new ArrayList<>();
  final boolean[] open;

  PolicyDraft(
      PolicyLane.Place place,
      Point point,
      Culprit culprit,
      @Nullable GuestStateCheck failed,
      long writerSeq,
      RunEnding recorded,
      int policies) {
    this.place = place;
    this.point = point;
    this.culprit = culprit;
    this.failed = failed;
    this.writerSeq = writerSeq;
    this.recorded = recorded;
    this.open = new boolean[policies];
  }

  PolicyMoment finished() {
    List<Judged> judged = new ArrayList<>();
    for (int i = 0; i < verdicts.size(); i++) {
      judged.add(new Judged(verdicts.get(i), List.copyOf(against.get(i)), open[i]));
    }
    return new PolicyMoment(
        place.moment(),
        place.seq(),
        place.vcpu(),
        point,
        place.call(),
        place.variant(),
        culprit,
        failed,
        writerSeq,
        recorded,
        List.copyOf(judged));
  }
}
