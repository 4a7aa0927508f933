package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.VmEntryCheck;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr4;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Given nested state that KVM_SET_NESTED_STATE accepts, when one field changes, then one check
 * refuses the call. Up to NESTED_EVMCS nothing has changed by then; after it the old nested state
 * is gone, and how much of the new one is there depends on the check.
 */
class NestedStateCheckScenario {
  private static final int GUEST_MODE = NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE;
  private static final int RUN_PENDING = NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING;
  private static final int EVMCS = NestedStateFlags.KVM_STATE_NESTED_EVMCS;
  private static final int SMM_GUEST = NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE;
  private static final int SMM_VMXON = NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON;
  private static final long NONE = ~0L;
  private static final long BEYOND = 1L << 40;
  private static final long OTHER_VMXON = 0xa000;
  private static final long OTHER_VMCS12 = 0xb000;

  /** What there is of the new state when the call fails. */
  enum Left {
    /** The old state stays. */
    OLD,
    /** VMX operation is on, without a current VMCS. */
    VMXON,
    /** A VMCS is the current one; what is in KVM's copy of it is not known. */
    POINTER,
    /** The vmcs12 was copied. */
    VMCS12
  }

  record Row(
      NestedStateCheck check,
      String change,
      Vcpu vcpu,
      KvmNestedState valid,
      KvmNestedState changed,
      Left left) {
    @Override
    public String toString() {
      return check + ": " + change;
    }
  }

  /** Another L2 than the one that runs. */
  private static final KvmNestedState L2 =
      VmxGuest.l2State().withVmxonPa(OTHER_VMXON).withVmcs12Pa(OTHER_VMCS12);

  private static final KvmNestedState OFF = KvmNestedState.vmxOff();

  /** VMX put aside for SMM, with L2. */
  private static final KvmNestedState ASIDE = L2.withFlags(0).withSmmFlags(SMM_VMXON | SMM_GUEST);

  private static final Vmcs12 SHADOWED =
      VmxGuest.vmcs12()
          .with(
              VmcsField.SECONDARY_VM_EXEC_CONTROL,
              SecondaryControls.ENABLE_EPT | SecondaryControls.SHADOW_VMCS)
          .with(VmcsField.VMREAD_BITMAP, 0xc000)
          .with(VmcsField.VMWRITE_BITMAP, 0xd000)
          .with(VmcsField.VMCS_LINK_POINTER, 0xf000);

  private static final List<Row> ROWS = rows();

  private static Vmcs12 shadow(int revision) {
    return new Vmcs12(Bytes.builder(Vmcs12.SIZE).put(0, Integer.BYTES, revision).build());
  }

  private static KvmNestedState withShadow() {
    return VmxGuest.l2State(SHADOWED)
        .withVmxonPa(OTHER_VMXON)
        .withVmcs12Pa(OTHER_VMCS12)
        .withShadowVmcs12(shadow(Vmcs12.REVISION | 1 << 31));
  }

  private static KvmNestedState shortened(KvmNestedState s, int size) {
    return new KvmNestedState(s.raw().slice(0, size));
  }

  private static Row row(
      NestedStateCheck check,
      String change,
      Vcpu vcpu,
      KvmNestedState valid,
      UnaryOperator<KvmNestedState> to,
      Left left) {
    return new Row(check, change, vcpu, valid, to.apply(valid), left);
  }

  /** With L2 active before the call, which fails before it changes anything. */
  private static Row early(
      NestedStateCheck check,
      String change,
      KvmNestedState valid,
      UnaryOperator<KvmNestedState> to) {
    return row(check, change, VmxGuest.inL2(), valid, to, Left.OLD);
  }

  private static Row late(
      NestedStateCheck check,
      String change,
      KvmNestedState valid,
      UnaryOperator<KvmNestedState> to,
      Left left) {
    return row(check, change, VmxGuest.inL2(), valid, to, left);
  }

  private static List<Row> rows() {
    List<Row> rows = new ArrayList<>();
    header(rows);
    vmxOff(rows);
    vmxOn(rows);
    smm(rows);
    vmcs12(rows);
    shadowed(rows);
    return List.copyOf(rows);
  }

