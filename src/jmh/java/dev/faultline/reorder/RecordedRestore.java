package dev.faultline.reorder;

import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Msr;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;

/** A recorded restore of a vCPU whose L2 is active: eleven calls, or twenty. */
final class RecordedRestore {
  private static final long FIRST = 2126;
  private static final long LAST = 2136;
  private static final int TSC_DEADLINE = 0x6e0;
  private static final int TSC = 0x10;

  private RecordedRestore() {}

  /** The eleven calls as recorded, KVM_SET_CPUID2 first. */
  static Window eleven() {
    RecordingSource source = Inputs.open(Path.of("timelines/fuzz-restore-order")).getFirst();
    Reexecution reexecution =
        new Reexecution(
            source.name(), KernelFacts.model(source.readFacts()), TimelineListener.NONE);
    WindowBuilder window = null;
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        Recorded fact = RecordedCalls.convert(reader.next(), reexecution.nextMoment());
        if (fact instanceof Recorded.VcpuCall call && call.seq() >= FIRST) {
          if (window == null) {
            window = new WindowBuilder(WindowBuilder.before(reexecution, call));
          }
          if (call.run() != null) {
            return window.run(call).vm(WindowBuilder.before(reexecution, call).vm()).build();
          }
          if (call.seq() <= LAST) {
            window.call(call);
          }
        }
        reexecution.accept(fact);
      }
    }
    throw new IllegalStateException("the recording has no such restore");
  }

  /**
   * Twenty calls, as a careful VMM makes them: the MSRs in five lists (VMX capabilities,
   * IA32_FEATURE_CONTROL, IA32_TSC, the rest, the TSC deadline), the special and the general
   * registers and the events twice, the frequency of the TSC, and KVM_KVMCLOCK_CTRL.
   */
  static Window twenty() {
    Window recorded = eleven();
    List<WindowCall> calls = new ArrayList<>();
    List<WindowCall> again = new ArrayList<>();
    for (WindowCall call : recorded.calls()) {
      switch (call.command()) {
        case VcpuCommand.SetMsrs set -> {
          calls.add(part(call, set, Msr::isVmxCapability));
          calls.add(part(call, set, i -> i == Msr.IA32_FEATURE_CONTROL));
          calls.add(part(call, set, i -> i == TSC));
          calls.add(
              part(
                  call,
                  set,
                  i ->
                      !Msr.isVmxCapability(i)
                          && i != Msr.IA32_FEATURE_CONTROL
                          && i != TSC
                          && i != TSC_DEADLINE));
          again.add(part(call, set, i -> i == TSC_DEADLINE));
        }
        case VcpuCommand.SetVcpuEvents _, VcpuCommand.SetRegs _, VcpuCommand.SetSregs _ -> {
          calls.add(call);
          again.add(call);
        }
        default -> calls.add(call);
      }
    }
    int moment = recorded.calls().getFirst().command().moment();
    calls.add(new WindowCall(0, new VcpuCommand.SetTscKhz(moment, 3_500_000), 0, 0));
    calls.addAll(again);
    calls.add(new WindowCall(0, new VcpuCommand.KvmclockCtrl(moment), 0, 0));
    return new Window(recorded.start(), calls, List.of(), List.of(), recorded.run());
  }

  private static WindowCall part(WindowCall call, VcpuCommand.SetMsrs set, IntPredicate wanted) {
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = 0; i < set.msrs().held(); i++) {
      if (wanted.test(set.msrs().index(i))) {
        entries.add(new MsrEntry(set.msrs().index(i), set.msrs().data(i)));
      }
    }
    return new WindowCall(
        call.seq(), new VcpuCommand.SetMsrs(set.moment(), KvmMsrs.of(entries)), entries.size(), 0);
  }
}
