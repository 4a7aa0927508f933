package dev.faultline.vcpu;

import static dev.faultline.vcpu.MsrStates.ARCH_CAPABILITIES;
import static dev.faultline.vcpu.MsrStates.BASIC;
import static dev.faultline.vcpu.MsrStates.MISC;
import static dev.faultline.vcpu.MsrStates.MOMENT;
import static dev.faultline.vcpu.MsrStates.NO_VMX;
import static dev.faultline.vcpu.MsrStates.PIN;
import static dev.faultline.vcpu.MsrStates.SECONDARY;
import static dev.faultline.vcpu.MsrStates.VMX;
import static dev.faultline.vcpu.MsrStates.after;
import static dev.faultline.vcpu.MsrStates.created;
import static dev.faultline.vcpu.MsrStates.host;
import static dev.faultline.vcpu.MsrStates.inVmxOperation;
import static dev.faultline.vcpu.MsrStates.kernel;
import static dev.faultline.vcpu.MsrStates.list;
import static dev.faultline.vcpu.MsrStates.plain;
import static dev.faultline.vcpu.MsrStates.read;
import static dev.faultline.vcpu.MsrStates.ready;
import static dev.faultline.vcpu.MsrStates.set;
import static dev.faultline.vcpu.MsrStates.svm;
import static dev.faultline.vcpu.MsrStates.vmx;
import static dev.faultline.vcpu.MsrStates.withCpuid;
import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Msr;
import java.util.List;
import java.util.Objects;
import org.junit.jupiter.api.Test;

/** What KVM keeps of the MSRs that userspace writes, and what it shows of them. */
class MsrRulesTest {
  /** Six banks and IA32_MCG_CTL. */
  private static final long SIX_BANKS = 0x106;

  /** "Enable INVPCID" in the high half of IA32_VMX_PROCBASED_CTLS2. */
  private static final long INVPCID = 1L << 44;

  private static Outcome returns(long count) {
    return new Outcome.Returns(count);
  }

  private static Outcome stops(long count, MsrCheck check) {
    return new Outcome.Returns(count, check);
  }

  @Test
  void a_new_vcpu_has_kvms_reset_values() {
    Vcpu v = plain();
    assertThat(read(v, Msr.IA32_PAT)).isEqualTo(0x0007_0406_0007_0406L);
    assertThat(read(v, Msr.IA32_SMBASE)).isEqualTo(0x30000L);
    assertThat(read(v, Msr.IA32_MISC_ENABLE)).isEqualTo(0x1800L);
    assertThat(read(v, Msr.IA32_BIOS_SIGN_ID)).isEqualTo(1L << 32);
    assertThat(read(v, Msr.PLATFORM_INFO)).isEqualTo(1L << 31);
    assertThat(read(v, Msr.KVM_POLL_CONTROL)).isEqualTo(1L);
    assertThat(read(v, Msr.IA32_ARCH_CAPABILITIES)).isEqualTo(ARCH_CAPABILITIES);
    assertThat(read(v, Msr.IA32_STAR)).isEqualTo(0L);
    assertThat(read(v, Msr.IA32_TSC)).isEqualTo("unknown");
  }

  @Test
  void before_cpuid_a_restore_stops_at_feature_control_or_at_the_first_vmx_msr() {
    Vcpu v = created(vmx(), host(VMX));
    assertThat(set(v, Msr.IA32_PAT, 0, Msr.IA32_FEATURE_CONTROL, 5).outcome())
        .isEqualTo(stops(1, MsrCheck.MSR_FEATURE_CONTROL_BITS));
    assertThat(set(v, Msr.IA32_FEATURE_CONTROL, 1, Msr.IA32_VMX_BASIC, BASIC).outcome())
        .isEqualTo(stops(1, MsrCheck.MSR_NO_NESTED_VMX));
    assertThat(read(v, Msr.IA32_VMX_BASIC)).isEqualTo("refused");
  }

  @Test
  void since_6_2_feature_control_does_not_ask_cpuid() {
    Vcpu v = created(kernel(KernelVersion.V6_12, KernelModel.Vendor.VMX), host(VMX));
    assertThat(set(v, Msr.IA32_FEATURE_CONTROL, 5).outcome()).isEqualTo(returns(1));
  }

