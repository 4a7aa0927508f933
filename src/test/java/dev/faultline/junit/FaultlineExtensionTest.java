package dev.faultline.junit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.UsageException;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vcpu.NestedStateCheck;
import dev.faultline.vcpu.VcpuCommand;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

/** What the extension gives to a test, and how its assertions fail. */
@ExtendWith(FaultlineExtension.class)
final class FaultlineExtensionTest {
  /** KVM_GET_NESTED_STATE of a vCPU in SMM while L2 is put aside. */
  private static final long IN_SMM_WITH_L2_ASIDE = 479;

  @Test
  void a_refusal_at_some_moment_fails_with_the_call_and_the_check(
      @Migrating(recording = "timelines/smm_test", plan = "qemu") RecordedMigration vm) {
    assertThat(vm.outcomes()).hasSizeGreaterThan(200);
    assertThatThrownBy(vm::neverFaults)
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("smm_test by plan qemu")
        .hasMessageContaining("KVM_SET_NESTED_STATE")
        .hasMessageContaining("NESTED_SMM_MODE");
    assertThatThrownBy(vm::survivesMigrationAtEveryMoment).isInstanceOf(AssertionError.class);
    assertThatThrownBy(() -> vm.after(IN_SMM_WITH_L2_ASIDE).neverFaults())
        .hasMessageContaining("(seq 479)");
  }

  @Test
  void the_order_of_crosvm_never_faults_there(
      @Migrating(recording = "timelines/smm_test", plan = "crosvm") RecordedMigration vm) {
    vm.neverFaults().after(IN_SMM_WITH_L2_ASIDE).neverFaults();
  }

  @Test
  void what_the_recording_does_not_tell_is_not_faithful(
      @Migrating(recording = "timelines/state_test", plan = "selftests") RecordedMigration vm) {
    assertThatThrownBy(vm::restoresFaithfully).hasMessageContaining("cannot tell what becomes of");
    vm.neverFaults();
  }

  @Test
  void a_fresh_vcpu_is_migrated_faithfully() {
    GivenVcpu.on("6.1")
        .when(new VcpuCommand.SetRegs(0, KvmRegs.zero().withRflags(2)))
        .thenMigratedBy("qemu")
        .isFaithful();
  }

  @Test
  void smm_is_lost_where_events_are_written_without_flags() {
    GivenVcpu vcpu =
        GivenVcpu.on("6.12")
            .when(
                new VcpuCommand.SetVcpuEvents(
                    0,
                    KvmVcpuEvents.zero()
                        .withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM)
                        .withSmiSmm(1)));
    vcpu.thenMigratedBy("openvmm").loses("events.smi.smm");
    vcpu.thenMigratedBy("crosvm").keeps("events.smi.smm");
    assertThatThrownBy(() -> vcpu.thenMigratedBy("openvmm").isFaithful())
        .hasMessageContaining("expected a faithful migration, found lost events.smi.smm");
    assertThatThrownBy(() ->
            vcpu.thenMigratedBy("crosvm")
                .isRefused(Ioctl.SET_NESTED_STATE, NestedStateCheck.NESTED_SMM_MODE))
        .hasMessageContaining("expected KVM_SET_NESTED_STATE refused by NESTED_SMM_MODE");
  }

  @Test
  void orders_that_fail_are_told_with_class_witness_and_edge(
      @InEveryOrder(recording = "timelines/fuzz-restore-order", from = 1334, to = 1343)
          Orders restore) {
    assertThatThrownBy(restore::areSafe)
        .isInstanceOf(AssertionError.class)
        .hasMessageContaining("found 1814400 of 3628800 that do not work")
        .hasMessageContaining("KVM_SET_NESTED_STATE refused with EINVAL (NESTED_SMM_MODE)")
        .hasMessageContaining("nearest: 1334 1335 1337 1336")
        .hasMessageContaining("KVM_SET_VCPU_EVENTS before KVM_SET_NESTED_STATE");
    assertThatThrownBy(
            () -> restore.areSafeWith(Orders.first(Ioctl.SET_REGS, Ioctl.SET_NESTED_STATE)))
        .hasMessageContaining("expected that KVM_SET_REGS comes before KVM_SET_NESTED_STATE in");
  }

  @Test
  void a_rule_too_few_is_told_with_an_order_that_keeps_the_others() {
    GivenVcpu vcpu = GivenVcpu.on("6.1");
    VcpuCommand[] restore = {
      new VcpuCommand.SetRegs(1, KvmRegs.zero().withRflags(2)),
      new VcpuCommand.SetVcpuEvents(2, generalProtection()),
      new VcpuCommand.SetDebugregs(3, KvmDebugregs.zero().withDr6(-1L).withDr7(0x400))
    };
    vcpu.thenInEveryOrder(restore[0]).areSafe();
    assertThatThrownBy(() -> vcpu.thenInEveryOrder(restore).areSafe())
        .hasMessageContaining("expected that every order works");
    assertThatThrownBy(() -> vcpu.thenInEveryOrder(restore[0], restore[1]).areSafeWith())
        .hasMessageContaining("found 2 1: another state")
        .hasMessageContaining("events.exception.pending");
    vcpu.thenInEveryOrder(restore[0], restore[1])
        .areSafeWith(Orders.first(Ioctl.SET_REGS, Ioctl.SET_VCPU_EVENTS));
  }

  private static KvmVcpuEvents generalProtection() {
    return KvmVcpuEvents.zero()
        .withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD)
        .withExceptionPending(1)
        .withExceptionNr(13);
  }

  @Test
  void a_window_that_is_not_there_is_named() {
    assertThatThrownBy(() -> Orders.of("timelines/fuzz-restore-order", 999_999, -1, ""))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("of the number 999999");
    assertThatThrownBy(() -> Orders.of("timelines/fuzz-restore-order", 1354, -1, ""))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("other than KVM_RUN");
  }

  @Test
  void a_call_that_kvm_refuses_builds_no_state() {
    assertThatThrownBy(() ->
            GivenVcpu.on("6.1")
                .when(new VcpuCommand.SetVcpuEvents(0, KvmVcpuEvents.zero().withFlags(64))))
        .hasMessageContaining("KVM_SET_VCPU_EVENTS: expected that KVM accepts it");
  }

  @Test
  void unknown_kernels_plans_and_recordings_are_named() {
    assertThatThrownBy(() -> GivenVcpu.on("4.19"))
        .isInstanceOf(UsageException.class)
        .hasMessageContaining("found '4.19'");
    assertThatThrownBy(() -> RecordedMigration.of("timelines/state_test", "xen", ""))
        .isInstanceOf(UsageException.class);
    assertThatThrownBy(() -> RecordedMigration.of("timelines/none", "qemu", ""))
        .isInstanceOf(UsageException.class);
  }

  @Test
  void readme_shows_the_sample_that_is_run_here() throws IOException {
    String sample =
        Files.readString(Path.of("src/test/java/dev/faultline/junit/SampleRestoreTest.java"));
    String shown = sample.substring(sample.indexOf("@ExtendWith"));
    assertThat(Files.readString(Path.of("README.md"))).contains("```java\n" + shown + "```\n");
  }
}
