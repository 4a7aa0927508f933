package dev.faultline.migration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.faultline.ingest.Plans;
import dev.faultline.ingest.RecordedWindows;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * A live migration of QEMU of which both ends were recorded: what the source saved, migrated by the
 * plan {@code qemu}, is what the destination's vCPUs were when they ran.
 */
final class QemuPairConformance {
  /** What goes on while nothing runs, or is set by the machine and not by the migration. */
  private static final List<String> MOVES = List.of("msr.IA32_TSC", "kvmclock");

  /** One end. */
  private static final class End {
    private final KernelModel kernel;
    private final Reexecution reexecution;
    private final Map<String, List<Ioctl>> written = new LinkedHashMap<>();

    private End(KernelModel kernel, Reexecution reexecution) {
      this.kernel = kernel;
      this.reexecution = reexecution;
    }

    Vcpu vcpu(String name) {
      return Objects.requireNonNull(reexecution.vcpus().get(name));
    }
  }

  /** Plays a recording up to the first call that is meant. */
  private static End play(String name, Predicate<Recorded.VcpuCall> end) {
    List<RecordingSource> found = RecordedWindows.recordings("qemu/" + name);
    assumeTrue(!found.isEmpty(), "not at hand");
    RecordingSource source = found.getFirst();
    KernelModel kernel = KernelFacts.model(source.readFacts());
    End played = new End(kernel, new Reexecution(name, kernel, TimelineListener.NONE));
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        Recorded fact = RecordedCalls.convert(reader.next(), played.reexecution.nextMoment());
        if (fact instanceof Recorded.VcpuCall call) {
          if (end.test(call)) {
            return played;
          }
          note(played, call);
        }
        played.reexecution.accept(fact);
      }
    }
    return played;
  }

  /** What was written since the last call of another kind. */
  private static void note(End end, Recorded.VcpuCall call) {
    Ioctl ioctl = VcpuModel.ioctl(call.command());
    List<Ioctl> written = end.written.computeIfAbsent(call.vcpu(), _ -> new ArrayList<>());
    if (ioctl.name().startsWith("SET_")) {
      written.add(ioctl);
    } else if (ioctl == Ioctl.TPR_ACCESS_REPORTING) {
      written.clear();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"vm1/vcpu0", "vm1/vcpu1"})
  void what_the_source_saved_is_what_the_destination_ran(String name) {
    End source = play("qemu_src", _ -> false);
    End destination = play("qemu_dst", call -> VcpuModel.ioctl(call.command()) == Ioctl.RUN);
    Plan plan = Plans.open("qemu");
    Vcpu recorded = destination.vcpu(name);
    Migration.Moved moved =
        new Migration(plan, destination.kernel, _ -> false, null)
            .migrate(source.vcpu(name), Policy.Memory.NOTHING);
    assertThat(moved.refused()).isNull();
    List<String> wrong = new ArrayList<>();
    for (Difference d : Comparison.of(recorded, moved.vcpu(), moved.arrival(), _ -> false)) {
      if (d.certain() && MOVES.stream().noneMatch(d.field()::startsWith)) {
        wrong.add(d.toString());
      }
    }
    assertThat(wrong).isEmpty();
    assertThat(knownInBoth(recorded, moved.vcpu())).isGreaterThan(600);
  }

  @ParameterizedTest
  @ValueSource(strings = {"vm1/vcpu0", "vm1/vcpu1"})
  void the_destination_wrote_in_the_order_of_the_plan(String name) {
    End destination = play("qemu_dst", call -> VcpuModel.ioctl(call.command()) == Ioctl.RUN);
    List<Ioctl> recorded = destination.written.get(name);
    List<Ioctl> planned = new ArrayList<>();
    for (RestoreStep step : Plans.open("qemu").restores()) {
      boolean once = step.ioctl() == Ioctl.SET_CPUID2 || step.msrs().named().contains(0x480);
      boolean nested = step.ioctl() == Ioctl.SET_NESTED_STATE || step.msrs().named().contains(0x3a);
      boolean ofVm = step.ioctl() == Ioctl.SET_IRQCHIP || step.ioctl() == Ioctl.SET_CLOCK;
      if (!once && !nested && !ofVm && step.ioctl() != Ioctl.KVMCLOCK_CTRL) {
        planned.add(step.ioctl());
      }
    }
    assertThat(recorded).containsExactlyElementsOf(planned);
  }

  private static int knownInBoth(Vcpu a, Vcpu b) {
    List<Tracked> one = structs(a);
    List<Tracked> other = structs(b);
    int count = 0;
    for (int i = 0; i < one.size(); i++) {
      count += one.get(i).known().intersect(other.get(i).known()).count();
    }
    return count;
  }

  private static List<Tracked> structs(Vcpu v) {
    Vcpu.Registers r = v.registers();
    return List.of(
        r.regs(), r.sregs(), r.debugregs(), r.xcrs(), r.xsave(), v.events(), v.platform().lapic());
  }
}
