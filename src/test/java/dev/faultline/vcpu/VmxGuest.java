package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vmx.EntryControls;
import dev.faultline.vmx.ExitControls;
import dev.faultline.vmx.PrimaryControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.List;

/** vCPUs of an Intel machine, as ioctls leave them, and valid payloads to start from. */
final class VmxGuest {
  static final int MOMENT = 7;
  static final long VMXON_PA = 0x1000;
  static final long VMCS12_PA = 0x2000;
  static final long L1_RIP = 0x41_5c99;
  static final long L2_RIP = 0x40_41f0;
  static final long MEMORY = 1L << 30;

  /** VMX, PCID, x2APIC and XSAVE. */
  static final int LEAF_1_ECX = 1 << 5 | 1 << 17 | 1 << 21 | 1 << 26;

  /** FSGSBASE, SMEP, INVPCID, SMAP. */
  static final int LEAF_7_EBX = 1 | 1 << 7 | 1 << 10 | 1 << 20;

  /** UMIP, PKU, LA57. */
  static final int LEAF_7_ECX = 1 << 2 | 1 << 3 | 1 << 16;

  static final KvmCpuid2 CPUID = cpuid(LEAF_1_ECX, -1, LEAF_7_EBX, LEAF_7_ECX);

  private static final long FLAT = 0xffff_ffffL;
  private static final Segment CODE = new Segment(0, FLAT, 0x10, 11, 1, 0, 0, 1, 1, 1, 0, 0);
  private static final Segment DATA = new Segment(0, FLAT, 0x18, 3, 1, 0, 1, 1, 0, 1, 0, 0);
  private static final Segment UNUSABLE = new Segment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  private static final Segment TASK = new Segment(0, 0x67, 0x28, 11, 1, 0, 0, 0, 0, 0, 0, 0);

  /** 64-bit mode with flat segments. */
  static final KvmSregs SREGS =
      KvmSregs.zero()
          .withSegment(SegmentRegister.CS, CODE)
          .withSegment(SegmentRegister.SS, DATA)
          .withSegment(SegmentRegister.DS, DATA)
          .withSegment(SegmentRegister.ES, DATA)
          .withSegment(SegmentRegister.FS, UNUSABLE)
          .withSegment(SegmentRegister.GS, UNUSABLE)
          .withSegment(SegmentRegister.TR, TASK)
          .withSegment(SegmentRegister.LDTR, UNUSABLE)
          .withGdt(new DescriptorTable(0x5000, 0xff))
          .withIdt(new DescriptorTable(0x6000, 0xfff))
          .withCr0(Cr0.PG | Cr0.NE | Cr0.ET | Cr0.PE)
          .withCr3(0x3000)
          .withCr4(Cr4.PAE | Cr4.VMXE)
          .withEfer(Efer.LME | Efer.LMA)
          .withApicBase(0xfee0_0000L | ApicBase.EN | ApicBase.BSP);

  /** Protected mode with PAE paging. */
  static final KvmSregs SREGS_32 =
      SREGS
          .withEfer(0)
          .withSegment(SegmentRegister.CS, new Segment(0, FLAT, 0x10, 11, 1, 0, 1, 1, 0, 1, 0, 0));

  private VmxGuest() {}

  static KvmCpuid2 cpuid(int leaf1Ecx, int leaf1Edx, int leaf7Ebx, int leaf7Ecx) {
    return MsrStates.cpuid(
        0,
        new CpuidEntry(1, 0, 0, 0, 0, leaf1Ecx, leaf1Edx),
        new CpuidEntry(7, 0, 1, 0, leaf7Ebx, leaf7Ecx, 0),
        new CpuidEntry(0xd, 0, 1, 7, 0, 0, 0));
  }

  /** A vCPU just created with this table, on a host that supports all of {@link #CPUID}. */
  static Vcpu created(KernelModel kernel, Vm.Irqchip irqchip, KvmCpuid2 host, KvmCpuid2 guest) {
    Vm vm =
        Vm.created("vm1", kernel, MsrStates.host(host))
            .withIrqchip(irqchip)
            .withVcpuIds(List.of(0))
            .withSlots(List.of(new Vm.Slot(0, 0, MEMORY)));
    Vcpu fresh =
        VcpuModel.evolve(
            VcpuModel.unseen("vm1/vcpu0", 0, vm),
            new TimelineEvent.VcpuCreated(0, 0, Answer.YES, irqchip.lapicInKernel()));
    return MsrStates.withCpuid(fresh, guest);
  }

  static Vcpu created(KernelModel kernel) {
    return created(kernel, Vm.Irqchip.KERNEL, CPUID, CPUID);
  }

  static KernelModel kernel(KernelVersion version) {
    return MsrStates.kernel(version, KernelModel.Vendor.VMX);
  }

  /** L1 in 64-bit mode, not in VMX operation, on 6.1. */
  static Vcpu inL1() {
    return inL1(kernel(KernelVersion.V6_1));
  }

  static Vcpu inL1(KernelModel kernel) {
    return registersSet(created(kernel));
  }

  static Vcpu registersSet(Vcpu v) {
    Vcpu set = after(v, new VcpuCommand.SetSregs(MOMENT, SREGS));
    return after(
        set, new VcpuCommand.SetRegs(MOMENT, KvmRegs.zero().withRip(L2_RIP).withRflags(2)));
  }

