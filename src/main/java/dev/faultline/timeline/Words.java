package dev.faultline.timeline;

import dev.faultline.Check;
import dev.faultline.kvm.Errno;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.TimelineEvent;

/** Outcomes in the words of results. */
public final class Words {
  private Words() {}

  /** The outcome, e.g. {@code -1 EINVAL} or {@code KVM_EXIT_INTERNAL_ERROR, suberror 1}. */
  public static String outcome(Outcome outcome) {
    return switch (outcome) {
      case Outcome.Returns r -> Long.toString(r.value());
      case Outcome.Succeeds _ -> "a descriptor";
      case Outcome.Refused r -> "-1 " + r.errno().name();
      case Outcome.Exits e ->
          e.exit().name() + (e.suberror() < 0 ? "" : ", suberror " + e.suberror());
      case Outcome.Runs r ->
          r.fault() == null ? "runs the guest" : "L2 exits to L1 with TRIPLE_FAULT";
      case Outcome.Undecided u -> "cannot tell: " + u.missing();
    };
  }

  /** The rule behind the outcome. */
  public static String because(Outcome outcome) {
    return switch (outcome) {
      case Outcome.Returns r when r.stopped() != null -> check(r.stopped());
      case Outcome.Returns _, Outcome.Succeeds _ -> "no check of KVM fails";
      case Outcome.Refused r -> check(r.check());
      case Outcome.Exits e -> check(e.check());
      case Outcome.Runs r ->
          r.fault() == null ? "no rule ends it before the guest runs" : fault(r.fault());
      case Outcome.Undecided u -> u.missing() + " is not known";
    };
  }

  private static String fault(TimelineEvent.TripleFaultSynthesized fault) {
    Check failed = fault.failed();
    return switch (fault.cause()) {
      case REQUESTED -> "a triple fault was requested";
      case NO_PAGE_ROOT -> "the root of L2's page tables lies in no memory slot";
      case INVALID_GUEST_STATE -> failed == null ? "L2's state needs emulation" : check(failed);
    };
  }

  static boolean isEio(int ret, int errno) {
    return ret < 0 && errno == Errno.EIO.number();
  }

  static String hex(long value) {
    return "0x" + Long.toHexString(value);
  }

  /** What a call returned, e.g. {@code 0} or {@code -1 EINVAL}. */
  static String returned(int ret, int errno) {
    if (ret >= 0) {
      return Integer.toString(ret);
    }
    Errno known = Errno.of(errno);
    return ret + " " + (known == null ? "errno " + errno : known.name());
  }

  static String because(Check check) {
    return check(check);
  }

  private static String check(Check check) {
    return check.id() + ": " + check.rule() + " [" + check.kernelFunction() + "]";
  }
}