  @Test
  void zero_in_feature_control_ends_vmx_operation_for_the_entries_after_it() {
    Vcpu v = inVmxOperation();
    assertThat(set(v, Msr.IA32_FEATURE_CONTROL, 5, Msr.IA32_VMX_BASIC, BASIC).outcome())
        .isEqualTo(stops(1, MsrCheck.MSR_IN_VMX_OPERATION));
    assertThat(set(v, Msr.IA32_FEATURE_CONTROL, 0, Msr.IA32_VMX_BASIC, BASIC).outcome())
        .isEqualTo(returns(2));
    Vcpu left = after(v, Msr.IA32_FEATURE_CONTROL, 0, Msr.IA32_VMX_BASIC, BASIC);
    assertThat(left.nested().mode().vmxon()).isEqualTo(Answer.NO);
    assertThat(v.nested().mode().vmxon()).isEqualTo(Answer.YES);
  }

  @Test
  void a_refused_entry_is_the_last_that_counts() {
    Vcpu v = after(plain(), Msr.SMI_COUNT, 3, Msr.IA32_PAT, 2, Msr.IA32_MISC_ENABLE, 1);
    assertThat(read(v, Msr.SMI_COUNT)).isEqualTo(3L);
    assertThat(read(v, Msr.IA32_MISC_ENABLE)).isEqualTo(0x1800L);
  }

  @Test
  void an_entry_that_nobody_can_judge_leaves_the_rest_unknown() {
    Vcpu v = plain();
    Decision decision = set(v, Msr.SMI_COUNT, 3, MsrKind.IA32_TSX_CTRL, 1, Msr.IA32_MISC_ENABLE, 1);
    assertThat(decision.outcome()).isInstanceOf(Outcome.Undecided.class);
    Vcpu next = VcpuModel.evolve(v, decision.events().getFirst());
    assertThat(read(next, Msr.SMI_COUNT)).isEqualTo(3L);
    assertThat(read(next, Msr.IA32_MISC_ENABLE)).isEqualTo("unknown");
    assertThat(read(next, Msr.IA32_PAT)).isEqualTo(0x0007_0406_0007_0406L);
  }

  @Test
  void efer_is_a_special_register_and_keeps_lma() {
    Vcpu v = after(plain(), Msr.IA32_EFER, Efer.SCE | Efer.LME | Efer.LMA);
    assertThat(v.registers().sregs().value(SregsFields.EFER)).isEqualTo(Efer.SCE | Efer.LME);
    assertThat(v.registers().sregs().writer(SregsFields.EFER)).isEqualTo(MOMENT);
    assertThat(read(v, Msr.IA32_EFER)).isEqualTo(Efer.SCE | Efer.LME);
  }

  @Test
  void the_bases_of_fs_and_gs_are_special_registers() {
    Vcpu v = after(plain(), Msr.IA32_FS_BASE, 0x1000, Msr.IA32_GS_BASE, 0x2000);
    assertThat(v.registers().sregs().value(SregsFields.FS_BASE)).isEqualTo(0x1000);
    assertThat(v.registers().sregs().value(SregsFields.GS_BASE)).isEqualTo(0x2000);
  }

  @Test
  void sysenter_addresses_are_made_canonical_and_its_selector_has_32_bits() {
    Vcpu v =
        after(
            plain(),
            Msr.IA32_SYSENTER_EIP,
            0x1234_8000_0000_0000L,
            Msr.IA32_SYSENTER_CS,
            0x5_0000_0008L);
    assertThat(read(v, Msr.IA32_SYSENTER_EIP)).isEqualTo(0xffff_8000_0000_0000L);
    assertThat(read(v, Msr.IA32_SYSENTER_CS)).isEqualTo(8L);
  }

  @Test
  void an_address_between_both_widths_depends_on_cr4() {
    Vcpu v = plain();
    long address = 1L << 50;
    assertThat(set(v, Msr.IA32_LSTAR, address).outcome())
        .isEqualTo(stops(0, MsrCheck.MSR_NOT_CANONICAL));
    Tracked wide = v.registers().sregs().edit(2).set(SregsFields.CR4, Cr4.LA57).done();
    Vcpu la57 = v.withRegisters(v.registers().withSregs(wide));
    assertThat(set(la57, Msr.IA32_LSTAR, address).outcome()).isEqualTo(returns(1));
    FieldSet cr4 = FieldSet.of(wide.layout().count(), SregsFields.CR4);
    Vcpu unknown = v.withRegisters(v.registers().withSregs(wide.forget(cr4, 3)));
    assertThat(set(unknown, Msr.IA32_LSTAR, address).outcome())
        .isInstanceOf(Outcome.Undecided.class);
  }

  @Test
  void the_tsc_deadline_is_dropped_unless_the_timer_is_in_that_mode() {
    Vcpu v = after(plain(), Msr.IA32_TSC_DEADLINE, 0x1234);
    assertThat(read(v, Msr.IA32_TSC_DEADLINE)).isEqualTo(0L);
  }

