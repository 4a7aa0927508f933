package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmGuestDebug;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.VcpuEventFlags;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What a real 6.18 answered to random calls, and what kernels before answer to them. */
final class LaterKernelsScenario {
  private static final int MOMENT = 7;
  private static final int LATER = 8;

  private static Vcpu on(String version) {
    Vcpu v = VmxGuest.inL1();
    KernelVersion known = KernelVersion.of(version);
    assertThat(known).isNotNull();
    return v.withVm(v.vm().withKernel(v.kernel().withVersion(known)));
  }

  private static Vcpu after(Vcpu v, VcpuCommand command) {
    Vcpu next = v;
    for (TimelineEvent event : VcpuModel.decide(v, command).events()) {
      next = VcpuModel.evolve(next, event);
    }
    return next;
  }

  private static Reply.Struct events(Vcpu v) {
    Reply reply = VcpuModel.decide(v, new VcpuCommand.GetVcpuEvents(LATER)).reply();
    assertThat(reply).isInstanceOf(Reply.Struct.class);
    return (Reply.Struct) reply;
  }

  private static KvmVcpuEvents nmis(int pending, int masked) {
    return KvmVcpuEvents.zero()
        .withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING)
        .withNmiPending(pending)
        .withNmiMasked(masked);
  }

  @ParameterizedTest
  @CsvSource({
    "6.1, 2, 0, 1",
    "6.12, 2, 0, 2",
    "6.18, 2, 0, 2",
    "6.18, 200, 0, 2",
    "6.18, 2, 1, 1",
    "6.18, 1, 1, 1",
    "6.18, 0, 0, 0"
  })
  void pending_nmis_are_counted_since_6_4(String version, int given, int masked, int told) {
    Vcpu v = after(on(version), new VcpuCommand.SetVcpuEvents(MOMENT, nmis(given, masked)));

    assertThat(new KvmVcpuEvents(events(v).bytes()).nmiPending()).isEqualTo(told);
  }

  @ParameterizedTest
  @CsvSource({"6.1, 1", "6.18, 2"})
  void a_second_nmi_waits_beside_the_first(String version, int told) {
    Vcpu v = after(on(version), new VcpuCommand.SetVcpuEvents(MOMENT, nmis(0, 0)));
    for (int i = 0; i < 3; i++) {
      v = after(v, new VcpuCommand.Nmi(MOMENT + i));
    }

    assertThat(new KvmVcpuEvents(events(v).bytes()).nmiPending()).isEqualTo(told);
  }

  @Test
  void smm_while_waiting_for_a_sipi_is_left_to_kvm_run_since_6_17() {
    VcpuCommand wait = new VcpuCommand.SetMpState(MOMENT, KvmMpState.of(MpState.INIT_RECEIVED));
    VcpuCommand smm =
        new VcpuCommand.SetVcpuEvents(
            LATER,
            KvmVcpuEvents.zero().withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM).withSmiSmm(1));

    assertThat(VcpuModel.decide(after(on("6.12"), wait), smm).outcome())
        .isInstanceOf(Outcome.Refused.class);
    assertThat(VcpuModel.decide(after(on("6.18"), wait), smm).outcome()).isEqualTo(Outcome.ZERO);
  }

  @ParameterizedTest
  @CsvSource({"6.1, false", "6.18, true"})
  void a_kernel_without_smm_is_not_told_from_one_that_only_says_so(String version, boolean doubt) {
    Vcpu v = on(version);
    Host told = v.vm().host().withExtension(KvmCap.KVM_CAP_X86_SMM.number(), 0);

    assertThat(
            VcpuModel.decide(v.withVm(v.vm().withHost(told)), new VcpuCommand.Smi(MOMENT))
                .outcome())
        .isInstanceOf(doubt ? Outcome.Undecided.class : Outcome.Returns.class);
  }

  @Test
  void an_exception_that_a_debugger_injects_is_pending() {
    Vcpu v = after(on("6.1"), new VcpuCommand.SetVcpuEvents(MOMENT, nmis(0, 0)));
    Bytes debug =
        KvmGuestDebug.zero().raw().toBuilder()
            .put(0, 4, KvmGuestDebug.KVM_GUESTDBG_INJECT_DB)
            .build();
    v = after(v, new VcpuCommand.Other(MOMENT, Ioctl.SET_GUEST_DEBUG, 0, debug));

    KvmVcpuEvents told = new KvmVcpuEvents(events(v).bytes());
    assertThat(told.exceptionNr()).isEqualTo(1);
    assertThat(v.events().is(EventsFields.EXCEPTION_PENDING, 1).isYes()).isTrue();
  }

  @Test
  void the_priority_is_not_known_where_an_interrupt_is_in_service() {
    Bytes.Builder regs = KvmLapicState.zero().raw().toBuilder();
    int isr = KvmLapicState.LAYOUT.indexOf("isr[2]");
    Bytes served = regs.put(KvmLapicState.LAYOUT.offset(isr), 4, 1).build();
    Vcpu v = on("6.1");
    int ppr = KvmLapicState.LAYOUT.indexOf("ppr");

    Vcpu busy = after(v, new VcpuCommand.SetLapic(MOMENT, new KvmLapicState(served)));
    Vcpu idle = after(v, new VcpuCommand.SetLapic(MOMENT, KvmLapicState.zero()));

    assertThat(busy.platform().lapic().knows(ppr)).isFalse();
    assertThat(idle.platform().lapic().knows(ppr)).isTrue();
  }
}