  private static void header(List<Row> rows) {
    rows.add(early(NestedStateCheck.NESTED_SIZE, "127", L2, s -> s.withSizeField(127)));
    rows.add(early(NestedStateCheck.NESTED_SIZE, "0", L2, s -> s.withSizeField(0)));
    for (int flag : new int[] {1 << 4, 1 << 9, 1 << 15}) {
      String change = "flags 0x" + Integer.toHexString(flag);
      rows.add(
          early(NestedStateCheck.NESTED_FLAGS, change, L2, s -> s.withFlags(s.flags() | flag)));
    }
    rows.add(
        early(
            NestedStateCheck.NESTED_RUN_PENDING_ALONE,
            "flags",
            L2.withFlags(GUEST_MODE | RUN_PENDING),
            s -> s.withFlags(RUN_PENDING)));
    rows.add(early(NestedStateCheck.NESTED_FORMAT, "SVM", L2, s -> s.withFormat(1)));
    rows.add(early(NestedStateCheck.NESTED_FORMAT, "2", L2, s -> s.withFormat(2)));
  }

  private static void vmxOff(List<Row> rows) {
    for (int flags : new int[] {SMM_GUEST, SMM_VMXON, 4}) {
      rows.add(
          early(
              NestedStateCheck.NESTED_OFF_SMM_FLAGS,
              "smm.flags " + flags,
              OFF,
              s -> s.withSmmFlags(flags)));
    }
    rows.add(
        early(
            NestedStateCheck.NESTED_OFF_VMCS12_PA, "vmcs12_pa", OFF, s -> s.withVmcs12Pa(0x2000)));
    rows.add(
        early(NestedStateCheck.NESTED_OFF_FLAGS, "GUEST_MODE", OFF, s -> s.withFlags(GUEST_MODE)));
    rows.add(
        early(
            NestedStateCheck.NESTED_OFF_FLAGS,
            "MTF_PENDING",
            OFF,
            s -> s.withFlags(NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING)));
  }

  private static void vmxOn(List<Row> rows) {
    KvmCpuid2 noVmx =
        VmxGuest.cpuid(
            VmxGuest.LEAF_1_ECX & ~(1 << 5), -1, VmxGuest.LEAF_7_EBX, VmxGuest.LEAF_7_ECX);
    Vcpu withoutVmx =
        VmxGuest.created(
            VmxGuest.kernel(KernelVersion.V6_1), Vm.Irqchip.KERNEL, VmxGuest.CPUID, noVmx);
    rows.add(
        row(
            NestedStateCheck.NESTED_NOT_ALLOWED,
            "vmxon_pa",
            withoutVmx,
            OFF,
            s -> s.withVmxonPa(OTHER_VMXON),
            Left.OLD));
    NestedStateCheck address = NestedStateCheck.NESTED_VMXON_PA;
    rows.add(early(address, "unaligned", L2, s -> s.withVmxonPa(OTHER_VMXON + 1)));
    rows.add(early(address, "bit 40", L2, s -> s.withVmxonPa(BEYOND)));
    rows.add(early(address, "bit 63", L2, s -> s.withVmxonPa(1L << 63)));
    rows.add(
        early(NestedStateCheck.NESTED_EVMCS, "EVMCS", L2, s -> s.withFlags(s.flags() | EVMCS)));
    NestedStateCheck flags = NestedStateCheck.NESTED_VMX_FLAGS;
    rows.add(early(flags, "vmx.flags 2", L2, s -> s.withVmxFlags(2)));
    rows.add(early(flags, "vmx.flags 1 << 31", L2, s -> s.withVmxFlags(1 << 31)));
  }

  private static void smm(List<Row> rows) {
    Vcpu smm = VmxGuest.inSmm();
    rows.add(
        row(
            NestedStateCheck.NESTED_SMM_AND_GUEST_MODE,
            "flags",
            smm,
            ASIDE,
            s -> s.withFlags(GUEST_MODE),
            Left.OLD));
    rows.add(
        row(
            NestedStateCheck.NESTED_SMM_FLAGS,
            "smm.flags 4",
            smm,
            ASIDE,
            s -> s.withSmmFlags(s.smmFlags() | 4),
            Left.OLD));
    rows.add(
        early(
            NestedStateCheck.NESTED_SMM_MODE,
            "SMM_VMXON outside SMM",
            L2.withFlags(0),
            s -> s.withSmmFlags(SMM_VMXON)));
    rows.add(
        row(
            NestedStateCheck.NESTED_SMM_MODE,
            "GUEST_MODE in SMM",
            smm,
            ASIDE.withSmmFlags(SMM_VMXON),
            s -> s.withFlags(GUEST_MODE),
            Left.OLD));
    rows.add(
        row(
            NestedStateCheck.NESTED_SMM_GUEST_WITHOUT_VMXON,
            "smm.flags",
            smm,
            ASIDE,
            s -> s.withSmmFlags(SMM_GUEST),
            Left.OLD));
  }

