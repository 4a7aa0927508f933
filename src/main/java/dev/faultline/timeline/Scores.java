package dev.faultline.timeline;

import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Divergence.What;
import dev.faultline.timeline.Verification.Tally;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Function;
import java.util.function.Predicate;

/**
 * What a re-execution has counted and found so far. Every count belongs to the vCPU or VM of the
 * call that it counts, also when another's call shows only later that this one was told wrongly.
 */
final class Scores {
  private static final int MAX_DIVERGENCES = 10_000;

  private final TimelineListener listener;
  private final SequencedMap<String, Counts> lanes = new LinkedHashMap<>();

  /** Of lanes that were put away: they count in every sum, but are no longer told apart. */
  private Counts putAway = new Counts();

  private final List<Divergence> divergences = new ArrayList<>();
  private final List<Synthesized> synthesized = new ArrayList<>();
  private long unread;

  Scores(TimelineListener listener) {
    this.listener = listener;
  }

  /** The same so far, to be counted on by itself. */
  Scores copy(TimelineListener other) {
    Scores copy = new Scores(other);
    lanes.forEach((lane, counts) -> copy.lanes.put(lane, counts.copy()));
    copy.putAway = putAway.copy();
    copy.divergences.addAll(divergences);
    copy.synthesized.addAll(synthesized);
    copy.unread = unread;
    return copy;
  }

  /** Lets go of what was found; it stays counted. */
  void forgetFindings() {
    divergences.clear();
    synthesized.clear();
  }

  /** The counts of one lane; of the divergences only how many there were. */
  private record Counts(Count calls, Count runs, Count fields, Count divergences) {
    Counts() {
      this(new Count(), new Count(), new Count(), new Count());
    }

    Counts copy() {
      return new Counts(calls.copy(), runs.copy(), fields.copy(), divergences.copy());
    }

    void add(Counts other) {
      calls.add(other.calls);
      runs.add(other.runs);
      fields.add(other.fields);
      divergences.add(other.divergences);
    }
  }

  /** How many there are, how many were compared, and how many were as predicted. */
  static final class Count {
    private long total;
    private long compared;
    private long agree;

    private Count copy() {
      Count copy = new Count();
      copy.total = total;
      copy.compared = compared;
      copy.agree = agree;
      return copy;
    }

    private void add(Count other) {
      total += other.total;
      compared += other.compared;
      agree += other.agree;
    }

    void meet(long more) {
      total += more;
    }

    void compare(boolean agrees) {
      compared++;
      agree += agrees ? 1 : 0;
    }

    /** One that seemed to be as predicted is not. */
    void retract() {
      agree--;
    }

    private Tally tally() {
      return new Tally(total, compared, agree);
    }
  }

  private Counts lane(String name) {
    Counts counts = lanes.get(name);
    if (counts == null) {
      counts = new Counts();
      lanes.put(name, counts);
    }
    return counts;
  }

  /** The lane is put away; what it counted stays in the sums. */
  void putAway(String lane) {
    Counts counts = lanes.remove(lane);
    if (counts != null) {
      putAway.add(counts);
    }
  }

  Count calls(String lane) {
    return lane(lane).calls();
  }

  Count runs(String lane) {
    return lane(lane).runs();
  }

  Count fields(String lane) {
    return lane(lane).fields();
  }

  /** A call that nobody understands. */
  void unread(String lane) {
    unread++;
    if (lane.startsWith("vm")) {
      calls(lane).meet(1);
    }
  }

  void add(Synthesized s) {
    synthesized.add(s);
  }

  long divergencesFound(String lane) {
    return lane(lane).divergences().total;
  }

  /** How many divergences there were, also those that are too many to be kept. */
  long divergencesFound(Predicate<String> asked) {
    return sum(asked, Counts::divergences).total();
  }

  void diverge(Divergence divergence) {
    lane(divergence.lane()).divergences().meet(1);
    if (divergences.size() < MAX_DIVERGENCES) {
      divergences.add(divergence);
    }
    listener.divergence(divergence);
  }

