package dev.faultline.junit;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.ingest.Plans;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.migration.Difference;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MigrationOutcome.Refusal;
import dev.faultline.vcpu.NestedStateCheck;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cr0;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;
import org.junit.jupiter.api.Test;

/** What each shipped plan loses of states that need it: the table in README. */
final class PlanLossesTest {
  private static final long IN_SMM_WITH_L2_ASIDE = 479;
  private static final long IN_VMX_OPERATION = 239;
  private static final int ICR2 = 0x310;
  private static final long DR7_BREAKPOINT = 0x401;

  @Test
  void in_smm_with_l2_aside_two_are_refused_and_two_leave_vmx_operation() {
    assertThat(recorded(IN_SMM_WITH_L2_ASIDE, PlanLossesTest::refusedForSmm))
        .containsExactly("qemu", "cloud-hypervisor");
    assertThat(recorded(IN_SMM_WITH_L2_ASIDE, o -> lost(o, "nested.smm.vmxon")))
        .containsExactly("firecracker", "openvmm");
    assertThat(recorded(IN_SMM_WITH_L2_ASIDE, o -> open(o, "nested.smm.vmxon"))).isEmpty();
  }

  @Test
  void in_vmx_operation_capabilities_come_too_late_in_one() {
    assertThat(
            recorded(
                IN_VMX_OPERATION,
                o -> {
                  Refusal r = o.refused();
                  return r != null && r.ioctl() == Ioctl.SET_MSRS && !r.fatal();
                }))
        .containsExactly("cloud-hypervisor");
    assertThat(recorded(IN_VMX_OPERATION, o -> lost(o, "nested.vmxon")))
        .containsExactly("firecracker", "openvmm");
  }

  @Test
  void breakpoints_are_lost_by_the_one_without_debug_registers() {
    GivenVcpu vcpu =
        GivenVcpu.on("6.1")
            .when(new VcpuCommand.SetDebugregs(0, KvmDebugregs.zero().withDr7(DR7_BREAKPOINT)));
    assertThat(built(vcpu, o -> lost(o, "debugregs.dr7"))).containsExactly("cloud-hypervisor");
  }

  @Test
  void a_pending_exception_is_lost_by_registers_after_events_and_by_events_without_flags() {
    GivenVcpu vcpu =
        events(
            KvmVcpuEvents.zero()
                .withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD)
                .withExceptionPending(1)
                .withExceptionNr(13));
    assertThat(built(vcpu, o -> lost(o, "events.exception.pending")))
        .containsExactly("openvmm", "selftests");
  }

  @Test
  void shadow_nmi_and_smm_are_lost_by_events_without_flags() {
    GivenVcpu vcpu =
        events(
            KvmVcpuEvents.zero()
                .withFlags(
                    VcpuEventFlags.KVM_VCPUEVENT_VALID_SHADOW
                        | VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING
                        | VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM)
                .withInterruptShadow(2)
                .withNmiPending(1)
                .withSmiSmm(1));
    for (String field :
        List.of("events.interrupt.shadow", "events.nmi.pending", "events.smi.smm")) {
      assertThat(built(vcpu, o -> lost(o, field))).as(field).containsExactly("openvmm");
    }
  }

  /** CR0 as after reset; the local APIC in x2APIC mode. */
  private static GivenVcpu inX2apicMode() {
    KvmSregs sregs =
        KvmSregs.zero()
            .withCr0(Cr0.ET)
            .withApicBase(0xfee0_0000L | ApicBase.EN | ApicBase.EXTD | ApicBase.BSP);
    return GivenVcpu.on("6.1").when(new VcpuCommand.SetSregs(0, sregs));
  }

  @Test
  void identifiers_of_a_local_apic_in_x2apic_mode_survive_every_order() {
    assertThat(built(inX2apicMode(), o -> mentions(o, "lapic.") || mentions(o, "sregs.apic_base")))
        .isEmpty();
  }

  @Test
  void the_upper_half_of_icr_is_lost_where_the_local_apic_comes_before_its_mode() {
    Bytes registers = KvmLapicState.zero().withSpiv(0x1ff).raw();
    KvmLapicState lapic =
        new KvmLapicState(registers.toBuilder().put(ICR2, Integer.BYTES, 0x1_0000).build());
    GivenVcpu vcpu = inX2apicMode().when(new VcpuCommand.SetLapic(0, lapic));
    assertThat(built(vcpu, o -> lost(o, "lapic.icr2"))).containsExactly("crosvm", "selftests");
    assertThat(built(vcpu, o -> mentions(o, "lapic.id") || mentions(o, "lapic.ldr"))).isEmpty();
  }

  @Test
  void the_order_of_xsave_and_xcrs_loses_nothing() {
    assertThat(built(GivenVcpu.on("6.1"), o -> mentions(o, "xsave.") || mentions(o, "xcrs")))
        .isEmpty();
  }

  private static GivenVcpu events(KvmVcpuEvents events) {
    return GivenVcpu.on("6.1").when(new VcpuCommand.SetVcpuEvents(0, events));
  }

  private static boolean refusedForSmm(MigrationOutcome o) {
    Refusal r = o.refused();
    return o.kind() == Kind.REFUSED && r != null && r.check() == NestedStateCheck.NESTED_SMM_MODE;
  }

  private static boolean lost(MigrationOutcome o, String field) {
    return o.lost().stream().map(Difference::field).anyMatch(field::equals);
  }

  private static boolean open(MigrationOutcome o, String field) {
    return o.open().stream().map(Difference::field).anyMatch(field::equals);
  }

  private static boolean mentions(MigrationOutcome o, String prefix) {
    return o.lost().stream().anyMatch(d -> d.field().startsWith(prefix))
        || o.open().stream().anyMatch(d -> d.field().startsWith(prefix));
  }

  private static List<String> built(GivenVcpu vcpu, Predicate<MigrationOutcome> is) {
    return Plans.SHIPPED.stream()
        .filter(plan -> is.test(vcpu.thenMigratedBy(plan).outcome()))
        .toList();
  }

  private static List<String> recorded(long seq, Predicate<MigrationOutcome> is) {
    List<String> found = new ArrayList<>();
    for (String plan : Plans.SHIPPED) {
      RecordedMigration all = RecordedMigration.of("timelines/smm_test", plan, "");
      if (is.test(all.after(seq).outcomes().getFirst().outcome())) {
        found.add(plan);
      }
    }
    return found;
  }
}