  private static void vmcs12(List<Row> rows) {
    NestedStateCheck none = NestedStateCheck.NESTED_NO_VMCS12;
    int most = KvmNestedState.VMX_LEAST_SIZE - 1;
    KvmNestedState on = OFF.withVmxonPa(OTHER_VMXON);
    rows.add(late(none, "vmcs12_pa", on, s -> s.withVmcs12Pa(OTHER_VMCS12), Left.VMXON));
    rows.add(late(none, "GUEST_MODE", on, s -> s.withFlags(GUEST_MODE), Left.VMXON));
    rows.add(late(none, "size", L2, s -> s.withSizeField(most), Left.VMXON));
    NestedStateCheck pointer = NestedStateCheck.NESTED_VMCS12_PA;
    rows.add(late(pointer, "vmxon_pa", L2, s -> s.withVmcs12Pa(OTHER_VMXON), Left.VMXON));
    rows.add(late(pointer, "unaligned", L2, s -> s.withVmcs12Pa(OTHER_VMCS12 + 8), Left.VMXON));
    rows.add(late(pointer, "bit 40", L2, s -> s.withVmcs12Pa(BEYOND), Left.VMXON));
    rows.add(
        late(
            NestedStateCheck.NESTED_VMCS12_PA_MISSING,
            "vmcs12_pa",
            L2,
            s -> s.withVmcs12Pa(NONE),
            Left.VMXON));
    rows.add(
        late(
            NestedStateCheck.NESTED_VMCS12_UNREADABLE,
            "a byte short",
            L2,
            s -> shortened(s, most),
            Left.POINTER));
    rows.add(
        late(
            NestedStateCheck.NESTED_REVISION,
            "vmcs12.revision_id",
            L2,
            s -> s.withVmcs12(new Vmcs12(VmxGuest.vmcs12().raw().with(0, 4, 1))),
            Left.VMCS12));
  }

  private static void shadowed(List<Row> rows) {
    KvmNestedState both = withShadow();
    int least = KvmNestedState.VMX_LEAST_SIZE_WITH_SHADOW;
    rows.add(
        late(
            NestedStateCheck.NESTED_SHADOW_SIZE,
            "size",
            both,
            s -> s.withSizeField(least - 1),
            Left.VMCS12));
    rows.add(
        late(
            NestedStateCheck.NESTED_SHADOW_UNREADABLE,
            "a byte short",
            both,
            s -> shortened(s, least - 1),
            Left.VMCS12));
    NestedStateCheck revision = NestedStateCheck.NESTED_SHADOW_REVISION;
    rows.add(
        late(
            revision,
            "revision_id",
            both,
            s -> s.withShadowVmcs12(shadow(1 | 1 << 31)),
            Left.VMCS12));
    rows.add(
        late(
            revision,
            "no shadow bit",
            both,
            s -> s.withShadowVmcs12(shadow(Vmcs12.REVISION)),
            Left.VMCS12));
  }

  static Set<NestedStateCheck> covered() {
    // A method of its own: a kernel without nesting.
    Set<NestedStateCheck> covered = EnumSet.of(NestedStateCheck.NESTED_UNSUPPORTED);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }

