package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** KVM_SET_USER_MEMORY_REGION succeeds where no rule speaks against it; else nobody tells. */
final class MemorySlotScenario {
  private static final long PAGE = 0x1000;
  private static final long HOST = 0x7f00_0000_0000L;

  private static final KvmUserspaceMemoryRegion FIRST = region(0, 0, 16 * PAGE);

  private static KvmUserspaceMemoryRegion region(int slot, long gpa, long size) {
    return KvmUserspaceMemoryRegion.zero()
        .withSlot(slot)
        .withGuestPhysAddr(gpa)
        .withMemorySize(size)
        .withUserspaceAddr(HOST);
  }

  private static VmRules.Result set(Vm vm, KvmUserspaceMemoryRegion region) {
    return VmRules.decide(vm, new VmCommand.SetMemoryRegion(1, region));
  }

  private static Vm withFirst() {
    return set(Vm.created("vm1", KernelModel.defaults(), Host.UNKNOWN), FIRST).after();
  }

  static final List<KvmUserspaceMemoryRegion> TAKEN =
      List.of(
          region(1, 16 * PAGE, PAGE),
          region(0, 64 * PAGE, 16 * PAGE),
          FIRST.withFlags(KvmUserspaceMemoryRegion.KVM_MEM_LOG_DIRTY_PAGES),
          region(0, 0, 0),
          region(1 << 16, 0, PAGE));

  static final List<KvmUserspaceMemoryRegion> OPEN =
      List.of(
          region(1, 15 * PAGE, 2 * PAGE),
          region(1, 0, 64 * PAGE),
          region(0, 0, 8 * PAGE),
          region(1, 0, 0),
          region(1, 16 * PAGE + 1, PAGE),
          region(1, 16 * PAGE, PAGE + 1),
          region(1, 16 * PAGE, PAGE).withUserspaceAddr(HOST + 1),
          region(1, -PAGE, 2 * PAGE),
          region(32_764, 16 * PAGE, PAGE),
          region(2 << 16, 16 * PAGE, PAGE),
          region(1, 16 * PAGE, PAGE).withFlags(1 << 2));

  @ParameterizedTest
  @FieldSource("TAKEN")
  void a_slot_that_breaks_no_rule_is_taken(KvmUserspaceMemoryRegion region) {
    assertThat(set(withFirst(), region).outcome()).isEqualTo(Outcome.ZERO);
  }

  @ParameterizedTest
  @FieldSource("OPEN")
  void of_a_slot_that_may_be_refused_nobody_tells(KvmUserspaceMemoryRegion region) {
    assertThat(set(withFirst(), region).outcome()).isInstanceOf(Outcome.Undecided.class);
  }
}
