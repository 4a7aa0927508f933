package dev.faultline.vcpu;

import static dev.faultline.vcpu.MsrStates.BASIC;
import static dev.faultline.vcpu.MsrStates.MISC;
import static dev.faultline.vcpu.MsrStates.MOMENT;
import static dev.faultline.vcpu.MsrStates.NO_VMX;
import static dev.faultline.vcpu.MsrStates.PIN;
import static dev.faultline.vcpu.MsrStates.VMX;
import static dev.faultline.vcpu.MsrStates.cpuidWithPmu;
import static dev.faultline.vcpu.MsrStates.created;
import static dev.faultline.vcpu.MsrStates.host;
import static dev.faultline.vcpu.MsrStates.inVmxOperation;
import static dev.faultline.vcpu.MsrStates.kernel;
import static dev.faultline.vcpu.MsrStates.list;
import static dev.faultline.vcpu.MsrStates.plain;
import static dev.faultline.vcpu.MsrStates.ready;
import static dev.faultline.vcpu.MsrStates.svm;
import static dev.faultline.vcpu.MsrStates.withCpuid;
import static dev.faultline.vcpu.MsrStates.withMsr;
import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Msr;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/** Given a list whose last entry breaks one rule, KVM_SET_MSRS does the others and stops there. */
class MsrCheckScenario {
  private static final long MSR_OF_NO_CPU = 0x1234;

  /**
   * A list whose last entry is refused.
   *
   * @param check the rule that it breaks
   */
  record Row(MsrCheck check, Vcpu vcpu, KvmMsrs msrs) {
    int last() {
      return msrs.held() - 1;
    }

    @Override
    public String toString() {
      return check + ": " + Msr.name(msrs.index(last())) + " = 0x" + Long.toHexString(value());
    }

    private long value() {
      return msrs.data(last());
    }
  }

  private static Row row(MsrCheck check, Vcpu vcpu, long... pairs) {
    return new Row(check, vcpu, list(pairs));
  }

  private static Vcpu ranOnce() {
    Vcpu v =
        withCpuid(created(kernel(KernelVersion.V6_12, KernelModel.Vendor.VMX), host(VMX)), VMX);
    return v.withProgress(v.progress().withEntered(Answer.YES));
  }

  private static Vcpu withPmu() {
    return withCpuid(created(MsrStates.vmx(), host(cpuidWithPmu())), cpuidWithPmu());
  }

  private static Vcpu withoutLapic() {
    return plain().withVm(plain().vm().withIrqchip(Vm.Irqchip.NONE));
  }

  private static Vcpu withBanks(int count) {
    return withMsr(plain(), Msr.IA32_MCG_CAP, count);
  }

  private static Vcpu onSvm() {
    return withCpuid(created(svm(), host(NO_VMX)), NO_VMX);
  }