  /** L1 in VMX operation without a current VMCS. */
  static Vcpu inVmxOperation() {
    return after(
        inL1(),
        new VcpuCommand.SetNestedState(MOMENT, KvmNestedState.vmxOff().withVmxonPa(VMXON_PA)));
  }

  /** L2 active and restricted, hardware has run it. */
  static Vcpu inL2() {
    return inL2(kernel(KernelVersion.V6_1));
  }

  static Vcpu inL2(KernelModel kernel) {
    return inL2(kernel, vmcs12());
  }

  static Vcpu inL2(KernelModel kernel, Vmcs12 vmcs12) {
    Vcpu v = after(inL1(kernel), new VcpuCommand.SetNestedState(MOMENT, l2State(vmcs12)));
    return v.withProgress(v.progress().withNestedPagesAwaited(Answer.NO));
  }

  static Vcpu inSmm() {
    Vcpu v = after(inL1(), new VcpuCommand.SetSregs(MOMENT, SREGS.withCr4(Cr4.PAE)));
    return after(
        v,
        new VcpuCommand.SetVcpuEvents(
            MOMENT,
            KvmVcpuEvents.zero().withFlags(VcpuEventFlags.KVM_VCPUEVENT_VALID_SMM).withSmiSmm(1)));
  }

  static KvmNestedState l2State() {
    return l2State(vmcs12());
  }

  static KvmNestedState l2State(Vmcs12 vmcs12) {
    return KvmNestedState.vmxOff()
        .withFlags(NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE)
        .withVmxonPa(VMXON_PA)
        .withVmcs12Pa(VMCS12_PA)
        .withVmcs12(vmcs12);
  }

  /** A 64-bit L2 with EPT and without "unrestricted guest", of a 64-bit L1. */
  static Vmcs12 vmcs12() {
    Vmcs12 v =
        new Vmcs12(Bytes.builder(Vmcs12.SIZE).put(0, Integer.BYTES, Vmcs12.REVISION).build())
            .with(VmcsField.VMCS_LINK_POINTER, ~0L)
            .with(VmcsField.PIN_BASED_VM_EXEC_CONTROL, 0x16)
            .with(
                VmcsField.CPU_BASED_VM_EXEC_CONTROL,
                0x0400_6172 | PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
            .with(VmcsField.SECONDARY_VM_EXEC_CONTROL, SecondaryControls.ENABLE_EPT)
            .with(VmcsField.EPT_POINTER, 0x701e)
            .with(VmcsField.VM_ENTRY_CONTROLS, 0x11fb | EntryControls.IA32E_MODE)
            .with(VmcsField.VM_EXIT_CONTROLS, 0x3_6dfb | ExitControls.HOST_ADDR_SPACE_SIZE)
            .with(VmcsField.GUEST_CR0, SREGS.cr0())
            .with(VmcsField.GUEST_CR3, 0x4000)
            .with(VmcsField.GUEST_CR4, SREGS.cr4())
            .with(VmcsField.GUEST_DR7, 0x400)
            .with(VmcsField.GUEST_RIP, L2_RIP)
            .with(VmcsField.GUEST_RFLAGS, 2)
            .with(VmcsField.HOST_CR0, SREGS.cr0())
            .with(VmcsField.HOST_CR3, 0x8000)
            .with(VmcsField.HOST_CR4, SREGS.cr4())
            .with(VmcsField.HOST_RIP, L1_RIP)
            .with(VmcsField.HOST_RSP, 0x9000)
            .with(VmcsField.HOST_CS_SELECTOR, 0x10)
            .with(VmcsField.HOST_SS_SELECTOR, 0x18)
            .with(VmcsField.HOST_DS_SELECTOR, 0x18)
            .with(VmcsField.HOST_ES_SELECTOR, 0x18)
            .with(VmcsField.HOST_TR_SELECTOR, 0x28);
    for (SegmentRegister register : SegmentRegister.values()) {
      String field = "GUEST_" + register.name() + "_";
      Segment s = SREGS.segment(register);
      v =
          v.with(VmcsField.valueOf(field + "SELECTOR"), s.selector())
              .with(VmcsField.valueOf(field + "BASE"), s.base())
              .with(VmcsField.valueOf(field + "LIMIT"), s.limit())
              .with(VmcsField.valueOf(field + "AR_BYTES"), s.accessRights());
    }
    return v;
  }

  /** The vCPU after a call that KVM certainly accepts. */
  static Vcpu after(Vcpu v, VcpuCommand command) {
    Decision decision = VcpuModel.decide(v, command);
    assertThat(decision.outcome()).as("%s", command.getClass()).isEqualTo(Outcome.ZERO);
    return evolved(v, decision);
  }

  static Vcpu evolved(Vcpu v, Decision decision) {
    Vcpu next = v;
    for (TimelineEvent event : decision.events()) {
      next = VcpuModel.evolve(next, event);
    }
    return next;
  }

  static VcpuCommand.Run run(KvmRun page) {
    return new VcpuCommand.Run(MOMENT, new RunInput(0, page));
  }
}