  @Test
  void tsc_adjust_is_dropped_in_a_guest_without_it() {
    assertThat(read(after(plain(), Msr.IA32_TSC_ADJUST, 5), Msr.IA32_TSC_ADJUST)).isEqualTo(5L);
    Vcpu bare = created(vmx(), host(VMX));
    assertThat(read(after(bare, Msr.IA32_TSC_ADJUST, 5), Msr.IA32_TSC_ADJUST)).isEqualTo(0L);
  }

  @Test
  void both_names_of_kvmclocks_msrs_hold_one_value() {
    Vcpu v = after(plain(), Msr.KVM_SYSTEM_TIME_NEW, 0x5001, Msr.KVM_WALL_CLOCK, 0x6000);
    assertThat(read(v, Msr.KVM_SYSTEM_TIME)).isEqualTo(0x5001L);
    assertThat(read(v, Msr.KVM_WALL_CLOCK_NEW)).isEqualTo(0x6000L);
  }

  @Test
  void zero_is_accepted_of_a_listed_msr_that_the_guest_lacks() {
    Vcpu v = plain();
    assertThat(set(v, Msr.F15H_PERF_CTL0, 0).outcome()).isEqualTo(returns(1));
    assertThat(read(v, Msr.F15H_PERF_CTL0)).isEqualTo(0L);
    assertThat(read(v, Msr.F15H_PERF_CTL0 + 1)).isEqualTo("refused");
  }

  @Test
  void linux_5_10_refuses_even_zero_in_amds_counters() {
    Vcpu v =
        withCpuid(
            created(kernel(KernelVersion.V5_10, KernelModel.Vendor.VMX), host(NO_VMX)), NO_VMX);
    assertThat(set(v, Msr.F15H_PERF_CTL0, 0).outcome())
        .isEqualTo(stops(0, MsrCheck.MSR_UNSUPPORTED));
    assertThat(read(v, Msr.F15H_PERF_CTL0)).isEqualTo(0L);
  }

  @Test
  void ignore_msrs_accepts_what_kvm_does_not_know() {
    KernelModel k = vmx();
    KernelModel ignoring =
        new KernelModel(
            k.version(),
            true,
            k.vendor(),
            Answer.YES,
            Answer.YES,
            Answer.YES,
            Answer.YES,
            Answer.YES);
    Vcpu v = created(ignoring, host(NO_VMX));
    assertThat(set(v, 0x1234, 1).outcome()).isEqualTo(returns(1));
    assertThat(read(v, 0x1234)).isEqualTo(0L);
    assertThat(set(v, Msr.IA32_PAT, 2).outcome()).isEqualTo(stops(0, MsrCheck.MSR_PAT_TYPE));
  }

  @Test
  void hwcr_cannot_be_cleared_before_6_8() {
    Vcpu v = after(after(plain(), Msr.K7_HWCR, 1 << 18), Msr.K7_HWCR, 0);
    assertThat(read(v, Msr.K7_HWCR)).isEqualTo(1L << 18);
  }

  @Test
  void the_timers_rate_may_differ_once_the_timer_is_not_offered() {
    Vcpu v = ready();
    long noTimer = PIN & ~MsrVmx.PREEMPTION_TIMER;
    assertThat(
            set(v, Msr.IA32_VMX_TRUE_PINBASED_CTLS, noTimer, Msr.IA32_VMX_MISC, MISC ^ 1).outcome())
        .isEqualTo(returns(2));
  }

  @Test
  void vmx_msrs_that_follow_from_others_are_computed_when_read() {
    Vcpu v = ready();
    assertThat(read(v, Msr.IA32_VMX_PINBASED_CTLS)).isEqualTo(PIN | 0x16);
    assertThat(read(v, Msr.IA32_VMX_PROCBASED_CTLS)).isEqualTo(0xfff9_fffe_0401_e172L);
    assertThat(read(v, Msr.IA32_VMX_CR0_FIXED1)).isEqualTo(0xffff_ffffL);
  }

  @Test
  void cpuid_takes_secondary_controls_away_and_gives_them_back() {
    Vcpu v = withCpuid(created(vmx(), host(VMX)), VMX);
    assertThat(read(v, Msr.IA32_VMX_PROCBASED_CTLS2)).isEqualTo(SECONDARY);
    long without = SECONDARY & ~INVPCID;
    Vcpu less = after(v, Msr.IA32_VMX_PROCBASED_CTLS2, without);
    assertThat(read(less, Msr.IA32_VMX_PROCBASED_CTLS2)).isEqualTo(without);
    assertThat(read(withCpuid(less, VMX), Msr.IA32_VMX_PROCBASED_CTLS2)).isEqualTo(SECONDARY);
  }