  /** How this KVM_RUN is said to have ended contradicts what else is recorded. */
  void contradicted(int moment, Recorded.VcpuCall call, String predicted, String because) {
    runs(call.vcpu()).compare(false);
    diverge(
        new Divergence(
            moment,
            call.seq(),
            call.vcpu(),
            Ioctl.RUN.uapiName(),
            What.RUN,
            null,
            Runs.ended(call),
            predicted,
            because,
            call.where()));
  }

  /** Counts and compares a return value. True unless it contradicts the prediction. */
  boolean compareReturn(
      int moment,
      long seq,
      String lane,
      Ioctl ioctl,
      String where,
      Outcome outcome,
      int ret,
      int errno) {
    Count calls = calls(lane);
    calls.meet(1);
    boolean agrees;
    switch (outcome) {
      case Outcome.Returns r -> agrees = ret == r.value();
      case Outcome.Succeeds _ -> agrees = ret >= 0;
      case Outcome.Refused r -> agrees = ret == -1 && errno == r.errno().number();
      case Outcome.Exits _, Outcome.Runs _ -> agrees = true;
      case Outcome.Undecided _ -> {
        return true;
      }
    }
    calls.compare(agrees);
    if (!agrees) {
      diverge(
          new Divergence(
              moment,
              seq,
              lane,
              ioctl.uapiName(),
              What.RETURN,
              null,
              Words.returned(ret, errno),
              Words.outcome(outcome),
              Words.because(outcome),
              where));
    }
    return agrees;
  }

  /** An answer that was decided once, by rules that may be others than these. Counts as no call. */
  void compareDecided(int moment, Recorded.VcpuCall call, Ioctl ioctl, Outcome outcome) {
    compareDecided(
        moment, call.seq(), call.vcpu(), ioctl, call.where(), outcome, call.ret(), call.errno());
  }

  /** The same of a call on a VM. */
  void compareDecided(int moment, Recorded.VmCall call, Ioctl ioctl, Outcome outcome) {
    compareDecided(
        moment, call.seq(), call.vm(), ioctl, call.where(), outcome, call.ret(), call.errno());
  }

  private void compareDecided(
      int moment,
      long seq,
      String lane,
      Ioctl ioctl,
      String where,
      Outcome outcome,
      int ret,
      int errno) {
    if (!agrees(outcome, ret, errno)) {
      diverge(
          new Divergence(
              moment,
              seq,
              lane,
              ioctl.uapiName(),
              What.RETURN,
              null,
              Words.returned(ret, errno) + ", decided and not recorded",
              Words.outcome(outcome),
              Words.because(outcome),
              where));
    }
  }

  private static boolean agrees(Outcome outcome, int ret, int errno) {
    return switch (outcome) {
      case Outcome.Returns r -> ret == r.value();
      case Outcome.Succeeds _ -> ret >= 0;
      case Outcome.Refused r -> ret == -1 && errno == r.errno().number();
      case Outcome.Exits _, Outcome.Runs _ -> ret == 0;
      case Outcome.Undecided _ -> true;
    };
  }

  /** All of it, for the lanes that are asked for. */
  Verification verification(String name, KernelModel kernel, Predicate<String> asked) {
    return new Verification(
        name,
        kernel,
        sum(asked, Counts::calls),
        sum(asked, Counts::runs),
        sum(asked, Counts::fields),
        synthesized.stream().filter(s -> asked.test(s.vcpu())).toList(),
        divergences.stream().filter(d -> asked.test(d.lane())).toList(),
        unread);
  }

  private Tally sum(Predicate<String> asked, Function<Counts, Count> which) {
    Tally sum = which.apply(putAway).tally();
    for (var lane : lanes.entrySet()) {
      if (asked.test(lane.getKey())) {
        sum = sum.plus(which.apply(lane.getValue()).tally());
      }
    }
    return sum;
  }
}
