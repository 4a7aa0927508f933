package dev.faultline.vcpu;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;

/** vCPUs and lists of MSRs for the scenarios of KVM_GET_MSRS and KVM_SET_MSRS. */
final class MsrStates {
  static final int MOMENT = 7;

  /** What KVM offers on the host of the recordings. */
  static final long BASIC = 0x00d8_1000_11e5_7ed0L;

  static final long MISC = 0x2000_0165L;
  static final long PIN = 0xff_0000_0016L;
  static final long PRIMARY = 0xfff9_fffe_0400_6172L;
  static final long SECONDARY = 0x0213_7bff_0000_0000L;
  static final long EXIT = 0x007f_ffff_0003_6dfbL;
  static final long ENTRY = 0xf3ff_0000_11fbL;
  static final long EPT_VPID = 0x0f01_0633_4041L;
  static final long ARCH_CAPABILITIES = 0x4000_0000_0800_0040L;

  static final KvmCpuid2 NO_VMX = cpuid(0);
  static final KvmCpuid2 VMX = cpuid(1 << 5);

  private static final int ALL_LEAF_7 = 1 << 1 | 1 << 10 | 1 << 18;

  private MsrStates() {}

  /** Intel's vendor string, long mode, x2APIC, XSAVES, 40 address bits, and these features. */
  static KvmCpuid2 cpuid(int leaf1Ecx, CpuidEntry... more) {
    List<CpuidEntry> entries = new ArrayList<>(List.of(more));
    entries.add(new CpuidEntry(0, 0, 0, 0x16, 0x756e_6547, 0x6c65_746e, 0x4965_6e69));
    int ecx = leaf1Ecx | 1 << 21 | 1 << 26 | 1 << 30;
    entries.add(new CpuidEntry(1, 0, 0, 0, 0, ecx, 0));
    entries.add(new CpuidEntry(7, 0, 1, 0, ALL_LEAF_7, 0, 0));
    entries.add(new CpuidEntry(0xd, 1, 1, 8, 0, 0, 0));
    entries.add(new CpuidEntry(0x8000_0000, 0, 0, 0x8000_0008, 0, 0, 0));
    entries.add(new CpuidEntry(0x8000_0001, 0, 0, 0, 0, 0, 1 << 29 | 1 << 27 | 1 << 20));
    entries.add(new CpuidEntry(0x8000_0008, 0, 0, 40, 0, 0, 0));
    return KvmCpuid2.of(entries);
  }

  /** A PMU with four counters and three fixed ones. */
  static KvmCpuid2 cpuidWithPmu() {
    return cpuid(0, new CpuidEntry(0xa, 0, 0, 4 << 8 | 2, 0, 0, 3));
  }

  /** A machine that answered all questions about itself. */
  static Host host(KvmCpuid2 supported) {
    MsrState.Edit list = MsrState.empty().edit();
    for (int index : new int[] {Msr.IA32_TSC_AUX, Msr.IA32_FIXED_CTR0, Msr.F15H_PERF_CTL0}) {
      list.learn(index, 1);
    }
    MsrState.Edit features = MsrState.empty().edit();
    features
        .learn(Msr.IA32_VMX_BASIC, BASIC)
        .learn(Msr.IA32_VMX_MISC, MISC)
        .learn(Msr.IA32_VMX_TRUE_PINBASED_CTLS, PIN)
        .learn(Msr.IA32_VMX_TRUE_PROCBASED_CTLS, PRIMARY)
        .learn(Msr.IA32_VMX_PROCBASED_CTLS2, SECONDARY)
        .learn(Msr.IA32_VMX_TRUE_EXIT_CTLS, EXIT)
        .learn(Msr.IA32_VMX_TRUE_ENTRY_CTLS, ENTRY)
        .learn(Msr.IA32_VMX_EPT_VPID_CAP, EPT_VPID)
        .learn(Msr.IA32_VMX_VMFUNC, 1)
        .learn(Msr.IA32_ARCH_CAPABILITIES, ARCH_CAPABILITIES)
        .learn(Msr.IA32_PERF_CAPABILITIES, 0x2000);
    return Host.UNKNOWN
        .withSupportedCpuid(supported)
        .withMsrIndexes(list.done())
        .withFeatureMsrs(features.done());
  }

  static KernelModel kernel(KernelVersion version, KernelModel.Vendor vendor) {
    return new KernelModel(
        version, true, vendor, Answer.YES, Answer.YES, Answer.YES, Answer.YES, Answer.NO);
  }

  static KernelModel vmx() {
    return kernel(KernelVersion.V6_1, KernelModel.Vendor.VMX);
  }

  static KernelModel svm() {
    return kernel(KernelVersion.V6_1, KernelModel.Vendor.SVM);
  }

  /** A vCPU just created, with its local APIC in the kernel. */
  static Vcpu created(KernelModel kernel, Host host) {
    Vm vm =
        Vm.created("vm1", kernel, host)
            .withIrqchip(Vm.Irqchip.KERNEL)
            .withVcpuIds(List.of(0))
            .withSlots(List.of(new Vm.Slot(0, 0, 1 << 20)));
    return VcpuModel.evolve(
        VcpuModel.unseen("vm1/vcpu0", 0, vm),
        new TimelineEvent.VcpuCreated(0, 0, Answer.YES, Answer.YES));
  }

  static Vcpu withCpuid(Vcpu v, KvmCpuid2 table) {
    return VcpuModel.evolve(v, new TimelineEvent.CpuidSet(1, table));
  }

  /** A vCPU on Linux 6.1 and VMX whose guest has VMX. */
  static Vcpu ready() {
    return withCpuid(created(vmx(), host(VMX)), VMX);
  }

  /** The same, but its guest has no VMX. */
  static Vcpu plain() {
    return withCpuid(created(vmx(), host(NO_VMX)), NO_VMX);
  }

  static Vcpu inVmxOperation() {
    return VcpuModel.evolve(ready(), new TimelineEvent.VmxonSet(2, 0x1000));
  }

  static Vcpu withMsr(Vcpu v, int index, long data) {
    MsrState msrs = v.platform().msrs().edit().write(index, data, true, MOMENT).done();
    return v.withPlatform(v.platform().withMsrs(msrs));
  }

  /** A list of index and value in turn. */
  static KvmMsrs list(long... pairs) {
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = 0; i < pairs.length; i += 2) {
      entries.add(new MsrEntry((int) pairs[i], pairs[i + 1]));
    }
    return KvmMsrs.of(entries);
  }

  static Decision set(Vcpu v, long... pairs) {
    return VcpuModel.decide(v, new VcpuCommand.SetMsrs(MOMENT, list(pairs)));
  }

  /** The vCPU after a KVM_SET_MSRS that the model can decide. */
  static Vcpu after(Vcpu v, long... pairs) {
    Vcpu next = v;
    for (TimelineEvent event : set(v, pairs).events()) {
      next = VcpuModel.evolve(next, event);
    }
    return next;
  }

  /** What KVM_GET_MSRS of one MSR shows: a value, "refused" or "unknown". */
  static Object read(Vcpu v, int index) {
    Decision decision = VcpuModel.decide(v, new VcpuCommand.GetMsrs(MOMENT, list(index, 0)));
    if (decision.outcome() instanceof Outcome.Returns done && done.value() == 0) {
      return "refused";
    }
    return decision.reply() instanceof Reply.Msrs shown && shown.read() == 1 && shown.known(0)
        ? shown.predicted(0)
        : "unknown";
  }
}
