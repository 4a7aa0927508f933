package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.Check;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.svm.Intercept;
import dev.faultline.svm.Vmcb;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.List;
import java.util.function.UnaryOperator;

/** A vCPU of an AMD machine on which calls are made, and states to give to it. */
final class SvmGuest {
  static final int GUEST_MODE = 1;
  static final int RUN_PENDING = 2;
  static final int GIF_SET = 0x100;
  static final long VMCB12 = 0x126000;
  static final long L2_RIP = 0x4041f0;
  static final long L2_CR3 = 0x180000;
  static final long L1_RFLAGS = 0x46;
  static final long L1_GDT = 0x9000;
  static final long L2_GDT = 0x7000;

  /** Long mode, NX and SVM, 40 address bits. */
  static final KvmCpuid2 CPUID =
      KvmCpuid2.of(
          List.of(
              new CpuidEntry(0, 0, 0, 0x16, 0x6874_7541, 0x444d_4163, 0x6974_6e65),
              new CpuidEntry(1, 0, 0, 0, 0, 0, 0),
              new CpuidEntry(7, 0, 1, 0, 0, 0, 0),
              new CpuidEntry(0x8000_0000, 0, 0, 0x8000_000a, 0, 0, 0),
              new CpuidEntry(0x8000_0001, 0, 0, 0, 0, 1 << 2, 1 << 29 | 1 << 20),
              new CpuidEntry(0x8000_0008, 0, 0, 40, 0, 0, 0)));

  private Vcpu vcpu;
  private int moment;

  private SvmGuest(Vcpu vcpu) {
    this.vcpu = vcpu;
  }

  /** A vCPU that was just created, with its CPUID. */
  static SvmGuest created() {
    return created(MsrStates.svm());
  }

  static SvmGuest created(KernelModel kernel) {
    Host host = Host.UNKNOWN.withSupportedCpuid(CPUID);
    Vm vm = Vm.created("vm1", kernel, host).withIrqchip(Vm.Irqchip.KERNEL);
    Vcpu unseen = VcpuModel.unseen("vm1/vcpu0", 0, vm);
    SvmGuest guest =
        new SvmGuest(
            VcpuModel.evolve(unseen, new TimelineEvent.VcpuCreated(0, 0, Answer.YES, Answer.YES)));
    guest.succeeds(new VcpuCommand.SetCpuid2(guest.next(), CPUID));
    return guest;
  }

  /** The same with the registers of L2 set by ioctls, as a restore does before nested state. */
  static SvmGuest withL2Registers() {
    SvmGuest guest = created();
    guest.set(l2Sregs());
    guest.set(l2Regs());
    return guest;
  }

  /** The same with L2 active. */
  static SvmGuest inL2() {
    SvmGuest guest = withL2Registers();
    guest.accepts(l2State());
    return guest;
  }

  static KvmSregs l2Sregs() {
    KvmSregs s =
        KvmSregs.zero()
            .withCr0(Cr0.PG | Cr0.PE | Cr0.ET)
            .withCr3(L2_CR3)
            .withCr4(Cr4.PAE)
            .withEfer(Efer.SVME | Efer.LMA | Efer.LME)
            .withApicBase(0xfee0_0900L);
    for (SegmentRegister register : SegmentRegister.values()) {
      s = s.withSegment(register, segment(register));
    }
    return s.withGdt(new dev.faultline.x86.DescriptorTable(L2_GDT, 0x7f));
  }

  private static Segment segment(SegmentRegister register) {
    boolean code = register == SegmentRegister.CS;
    boolean system = register == SegmentRegister.TR || register == SegmentRegister.LDTR;
    int type =
        code || register == SegmentRegister.TR ? 11 : register == SegmentRegister.LDTR ? 2 : 3;
    return new Segment(
        0x100L * register.ordinal(),
        system ? 0x67 : 0xffff_ffffL,
        8 * (register.ordinal() + 1),
        type,
        1,
        0,
        system || code ? 0 : 1,
        system ? 0 : 1,
        code ? 1 : 0,
        system ? 0 : 1,
        0,
        0);
  }

  static KvmRegs l2Regs() {
    return KvmRegs.zero().withRip(L2_RIP).withRflags(2);
  }

