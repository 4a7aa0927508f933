package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.Check;
import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.kvm.MpState;
import dev.faultline.vcpu.Vcpu.Completion;
import dev.faultline.vcpu.Vcpu.Emulation;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.DescriptorTable;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The model of a vCPU: {@link #decide} says what KVM answers to a command and what the call does,
 * {@link #evolve} carries an event out. Both are pure.
 */
public final class VcpuModel {
  private static final long RESET_RIP = 0xfff0;
  private static final long RESET_RDX = 0x600;
  private static final int RESET_CS = 0xf000;
  private static final long RESET_CS_BASE = 0xffff_0000L;
  private static final int RESET_LIMIT = 0xffff;
  private static final int CODE = 11;
  private static final int DATA = 3;
  private static final int ACCESSED = 1;
  private static final int BUSY_TSS = 11;
  private static final int BUSY_TSS_16 = 3;
  private static final int LDT = 2;
  private static final long DR6_RESET = 0xffff_0ff0L;
  private static final long DR7_RESET = 0x400;
  private static final long APIC_DEFAULT = 0xfee0_0000L;

  private VcpuModel() {}

  /** A vCPU that the recording does not show from its creation: everything is possible. */
  public static Vcpu unseen(String name, int id, Vm vm) {
    return new Vcpu(
        name,
        id,
        vm,
        new Vcpu.Registers(
            Tracked.neverSeen(KvmRegs.LAYOUT),
            Tracked.neverSeen(KvmSregs.LAYOUT),
            Tracked.neverSeen(KvmDebugregs.LAYOUT),
            Tracked.neverSeen(KvmXcrs.LAYOUT),
            Tracked.neverSeen(KvmXsave.LAYOUT),
            Emulation.CANNOT_TELL),
        Tracked.neverSeen(KvmVcpuEvents.LAYOUT),
        Nested.unseen(),
        new Vcpu.Platform(
            Tracked.neverSeen(KvmLapicState.LAYOUT),
            Tracked.neverSeen(KvmMpState.LAYOUT),
            null,
            Answer.CANNOT_TELL,
            MsrState.empty(),
            0,
            Smram.UNSEEN),
        new Vcpu.Progress(
            Answer.CANNOT_TELL,
            Completion.UNKNOWN,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL));
  }

  /** What KVM answers, and what happens. */
  public static Decision decide(Vcpu v, VcpuCommand command) {
    if (v.vm().dead().isYes()) {
      CallCheck check = CallCheck.VM_DEAD;
      return Decision.of(
          new Outcome.Refused(Errno.EIO, check),
          new TimelineEvent.CallRefused(command.moment(), ioctl(command), Errno.EIO, check));
    }
    return switch (command) {
      case VcpuCommand.SetRegs c -> Decision.done(new TimelineEvent.RegsSet(c.moment(), c.regs()));
      case VcpuCommand.GetRegs _ -> Decision.reads(Reply.Struct.of(v.registers().regs()));
      case VcpuCommand.SetSregs c -> SregsRules.set(v, c);
      case VcpuCommand.GetSregs c -> SregsRules.get(v, c);
      case VcpuCommand.SetSregs2 c -> SregsRules.set2(v, c);
      case VcpuCommand.GetSregs2 c -> SregsRules.get2(v, c);
      case VcpuCommand.SetVcpuEvents c -> EventRules.set(v, c);
      case VcpuCommand.GetVcpuEvents c -> EventRules.get(v, c);
      case VcpuCommand.SetNestedState c -> NestedRules.set(v, c);
      case VcpuCommand.GetNestedState c -> NestedRules.get(v, c);
      case VcpuCommand.SetMpState c -> MpStateRules.set(v, c);
      case VcpuCommand.GetMpState _ -> MpStateRules.get(v);
      case VcpuCommand.SetDebugregs c -> DeviceRules.setDebugregs(c);
      case VcpuCommand.GetDebugregs _ -> Decision.reads(Reply.Struct.of(v.registers().debugregs()));
      case VcpuCommand.SetXcrs c -> DeviceRules.setXcrs(v, c);
      case VcpuCommand.GetXcrs _ -> Decision.reads(Reply.Struct.of(v.registers().xcrs()));
      case VcpuCommand.SetXsave c -> TableRules.setXsave(v, c);
      case VcpuCommand.GetXsave _ -> TableRules.getXsave(v);
      case VcpuCommand.SetFpu c -> Decision.done(new TimelineEvent.FpuSet(c.moment(), c.fpu()));
      case VcpuCommand.GetFpu _ -> new Decision(Outcome.ZERO, List.of(), null);
      case VcpuCommand.SetLapic c -> LapicRules.set(v, c);
      case VcpuCommand.GetLapic c -> LapicRules.get(v, c);
      case VcpuCommand.SetMsrs c -> MsrRules.decide(v, c);
      case VcpuCommand.GetMsrs c -> MsrRules.decide(v, c);
      case VcpuCommand.SetCpuid2 c -> TableRules.setCpuid(v, c);
      case VcpuCommand.GetCpuid2 c -> TableRules.getCpuid(v, c);
      case VcpuCommand.SetTscKhz c -> TableRules.setTscKhz(v, c);
      case VcpuCommand.GetTscKhz _ -> TableRules.getTscKhz(v);
      case VcpuCommand.KvmclockCtrl c -> TableRules.kvmclockCtrl(v, c);
      case VcpuCommand.Smi c -> EventRules.smi(v, c);
      case VcpuCommand.Nmi c -> Decision.done(new TimelineEvent.NmiQueued(c.moment()));
      case VcpuCommand.Interrupt c -> EventRules.interrupt(v, c);
      case VcpuCommand.EnableCap c -> TableRules.enableCap(v, c);
      case VcpuCommand.Run c -> RunRules.decide(v, c);
      case VcpuCommand.SetupMce c -> MsrRules.decide(c);
      case VcpuCommand.BadPointer c ->
          DeviceRules.refused(c.moment(), c.ioctl(), Errno.EFAULT, CallCheck.ARGUMENT_UNREADABLE);
      case VcpuCommand.Unseen c -> unseen(c);
      case VcpuCommand.Other c -> other(v, c);
    };
  }

  private static Decision unseen(VcpuCommand.Unseen c) {
    List<TimelineEvent> events = new ArrayList<>();
    events.add(new TimelineEvent.CallDoubted(c.moment(), c.ioctl()));
    if (c.shown() != null) {
      events.add(new TimelineEvent.FieldsShown(c.moment(), c.ioctl(), c.shown()));
    }
    return new Decision(
        new Outcome.Undecided("a payload that was not recorded"), List.copyOf(events), null);
  }

  private static Decision other(Vcpu v, VcpuCommand.Other c) {
    TimelineEvent.CallNoted noted = new TimelineEvent.CallNoted(c.moment(), c.ioctl());
    return switch (c.ioctl()) {
      case TPR_ACCESS_REPORTING ->
          OtherRules.namesFlag(c.payload())
              ? DeviceRules.refused(
                  c.moment(), c.ioctl(), Errno.EINVAL, CallCheck.TPR_REPORTING_FLAGS)
              : Decision.done(noted);
      case SET_GUEST_DEBUG -> GuestDebugRules.set(v, c);
      case SET_VAPIC_ADDR -> LapicRules.setVapicAddr(v, c);
      default -> OtherRules.decide(v, c);
    };
  }

  /**
   * The check that ended a call early which returns how many entries of its list it processed; null
   * if it processed all, or none certainly fails.
   *
   * @param before the vCPU before the call
   * @param ret what was recorded
   */
  public static @Nullable Check stopped(Vcpu before, VcpuCommand command, int ret) {
    return switch (command) {
      case VcpuCommand.SetMsrs c when ret >= 0 && ret < c.msrs().held() ->
          MsrRules.refusal(before, c.msrs(), ret);
      case VcpuCommand.GetMsrs c when ret >= 0 && ret < c.msrs().held() ->
          MsrRules.unreadable(before, c.msrs(), ret);
      default -> null;
    };
  }

  /** The vCPU after the event. Total: every event can happen to every vCPU. */
  public static Vcpu evolve(Vcpu v, TimelineEvent event) {
    return switch (event) {
      case TimelineEvent.VcpuCreated e -> created(v, e);
      case TimelineEvent.ExceptionQueued e -> GuestDebugRules.evolve(v, e);
      case TimelineEvent.RegsSet e -> RegsRules.evolve(v, e);
      case TimelineEvent.SregsSet e -> SregsRules.evolve(v, e);
      case TimelineEvent.Sregs2Set e -> SregsRules.evolve(v, e);
      case TimelineEvent.VcpuEventsSet e -> EventRules.evolve(v, e);
      case TimelineEvent.NestedLeft e -> NestedRules.leave(v, e.moment());
      case TimelineEvent.VmxonSet e -> NestedRules.evolve(v, e);
      case TimelineEvent.CurrentVmcsSet e -> NestedRules.evolve(v, e);
      case TimelineEvent.SmmNestingSet e -> NestedRules.evolve(v, e);
      case TimelineEvent.Vmcs12Loaded e -> NestedRegisters.loaded(v, e.vmcs12(), e.moment());
      case TimelineEvent.ShadowVmcs12Loaded e -> NestedRules.evolve(v, e);
      case TimelineEvent.GifSet e -> SvmNestedRules.evolve(v, e);
      case TimelineEvent.L2Restored e -> SvmRegisters.restored(v, e);
      case TimelineEvent.NestedEntryRestored e -> pagesAwaited(NestedRegisters.enter(v, e));
      case TimelineEvent.NestedEntryAbandoned e -> NestedRegisters.abandon(v, e.moment());
      case TimelineEvent.MpStateSet e -> MpStateRules.evolve(v, e);
      case TimelineEvent.DebugregsSet e -> debugregsSet(v, e);
      case TimelineEvent.XcrsSet e -> DeviceRules.evolve(v, e);
      case TimelineEvent.XsaveSet e -> TableRules.evolve(v, e);
      case TimelineEvent.FpuSet e -> TableRules.evolve(v, e);
      case TimelineEvent.LapicSet e -> LapicRules.evolve(v, e);
      case TimelineEvent.MsrsSet e -> msrsSet(v, e);
      case TimelineEvent.CpuidSet e -> TableRules.evolve(v, e);
      case TimelineEvent.TscKhzSet e -> v.withPlatform(v.platform().withTscKhz(e.khz()));
      case TimelineEvent.VcpuCapEnabled e -> TableRules.evolve(v, e);
      case TimelineEvent.SmiRequested e -> EventRules.evolve(v, e);
      case TimelineEvent.NmiQueued e -> EventRules.evolve(v, e);
      case TimelineEvent.InterruptQueued e -> EventRules.evolve(v, e);
      case TimelineEvent.RegsRead e -> RegsRules.evolve(v, e);
      case TimelineEvent.SregsRead e -> SregsRules.evolve(v, e);
      case TimelineEvent.Sregs2Read e -> SregsRules.evolve(v, e);
      case TimelineEvent.VcpuEventsRead e -> EventRules.evolve(v, e);
      case TimelineEvent.NestedStateRead e -> NestedRules.evolve(v, e);
      case TimelineEvent.MpStateRead e -> MpStateRules.evolve(v, e);
      case TimelineEvent.DebugregsRead e -> DeviceRules.evolve(v, e);
      case TimelineEvent.XcrsRead e -> DeviceRules.evolve(v, e);
      case TimelineEvent.XsaveRead e -> TableRules.evolve(v, e);
      case TimelineEvent.LapicRead e -> LapicRules.evolve(v, e);
      case TimelineEvent.MsrsRead e -> MsrRules.evolve(v, e);
      case TimelineEvent.CpuidRead e -> TableRules.evolve(v, e);
      case TimelineEvent.TscKhzRead e -> v.withPlatform(v.platform().withTscKhz(e.khz()));
      case TimelineEvent.CallRefused _ -> v;
      case TimelineEvent.CallDoubted e -> DoubtRules.evolve(v, e);
      case TimelineEvent.ReadDoubted e -> DoubtRules.evolve(v, e);
      case TimelineEvent.FieldsShown e -> DoubtRules.evolve(v, e);
      case TimelineEvent.CallNoted e -> noted(v, e);
      case TimelineEvent.MceSetUp e -> mceSetUp(v, e);
      case TimelineEvent.RunEntered e -> RunRules.evolve(v, e);
      case TimelineEvent.RunReturned e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.TripleFaultSynthesized e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.VmEntered e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.VmExited e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.L2Exited e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.CapabilityRead e ->
          MsrRules.evolve(
              v, new TimelineEvent.MsrsRead(e.moment(), KvmMsrs.of(e.msr(), e.value()), 1));
      case TimelineEvent.InstructionEmulated e -> SmramRules.evolve(v, e);
      case TimelineEvent.NestedVmEntered e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.InterceptsShown e -> SvmRunRules.evolve(v, e);
      case TimelineEvent.NestedVmEntryFailed e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.NestedVmExited e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.SmramCaptured e -> SmramRules.evolve(v, e);
      case TimelineEvent.SmmEntered e -> GuestRunRules.evolve(v, e);
      case TimelineEvent.SmmLeft e -> GuestRunRules.evolve(v, e);
    };
  }

  private static Vcpu debugregsSet(Vcpu v, TimelineEvent.DebugregsSet e) {
    Vcpu next = DeviceRules.evolve(v, e);
    return v.kernel().isSvm() ? SvmRegisters.debugregsSet(next, e.moment()) : next;
  }

  private static Vcpu msrsSet(Vcpu v, TimelineEvent.MsrsSet e) {
    Vcpu next = MsrRules.evolve(v, e);
    return v.kernel().isSvm() ? SvmRegisters.msrsSet(next, e) : next;
  }

  private static Vcpu pagesAwaited(Vcpu v) {
    return v.withProgress(v.progress().withNestedPagesAwaited(Answer.YES));
  }

  private static Vcpu noted(Vcpu v, TimelineEvent.CallNoted e) {
    if (e.ioctl() != Ioctl.X86_SET_MCE) {
      return v;
    }
    return v.withPlatform(
        v.platform().withMsrs(MsrRules.afterMce(v.platform().msrs(), e.moment())));
  }

  private static Vcpu mceSetUp(Vcpu v, TimelineEvent.MceSetUp e) {
    Vcpu next =
        v.withPlatform(
            v.platform()
                .withMsrs(MsrRules.afterMceSetup(v.platform().msrs(), e.mcgCap(), e.moment())));
    return LapicRules.versionForgotten(next, e.moment());
  }

  /** What RSM makes of the save map, as far as it is known, and how the KVM_RUN goes on. */
  public static RsmVerdict rsm(Vcpu v, TimelineEvent.SmmLeft event) {
    return RsmRules.decide(v, event.smbase(), event.moment());
  }

  /** What a recorded call on a vCPU teaches about what the host's KVM offers. */
  public static Host learn(Host host, Vcpu before, VcpuCommand command, int ret, Bytes reply) {
    return switch (command) {
      case VcpuCommand.SetMsrs c when ret > 0 -> MsrRules.learnWritten(host, c.msrs(), ret);
      case VcpuCommand.GetMsrs _ when ret > 0 && !reply.isEmpty() ->
          MsrRules.learn(host, before, new KvmMsrs(reply), ret);
      default -> host;
    };
  }

  /** What an event inside a KVM_RUN teaches about what the host's KVM offers. */
  public static Host learn(Host host, Vcpu before, TimelineEvent event) {
    return event instanceof TimelineEvent.CapabilityRead read
        ? MsrRules.learn(host, before, KvmMsrs.of(read.msr(), read.value()), 1)
        : host;
  }

  /** KVM_CREATE_VCPU leaves every register at its reset value. */
  private static Vcpu created(Vcpu v, TimelineEvent.VcpuCreated e) {
    int m = e.moment();
    Tracked regs =
        Tracked.known(KvmRegs.LAYOUT, Bytes.zero(KvmRegs.SIZE), m)
            .edit(m)
            .set(RegsFields.RDX, RESET_RDX)
            .set(RegsFields.RIP, RESET_RIP)
            .set(RegsFields.RFLAGS, 2)
            .done();
    Answer runnable = e.bootCpu().or(e.lapicInKernel().not());
    MpState first = runnable.isYes() ? MpState.RUNNABLE : MpState.UNINITIALIZED;
    Tracked mpState = Tracked.known(KvmMpState.LAYOUT, KvmMpState.of(first).raw(), m);
    if (!runnable.isKnown()) {
      mpState = mpState.forgetAll(m);
    }
    Tracked debugregs =
        Tracked.known(
            KvmDebugregs.LAYOUT,
            KvmDebugregs.zero().withDr6(DR6_RESET).withDr7(DR7_RESET).raw(),
            m);
    Vcpu fresh =
        new Vcpu(
            v.name(),
            e.id(),
            v.vm(),
            new Vcpu.Registers(
                regs,
                resetSregs(v.kernel(), e.bootCpu(), m),
                debugregs,
                Tracked.known(KvmXcrs.LAYOUT, KvmXcrs.zero().withXcr0(1).raw(), m),
                Tracked.neverSeen(KvmXsave.LAYOUT),
                Emulation.NO),
            Tracked.known(KvmVcpuEvents.LAYOUT, KvmVcpuEvents.zero().raw(), m),
            Nested.fresh(v.kernel(), m),
            new Vcpu.Platform(
                e.lapicInKernel().isYes() && !v.kernel().vendor().equals(KernelModel.Vendor.UNKNOWN)
                    ? LapicRules.atReset(e.id(), e.bootCpu(), m)
                    : Tracked.neverSeen(KvmLapicState.LAYOUT),
                mpState,
                null,
                Answer.NO,
                MsrRules.afterReset(v.vm(), e.id()),
                0,
                Smram.UNSEEN),
            new Vcpu.Progress(
                Answer.NO, Completion.NONE, Answer.NO, Answer.NO, Answer.NO, Answer.NO, Answer.NO));
    return Validity.recompute(fresh);
  }

  private static Tracked resetSregs(KernelModel kernel, Answer bootCpu, int moment) {
    KvmSregs sregs =
        KvmSregs.zero()
            .withCr0(Cr0.CD | Cr0.NW | Cr0.ET)
            .withApicBase(APIC_DEFAULT | ApicBase.EN | (bootCpu.isYes() ? ApicBase.BSP : 0));
    for (SegmentRegister register : SegmentRegister.values()) {
      int type =
          switch (register) {
            case CS -> kernel.isSvm() ? CODE & ~ACCESSED : CODE;
            case TR -> kernel.isSvm() ? BUSY_TSS_16 : BUSY_TSS;
            case LDTR -> LDT;
            case SS -> kernel.isSvm() ? DATA & ~ACCESSED : DATA;
            default -> DATA;
          };
      boolean system = register == SegmentRegister.TR || register == SegmentRegister.LDTR;
      boolean cs = register == SegmentRegister.CS;
      sregs =
          sregs.withSegment(
              register,
              new Segment(
                  cs ? RESET_CS_BASE : 0,
                  RESET_LIMIT,
                  cs ? RESET_CS : 0,
                  type,
                  1,
                  0,
                  0,
                  system ? 0 : 1,
                  0,
                  0,
                  0,
                  0));
    }
    DescriptorTable table = new DescriptorTable(0, RESET_LIMIT);
    sregs = sregs.withGdt(table).withIdt(table);
    Tracked known = Tracked.known(KvmSregs.LAYOUT, sregs.raw(), moment);
    if (!bootCpu.isKnown()) {
      known = known.doubt(FieldSet.of(KvmSregs.LAYOUT.count(), SregsFields.APIC_BASE));
    }
    return kernel.isVmx() || kernel.isSvm() ? known : known.forgetAll(moment);
  }

  /** The ioctl that a command stands for. */
  public static Ioctl ioctl(VcpuCommand command) {
    return switch (command) {
      case VcpuCommand.SetRegs _ -> Ioctl.SET_REGS;
      case VcpuCommand.GetRegs _ -> Ioctl.GET_REGS;
      case VcpuCommand.SetSregs _ -> Ioctl.SET_SREGS;
      case VcpuCommand.GetSregs _ -> Ioctl.GET_SREGS;
      case VcpuCommand.SetSregs2 _ -> Ioctl.SET_SREGS2;
      case VcpuCommand.GetSregs2 _ -> Ioctl.GET_SREGS2;
      case VcpuCommand.SetVcpuEvents _ -> Ioctl.SET_VCPU_EVENTS;
      case VcpuCommand.GetVcpuEvents _ -> Ioctl.GET_VCPU_EVENTS;
      case VcpuCommand.SetNestedState _ -> Ioctl.SET_NESTED_STATE;
      case VcpuCommand.GetNestedState _ -> Ioctl.GET_NESTED_STATE;
      case VcpuCommand.SetMpState _ -> Ioctl.SET_MP_STATE;
      case VcpuCommand.GetMpState _ -> Ioctl.GET_MP_STATE;
      case VcpuCommand.SetDebugregs _ -> Ioctl.SET_DEBUGREGS;
      case VcpuCommand.GetDebugregs _ -> Ioctl.GET_DEBUGREGS;
      case VcpuCommand.SetXcrs _ -> Ioctl.SET_XCRS;
      case VcpuCommand.GetXcrs _ -> Ioctl.GET_XCRS;
      case VcpuCommand.SetXsave _ -> Ioctl.SET_XSAVE;
      case VcpuCommand.GetXsave c -> c.resizable() ? Ioctl.GET_XSAVE2 : Ioctl.GET_XSAVE;
      case VcpuCommand.SetFpu _ -> Ioctl.SET_FPU;
      case VcpuCommand.GetFpu _ -> Ioctl.GET_FPU;
      case VcpuCommand.SetLapic _ -> Ioctl.SET_LAPIC;
      case VcpuCommand.GetLapic _ -> Ioctl.GET_LAPIC;
      case VcpuCommand.SetMsrs _ -> Ioctl.SET_MSRS;
      case VcpuCommand.GetMsrs _ -> Ioctl.GET_MSRS;
      case VcpuCommand.SetCpuid2 _ -> Ioctl.SET_CPUID2;
      case VcpuCommand.GetCpuid2 _ -> Ioctl.GET_CPUID2;
      case VcpuCommand.SetTscKhz _ -> Ioctl.SET_TSC_KHZ;
      case VcpuCommand.GetTscKhz _ -> Ioctl.GET_TSC_KHZ;
      case VcpuCommand.KvmclockCtrl _ -> Ioctl.KVMCLOCK_CTRL;
      case VcpuCommand.Smi _ -> Ioctl.SMI;
      case VcpuCommand.Nmi _ -> Ioctl.NMI;
      case VcpuCommand.Interrupt _ -> Ioctl.INTERRUPT;
      case VcpuCommand.EnableCap _ -> Ioctl.ENABLE_CAP;
      case VcpuCommand.Run _ -> Ioctl.RUN;
      case VcpuCommand.SetupMce _ -> Ioctl.X86_SETUP_MCE;
      case VcpuCommand.BadPointer c -> c.ioctl();
      case VcpuCommand.Unseen c -> c.ioctl();
      case VcpuCommand.Other c -> c.ioctl();
    };
  }
}
