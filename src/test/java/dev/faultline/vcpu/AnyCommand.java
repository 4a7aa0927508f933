package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmFpu;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** Commands and events by chance: mostly nonsense, some of it nearly right. */
final class AnyCommand {
  private static final int[] MSRS = {
    Msr.IA32_EFER,
    Msr.IA32_APIC_BASE,
    Msr.IA32_PAT,
    Msr.IA32_FEATURE_CONTROL,
    Msr.IA32_VMX_BASIC,
    Msr.IA32_VMX_MISC,
    Msr.IA32_TSC,
    Msr.IA32_LSTAR,
    Msr.IA32_MCG_CAP,
    Msr.IA32_SMBASE,
    Msr.SMI_COUNT,
    Msr.IA32_SYSENTER_CS,
    Msr.IA32_DEBUGCTL,
    0x808,
    0x4000_0070,
    0x1234
  };
  private static final String[] REASONS = {
    "VMLAUNCH",
    "VMRESUME",
    "VMON",
    "VMOFF",
    "TRIPLE_FAULT",
    "INVALID_STATE",
    "CPUID",
    "nonsense",
    ""
  };

  private final SplittableRandom random;

  AnyCommand(SplittableRandom random) {
    this.random = random;
  }

  /** Zeros, ones, or bits by chance, thick or thin. */
  private Bytes bytes(int size) {
    byte[] raw = new byte[size];
    switch (random.nextInt(4)) {
      case 0 -> {}
      case 1 -> random.nextBytes(raw);
      case 2 -> {
        for (int i = random.nextInt(6); i >= 0 && size > 0; i--) {
          raw[random.nextInt(size)] = (byte) (1 << random.nextInt(8));
        }
      }
      default -> java.util.Arrays.fill(raw, (byte) -1);
    }
    return Bytes.wrap(raw);
  }

  /** The bytes with some others in their place. */
  private Bytes mutated(Bytes valid) {
    Bytes.Builder raw = valid.toBuilder();
    for (int i = random.nextInt(4); i > 0; i--) {
      raw.put(random.nextInt(valid.size()), 1, random.nextInt(256));
    }
    return raw.build();
  }

  private Bytes like(Bytes valid) {
    return random.nextBoolean() ? mutated(valid) : bytes(valid.size());
  }

  private Answer answer() {
    return Answer.values()[random.nextInt(3)];
  }

  private Ioctl ioctl() {
    return Ioctl.values()[random.nextInt(Ioctl.values().length)];
  }

  private KvmNestedState nestedState() {
    KvmNestedState base =
        switch (random.nextInt(4)) {
          case 0 -> KvmNestedState.vmxOff();
          case 1 -> KvmNestedState.vmxOff().withVmxonPa(0x1000);
          case 2 -> SvmGuest.l2State();
          default ->
              VmxGuest.l2State()
                  .withFlags(
                      NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE
                          | (random.nextBoolean()
                              ? NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING
                              : 0));
        };
    if (base.vmcs12() != null && random.nextInt(3) == 0) {
      VmcsField field = VmcsField.values()[random.nextInt(VmcsField.values().length)];
      base = base.withVmcs12(VmxGuest.vmcs12().with(field, random.nextLong()));
    }
    Bytes raw = random.nextInt(3) == 0 ? mutated(base.raw()) : base.raw();
    int size = KvmNestedState.HEADER_SIZE;
    return new KvmNestedState(
        random.nextInt(5) == 0 ? raw.slice(0, size + random.nextInt(raw.size() - size + 1)) : raw);
  }

