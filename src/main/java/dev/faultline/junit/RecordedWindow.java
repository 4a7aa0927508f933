package dev.faultline.junit;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.reorder.Reorder;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowBuilder;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.VcpuCommand;
import org.jspecify.annotations.Nullable;

/** Takes the calls of one vCPU out of a recording, up to its next KVM_RUN. */
final class RecordedWindow {
  private final RecordingSource source;
  private final long from;
  private final long to;
  private final Reexecution reexecution;
  private @Nullable WindowBuilder window;
  private String vcpu = "";
  private boolean ended;
  private boolean complete;

  private RecordedWindow(RecordingSource source, KernelModel kernel, long from, long to) {
    this.source = source;
    this.from = from;
    this.to = to;
    this.reexecution = new Reexecution(source.name(), kernel, TimelineListener.NONE);
  }

  /**
   * The calls from one to another.
   *
   * @param to the last call, or a negative number for the one before the next KVM_RUN
   */
  static Window of(RecordingSource source, KernelModel kernel, long from, long to) {
    RecordedWindow taken = new RecordedWindow(source, kernel, from, to);
    try (ObservationReader reader = source.open()) {
      while (!taken.complete && reader.hasNext()) {
        taken.accept(RecordedCalls.convert(reader.next(), taken.reexecution.nextMoment()));
      }
    }
    WindowBuilder window = taken.window;
    if (window == null) {
      throw taken.unknown(from);
    }
    if (to >= 0 && !taken.ended) {
      throw taken.unknown(to);
    }
    return window.build();
  }

  private UsageException unknown(long seq) {
    return new UsageException(
        ErrorCode.MOMENT_UNKNOWN,
        source.name()
            + ": expected a call of a vCPU, other than KVM_RUN, of the number "
            + seq
            + ", found none");
  }

  private void accept(Recorded fact) {
    if (fact instanceof Recorded.VcpuCall call
        && (window == null ? call.seq() == from : call.vcpu().equals(vcpu))) {
      take(call);
    }
    reexecution.accept(fact);
  }

  private void take(Recorded.VcpuCall call) {
    boolean run = call.command() instanceof VcpuCommand.Run;
    WindowBuilder taken = window;
    if (taken == null) {
      if (run) {
        throw unknown(from);
      }
      taken = new WindowBuilder(WindowBuilder.before(reexecution, call));
      window = taken;
      vcpu = call.vcpu();
    }
    if (run) {
      taken.run(call).vm(WindowBuilder.before(reexecution, call).vm());
      complete = true;
    } else if (ended) {
      taken.tail(call);
    } else {
      taken.call(call);
      ended = call.seq() == to;
      demandFew(taken);
    }
  }

  private void demandFew(WindowBuilder taken) {
    if (taken.size() > Reorder.MOST_CALLS) {
      throw new UsageException(
          ErrorCode.WINDOW_TOO_LARGE,
          "%s: expected at most %d calls of %s from %d on, found more; name an earlier end"
              .formatted(source.name(), Reorder.MOST_CALLS, vcpu, from));
    }
  }
}