  static final List<Row> ROWS =
      List.of(
          row(MsrCheck.MSR_UNSUPPORTED, plain(), MSR_OF_NO_CPU, 1),
          row(MsrCheck.MSR_UNSUPPORTED, plain(), MSR_OF_NO_CPU, 0),
          row(MsrCheck.MSR_UNSUPPORTED, plain(), Msr.F15H_PERF_CTL0, 1),
          row(MsrCheck.MSR_MODEL_FROZEN, ranOnce(), Msr.IA32_VMX_TRUE_PINBASED_CTLS, PIN | 1),
          row(MsrCheck.MSR_NOT_CANONICAL, plain(), Msr.IA32_LSTAR, 1L << 60),
          row(MsrCheck.MSR_NOT_CANONICAL, plain(), Msr.IA32_FS_BASE, 1L << 47),
          row(MsrCheck.MSR_TSC_AUX_HIGH, plain(), Msr.IA32_TSC_AUX, 1L << 32),
          row(MsrCheck.MSR_EFER_RESERVED, plain(), Msr.IA32_EFER, 2),
          row(MsrCheck.MSR_EFER_RESERVED, plain(), Msr.IA32_EFER, 1 << 12),
          row(MsrCheck.MSR_APIC_BASE_RESERVED, plain(), Msr.IA32_APIC_BASE, 0xfee0_0801L),
          row(MsrCheck.MSR_APIC_BASE_RESERVED, plain(), Msr.IA32_APIC_BASE, 1L << 40),
          row(MsrCheck.MSR_APIC_BASE_MODE, plain(), Msr.IA32_APIC_BASE, ApicBase.EXTD),
          row(MsrCheck.MSR_NOT_X2APIC, plain(), 0x808, 0),
          row(MsrCheck.MSR_PAT_TYPE, plain(), Msr.IA32_PAT, 2),
          row(MsrCheck.MSR_FEATURE_CONTROL_BITS, plain(), Msr.IA32_FEATURE_CONTROL, 5),
          row(MsrCheck.MSR_FEATURE_CONTROL_BITS, withBanks(1), Msr.IA32_FEATURE_CONTROL, 1 << 20),
          row(MsrCheck.MSR_NO_NESTED_VMX, plain(), Msr.IA32_VMX_BASIC, BASIC),
          row(MsrCheck.MSR_IN_VMX_OPERATION, inVmxOperation(), Msr.IA32_VMX_BASIC, BASIC),
          row(MsrCheck.MSR_VMX_DERIVED, ready(), Msr.IA32_VMX_PINBASED_CTLS, PIN),
          row(MsrCheck.MSR_VMX_BASIC_FEATURES, ready(), Msr.IA32_VMX_BASIC, BASIC | 1L << 49),
          row(MsrCheck.MSR_VMX_BASIC_32BIT, ready(), Msr.IA32_VMX_BASIC, BASIC | 1L << 48),
          row(MsrCheck.MSR_VMX_BASIC_REVISION, ready(), Msr.IA32_VMX_BASIC, BASIC ^ 1),
          row(MsrCheck.MSR_VMX_BASIC_SIZE, ready(), Msr.IA32_VMX_BASIC, BASIC & ~(1L << 44)),
          row(
              MsrCheck.MSR_VMX_CONTROL_MUST_BE_1,
              ready(),
              Msr.IA32_VMX_TRUE_PINBASED_CTLS,
              PIN & ~2),
          row(
              MsrCheck.MSR_VMX_CONTROL_MAY_BE_1,
              ready(),
              Msr.IA32_VMX_TRUE_PINBASED_CTLS,
              PIN | 1L << 40),
          row(MsrCheck.MSR_VMX_MISC_FEATURES, ready(), Msr.IA32_VMX_MISC, MISC | 1 << 15),
          row(MsrCheck.MSR_VMX_MISC_TIMER, ready(), Msr.IA32_VMX_MISC, MISC ^ 1),
          row(MsrCheck.MSR_VMX_MISC_CR3, ready(), Msr.IA32_VMX_MISC, MISC | 1 << 16),
          row(MsrCheck.MSR_VMX_MISC_MSRS, ready(), Msr.IA32_VMX_MISC, MISC | 1 << 25),
          row(MsrCheck.MSR_VMX_MISC_MSEG, ready(), Msr.IA32_VMX_MISC, MISC | 1L << 32),
          row(MsrCheck.MSR_VMX_FIXED0, ready(), Msr.IA32_VMX_CR4_FIXED0, 0),
          row(MsrCheck.MSR_VMX_FIXED0, ready(), Msr.IA32_VMX_CR0_FIXED0, 0x21),
          row(MsrCheck.MSR_VMX_EPT_VPID, ready(), Msr.IA32_VMX_EPT_VPID_CAP, -1),
          row(MsrCheck.MSR_VMX_VMFUNC, ready(), Msr.IA32_VMX_VMFUNC, 2),
          row(
              MsrCheck.MSR_PLATFORM_INFO_FAULTING,
              plain(),
              Msr.MISC_FEATURES_ENABLES,
              1,
              Msr.PLATFORM_INFO,
              0),
          row(MsrCheck.MSR_MISC_FEATURES_BITS, plain(), Msr.MISC_FEATURES_ENABLES, 2),
          row(
              MsrCheck.MSR_MISC_FEATURES_FAULTING,
              plain(),
              Msr.PLATFORM_INFO,
              0,
              Msr.MISC_FEATURES_ENABLES,
              1),
          row(MsrCheck.MSR_PERF_CAPABILITIES, withPmu(), Msr.IA32_PERF_CAPABILITIES, 0x8000),
          row(MsrCheck.MSR_PERF_CAPABILITIES_PMU, plain(), Msr.IA32_PERF_CAPABILITIES, 0x2000),
          row(MsrCheck.MSR_PMU_BITS, withPmu(), Msr.IA32_PERF_GLOBAL_CTRL, 1 << 10),
          row(MsrCheck.MSR_PRED_CMD_BITS, plain(), Msr.IA32_PRED_CMD, 2),
          row(MsrCheck.MSR_TSX_CTRL_BITS, plain(), MsrKind.IA32_TSX_CTRL, 4),
          row(MsrCheck.MSR_UMWAIT_BITS, plain(), Msr.IA32_UMWAIT_CONTROL, 2),
          row(MsrCheck.MSR_XSS_BITS, plain(), Msr.IA32_XSS, 1 << 8),
          row(MsrCheck.MSR_XFD_BITS, plain(), MsrKind.IA32_XFD, 1 << 18),
          row(MsrCheck.MSR_BNDCFGS, plain(), Msr.IA32_BNDCFGS, 0),
          row(MsrCheck.MSR_MTRR_NUMBER, plain(), 0x220, 0),
          row(MsrCheck.MSR_MTRR_TYPE, plain(), Msr.IA32_MTRR_FIX64K_00000, 2),
          row(MsrCheck.MSR_MTRR_TYPE, plain(), Msr.IA32_MTRR_DEF_TYPE, 2),
          row(MsrCheck.MSR_MTRR_TYPE, plain(), Msr.IA32_MTRR_PHYSBASE0, 7),
          row(MsrCheck.MSR_MTRR_RESERVED, plain(), Msr.IA32_MTRR_PHYSBASE0, 0x106),
          row(MsrCheck.MSR_MTRR_RESERVED, plain(), Msr.IA32_MTRR_PHYSBASE0 + 1, 1L << 40),
          row(MsrCheck.MSR_MTRR_RESERVED, plain(), Msr.IA32_MTRR_DEF_TYPE, 0x1000),
          row(MsrCheck.MSR_MC_BANK, withBanks(1), Msr.IA32_MC0_CTL + 4, 0),
          row(MsrCheck.MSR_MCG_CTL, withBanks(1), Msr.IA32_MCG_CTL, -1),
          row(MsrCheck.MSR_MCG_CTL, plain(), Msr.IA32_MCG_CTL, 1),
          row(MsrCheck.MSR_MC_CTL, plain(), Msr.IA32_MC0_CTL, 1),
          row(MsrCheck.MSR_MC_CTL2, withBanks(1), MsrKind.IA32_MC0_CTL2, 1),
          row(MsrCheck.MSR_MCG_EXT_CTL, plain(), MsrKind.IA32_MCG_EXT_CTL, 2),
          row(MsrCheck.MSR_STEAL_TIME_RESERVED, plain(), Msr.KVM_STEAL_TIME, 0x1021),
          row(MsrCheck.MSR_ASYNC_PF_RESERVED, plain(), Msr.KVM_ASYNC_PF_EN, 0x10),
          row(MsrCheck.MSR_ASYNC_PF_LAPIC, withoutLapic(), Msr.KVM_ASYNC_PF_EN, 1),
          row(MsrCheck.MSR_ASYNC_PF_MEMORY, plain(), Msr.KVM_ASYNC_PF_EN, 1 << 20 | 9),
          row(MsrCheck.MSR_ASYNC_PF_VECTOR, plain(), Msr.KVM_ASYNC_PF_INT, 0x100),
          row(MsrCheck.MSR_PV_EOI_ALIGNMENT, plain(), Msr.KVM_PV_EOI_EN, 3),
          row(MsrCheck.MSR_PV_EOI_MEMORY, plain(), Msr.KVM_PV_EOI_EN, 1 << 20 | 1),
          row(MsrCheck.MSR_POLL_CONTROL_BITS, plain(), Msr.KVM_POLL_CONTROL, 2),
          row(MsrCheck.MSR_HYPERV_UNKNOWN, plain(), 0x4000_0004, 0),
          row(MsrCheck.MSR_HYPERV_BITS, plain(), Msr.HV_X64_VP_INDEX, 1 << 16),
          row(MsrCheck.MSR_HYPERV_MEMORY, plain(), 0x4000_0073, 1 << 20 | 1),
          row(MsrCheck.MSR_HWCR_BITS, plain(), Msr.K7_HWCR, 1),
          row(MsrCheck.MSR_VIRT_SPEC_CTRL_BITS, onSvm(), Msr.AMD64_VIRT_SPEC_CTRL, 1),
          row(MsrCheck.MSR_OSVW, onSvm(), 0xc001_0140, 0));

