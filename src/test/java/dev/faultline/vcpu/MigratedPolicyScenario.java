package dev.faultline.vcpu;

import static dev.faultline.vcpu.VmxGuest.MOMENT;
import static dev.faultline.vcpu.VmxGuest.SREGS;
import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.Plans;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MigrationOutcome.Refusal;
import dev.faultline.migration.Migrations;
import dev.faultline.migration.Plan;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.x86.SegmentRegister;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Objects;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A vCPU whose L2 hardware cannot run is migrated, under each policy. */
final class MigratedPolicyScenario {
  /** What makes the state invalid comes before L2 does, and nothing is completed by KVM_RUN. */
  private static final String NESTED_LAST =
      """
      plan: nested-last
      about: Registers, then the nested state.
      from: {project: Mine, version: "1"}
      save:
        - {call: KVM_GET_CPUID2, source: mine}
        - {call: KVM_GET_REGS, source: mine}
        - {call: KVM_GET_SREGS, source: mine}
        - {call: KVM_GET_VCPU_EVENTS, source: mine}
        - {call: KVM_GET_MSRS, source: mine}
        - {call: KVM_GET_NESTED_STATE, source: mine}
        - {call: KVM_GET_LAPIC, source: mine}
        - {call: KVM_GET_XSAVE, source: mine}
        - {call: KVM_GET_XCRS, source: mine}
        - {call: KVM_GET_DEBUGREGS, source: mine}
        - {call: KVM_GET_MP_STATE, source: mine}
        - {call: KVM_GET_TSC_KHZ, source: mine}
      restore:
        - {call: KVM_SET_CPUID2, source: mine}
        - {call: KVM_SET_TSC_KHZ, source: mine}
        - {call: KVM_SET_SREGS, source: mine}
        - {call: KVM_SET_REGS, source: mine}
        - {call: KVM_SET_XCRS, source: mine}
        - {call: KVM_SET_XSAVE, source: mine}
        - {call: KVM_SET_DEBUGREGS, source: mine}
        - {call: KVM_SET_LAPIC, source: mine}
        - {call: KVM_SET_MSRS, source: mine}
        - {call: KVM_SET_MP_STATE, source: mine}
        - {call: KVM_SET_VCPU_EVENTS, source: mine}
        - {call: KVM_SET_NESTED_STATE, source: mine}
      """;

  @TempDir static Path folder;
  private static Plan nestedLast = Plans.open("selftests");

  @BeforeAll
  static void read() throws Exception {
    nestedLast = Plans.open(Files.writeString(folder.resolve("mine.yaml"), NESTED_LAST).toString());
  }

  /** L2 with an unusable TR, written by userspace. */
  private static Vcpu invalid() {
    Vcpu v = VmxGuest.inL2();
    return VmxGuest.after(
        v,
        new VcpuCommand.SetSregs(
            MOMENT,
            SREGS.withSegment(
                SegmentRegister.TR, SREGS.segment(SegmentRegister.TR).withUnusable(1))));
  }

  private static MigrationOutcome migrated(Policy policy, Memory memory) {
    Vcpu source = invalid();
    return Migrations.once(source, nestedLast, source.kernel(), policy, memory);
  }

  private static void isRefused(MigrationOutcome o, Ioctl ioctl, boolean saving) {
    assertThat(o.kind()).as("%s", o).isEqualTo(Kind.REFUSED);
    Refusal r = Objects.requireNonNull(o.refused());
    assertThat(r.ioctl()).isEqualTo(ioctl);
    assertThat(r.errno()).isEqualTo(Errno.EINVAL);
    assertThat(r.check()).isEqualTo(GuestStateCheck.TR_UNUSABLE);
    assertThat(r.saving()).isEqualTo(saving);
  }

  private static @Nullable String fault(MigrationOutcome o) {
    return o.fault() == null ? null : o.fault().ending();
  }

  @Test
  void a_triple_fault_happens_on_either_side() {
    MigrationOutcome o = migrated(new Policy.SynthesizeTripleFault(), Memory.NOTHING);
    assertThat(fault(o)).isNull();
    assertThat(o.refused()).isNull();
  }

  @Test
  void emulation_goes_on_on_either_side() {
    MigrationOutcome o = migrated(new Policy.EmulateL2(), Memory.NOTHING);
    assertThat(fault(o)).isNull();
    assertThat(o.refused()).isNull();
  }

  @Test
  void the_ioctl_that_restores_an_invalid_l2_is_refused() {
    isRefused(migrated(new Policy.RefuseIoctls(), Memory.NOTHING), Ioctl.SET_NESTED_STATE, false);
  }

  @Test
  void a_kvm_run_that_is_refused_is_refused_on_either_side() {
    MigrationOutcome o = migrated(new Policy.RefuseRuns(), Memory.NOTHING);
    assertThat(fault(o)).isNull();
    assertThat(o.refused()).isNull();
  }

  @Test
  void where_kvm_run_is_refused_a_vmm_that_completes_an_access_cannot_save_the_vcpu() {
    Vcpu source = invalid();
    MigrationOutcome o =
        Migrations.once(
            source,
            Plans.open("selftests"),
            source.kernel(),
            new Policy.RefuseRuns(),
            Memory.NOTHING);
    isRefused(o, Ioctl.RUN, true);
  }

  @Test
  void a_restore_sets_the_sticky_flag_that_was_not_set_where_the_guest_made_the_state() {
    MigrationOutcome o = migrated(Policy.StickyFlag.DEFAULT, Memory.NOTHING);
    assertThat(o.kind()).isEqualTo(Kind.FAULT);
    assertThat(fault(o)).isEqualTo("EINVAL; had it stayed, in TRIPLE_FAULT for L1");
    MigrationOutcome stuffed =
        migrated(Policy.StickyFlag.DEFAULT, Memory.NOTHING.withStuffed(Answer.YES));
    assertThat(fault(stuffed)).isNull();
  }

  @Test
  void a_sticky_flag_that_is_saved_arrives_as_it_was() {
    Policy saved = new Policy.StickyFlag(Policy.StickyFlag.Cleared.AT_ENTRY, true);
    assertThat(fault(migrated(saved, Memory.NOTHING))).isNull();
  }

  @Test
  void what_was_refused_to_userspace_is_not_there_to_be_saved() {
    Vcpu healthy = VmxGuest.inL2();
    Memory world = Memory.NOTHING.withWorld(healthy);
    Vcpu source = invalid();
    MigrationOutcome o =
        Migrations.once(source, nestedLast, source.kernel(), new Policy.RefuseIoctls(), world);
    assertThat(o.refused()).isNull();
    assertThat(o.lost()).noneMatch(d -> d.field().startsWith("sregs.tr"));
  }
}
