package dev.faultline.timeline;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;
import org.openjdk.jmh.infra.Blackhole;

/**
 * Decides and evolves the calls with which a recorded VMM restores its vCPUs, from KVM_CREATE_VCPU
 * to the first KVM_RUN: the restores of the recording one after the other, each on its vCPU as it
 * was created, over and over.
 *
 * <p>Each round makes every command and every struct anew over the recorded bytes, with a moment of
 * its own, as a reader does: nothing that a struct finds out about its bytes outlives a call.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class RestoreLoopBenchmark {
  private static final int CALLS = 1200;

  /** All restores of the recording, or only those of a vCPU whose L2 is active. */
  @Param({"all", "L2"})
  private String restores = "all";

  private List<Restore> chosen = List.of();

  /** A vCPU as it was created, and the calls before it first ran. */
  private record Restore(Vcpu fresh, List<VcpuCommand> calls) {
    boolean isOfL2() {
      return calls.stream()
          .anyMatch(call ->
              call instanceof VcpuCommand.SetNestedState set
                  && (set.state().flags() & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) != 0);
    }
  }

  /** Takes every vCPU that is given nested state before it runs. */
  @Setup
  public void record() {
    RecordingSource source = Inputs.open(Path.of("timelines/state_test")).getFirst();
    Reexecution reexecution =
        new Reexecution(
            source.name(), KernelFacts.model(source.readFacts()), TimelineListener.NONE);
    Map<String, Restore> open = new LinkedHashMap<>();
    List<Restore> found = new ArrayList<>();
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        Recorded fact = RecordedCalls.convert(reader.next(), reexecution.nextMoment());
        if (fact instanceof Recorded.VcpuCall call) {
          note(call, reexecution.vcpus().get(call.vcpu()), open, found);
        }
        reexecution.accept(fact);
      }
    }
    chosen = found.stream().filter(each -> restores.equals("all") || each.isOfL2()).toList();
  }

  private static void note(
      Recorded.VcpuCall call,
      @Nullable Vcpu before,
      Map<String, Restore> open,
      List<Restore> found) {
    if (before == null) {
      return;
    }
    Restore restore =
        open.computeIfAbsent(call.vcpu(), _ -> new Restore(before, new ArrayList<>()));
    if (!(call.command() instanceof VcpuCommand.Run)) {
      restore.calls().add(call.command());
      return;
    }
    if (restore.calls().stream().anyMatch(VcpuCommand.SetNestedState.class::isInstance)) {
      found.add(restore);
    }
    open.put(call.vcpu(), new Restore(before, new ArrayList<>()));
  }

  @Benchmark
  @OperationsPerInvocation(CALLS)
  public void decidesAndEvolves(Blackhole done) {
    int moment = 0;
    for (int restore = 0; moment < CALLS; restore++) {
      Restore each = chosen.get(restore % chosen.size());
      Vcpu v = each.fresh;
      for (int i = 0; i < each.calls.size() && moment < CALLS; i++) {
        Decision decision = VcpuModel.decide(v, anew(each.calls.get(i), moment));
        for (TimelineEvent event : decision.events()) {
          v = VcpuModel.evolve(v, event);
        }
        moment++;
      }
      done.consume(v);
    }
  }

  /** The same call at another moment, its struct made anew. */
  private static VcpuCommand anew(VcpuCommand command, int moment) {
    return switch (command) {
      case VcpuCommand.SetCpuid2 c ->
          new VcpuCommand.SetCpuid2(moment, new KvmCpuid2(c.cpuid().raw()));
      case VcpuCommand.SetRegs c -> new VcpuCommand.SetRegs(moment, new KvmRegs(c.regs().raw()));
      case VcpuCommand.SetSregs c ->
          new VcpuCommand.SetSregs(moment, new KvmSregs(c.sregs().raw()));
      case VcpuCommand.SetMsrs c -> new VcpuCommand.SetMsrs(moment, new KvmMsrs(c.msrs().raw()));
      case VcpuCommand.SetXcrs c -> new VcpuCommand.SetXcrs(moment, new KvmXcrs(c.xcrs().raw()));
      case VcpuCommand.SetXsave c ->
          new VcpuCommand.SetXsave(moment, new KvmXsave(c.xsave().raw()));
      case VcpuCommand.SetVcpuEvents c ->
          new VcpuCommand.SetVcpuEvents(moment, new KvmVcpuEvents(c.events().raw()));
      case VcpuCommand.SetMpState c ->
          new VcpuCommand.SetMpState(moment, new KvmMpState(c.state().raw()));
      case VcpuCommand.SetDebugregs c ->
          new VcpuCommand.SetDebugregs(moment, new KvmDebugregs(c.debugregs().raw()));
      case VcpuCommand.SetLapic c ->
          new VcpuCommand.SetLapic(moment, new KvmLapicState(c.lapic().raw()));
      case VcpuCommand.SetNestedState c ->
          new VcpuCommand.SetNestedState(moment, new KvmNestedState(c.state().raw()));
      case VcpuCommand.GetRegs _ -> new VcpuCommand.GetRegs(moment);
      case VcpuCommand.GetCpuid2 c -> new VcpuCommand.GetCpuid2(moment, c.capacity());
      default -> command;
    };
  }
}
