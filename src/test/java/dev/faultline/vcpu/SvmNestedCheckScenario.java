package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Rflags;
import java.util.EnumSet;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Every check of KVM_SET_NESTED_STATE on SVM: a state that KVM accepts, with one thing changed, is
 * refused by that check and by no other, and nothing has changed then.
 */
class SvmNestedCheckScenario {
  private static final long ABOVE_40_BITS = 1L << 40;
  private static final long LAST_PAGE = ABOVE_40_BITS - 4096;
  private static final long HIGH = 1L << 32;

  /** A vCPU and what is given to it. */
  private record Given(SvmGuest guest, KvmNestedState state) {}

  private static Given l2(VmcbField field, long value) {
    return new Given(SvmGuest.withL2Registers(), SvmGuest.l2State(vmcb -> vmcb.with(field, value)));
  }

  private static Given header(KvmNestedState state) {
    return new Given(SvmGuest.withL2Registers(), state);
  }

  private static Given withSregs(KvmSregs sregs, KvmNestedState state) {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.set(sregs);
    return new Given(guest, state);
  }

  private static Given inSmm() {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.set(KvmVcpuEvents.zero().withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM).withSmiSmm(1));
    return new Given(guest, SvmGuest.l2State());
  }

  private static Given withoutNestedPaging() {
    KernelModel plain = MsrStates.svm();
    KernelModel kernel =
        new KernelModel(
            plain.version(),
            true,
            plain.vendor(),
            Answer.YES,
            Answer.NO,
            Answer.YES,
            Answer.YES,
            Answer.NO);
    SvmGuest guest = SvmGuest.created(kernel);
    guest.set(SvmGuest.l2Sregs());
    return new Given(guest, SvmGuest.l2State(vmcb -> vmcb.with(VmcbField.NESTED_CTL, 1)));
  }

  private static Given nestedRoot(long address) {
    return new Given(
        SvmGuest.withL2Registers(),
        SvmGuest.l2State(
            vmcb -> vmcb.with(VmcbField.NESTED_CTL, 1).with(VmcbField.NESTED_CR3, address)));
  }

  private static Given vmcbAt(long address) {
    KvmNestedState state = SvmGuest.l2State();
    return header(new KvmNestedState(state.raw().with(8, Long.BYTES, address)));
  }

  private static Given violating(SvmNestedCheck check) {
    KvmNestedState valid = SvmGuest.l2State();
    long efer = Efer.SVME | Efer.LMA | Efer.LME;
    long cr0 = Cr0.PG | Cr0.PE | Cr0.ET;
    return switch (check) {
      case SVM_FORMAT -> header(valid.withFormat(0));
      case SVM_FLAGS -> header(valid.withFlags(valid.flags() | 8));
      case SVM_FLAGS_WITHOUT_SVME ->
          withSregs(SvmGuest.l2Sregs().withEfer(Efer.LMA | Efer.LME), SvmGuest.l1State(0));
      case SVM_GUEST_MODE_IN_SMM -> inSmm();
      case SVM_VMCB_PA -> vmcbAt(SvmGuest.VMCB12 + 8);
      case SVM_SIZE -> header(valid.withSizeField(KvmNestedState.SVM_SIZE - 1));
      case SVM_UNREADABLE -> header(new KvmNestedState(valid.raw().slice(0, 128 + 1024 + 739)));
      case SVM_VMRUN_INTERCEPT -> l2(VmcbField.INTERCEPT_WORD4, 2);
      case SVM_ASID -> l2(VmcbField.ASID, 0);
      case SVM_NESTED_PAGING -> withoutNestedPaging();
      case SVM_NESTED_CR3 -> nestedRoot(ABOVE_40_BITS);
      case SVM_MSR_BITMAP -> l2(VmcbField.MSRPM_BASE_PA, LAST_PAGE);
      case SVM_IO_BITMAP -> l2(VmcbField.IOPM_BASE_PA, LAST_PAGE - 4096);
      case SVM_L2_CR0 -> withSregs(SvmGuest.l2Sregs(), valid);
      case SVM_L1_CR0_PG -> l2(VmcbField.CR0, Cr0.PE | Cr0.ET);
      case SVM_L1_CR0_PE -> l2(VmcbField.CR0, Cr0.PG | Cr0.ET);
      case SVM_L1_RFLAGS_VM -> l2(VmcbField.RFLAGS, Rflags.VM);
      case SVM_L1_EFER_SVME -> l2(VmcbField.EFER, efer & ~Efer.SVME);
      case SVM_L1_CR0_NW -> l2(VmcbField.CR0, cr0 | Cr0.NW);
      case SVM_L1_CR0_HIGH -> l2(VmcbField.CR0, cr0 | HIGH);
      case SVM_L1_DR6 -> l2(VmcbField.DR6, HIGH);
      case SVM_L1_DR7 -> l2(VmcbField.DR7, HIGH);
      case SVM_L1_LONG_MODE_PAE -> l2(VmcbField.CR4, 0);
      case SVM_L1_LONG_MODE_CR3 -> l2(VmcbField.CR3, ABOVE_40_BITS);
      case SVM_L1_CS_L_AND_DB -> l2(VmcbField.CS_ATTRIB, 0x69b);
      case SVM_L1_CR4 -> l2(VmcbField.CR4, Cr4.PAE | Cr4.SMEP);
      case SVM_L1_EFER -> l2(VmcbField.EFER, efer | Efer.FFXSR);
      case SVM_L2_CR3 ->
          withSregs(
              SvmGuest.l2Sregs()
                  .withCr0(Cr0.PE | Cr0.ET)
                  .withCr3(ABOVE_40_BITS)
                  .withEfer(Efer.SVME)
                  .withSegment(dev.faultline.x86.SegmentRegister.CS, SvmGuest.l2Sregs().ds()),
              valid);
    };
  }

  static Set<SvmNestedCheck> covered() {
    Set<SvmNestedCheck> covered = EnumSet.noneOf(SvmNestedCheck.class);
    for (SvmNestedCheck check : SvmNestedCheck.values()) {
      if (violating(check) != null) {
        covered.add(check);
      }
    }
    return covered;
  }

  @ParameterizedTest
  @EnumSource(SvmNestedCheck.class)
  void one_violation_is_refused_by_its_check(SvmNestedCheck check) {
    Given given = violating(check);
    if (check == SvmNestedCheck.SVM_L2_CR0) {
      // KVM_SET_SREGS of 6.1.192 does not let this CR0 in; a KVM_RUN may leave it.
      given.guest().become(SvmNestedCheckScenario::withCacheBits);
    }
    Vcpu before = given.guest().vcpu();

    Outcome outcome = given.guest().give(given.state());

    assertThat(outcome).isEqualTo(new Outcome.Refused(check.errno(), check));
    if (check == SvmNestedCheck.SVM_L2_CR3) {
      assertThat(given.guest().vcpu().inGuestMode()).isEqualTo(Answer.YES);
    } else {
      assertThat(given.guest().vcpu()).isEqualTo(before);
    }
  }

  private static Vcpu withCacheBits(Vcpu v) {
    Tracked sregs = v.registers().sregs();
    long cr0 = sregs.value(SregsFields.CR0) | Cr0.NW;
    return v.withRegisters(v.registers().withSregs(sregs.edit(1).set(SregsFields.CR0, cr0).done()));
  }

  @Test
  void the_bitmaps_may_end_with_the_last_guest_physical_address() {
    Given msr = l2(VmcbField.MSRPM_BASE_PA, LAST_PAGE - 4096 + 0xfff);
    Given io = l2(VmcbField.IOPM_BASE_PA, LAST_PAGE - 2 * 4096);

    msr.guest().accepts(msr.state());
    io.guest().accepts(io.state());
  }

  @Test
  void nested_paging_is_accepted_with_a_root_in_guest_memory() {
    Given given = nestedRoot(ABOVE_40_BITS - 1);

    given.guest().accepts(given.state());
  }

  @Test
  void a_root_counts_only_with_nested_paging() {
    Given given = l2(VmcbField.NESTED_CR3, -1L);

    given.guest().accepts(given.state());
  }

  @Test
  void what_every_vendor_refuses_is_refused_first() {
    SvmGuest guest = SvmGuest.withL2Registers();
    KvmNestedState state = SvmGuest.l2State().withFormat(0);

    guest.refuses(state.withSizeField(127), NestedStateCheck.NESTED_SIZE);
    guest.refuses(state.withFlags(0x10), NestedStateCheck.NESTED_FLAGS);
    guest.refuses(state.withFlags(SvmGuest.RUN_PENDING), NestedStateCheck.NESTED_RUN_PENDING_ALONE);
  }

  @Test
  void before_sregs_a_new_vcpu_takes_no_l2() {
    SvmGuest guest = SvmGuest.created();

    guest.refuses(SvmGuest.l2State(), SvmNestedCheck.SVM_FLAGS_WITHOUT_SVME);
    guest.accepts(SvmGuest.l1State(SvmGuest.GIF_SET));
  }

  @Test
  void a_shorter_buffer_that_holds_both_areas_is_read() {
    SvmGuest guest = SvmGuest.withL2Registers();
    Bytes both = SvmGuest.l2State().raw().slice(0, 128 + 1024 + 740);

    guest.accepts(new KvmNestedState(both));
  }

  @Test
  void what_fails_for_certain_is_refused_whatever_else_is_unknown() {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.become(v -> v.withPlatform(v.platform().withCpuid(null, Answer.CANNOT_TELL)));

    guest.refuses(SvmGuest.l2State(vmcb -> vmcb.with(VmcbField.ASID, 0)), SvmNestedCheck.SVM_ASID);
    assertThat(guest.give(SvmGuest.l2State())).isInstanceOf(Outcome.Undecided.class);
  }
}