  @Test
  void without_the_hosts_own_value_only_a_smaller_one_is_sure_to_be_accepted() {
    Vcpu v = withCpuid(created(vmx(), Host.UNKNOWN), VMX);
    assertThat(set(v, Msr.IA32_VMX_BASIC, BASIC).outcome()).isInstanceOf(Outcome.Undecided.class);
    KvmMsrs read = list(Msr.IA32_VMX_BASIC, BASIC);
    Host host = MsrRules.learnWritten(Host.UNKNOWN, read, 1);
    Vcpu other = withCpuid(created(vmx(), host), VMX);
    assertThat(set(other, Msr.IA32_VMX_BASIC, BASIC).outcome()).isEqualTo(returns(1));
    assertThat(set(other, Msr.IA32_VMX_BASIC, BASIC & ~(1L << 55)).outcome()).isEqualTo(returns(1));
    assertThat(set(other, Msr.IA32_VMX_BASIC, BASIC | 1L << 49).outcome())
        .isInstanceOf(Outcome.Undecided.class);
  }

  @Test
  void an_untouched_vcpu_shows_what_the_host_offers() {
    Host before = Host.UNKNOWN.withSupportedCpuid(VMX);
    Vcpu v = withCpuid(created(vmx(), before), VMX);
    KvmMsrs shown =
        list(Msr.IA32_VMX_BASIC, BASIC, Msr.IA32_VMX_PROCBASED_CTLS2, SECONDARY, Msr.IA32_PAT, 0);
    Host learned = MsrRules.learn(before, v, shown, 3);
    assertThat(learned.featureMsrs().knows(Msr.IA32_VMX_BASIC)).isTrue();
    assertThat(learned.featureMsrs().knows(Msr.IA32_PAT)).isFalse();
    assertThat(read(withCpuid(created(vmx(), learned), VMX), Msr.IA32_VMX_PROCBASED_CTLS2))
        .isEqualTo(SECONDARY);
    Vcpu touched = VcpuModel.evolve(v, new TimelineEvent.MsrsSet(MOMENT, shown, 1, true));
    assertThat(
            MsrRules.learn(before, MsrStates.withMsr(touched, Msr.IA32_VMX_BASIC, 1), shown, 1)
                .featureMsrs()
                .knows(Msr.IA32_VMX_BASIC))
        .isFalse();
  }

  @Test
  void a_read_tells_what_was_not_known() {
    Vcpu v = VcpuModel.unseen("vm1/vcpu0", 0, Vm.unseen("vm1", vmx(), host(VMX)));
    KvmMsrs shown = list(Msr.IA32_PAT, 6, Msr.IA32_EFER, 0x500, Msr.IA32_TSC, 77);
    Vcpu next = VcpuModel.evolve(v, new TimelineEvent.MsrsRead(MOMENT, shown, 3));
    assertThat(read(next, Msr.IA32_PAT)).isEqualTo(6L);
    assertThat(next.registers().sregs().value(SregsFields.EFER)).isEqualTo(0x500);
    assertThat(read(next, Msr.IA32_TSC)).isEqualTo("unknown");
  }

  @Test
  void a_read_that_contradicts_puts_the_value_in_doubt() {
    Vcpu v = plain();
    Reply reply =
        Objects.requireNonNull(
            VcpuModel.decide(v, new VcpuCommand.GetMsrs(MOMENT, list(Msr.IA32_PAT, 0))).reply());
    TimelineEvent doubted = new TimelineEvent.ReadDoubted(MOMENT, reply, FieldSet.of(1, 0));
    assertThat(read(VcpuModel.evolve(v, doubted), Msr.IA32_PAT)).isEqualTo("unknown");
  }

  @Test
  void the_guest_can_write_most_msrs_but_not_those_of_its_model() {
    Vcpu v = after(ready(), Msr.IA32_FEATURE_CONTROL, 5);
    MsrState ran = MsrRules.afterGuestRan(v, MOMENT, true);
    Vcpu next = v.withPlatform(v.platform().withMsrs(ran));
    assertThat(read(next, Msr.IA32_PAT)).isEqualTo("unknown");
    assertThat(read(next, Msr.IA32_VMX_BASIC)).isEqualTo(BASIC);
    assertThat(read(next, Msr.IA32_FEATURE_CONTROL)).isEqualTo(5L);
    assertThat(read(next, Msr.HV_X64_GUEST_OS_ID)).isEqualTo(0L);
    assertThat(read(next, Msr.IA32_SMBASE)).isEqualTo(0x30000L);
    assertThat(MsrRules.afterGuestRan(v, MOMENT, false).knows(Msr.IA32_SMBASE)).isFalse();
    Vcpu unlocked = after(ready(), Msr.IA32_FEATURE_CONTROL, 4);
    assertThat(MsrRules.afterGuestRan(unlocked, MOMENT, true).knows(Msr.IA32_FEATURE_CONTROL))
        .isFalse();
  }

