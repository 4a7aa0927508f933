package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.reorder.Reorder;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowBuilder;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Plays a recording up to a window and takes the calls in it. */
final class WindowSeek implements TimelineListener {
  /**
   * What the user wants to see reordered.
   *
   * @param from the first moment
   * @param to the last moment, or null for the moment before the next KVM_RUN
   * @param pins sequence numbers of calls that stay in their place
   * @param vcpus whose calls; those of the first vCPU that is met
   */
  record Asked(AskedMoment from, @Nullable AskedMoment to, List<Long> pins, VcpuFilter vcpus) {}

  private final Asked asked;
  private final List<Long> open;
  private @Nullable Playback playback;
  private @Nullable Vcpu before;
  private @Nullable WindowBuilder window;
  private String lane = "";
  private boolean started;
  private boolean ended;
  private boolean complete;
  private long firstSeq = Long.MAX_VALUE;
  private long lastSeq = -1;

  private WindowSeek(Asked asked) {
    this.asked = asked;
    this.open = new ArrayList<>(asked.pins());
  }

  /** The window that is asked for. */
  static Window find(RecordingSource source, KernelModel kernel, Asked asked) {
    WindowSeek seek = new WindowSeek(asked);
    try (Playback playback = new Playback(source, kernel, seek)) {
      seek.playback = playback;
      while (!seek.complete && playback.advance()) {
        seek.see(playback);
      }
      return seek.result(playback);
    }
  }

  /** Told of a call after its vCPU was met and before the call is carried out. */
  @Override
  public void fact(int moment, Recorded fact, @Nullable Outcome predicted) {
    if (fact instanceof Recorded.VcpuCall call) {
      before = Objects.requireNonNull(playback).reexecution().vcpus().get(call.vcpu());
    }
  }

  private void see(Playback at) {
    Recorded fact = at.fact();
    if (fact.seq() >= 0) {
      firstSeq = Math.min(firstSeq, fact.seq());
      lastSeq = Math.max(lastSeq, fact.seq());
    }
    started |= asked.from().isAt(at);
    if (started && fact instanceof Recorded.VcpuCall call && isOurs(call)) {
      take(call);
    }
    ended |= asked.to() != null && asked.to().isAt(at);
  }

  private boolean isOurs(Recorded.VcpuCall call) {
    return lane.isEmpty() ? asked.vcpus().takes(call.vcpu()) : lane.equals(call.vcpu());
  }

  private void take(Recorded.VcpuCall call) {
    Vcpu now = Objects.requireNonNull(before);
    boolean run = call.command() instanceof VcpuCommand.Run;
    WindowBuilder to = window;
    if (to == null) {
      if (run || ended) {
        throw new UsageException(
            ErrorCode.WINDOW_EMPTY,
            "--from "
                + asked.from()
                + ": expected calls of a vCPU other than KVM_RUN, found "
                + (ended ? "none" : "KVM_RUN (seq " + call.seq() + ") first"));
      }
      to = new WindowBuilder(now);
      window = to;
      lane = call.vcpu();
    }
    if (!run) {
      add(to, call);
    } else if (ended || asked.to() == null) {
      to.run(call).vm(now.vm());
      complete = true;
    } else {
      throw new UsageException(
          ErrorCode.USAGE,
          "--to: expected a moment before KVM_RUN (seq "
              + call.seq()
              + "), since what a guest does cannot be put into another place, found "
              + asked.to());
    }
  }

  private void add(WindowBuilder to, Recorded.VcpuCall call) {
    if (ended) {
      to.tail(call);
      return;
    }
    to.call(call);
    if (open.remove(call.seq())) {
      to.pin(call.seq());
    }
    if (to.size() > Reorder.MOST_CALLS) {
      throw new UsageException(
          ErrorCode.WINDOW_TOO_LARGE,
          "expected at most "
              + Reorder.MOST_CALLS
              + " calls of "
              + lane
              + " from "
              + asked.from()
              + " on, found more; name an earlier --to");
    }
  }

  private Window result(Playback at) {
    if (!started) {
      throw asked.from().unknown("--from", at, firstSeq, lastSeq);
    }
    if (asked.to() != null && !ended) {
      throw asked.to().unknown("--to", at, firstSeq, lastSeq);
    }
    asked.vcpus().demand(at.reexecution().vcpus().keySet(), "this recording up to that moment");
    if (window == null) {
      throw new UsageException(
          ErrorCode.WINDOW_EMPTY,
          "--from " + asked.from() + ": expected calls of a vCPU from there on, found none");
    }
    if (!open.isEmpty()) {
      throw new UsageException(
          ErrorCode.MOMENT_UNKNOWN,
          "--pin: expected a call in the window, found seq:" + open.getFirst());
    }
    if (!complete) {
      window.vm(Objects.requireNonNull(at.reexecution().vcpus().get(lane)).vm());
    }
    return window.build();
  }
}