  private static Decision give(Vcpu v, KvmNestedState state) {
    return VcpuModel.decide(v, new VcpuCommand.SetNestedState(VmxGuest.MOMENT, state));
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void one_changed_field_is_refused_by_its_check(Row row) {
    // The page behind the link pointer, which a recording does not hold, is looked at last.
    Outcome accepted =
        row.valid().shadowVmcs12() == null
            ? Outcome.ZERO
            : new Outcome.Undecided("the guest memory that the VMCS link pointer names");
    assertThat(give(row.vcpu(), row.valid()).outcome()).isEqualTo(accepted);

    Decision decision = give(row.vcpu(), row.changed());

    assertThat(decision.outcome()).isEqualTo(new Outcome.Refused(row.check().errno(), row.check()));
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void what_was_changed_before_the_refusal_stays(Row row) {
    Vcpu after = VmxGuest.evolved(row.vcpu(), give(row.vcpu(), row.changed()));
    if (row.left() == Left.OLD) {
      assertThat(after).isSameAs(row.vcpu());
      return;
    }
    Nested nested = after.nested();
    assertThat(nested.mode().guestMode()).isEqualTo(Answer.NO);
    assertThat(nested.mode().vmxon()).isEqualTo(Answer.YES);
    assertThat(nested.mode().runPending()).isEqualTo(Answer.NO);
    assertThat(nested.header().is(NestedFields.VMXON_PA, OTHER_VMXON)).isEqualTo(Answer.YES);
    long pointer = row.left() == Left.VMXON ? NONE : OTHER_VMCS12;
    assertThat(nested.header().is(NestedFields.VMCS12_PA, pointer)).isEqualTo(Answer.YES);
    assertThat(nested.vmcs12().knowsEverything()).isEqualTo(row.left() == Left.VMCS12);
    // KVM forced L2 out on the way, so the registers are L1's.
    assertThat(after.registers().regs().is(RegsFields.RIP, VmxGuest.L1_RIP)).isEqualTo(Answer.YES);
    KvmSregs sregs = new KvmSregs(after.registers().sregs().bytes());
    assertThat(sregs.cr3()).isEqualTo(0x8000);
    assertThat(after.registers().emulation()).isEqualTo(Vcpu.Emulation.NO);
  }

  @Test
  void a_vendor_module_without_nested_state_refuses_all() {
    Vcpu v = VmxGuest.inL1();
    Host host = v.vm().host().withExtension(KvmCap.KVM_CAP_NESTED_STATE.number(), 0);
    Vcpu without = v.withVm(v.vm().withHost(host));
    Outcome refused = new Outcome.Refused(Errno.EINVAL, NestedStateCheck.NESTED_UNSUPPORTED);

    assertThat(give(without, OFF).outcome()).isEqualTo(refused);
    assertThat(
            VcpuModel.decide(without, new VcpuCommand.GetNestedState(VmxGuest.MOMENT, 0x3000))
                .outcome())
        .isEqualTo(refused);
  }

  @Test
  void a_module_loaded_without_nesting_takes_only_the_state_that_is_off() {
    KernelModel plain =
        new KernelModel(
            KernelVersion.V6_1,
            true,
            KernelModel.Vendor.VMX,
            Answer.YES,
            Answer.YES,
            Answer.NO,
            Answer.YES,
            Answer.NO);
    Vcpu v = VmxGuest.inL1(plain);

    assertThat(give(v, OFF).outcome()).isEqualTo(Outcome.ZERO);
    assertThat(give(v, OFF.withVmxonPa(0x1000)).outcome())
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, NestedStateCheck.NESTED_NOT_ALLOWED));
  }

  @Test
  void failed_vm_entry_checks_leave_the_vmcs12_loaded_and_l2_out() {
    Vcpu l2 = VmxGuest.inL2();
    Vmcs12 bad = VmxGuest.vmcs12().with(VmcsField.HOST_CR4, Cr4.PAE);

    Decision decision = give(l2, L2.withVmcs12(bad));
    Vcpu after = VmxGuest.evolved(l2, decision);

    assertThat(decision.outcome())
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, VmEntryCheck.HOST_CR4));
    assertThat(after.inGuestMode()).isEqualTo(Answer.NO);
    assertThat(after.nested().vmcs12().value(Vmcs12.indexOf(VmcsField.HOST_CR4)))
        .isEqualTo(Cr4.PAE);
    assertThat(after.nested().header().is(NestedFields.VMCS12_PA, OTHER_VMCS12))
        .isEqualTo(Answer.YES);
  }

  @Test
  void what_is_not_known_of_smm_makes_the_call_undecided_and_all_nested_state_doubtful() {
    Vcpu l2 = VmxGuest.inL2();
    Tracked unknown = l2.events().edit(VmxGuest.MOMENT).forget(EventsFields.SMM).done();

    Decision decision = give(l2.withEvents(unknown), L2);

    assertThat(decision.outcome()).isInstanceOf(Outcome.Undecided.class);
    assertThat(VmxGuest.evolved(l2, decision).inGuestMode()).isEqualTo(Answer.CANNOT_TELL);
  }
}