  @Test
  void smis_are_counted_and_rsm_loads_smbase() {
    MsrState msrs = plain().platform().msrs();
    assertThat(MsrRules.afterSmi(msrs, MOMENT).value(Msr.SMI_COUNT)).isEqualTo(1);
    assertThat(MsrRules.afterRsm(msrs, MOMENT).knows(Msr.IA32_SMBASE)).isFalse();
  }

  @Test
  void machine_check_banks_come_with_their_setup() {
    Vcpu v = plain();
    MsrState msrs = MsrRules.afterMceSetup(v.platform().msrs(), SIX_BANKS, MOMENT);
    Vcpu next = v.withPlatform(v.platform().withMsrs(msrs));
    assertThat(read(next, Msr.IA32_MCG_CTL)).isEqualTo(-1L);
    assertThat(read(next, Msr.IA32_MC0_CTL + 20)).isEqualTo(-1L);
    assertThat(read(next, Msr.IA32_MC0_CTL + 24)).isEqualTo("refused");
    MsrState injected = MsrRules.afterMce(msrs, MOMENT);
    assertThat(injected.knows(Msr.IA32_MC0_CTL)).isFalse();
    assertThat(injected.knows(Msr.IA32_MCG_CTL)).isTrue();
    assertThat(read(v, Msr.IA32_MC0_CTL + 32 * 4 - 1)).isEqualTo("unknown");
  }

  private static Outcome setUp(long cap) {
    return MsrRules.decide(new VcpuCommand.SetupMce(MOMENT, cap)).outcome();
  }

  @Test
  void the_banks_that_are_set_up_are_1_to_32_and_have_what_kvm_offers() {
    assertThat(setUp(0)).isEqualTo(new Outcome.Refused(Errno.EINVAL, MsrCheck.MCE_BANKS));
    assertThat(setUp(33)).isEqualTo(new Outcome.Refused(Errno.EINVAL, MsrCheck.MCE_BANKS));
    assertThat(setUp(1 << 9 | 32))
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, MsrCheck.MCE_FEATURES));
    assertThat(setUp(SIX_BANKS | 1 << 24)).isEqualTo(returns(0));
    assertThat(setUp(SIX_BANKS | 1 << 10)).isInstanceOf(Outcome.Undecided.class);
  }

  @Test
  void svm_has_no_vmx_msrs_and_stores_a_page_address_for_its_host_save_area() {
    Vcpu v = withCpuid(created(svm(), host(NO_VMX)), NO_VMX);
    assertThat(set(v, Msr.IA32_VMX_BASIC, BASIC).outcome())
        .isEqualTo(stops(0, MsrCheck.MSR_UNSUPPORTED));
    Vcpu next = after(v, Msr.VM_HSAVE_PA, 0x12345);
    assertThat(read(next, Msr.VM_HSAVE_PA)).isEqualTo(0x12000L);
    assertThat(read(plain(), Msr.VM_HSAVE_PA)).isEqualTo(0L);
  }

  @Test
  void another_vcpu_may_have_written_what_belongs_to_the_vm() {
    Vcpu v = plain();
    Vcpu two = v.withVm(v.vm().withVcpuIds(List.of(0, 1)));
    assertThat(read(v, Msr.HV_X64_GUEST_OS_ID)).isEqualTo(0L);
    assertThat(read(two, Msr.HV_X64_GUEST_OS_ID)).isEqualTo("unknown");
    assertThat(read(two, Msr.KVM_STEAL_TIME)).isEqualTo(0L);
  }

  @Test
  void while_l2_is_active_sysenter_is_copied_to_the_vmcs12() {
    Vcpu v = ready();
    Nested.Mode l2 = v.nested().mode().withVmxon(Answer.YES).withGuestMode(Answer.YES);
    Vcpu active = v.withNested(v.nested().withMode(l2));
    Vcpu next = after(active, Msr.IA32_SYSENTER_CS, 8);
    int field = Vmcs12.indexOf(VmcsField.GUEST_SYSENTER_CS);
    assertThat(next.nested().vmcs12().is(field, 8)).isEqualTo(Answer.YES);
    assertThat(after(v, Msr.IA32_SYSENTER_CS, 8).nested().vmcs12().knows(field)).isFalse();
  }
}
