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
