package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.VcpuEventFlags;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Given events that KVM_SET_VCPU_EVENTS accepts, when one field changes, then one check refuses the
 * call; what it has changed by then stays.
 */
class EventsCheckScenario {
  private static final int PAYLOAD = VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD;
  private static final int SMM = VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM;
  private static final int TRIPLE_FAULT = VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
  private static final int PAGE_FAULT = 14;
  private static final int NMI = 2;

  /** A page fault to be delivered, an NMI that waits, and the interrupt shadow of STI. */
  private static final KvmVcpuEvents VALID =
      KvmVcpuEvents.zero()
          .withFlags(
              VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING
                  | VcpuEventFlags.KVM_VCPUEVENT_VALID_SHADOW)
          .withExceptionInjected(1)
          .withExceptionNr(PAGE_FAULT)
          .withExceptionHasErrorCode(1)
          .withExceptionErrorCode(4)
          .withInterruptShadow(2)
          .withNmiPending(1);

  /** The same exception, pending, with its payload. */
  private static final KvmVcpuEvents PENDING =
      VALID
          .withFlags(VALID.flags() | PAYLOAD)
          .withExceptionInjected(0)
          .withExceptionPending(1)
          .withExceptionHasPayload(1)
          .withExceptionPayload(0x1234);

  record Row(
      EventsCheck check, String change, Vcpu vcpu, KvmVcpuEvents valid, KvmVcpuEvents changed) {
    @Override
    public String toString() {
      return check + ": " + change;
    }
  }

  private static final List<Row> ROWS = rows();

  private static Row row(
      EventsCheck check,
      String change,
      Vcpu vcpu,
      KvmVcpuEvents valid,
      UnaryOperator<KvmVcpuEvents> to) {
    return new Row(check, change, vcpu, valid, to.apply(valid));
  }

  private static Vcpu withCaps(Answer payload, Answer tripleFault) {
    Vcpu v = VmxGuest.inL1();
    Vm.Settings settings =
        v.vm().settings().withExceptionPayload(payload).withTripleFaultEvent(tripleFault);
    return v.withVm(v.vm().withSettings(settings));
  }

  private static Vcpu waitingForSipi() {
    Vcpu v = VmxGuest.inL1();
    Vm.Settings settings = v.vm().settings().withBootCpuId(1);
    return MsrStates.withCpuid(v.withVm(v.vm().withSettings(settings)), VmxGuest.CPUID)
        .withPlatform(
            v.platform()
                .withMpState(
                    v.platform()
                        .mpState()
                        .edit(VmxGuest.MOMENT)
                        .set(0, MpState.INIT_RECEIVED.number())
                        .done()));
  }

