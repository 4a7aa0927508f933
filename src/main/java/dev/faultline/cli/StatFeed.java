package dev.faultline.cli;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.timeline.Statistics;
import dev.faultline.trace.Observation;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.TraceEvent;
import dev.faultline.vcpu.PageShown;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Counts observations: the calls themselves, and the exits of the guest that their traces show. */
final class StatFeed {
  private final Statistics to;
  private final VcpuFilter vcpus;
  private final TreeMap<String, Lane> lanes = new TreeMap<>();

  /** A vCPU's last exit, whose time is not over, and whether L2 runs. */
  private static final class Lane {
    private @Nullable String reason;
    private long exitNs;
    private boolean l2;
    private boolean exitOfL2;
  }

  StatFeed(Statistics to, VcpuFilter vcpus) {
    this.to = to;
    this.vcpus = vcpus;
  }

  void accept(Observation observation) {
    if (!(observation instanceof Call call) || !vcpus.takes(call.obj())) {
      return;
    }
    boolean timed = call.enterNs() >= 0 && call.exitNs() > call.enterNs();
    if (call.enterNs() >= 0) {
      to.span(call.enterNs(), call.exitNs());
    }
    long ns = timed ? call.exitNs() - call.enterNs() : -1;
    boolean failed = call.ret() < 0;
    to.ioctl(call.obj(), call.name(), failed, ns);
    if (call.name().equals(Ioctl.RUN.uapiName())) {
      to.returned(call.obj(), why(call), failed, ns);
    }
    if (!call.trace().isEmpty()) {
      trace(call.obj(), call.trace());
    }
  }

  /** The exit reason or errno of a KVM_RUN. */
  static String why(Call call) {
    if (call.ret() < 0) {
      Errno errno = Errno.of(call.errno());
      return errno == null ? "errno " + call.errno() : errno.name();
    }
    int reason = -1;
    if (call.payload().holding().page() != PageShown.NOTHING && !call.runOut().isEmpty()) {
      reason = new KvmRun(call.runOut()).exitReason();
    }
    for (TraceEvent event : call.trace()) {
      if (reason < 0 && event instanceof TraceEvent.UserspaceExit exit && !exit.failed()) {
        reason = exit.number();
      }
    }
    KvmExit exit = reason < 0 ? null : KvmExit.of(reason);
    return exit != null ? exit.name() : reason < 0 ? "not shown" : "exit reason " + reason;
  }

  private void trace(String vcpu, List<TraceEvent> events) {
    Lane lane = lanes.computeIfAbsent(vcpu, _ -> new Lane());
    for (TraceEvent event : events) {
      switch (event) {
        case TraceEvent.VmEntry e -> entered(vcpu, lane, e.ns());
        case TraceEvent.VmExit e -> {
          lane.reason = e.flags().isEmpty() ? e.reason() : e.reason() + " " + e.flags();
          lane.exitNs = e.ns();
          lane.exitOfL2 = lane.l2;
        }
        case TraceEvent.NestedVmExit _ -> {
          lane.exitOfL2 = true;
          lane.l2 = true;
        }
        case TraceEvent.NestedVmEnter _ -> lane.l2 = true;
        case TraceEvent.NestedVmExitInject _, TraceEvent.NestedVmEnterFailed _ -> lane.l2 = false;
        default -> {}
      }
    }
  }

  private void entered(String vcpu, Lane lane, long ns) {
    String reason = lane.reason;
    if (reason != null) {
      to.exit(vcpu, lane.exitOfL2 ? "L2" : "L1", reason, Math.max(0, ns - lane.exitNs));
      lane.reason = null;
    }
  }
}
