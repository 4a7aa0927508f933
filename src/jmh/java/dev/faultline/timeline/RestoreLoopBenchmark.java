package dev.faultline.timeline;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.trace.RecordingReader;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.Warmup;

/**
 * Decides and evolves the calls with which a recorded VMM restores a vCPU whose L2 is active, from
 * KVM_CREATE_VCPU to the first KVM_RUN, over and over on one vCPU.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Warmup(iterations = 5, time = 1)
@Measurement(iterations = 5, time = 1)
@Fork(1)
public class RestoreLoopBenchmark {
  private static final int CALLS = 1200;

  private List<VcpuCommand> restore = List.of();
  private @Nullable Vcpu fresh;

  /** Takes the calls of the last vCPU that is given nested state, and that vCPU before them. */
  @Setup
  public void record() {
    RecordingSource source = Inputs.open(Path.of("timelines/state_test")).getFirst();
    Reexecution reexecution =
        new Reexecution(
            source.name(), KernelFacts.model(source.readFacts()), TimelineListener.NONE);
    Map<String, Vcpu> firsts = new HashMap<>();
    Map<String, List<VcpuCommand>> untilRun = new HashMap<>();
    Set<String> ran = new HashSet<>();
    try (RecordingReader reader = source.open()) {
      while (reader.hasNext()) {
        Recorded fact = RecordedCalls.convert(reader.next(), reexecution.nextMoment());
        if (fact instanceof Recorded.VcpuCall call) {
          Vcpu before = reexecution.vcpus().get(call.vcpu());
          if (call.command() instanceof VcpuCommand.Run) {
            ran.add(call.vcpu());
          } else if (before != null && !ran.contains(call.vcpu())) {
            firsts.putIfAbsent(call.vcpu(), before);
            List<VcpuCommand> calls = untilRun.computeIfAbsent(call.vcpu(), _ -> new ArrayList<>());
            calls.add(call.command());
            if (call.command() instanceof VcpuCommand.SetNestedState) {
              restore = calls;
              fresh = firsts.get(call.vcpu());
            }
          }
        }
        reexecution.accept(fact);
      }
    }
  }

  @Benchmark
  @OperationsPerInvocation(CALLS)
  public Vcpu decidesAndEvolves() {
    Vcpu v = Objects.requireNonNull(fresh);
    for (int i = 0; i < CALLS; i++) {
      Decision decision = VcpuModel.decide(v, restore.get(i % restore.size()));
      for (TimelineEvent event : decision.events()) {
        v = VcpuModel.evolve(v, event);
      }
    }
    return v;
  }
}