  private static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    Vcpu plain = VmxGuest.inL1();
    Vcpu payload = withCaps(Answer.YES, Answer.NO);
    for (int flag : new int[] {1 << 6, 1 << 7, 1 << 31}) {
      rows.add(
          row(
              EventsCheck.EVENTS_FLAGS,
              "flags 0x" + Integer.toHexString(flag),
              plain,
              VALID,
              e -> e.withFlags(e.flags() | flag)));
    }
    rows.add(
        row(
            EventsCheck.EVENTS_FLAGS,
            "VALID_TRIPLE_FAULT on 5.17",
            VmxGuest.inL1(VmxGuest.kernel(KernelVersion.V5_17)),
            VALID,
            e -> e.withFlags(e.flags() | TRIPLE_FAULT)));
    rows.add(
        row(
            EventsCheck.EVENTS_PAYLOAD_CAP,
            "VALID_PAYLOAD",
            plain,
            VALID,
            e -> e.withFlags(e.flags() | PAYLOAD)));
    for (int vector : new int[] {32, NMI, 255}) {
      String change = "vector " + vector;
      EventsCheck check = EventsCheck.EVENTS_EXCEPTION_VECTOR;
      rows.add(row(check, "injected " + change, plain, VALID, e -> e.withExceptionNr(vector)));
      rows.add(row(check, "pending " + change, payload, PENDING, e -> e.withExceptionNr(vector)));
    }
    KvmVcpuEvents smm = VALID.withFlags(VALID.flags() | SMM);
    EventsCheck waits = EventsCheck.EVENTS_SMM_WHILE_INIT_RECEIVED;
    rows.add(row(waits, "smi.smm", waitingForSipi(), smm, e -> e.withSmiSmm(1)));
    rows.add(row(waits, "smi.pending", waitingForSipi(), smm, e -> e.withSmiPending(1)));
    return List.copyOf(rows);
  }

  static Set<EventsCheck> covered() {
    // Its own method below: the one check that comes after everything else has changed.
    Set<EventsCheck> covered = EnumSet.of(EventsCheck.EVENTS_TRIPLE_FAULT_CAP);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }

  private static Decision give(Vcpu v, KvmVcpuEvents events) {
    return VcpuModel.decide(v, new VcpuCommand.SetVcpuEvents(VmxGuest.MOMENT, events));
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void one_changed_field_is_refused_by_its_check_and_changes_nothing(Row row) {
    assertThat(give(row.vcpu(), row.valid()).outcome()).isEqualTo(Outcome.ZERO);

    Decision decision = give(row.vcpu(), row.changed());

    assertThat(decision.outcome()).isEqualTo(new Outcome.Refused(Errno.EINVAL, row.check()));
    assertThat(VmxGuest.evolved(row.vcpu(), decision)).isSameAs(row.vcpu());
  }

  @Test
  void a_vector_that_no_exception_uses_is_no_matter() {
    KvmVcpuEvents none = VALID.withExceptionInjected(0).withExceptionNr(255);

    assertThat(give(VmxGuest.inL1(), none).outcome()).isEqualTo(Outcome.ZERO);
  }

  @Test
  void a_pending_exception_without_its_flag_is_none_and_its_vector_no_matter() {
    KvmVcpuEvents unflagged =
        VALID.withExceptionInjected(0).withExceptionPending(1).withExceptionNr(NMI);

    assertThat(give(VmxGuest.inL1(), unflagged).outcome()).isEqualTo(Outcome.ZERO);
  }

  @Test
  void a_triple_fault_without_its_capability_is_refused_when_all_else_is_done() {
    Vcpu l2 = VmxGuest.inL2();
    KvmVcpuEvents given =
        VALID
            .withFlags(VALID.flags() | SMM | TRIPLE_FAULT)
            .withSmiSmm(1)
            .withSmiPending(1)
            .withInterruptInjected(1)
            .withInterruptNr(0x31)
            .withTripleFaultPending(1);

    Decision decision = give(l2, given);
    Vcpu after = VmxGuest.evolved(l2, decision);

    assertThat(decision.outcome())
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, EventsCheck.EVENTS_TRIPLE_FAULT_CAP));
    Tracked events = after.events();
    assertThat(events.is(EventsFields.TRIPLE_FAULT, 0)).isEqualTo(Answer.YES);
    assertThat(events.is(EventsFields.NMI_PENDING, 1)).isEqualTo(Answer.YES);
    assertThat(events.is(EventsFields.SMI_PENDING, 1)).isEqualTo(Answer.YES);
    assertThat(after.inSmm()).isEqualTo(Answer.YES);
    // SMM toggled, so KVM left nested operation: the queues are empty, L1's host state is loaded.
    assertThat(after.inGuestMode()).isEqualTo(Answer.NO);
    assertThat(after.nested().mode().vmxonAnywhere()).isEqualTo(Answer.NO);
    assertThat(events.is(EventsFields.INTERRUPT_INJECTED, 0)).isEqualTo(Answer.YES);
    assertThat(events.is(EventsFields.EXCEPTION_INJECTED, 0)).isEqualTo(Answer.YES);
    assertThat(after.registers().regs().value(RegsFields.RIP)).isEqualTo(VmxGuest.L1_RIP);
  }

  @Test
  void with_its_capability_the_triple_fault_is_taken() {
    Vcpu v = withCaps(Answer.NO, Answer.YES);
    KvmVcpuEvents given = VALID.withFlags(VALID.flags() | TRIPLE_FAULT).withTripleFaultPending(1);

    Vcpu after = VmxGuest.after(v, new VcpuCommand.SetVcpuEvents(VmxGuest.MOMENT, given));

    assertThat(after.events().is(EventsFields.TRIPLE_FAULT, 1)).isEqualTo(Answer.YES);
  }
}
