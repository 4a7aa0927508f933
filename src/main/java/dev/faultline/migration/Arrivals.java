package dev.faultline.migration;

import dev.faultline.kvm.Ioctl;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Host;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vm;
import dev.faultline.x86.Msr;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What arrived of the states that were saved last. A restore depends on nothing but what was saved
 * and on how the destination is created, so the same gives the same.
 */
final class Arrivals {
  private static final int MOST = 256;

  private final Map<Key, Arrival> kept = new LinkedHashMap<>(MOST, 0.75f, true);

  /** All that a restore depends on. */
  record Key(
      Map<Ioctl, Reply> replies,
      Map<Ioctl, Long> returned,
      KernelModel kernel,
      Host host,
      Vm.Irqchip irqchip,
      Vm.Settings settings,
      List<Integer> vcpuIds,
      @Nullable List<Vm.Slot> slots,
      int id,
      long mcgCap,
      Answer enlightenedVmcs) {}

  static Key key(SavedState saved, Vcpu fresh) {
    Vm vm = fresh.vm();
    return new Key(
        saved.replies(),
        saved.returned(),
        vm.kernel(),
        vm.host(),
        vm.irqchip(),
        vm.settings(),
        vm.vcpuIds(),
        vm.slots(),
        fresh.id(),
        fresh.platform().msrs().value(Msr.IA32_MCG_CAP),
        fresh.progress().enlightenedVmcs());
  }

  @Nullable Arrival find(Key key) {
    return kept.get(key);
  }

  void keep(Key key, Arrival arrival) {
    kept.put(key, arrival);
    if (kept.size() > MOST) {
      kept.remove(kept.keySet().iterator().next());
    }
  }

  /** What arrived, on another vCPU that was created in the same way. */
  static Arrival on(Arrival arrival, Vcpu fresh) {
    Vcpu v = arrival.vcpu();
    Vcpu moved =
        new Vcpu(
            fresh.name(),
            v.id(),
            fresh.vm(),
            v.registers(),
            v.events(),
            v.nested(),
            v.platform(),
            v.progress());
    return new Arrival(
        moved,
        arrival.steps(),
        arrival.aborted(),
        arrival.tscWritten(),
        arrival.carriedMsrs(),
        arrival.memory());
  }
}