  /** A VMCB that KVM accepts: L1 in long mode with flat segments of its own. */
  static Vmcb vmcb() {
    return Vmcb.zero()
        .intercepting(Intercept.VMRUN)
        .intercepting(Intercept.VMMCALL)
        .with(VmcbField.ASID, 1)
        .with(VmcbField.IOPM_BASE_PA, 0x5000)
        .with(VmcbField.MSRPM_BASE_PA, 0x8000)
        .with(VmcbField.CS_SELECTOR, 0x10)
        .with(VmcbField.CS_ATTRIB, 0x29b)
        .with(VmcbField.CS_LIMIT, 0xffff_ffffL)
        .with(VmcbField.SS_SELECTOR, 0x18)
        .with(VmcbField.SS_ATTRIB, 0x493)
        .with(VmcbField.SS_LIMIT, 0xffff)
        .with(VmcbField.DS_ATTRIB, 0x12)
        .with(VmcbField.ES_ATTRIB, 0x92)
        .with(VmcbField.GDTR_BASE, L1_GDT)
        .with(VmcbField.GDTR_LIMIT, 0x47)
        .with(VmcbField.EFER, Efer.SVME | Efer.LMA | Efer.LME)
        .with(VmcbField.CR0, Cr0.PG | Cr0.PE | Cr0.ET)
        .with(VmcbField.CR3, 0x2000)
        .with(VmcbField.CR4, Cr4.PAE)
        .with(VmcbField.RFLAGS, L1_RFLAGS)
        .with(VmcbField.RIP, 0x415c99)
        .with(VmcbField.RAX, VMCB12);
  }

  static KvmNestedState l2State() {
    return state(GUEST_MODE | GIF_SET, vmcb());
  }

  static KvmNestedState l2State(UnaryOperator<Vmcb> change) {
    return state(GUEST_MODE | GIF_SET, change.apply(vmcb()));
  }

  static KvmNestedState l1State(int flags) {
    return new KvmNestedState(header(flags, KvmNestedState.HEADER_SIZE, 0));
  }

  static KvmNestedState state(int flags, Vmcb vmcb) {
    Bytes header = header(flags, KvmNestedState.SVM_SIZE, VMCB12);
    return new KvmNestedState(
        Bytes.builder(KvmNestedState.SVM_SIZE)
            .putBytes(0, header)
            .putBytes(KvmNestedState.HEADER_SIZE, vmcb.raw())
            .build());
  }

  private static Bytes header(int flags, int size, long vmcbPa) {
    return Bytes.builder(KvmNestedState.HEADER_SIZE)
        .put(0, 2, flags)
        .put(2, 2, 1)
        .put(4, 4, size)
        .put(8, 8, vmcbPa)
        .build();
  }

  Vcpu vcpu() {
    return vcpu;
  }

  /** The vCPU is as something else left it. */
  void become(UnaryOperator<Vcpu> change) {
    vcpu = change.apply(vcpu);
  }

  int next() {
    moment++;
    return moment;
  }

  Outcome call(VcpuCommand command) {
    Decision decision = VcpuModel.decide(vcpu, command);
    for (TimelineEvent event : decision.events()) {
      vcpu = VcpuModel.evolve(vcpu, event);
    }
    return decision.outcome();
  }

  void succeeds(VcpuCommand command) {
    assertThat(call(command)).isEqualTo(Outcome.ZERO);
  }

  void set(KvmSregs s) {
    succeeds(new VcpuCommand.SetSregs(next(), s));
  }

  void set(KvmRegs r) {
    succeeds(new VcpuCommand.SetRegs(next(), r));
  }

  void set(KvmVcpuEvents e) {
    succeeds(new VcpuCommand.SetVcpuEvents(next(), e));
  }

  Outcome give(KvmNestedState s) {
    return call(new VcpuCommand.SetNestedState(next(), s));
  }

  void accepts(KvmNestedState s) {
    assertThat(give(s)).isEqualTo(Outcome.ZERO);
  }

  /** Refused by this check with EINVAL. */
  void refuses(KvmNestedState s, Check check) {
    assertThat(give(s)).isEqualTo(new Outcome.Refused(Errno.EINVAL, check));
  }

  /** What KVM_GET_NESTED_STATE shows; all that means something must be known. */
  KvmNestedState shown() {
    Decision decision =
        VcpuModel.decide(vcpu, new VcpuCommand.GetNestedState(next(), KvmNestedState.SVM_SIZE));
    assertThat(decision.outcome()).isEqualTo(Outcome.ZERO);
    Reply.Parts parts = (Reply.Parts) java.util.Objects.requireNonNull(decision.reply());
    Bytes.Builder raw = Bytes.builder(parts.parts().size() == 1 ? 128 : KvmNestedState.SVM_SIZE);
    for (Reply.Struct part : parts.parts()) {
      for (int f = 0; f < part.count(); f++) {
        assertThat(!part.isValue(f) || part.known(f)).as(part.name(f)).isTrue();
      }
      raw.putBytes(part.offset(), part.bytes());
    }
    return new KvmNestedState(raw.build());
  }

  KvmSregs sregs() {
    Tracked sregs = vcpu.registers().sregs();
    assertThat(sregs.knowsEverything()).isTrue();
    return new KvmSregs(sregs.bytes());
  }

  KvmRegs regs() {
    Tracked regs = vcpu.registers().regs();
    assertThat(regs.knowsEverything()).isTrue();
    return new KvmRegs(regs.bytes());
  }
}