  @ParameterizedTest
  @FieldSource("ROWS")
  void an_entry_that_breaks_a_rule_ends_the_call(Row row) {
    Decision decision = VcpuModel.decide(row.vcpu(), new VcpuCommand.SetMsrs(MOMENT, row.msrs()));
    assertThat(decision.outcome()).isEqualTo(new Outcome.Returns(row.last(), row.check()));
    assertThat(MsrRules.refusal(row.vcpu(), row.msrs(), row.last())).isEqualTo(row.check());
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void a_refused_entry_leaves_the_msr_as_it_was(Row row) {
    int index = row.msrs().index(row.last());
    Vcpu after = row.vcpu();
    for (TimelineEvent event :
        VcpuModel.decide(after, new VcpuCommand.SetMsrs(MOMENT, row.msrs())).events()) {
      after = VcpuModel.evolve(after, event);
    }
    if (row.last() == 0) {
      assertThat(MsrStates.read(after, index)).isEqualTo(MsrStates.read(row.vcpu(), index));
    }
    assertThat(after.platform().msrs().knows(Msr.IA32_PAT)).isTrue();
  }

  @Test
  void a_list_of_256_entries_is_too_big() {
    long[] pairs = new long[512];
    Arrays.setAll(pairs, i -> i % 2 == 0 ? Msr.SMI_COUNT : 0);
    assertThat(MsrStates.set(plain(), pairs).outcome())
        .isEqualTo(new Outcome.Refused(Errno.E2BIG, MsrCheck.MSR_COUNT));
    assertThat(MsrStates.set(plain(), Arrays.copyOf(pairs, 510)).outcome())
        .isEqualTo(new Outcome.Returns(255));
  }

  static Set<MsrCheck> covered() {
    // These refuse a whole call: the method above, and two of MsrRulesTest.
    Set<MsrCheck> covered =
        EnumSet.of(MsrCheck.MSR_COUNT, MsrCheck.MCE_BANKS, MsrCheck.MCE_FEATURES);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }
}
