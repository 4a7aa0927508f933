package dev.faultline.vcpu;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A decision on KVM_SET_NESTED_STATE in the making, check by check, as the kernel walks through.
 */
final class SvmWalk {
  private final int moment;
  private final List<TimelineEvent> events = new ArrayList<>(2);
  private @Nullable Check failed;
  private Errno errno = Errno.EINVAL;
  private @Nullable String missing;

  SvmWalk(int moment) {
    this.moment = moment;
  }

  int moment() {
    return moment;
  }

  void add(TimelineEvent event) {
    events.add(event);
  }

  /** True when the check fails, which ends the walk. */
  boolean refuse(boolean violated, SvmNestedCheck check) {
    return violated && refuse(check, check.errno());
  }

  /** True when the check fails, which ends the walk. */
  boolean refuse(boolean violated, NestedStateCheck check) {
    return violated && refuse(check, check.errno());
  }

  /** True when the check certainly fails; notes what is missing when nobody can tell. */
  boolean refuse(Answer violated, SvmNestedCheck check, String what) {
    if (!violated.isKnown() && missing == null) {
      missing = what;
    }
    return refuse(violated.isYes(), check);
  }

  private boolean refuse(Check check, Errno with) {
    failed = check;
    errno = with;
    return true;
  }

  /**
   * The decision; what the events say has happened even if the call is refused. Where it cannot be
   * told whether a check fails, the events are those of a call that passes.
   */
  Decision finish() {
    boolean refusedEitherWay = failed != null && errno == Errno.EINVAL && events.isEmpty();
    if (missing != null && !refusedEitherWay) {
      return new Decision(
          new Outcome.Undecided(missing),
          failed == null ? List.copyOf(events) : List.of(doubted()),
          null);
    }
    if (failed == null) {
      return new Decision(Outcome.ZERO, List.copyOf(events), null);
    }
    events.add(new TimelineEvent.CallRefused(moment, Ioctl.SET_NESTED_STATE, errno, failed));
    return new Decision(new Outcome.Refused(errno, failed), List.copyOf(events), null);
  }

  private TimelineEvent doubted() {
    return new TimelineEvent.CallDoubted(moment, Ioctl.SET_NESTED_STATE);
  }
}
