package dev.faultline.junit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vcpu.VcpuCommand;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** The test of a VMM, as README shows it. */
@ExtendWith(FaultlineExtension.class)
final class SampleRestoreTest {

  @Test
  void a_vm_with_nested_guests_never_faults(
      @Migrating(recording = "timelines/state_test", plan = "qemu", toKernel = "6.12")
          RecordedMigration vm) {
    vm.neverFaults();
  }

  @Test
  void a_pending_exception_arrives() {
    KvmVcpuEvents generalProtection =
        KvmVcpuEvents.zero()
            .withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD)
            .withExceptionPending(1)
            .withExceptionNr(13);
    GivenVcpu vcpu = GivenVcpu.on("6.1").when(new VcpuCommand.SetVcpuEvents(0, generalProtection));
    vcpu.thenMigratedBy("firecracker").neverFaults().keeps("events.exception.pending");
    // KVM_SET_REGS comes after KVM_SET_VCPU_EVENTS there, and clears it.
    vcpu.thenMigratedBy("selftests").loses("events.exception.pending");
  }

  @Test
  void the_events_come_before_the_nested_state_and_nothing_else_matters(
      @InEveryOrder(recording = "timelines/fuzz-restore-order", from = 1334, to = 1343)
          Orders restore) {
    restore.areSafeWith(Orders.first(Ioctl.SET_VCPU_EVENTS, Ioctl.SET_NESTED_STATE));
  }
}
