package dev.faultline.reorder;

import dev.faultline.InvariantViolation;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vm;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Gathers a window from a recording that is being re-executed.
 *
 * <p>Calls on the VM stay where they are in a way of their own: whatever of them lies among the
 * calls of the vCPU is taken as done before.
 */
public final class WindowBuilder {
  private final Vcpu start;
  private final List<WindowCall> calls = new ArrayList<>();
  private final List<WindowCall> tail = new ArrayList<>();
  private final List<Long> pins = new ArrayList<>();
  private @Nullable WindowCall run;
  private @Nullable Vm vm;

  /** From this vCPU on. */
  public WindowBuilder(Vcpu start) {
    this.start = start;
  }

  /** The vCPU as it is when a call that is not yet re-executed is about to be made. */
  public static Vcpu before(Reexecution reexecution, Recorded.VcpuCall call) {
    Vcpu known = reexecution.vcpus().get(call.vcpu());
    if (known != null) {
      return known;
    }
    // A first sight changes what is known of a VM, so a copy of the re-execution is given one.
    Reexecution fork = reexecution.fork(TimelineListener.NONE);
    fork.accept(
        new Recorded.Note(call.seq(), call.ns(), call.where(), call.vcpu(), "mmap", "", call.fd()));
    Vcpu met = fork.vcpus().get(call.vcpu());
    if (met == null) {
      throw new InvariantViolation(call.where() + ": " + call.vcpu() + " was not met");
    }
    return met;
  }

  /** A call to be put into other places. */
  public WindowBuilder call(Recorded.VcpuCall call) {
    calls.add(windowCall(call));
    return this;
  }

  /** A call that comes after all of these. */
  public WindowBuilder tail(Recorded.VcpuCall call) {
    tail.add(windowCall(call));
    return this;
  }

  /** The KVM_RUN that follows. */
  public WindowBuilder run(Recorded.VcpuCall call) {
    run = windowCall(call);
    return this;
  }

  /** The call that the recording numbers so stays in its place. */
  public WindowBuilder pin(long seq) {
    pins.add(seq);
    return this;
  }

  /** The VM before the KVM_RUN, with what the recording taught about the host by then. */
  public WindowBuilder vm(Vm known) {
    vm = known;
    return this;
  }

  /** How many calls there are to be put into other places. */
  public int size() {
    return calls.size();
  }

  private static WindowCall windowCall(Recorded.VcpuCall call) {
    return new WindowCall(call.seq(), call.command(), call.ret(), call.errno());
  }

  /** The window. */
  public Window build() {
    List<Integer> pinned = new ArrayList<>();
    for (int i = 0; i < calls.size(); i++) {
      if (pins.contains(calls.get(i).seq())) {
        pinned.add(i);
      }
    }
    return new Window(vm == null ? start : start.withVm(vm), calls, pinned, tail, run);
  }
}