  private KvmMsrs msrs() {
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = random.nextInt(12); i > 0; i--) {
      int index = random.nextInt(4) == 0 ? random.nextInt() : MSRS[random.nextInt(MSRS.length)];
      entries.add(
          new MsrEntry(index, random.nextBoolean() ? random.nextInt(8) : random.nextLong()));
    }
    KvmMsrs list = KvmMsrs.of(entries);
    return random.nextInt(8) == 0
        ? new KvmMsrs(list.raw().with(0, 4, random.nextInt(entries.size() + 1)))
        : list;
  }

  private KvmCpuid2 cpuid() {
    if (random.nextBoolean()) {
      return random.nextBoolean() ? VmxGuest.CPUID : SvmGuest.CPUID;
    }
    List<CpuidEntry> entries = new ArrayList<>();
    for (int i = random.nextInt(6); i > 0; i--) {
      int leaf = random.nextBoolean() ? random.nextInt(16) : 0x8000_0000 + random.nextInt(9);
      entries.add(
          new CpuidEntry(
              leaf,
              random.nextInt(2),
              0,
              random.nextInt(),
              random.nextInt(),
              random.nextInt(),
              random.nextInt()));
    }
    return KvmCpuid2.of(entries);
  }

  private KvmRun page() {
    KvmRun page = new KvmRun(like(KvmRun.zero().withExitReason(random.nextInt(40)).raw()));
    return random.nextBoolean()
        ? page
        : page.withDirtyRegs(random.nextInt(8))
            .withValidRegs(random.nextInt(8))
            .withImmediateExit(random.nextInt(2))
            .withSyncSregs(new KvmSregs(like(VmxGuest.SREGS.raw())));
  }

  /** Any command of a vCPU. */
  VcpuCommand command(int m) {
    return switch (random.nextInt(38)) {
      case 0 -> new VcpuCommand.SetRegs(m, new KvmRegs(bytes(KvmRegs.SIZE)));
      case 1 -> new VcpuCommand.GetRegs(m);
      case 2, 3 -> new VcpuCommand.SetSregs(m, new KvmSregs(like(VmxGuest.SREGS.raw())));
      case 4 -> new VcpuCommand.GetSregs(m);
      case 5 -> new VcpuCommand.SetSregs2(m, new KvmSregs2(bytes(KvmSregs2.SIZE)));
      case 6 -> new VcpuCommand.GetSregs2(m);
      case 7 -> new VcpuCommand.SetVcpuEvents(m, new KvmVcpuEvents(bytes(KvmVcpuEvents.SIZE)));
      case 8 -> new VcpuCommand.GetVcpuEvents(m);
      case 9, 10, 11 -> new VcpuCommand.SetNestedState(m, nestedState());
      case 12 -> new VcpuCommand.GetNestedState(m, random.nextInt(16_384));
      case 13 -> new VcpuCommand.SetMpState(m, KvmMpState.zero().withMpState(random.nextInt(12)));
      case 14 -> new VcpuCommand.GetMpState(m);
      case 15 -> new VcpuCommand.SetDebugregs(m, new KvmDebugregs(bytes(KvmDebugregs.SIZE)));
      case 16 -> new VcpuCommand.GetDebugregs(m);
      case 17 -> new VcpuCommand.SetXcrs(m, new KvmXcrs(bytes(KvmXcrs.SIZE)));
      case 18 -> new VcpuCommand.GetXcrs(m);
      case 19 -> new VcpuCommand.SetXsave(m, new KvmXsave(bytes(KvmXsave.SIZE)));
      case 20 -> new VcpuCommand.GetXsave(m, random.nextBoolean());
      case 21 -> new VcpuCommand.SetFpu(m, new KvmFpu(bytes(KvmFpu.SIZE)));
      case 22 -> new VcpuCommand.GetFpu(m);
      case 23 -> new VcpuCommand.SetLapic(m, new KvmLapicState(bytes(KvmLapicState.SIZE)));
      case 24 -> new VcpuCommand.GetLapic(m);
      case 25 -> new VcpuCommand.SetMsrs(m, msrs());
      case 26 -> new VcpuCommand.GetMsrs(m, msrs());
      case 27 -> new VcpuCommand.SetCpuid2(m, cpuid());
      case 28 -> new VcpuCommand.GetCpuid2(m, random.nextInt(300));
      case 29 -> new VcpuCommand.SetTscKhz(m, random.nextLong());
      case 30 ->
          random.nextBoolean() ? new VcpuCommand.GetTscKhz(m) : new VcpuCommand.KvmclockCtrl(m);
      case 31 -> random.nextBoolean() ? new VcpuCommand.Smi(m) : new VcpuCommand.Nmi(m);
      case 32 -> new VcpuCommand.Interrupt(m, random.nextLong());
      case 33 -> new VcpuCommand.EnableCap(m, enableCap());
      case 34 -> new VcpuCommand.SetupMce(m, random.nextLong());
      case 35 -> new VcpuCommand.BadPointer(m, ioctl());
      case 36 ->
          random.nextBoolean()
              ? new VcpuCommand.Other(m, ioctl(), random.nextLong(), bytes(random.nextInt(64)))
              : new VcpuCommand.Unseen(m, ioctl(), null, null);
      default -> new VcpuCommand.Run(m, new RunInput(random.nextInt(20) == 0 ? 1 : 0, page()));
    };
  }

  private KvmEnableCap enableCap() {
    KvmCap cap = KvmCap.values()[random.nextInt(KvmCap.values().length)];
    return new KvmEnableCap(mutated(KvmEnableCap.of(cap, random.nextInt(3)).raw()));
  }

  /** Any command of a VM. */
  VmCommand vmCommand(int m) {
    return switch (random.nextInt(8)) {
      case 0 -> new VmCommand.CreateVcpu(m, random.nextInt(-2, 6));
      case 1 -> new VmCommand.CreateIrqchip(m);
      case 2 -> new VmCommand.SetBootCpuId(m, random.nextInt());
      case 3 -> new VmCommand.EnableCap(m, enableCap());
      case 4 ->
          new VmCommand.SetMemoryRegion(
              m, new KvmUserspaceMemoryRegion(bytes(KvmUserspaceMemoryRegion.SIZE)));
      case 5 -> new VmCommand.BadPointer(m, ioctl());
      case 6 -> new VmCommand.Unseen(m, ioctl());
      default -> new VmCommand.Other(m, ioctl(), random.nextLong(), bytes(random.nextInt(64)));
    };
  }

  /** What a kernel could have returned, or could not. */
  int ret() {
    return random.nextInt(3) == 0 ? -1 : random.nextInt(4);
  }

  int errno() {
    return random.nextBoolean()
        ? Errno.values()[random.nextInt(Errno.values().length)].number()
        : random.nextInt(200);
  }

  private String reason() {
    return REASONS[random.nextInt(REASONS.length)];
  }

  /** Any event that no command decides: facts of traces and of recorded results. */
  TimelineEvent event(int m, @Nullable Reply reply) {
    long n = random.nextLong();
    return switch (random.nextInt(26)) {
      case 0 -> new TimelineEvent.VmEntered(m, n);
      case 1 -> new TimelineEvent.VmExited(m, reason(), "", n);
      case 2 -> new TimelineEvent.L2Exited(m, reason(), "", n);
      case 3 -> new TimelineEvent.NestedVmEntered(m, n, n, n, answer());
      case 4 ->
          new TimelineEvent.NestedVmExited(
              m, reason(), random.nextBoolean() ? "FAILED_VMENTRY" : "", n);
      case 5 -> new TimelineEvent.NestedVmEntryFailed(m, reason());
      case 6 -> new TimelineEvent.SmmEntered(m, n);
      case 7 -> new TimelineEvent.SmmLeft(m, n);
      case 8 -> new TimelineEvent.InterceptsShown(m, n, n, n, n, n);
      case 9 -> new TimelineEvent.InstructionEmulated(m, reason());
      case 10 -> new TimelineEvent.CapabilityRead(m, Msr.IA32_VMX_BASIC + random.nextInt(18), n);
      case 11 ->
          new TimelineEvent.TripleFaultSynthesized(
              m, FaultCause.values()[random.nextInt(FaultCause.values().length)], null);
      case 12, 13 ->
          new TimelineEvent.RunReturned(
              m,
              new RunResult(
                  ret(),
                  errno(),
                  page(),
                  PageShown.values()[random.nextInt(3)],
                  answer(),
                  answer(),
                  random.nextBoolean()));
      case 14 -> new TimelineEvent.CallDoubted(m, ioctl());
      case 15 -> new TimelineEvent.RegsRead(m, new KvmRegs(bytes(KvmRegs.SIZE)));
      case 16 -> new TimelineEvent.SregsRead(m, new KvmSregs(bytes(KvmSregs.SIZE)));
      case 17 -> new TimelineEvent.VcpuEventsRead(m, new KvmVcpuEvents(bytes(KvmVcpuEvents.SIZE)));
      case 18 -> new TimelineEvent.NestedStateRead(m, nestedState());
      case 19 ->
          new TimelineEvent.MpStateRead(m, KvmMpState.zero().withMpState(random.nextInt(12)));
      case 20 -> new TimelineEvent.LapicRead(m, new KvmLapicState(bytes(KvmLapicState.SIZE)));
      case 21 -> new TimelineEvent.MsrsRead(m, msrs(), random.nextInt(20));
      case 22 -> new TimelineEvent.CpuidRead(m, cpuid());
      case 23 -> new TimelineEvent.Vmcs12Loaded(m, new Vmcs12(bytes(Vmcs12.SIZE)));
      case 24 ->
          new TimelineEvent.NestedEntryRestored(
              m, random.nextBoolean(), random.nextBoolean(), random.nextBoolean(), n);
      default ->
          reply == null || reply.count() == 0
              ? new TimelineEvent.NestedLeft(m)
              : new TimelineEvent.ReadDoubted(
                  m, reply, FieldSet.of(reply.count(), random.nextInt(reply.count())));
    };
  }

  /** Where a vCPU may be before anything is called on it. */
  Vcpu state() {
    KernelVersion version = KernelVersion.values()[random.nextInt(KernelVersion.values().length)];
    KernelModel.Vendor vendor =
        KernelModel.Vendor.values()[random.nextInt(KernelModel.Vendor.values().length)];
    KernelModel kernel =
        new KernelModel(
            version,
            random.nextBoolean(),
            vendor,
            answer(),
            answer(),
            answer(),
            answer(),
            answer());
    return switch (random.nextInt(5)) {
      case 0 -> VcpuModel.unseen("vm1/vcpu0", 0, Vm.unseen("vm1", kernel, Host.UNKNOWN));
      case 1 -> VmxGuest.inL2();
      case 2 -> SvmGuest.inL2().vcpu();
      case 3 -> VmxGuest.inSmm();
      default ->
          VmxGuest.created(
              kernel,
              Vm.Irqchip.values()[random.nextInt(Vm.Irqchip.values().length)],
              cpuid(),
              cpuid());
    };
  }
}
