package dev.faultline.vcpu;

import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import org.jspecify.annotations.Nullable;

/**
 * How a KVM_RUN ended, as recorded.
 *
 * @param ret the return value
 * @param errno the error number when {@code ret} is -1, else 0
 * @param run the shared page after the call
 * @param shown how much of the page the input holds; {@code run} is zero elsewhere
 * @param ranGuest whether guest code, or KVM's emulation of it, may have run
 * @param ranL1 whether L1 may have run
 * @param traced whether tracepoints tell what happened inside
 */
public record RunResult(
    int ret,
    int errno,
    KvmRun run,
    PageShown shown,
    Answer ranGuest,
    Answer ranL1,
    boolean traced) {
  /** With the whole page. */
  public RunResult(int ret, int errno, KvmRun run, Answer ranGuest, Answer ranL1, boolean traced) {
    this(ret, errno, run, PageShown.WHOLE, ranGuest, ranL1, traced);
  }

  /**
   * How a KVM_RUN comes back that nobody made, by the rules.
   *
   * @param otherwise what to take where the rules cannot tell
   */
  public static RunResult supposed(Outcome outcome, RunResult otherwise) {
    return switch (outcome) {
      case Outcome.Refused r ->
          new RunResult(
              -1,
              r.errno().number(),
              KvmRun.zero(),
              PageShown.NOTHING,
              Answer.NO,
              Answer.NO,
              false);
      case Outcome.Exits e ->
          new RunResult(
              0,
              0,
              KvmRun.zero().withExitReason(e.exit().number()),
              PageShown.EXIT_REASON,
              Answer.NO,
              Answer.NO,
              false);
      case Outcome.Runs r ->
          new RunResult(
              0,
              0,
              KvmRun.zero(),
              PageShown.NOTHING,
              Answer.YES,
              r.fault() == null ? Answer.CANNOT_TELL : Answer.YES,
              false);
      case Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ -> otherwise;
    };
  }

  /** Whether the input holds the whole page. */
  public boolean showsPage() {
    return shown == PageShown.WHOLE;
  }

  /** Why KVM_RUN returned; null when the reason is unknown to this version, or not shown. */
  public @Nullable KvmExit exit() {
    return shown == PageShown.NOTHING ? null : run.exit();
  }

  /**
   * Whether the call ended in KVM_EXIT_SHUTDOWN.
   *
   * @return cannot tell where the reason is not shown
   */
  public Answer shutDown() {
    if (ret != 0) {
      return Answer.NO;
    }
    return shown == PageShown.NOTHING
        ? Answer.CANNOT_TELL
        : Answer.of(run.exit() == KvmExit.KVM_EXIT_SHUTDOWN);
  }
}
