package dev.faultline.junit;

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
}
