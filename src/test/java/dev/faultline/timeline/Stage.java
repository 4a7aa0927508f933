package dev.faultline.timeline;

import dev.faultline.Bytes;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.timeline.PolicyMoment.Judged;
import dev.faultline.timeline.PolicyMoment.Point;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.CallCheck;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.Host;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.KernelVersion.InvalidL2;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.RunInput;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Verdict;
import dev.faultline.vcpu.Vm;
import dev.faultline.vmx.EntryControls;
import dev.faultline.vmx.ExitControls;
import dev.faultline.vmx.GuestStateCheck;
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
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.UnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * A vCPU in L2 with the valid 64-bit state {@link #VALID}, no "unrestricted guest", and a userspace
 * that acts on it. KVM_RUN ends as the model of the kernel says.
 */
final class Stage {
  private static final long VMXON_PA = 0x1000;
  private static final long VMCS12_PA = 0x2000;
  private static final long FLAT = 0xffff_ffffL;
  private static final int TSS_LIMIT = 0x67;
  private static final long MEMORY = 1L << 30;

  static final Segment CODE = new Segment(0, FLAT, 0x10, 11, 1, 0, 0, 1, 1, 1, 0, 0);
  static final Segment DATA = new Segment(0, FLAT, 0x18, 3, 1, 0, 1, 1, 0, 1, 0, 0);
  static final Segment UNUSABLE = new Segment(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  static final Segment TASK = new Segment(0, TSS_LIMIT, 0x28, 11, 1, 0, 0, 0, 0, 0, 0, 0);
  static final Segment NO_TASK = new Segment(0, TSS_LIMIT, 0x28, 11, 0, 0, 0, 0, 0, 0, 0, 1);

  /** Long mode with flat segments: valid for KVM and for hardware. */
  static final KvmSregs VALID =
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
          .withCr4(Cr4.PAE | Cr4.VMXE)
          .withEfer(Efer.LME | Efer.LMA)
          .withApicBase(0xfee0_0000L | ApicBase.EN | ApicBase.BSP);

  /** VMX, every feature of leaf 1's EDX, long mode, 40 bits of physical address. */
  private static final KvmCpuid2 CPUID =
      KvmCpuid2.of(
          List.of(
              new CpuidEntry(0, 0, 0, 1, 0, 0, 0),
              new CpuidEntry(1, 0, 0, 0, 0, 1 << 5, -1),
              new CpuidEntry(0x8000_0000, 0, 0, 0x8000_0008, 0, 0, 0),
              new CpuidEntry(0x8000_0001, 0, 0, 0, 0, 0, 1 << 29 | 1 << 20),
              new CpuidEntry(0x8000_0008, 0, 0, 0x3028, 0, 0, 0)));

  private final KernelModel kernel;
  private final SavedStates saved;
  private final PolicyLane lane;
  private final List<Policy> policies;
  private final String name;
  private final Set<Integer> guestWrites = new TreeSet<>();
  private Vcpu vcpu;
  private int moment;

  private Stage(KernelModel kernel, List<Policy> policies, SavedStates saved, String name) {
    this.kernel = kernel;
    this.policies = policies;
    this.saved = saved;
    this.name = name;
    this.lane = new PolicyLane(kernel, policies, saved);
    Vm vm =
        new Vm(
            "vm1",
            kernel,
            Host.UNKNOWN.withSupportedCpuid(CPUID),
            Answer.NO,
            Vm.Irqchip.NONE,
            new Vm.Settings(Answer.NO, Answer.YES, Answer.NO, 0, -1, true, true),
            List.of(0),
            List.of(new Vm.Slot(0, 0, MEMORY)));
    vcpu =
        VcpuModel.evolve(
            VcpuModel.unseen(name, 0, vm),
            new TimelineEvent.VcpuCreated(moment, 0, Answer.YES, Answer.NO));
    evolve(new TimelineEvent.CpuidSet(moment, CPUID));
  }

  /** On 6.1 with the default parameters and the six policies. */
  static Stage inL2() {
    return inL2(KernelVersion.V6_1);
  }

  static Stage inL2(KernelVersion version) {
    return inL2(KernelModel.defaults().withVersion(version), Policy.all(), vmcs12(VALID));
  }

  static Stage inL2(KernelModel kernel, List<Policy> policies, Vmcs12 vmcs12) {
    Stage stage = new Stage(kernel, policies, new SavedStates(), "vm1/vcpu0");
    stage.become(vmcs12, false);
    stage.evolve(new TimelineEvent.SregsSet(stage.moment, VALID));
    stage.evolve(new TimelineEvent.RegsSet(stage.moment, regs(2)));
    stage.ran();
    return stage;
  }

  /** L1 only: no VMX operation. */
  static Stage inL1(KernelModel kernel) {
    Stage stage = new Stage(kernel, Policy.all(), new SavedStates(), "vm1/vcpu0");
    stage.evolve(new TimelineEvent.SregsSet(stage.moment, VALID));
    stage.evolve(new TimelineEvent.RegsSet(stage.moment, regs(2)));
    return stage;
  }

  /**
   * L2 right after RSM loaded this state and KVM_RUN was interrupted before the VM-Enter; userspace
   * has read it.
   */
  static Stage afterRsm(KernelVersion version, KvmSregs loaded, boolean runPending) {
    return afterRsm(version, Policy.all(), loaded, runPending);
  }

  static Stage afterRsm(
      KernelVersion version, List<Policy> policies, KvmSregs loaded, boolean runPending) {
    Stage stage =
        new Stage(
            KernelModel.defaults().withVersion(version), policies, new SavedStates(), "vm1/vcpu0");
    stage.become(vmcs12(VALID), runPending);
    stage.moment++;
    stage.guestWrites.add(stage.moment);
    stage.evolve(new TimelineEvent.SregsSet(stage.moment, loaded));
    stage.evolve(new TimelineEvent.RegsSet(stage.moment, regs(2)));
    stage.ran();
    return stage;
  }

  /**
   * A fresh vCPU of the same kernel on another host, into which this one's state can be restored.
   */
  Stage destination() {
    return new Stage(kernel, policies, saved, "vm2/vcpu0");
  }

  static KvmRegs regs(long rflags) {
    return KvmRegs.zero().withRflags(rflags);
  }

  static KvmSregs with(SegmentRegister register, Segment segment) {
    return VALID.withSegment(register, segment);
  }

  /** TR is unusable: KVM's check TR_UNUSABLE fails. */
  static KvmSregs broken() {
    return with(SegmentRegister.TR, NO_TASK);
  }

  static Vmcs12 vmcs12(KvmSregs guest) {
    Vmcs12 v =
        new Vmcs12(Bytes.builder(Vmcs12.SIZE).put(0, Integer.BYTES, Vmcs12.REVISION).build())
            .with(VmcsField.VMCS_LINK_POINTER, ~0L)
            .with(VmcsField.CPU_BASED_VM_EXEC_CONTROL, PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
            .with(VmcsField.SECONDARY_VM_EXEC_CONTROL, SecondaryControls.ENABLE_EPT)
            .with(VmcsField.EPT_POINTER, 0x701eL)
            .with(VmcsField.VM_ENTRY_CONTROLS, EntryControls.IA32E_MODE)
            .with(VmcsField.VM_EXIT_CONTROLS, ExitControls.HOST_ADDR_SPACE_SIZE)
            .with(VmcsField.GUEST_CR0, guest.cr0())
            .with(VmcsField.GUEST_CR4, guest.cr4())
            .with(VmcsField.GUEST_RFLAGS, 2)
            .with(VmcsField.HOST_CR0, guest.cr0())
            .with(VmcsField.HOST_CR4, guest.cr4())
            .with(VmcsField.HOST_CS_SELECTOR, 0x10)
            .with(VmcsField.HOST_TR_SELECTOR, 0x28);
    for (SegmentRegister register : SegmentRegister.values()) {
      String field = "GUEST_" + register.name() + "_";
      Segment s = guest.segment(register);
      v =
          v.with(VmcsField.valueOf(field + "SELECTOR"), s.selector())
              .with(VmcsField.valueOf(field + "BASE"), s.base())
              .with(VmcsField.valueOf(field + "LIMIT"), s.limit())
              .with(VmcsField.valueOf(field + "AR_BYTES"), s.accessRights());
    }
    return v;
  }

  private void become(Vmcs12 vmcs12, boolean runPending) {
    for (TimelineEvent event : entering(vmcs12, runPending)) {
      evolve(event);
    }
  }

  private List<TimelineEvent> entering(Vmcs12 vmcs12, boolean runPending) {
    return List.of(
        new TimelineEvent.NestedLeft(moment),
        new TimelineEvent.VmxonSet(moment, VMXON_PA),
        new TimelineEvent.CurrentVmcsSet(moment, VMCS12_PA),
        new TimelineEvent.Vmcs12Loaded(moment, vmcs12),
        new TimelineEvent.NestedEntryRestored(moment, runPending, false, false, 0));
  }

  private void evolve(TimelineEvent event) {
    vcpu = VcpuModel.evolve(vcpu, event);
  }

  /** The vCPU's present state. */
  Vcpu vcpu() {
    return vcpu;
  }

  /** Changes something without any call. */
  Stage where(UnaryOperator<Vcpu> change) {
    vcpu = change.apply(vcpu);
    return this;
  }

  /** An accepted ioctl. */
  Stage set(VcpuCommand command) {
    return accepted(command, VcpuModel.decide(vcpu, command).events(), payload(command));
  }

  Stage setSregs(KvmSregs sregs) {
    moment++;
    return set(new VcpuCommand.SetSregs(moment, sregs));
  }

  Stage setRegs(long rflags) {
    moment++;
    return set(new VcpuCommand.SetRegs(moment, regs(rflags)));
  }

  /** KVM_SET_NESTED_STATE that enters L2; its checks on VM entry are no matter here. */
  Stage setNestedState(Vmcs12 vmcs12, boolean runPending) {
    moment++;
    KvmNestedState state = nestedState(vmcs12, runPending);
    return accepted(
        new VcpuCommand.SetNestedState(moment, state), entering(vmcs12, runPending), state.raw());
  }

  /** KVM_SET_NESTED_STATE with vmxon_pa = -1. */
  Stage leaveNested() {
    moment++;
    return set(new VcpuCommand.SetNestedState(moment, KvmNestedState.vmxOff()));
  }

  private static KvmNestedState nestedState(Vmcs12 vmcs12, boolean runPending) {
    int flags =
        NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE
            | (runPending ? NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING : 0);
    return KvmNestedState.vmxOff()
        .withFlags(flags)
        .withVmxonPa(VMXON_PA)
        .withVmcs12Pa(VMCS12_PA)
        .withVmcs12(vmcs12);
  }

  private Stage accepted(VcpuCommand command, List<TimelineEvent> events, Bytes payload) {
    Vcpu before = vcpu;
    events.forEach(this::evolve);
    ran();
    lane.call(place("KVM_SET"), before, command, vcpu, writer, payload);
    return this;
  }

  private static Bytes payload(VcpuCommand command) {
    return switch (command) {
      case VcpuCommand.SetRegs c -> c.regs().raw();
      case VcpuCommand.SetSregs c -> c.sregs().raw();
      case VcpuCommand.SetNestedState c -> c.state().raw();
      default -> Bytes.EMPTY;
    };
  }

  /** Everything of the vCPU is read, as a migration does. */
  Stage save(KvmSregs sregs, Vmcs12 vmcs12, boolean runPending) {
    moment++;
    List<Policy.Memory> memories = new ArrayList<>();
    VcpuCommand read = new VcpuCommand.GetSregs(moment);
    lane.call(place("KVM_GET_SREGS"), vcpu, read, vcpu, writer, sregs.raw());
    for (int i = 0; i < policies.size(); i++) {
      memories.add(lane.memory(i));
    }
    Culprit culprit = lane.isInvalid() ? lane.culprit() : Culprit.USER;
    saved.read(name, VcpuModel.ioctl(read), sregs.raw(), memories, culprit);
    saved.read(
        name,
        VcpuModel.ioctl(new VcpuCommand.GetNestedState(moment, 0)),
        nestedState(vmcs12, runPending).raw(),
        memories,
        culprit);
    return this;
  }

  /** KVM_RUN. */
  Stage run() {
    return run(KvmRun.zero());
  }

  /** KVM_RUN with what userspace left in the shared page. */
  Stage run(KvmRun page) {
    moment++;
    VcpuCommand.Run command = new VcpuCommand.Run(moment, new RunInput(0, page));
    Vcpu before = vcpu;
    Outcome outcome = VcpuModel.decide(vcpu, command).outcome();
    List<TimelineEvent> inside = inside(outcome);
    RunResult result = result(outcome, page);
    evolve(new TimelineEvent.RunEntered(moment, command.input()));
    if (outcome instanceof Outcome.Runs r && r.fault() != null) {
      evolve(r.fault());
    }
    inside.forEach(this::evolve);
    guestWrites.add(moment);
    evolve(new TimelineEvent.RunReturned(moment, result));
    lane.run(place("KVM_RUN"), before, command, inside, result, vcpu, writer);
    return this;
  }

  /** Hardware has run L2 with this state, and userspace knows it. */
  private void ran() {
    vcpu =
        vcpu.withProgress(
            vcpu.progress().withNestedPagesAwaited(Answer.NO).withEntered(Answer.YES));
  }

  /** What tracepoints would show of a KVM_RUN that ends so. */
  private List<TimelineEvent> inside(Outcome outcome) {
    TimelineEvent entered = new TimelineEvent.VmEntered(moment, 0);
    TimelineEvent exited = new TimelineEvent.VmExited(moment, "IO_INSTRUCTION", "", 0);
    boolean invalid = Policy.invalidL2(vcpu).isYes();
    if (outcome instanceof Outcome.Runs r) {
      boolean fault = r.fault() != null && r.fault().cause() == FaultCause.INVALID_GUEST_STATE;
      if (fault) {
        return List.of(
            new TimelineEvent.NestedVmExited(moment, "TRIPLE_FAULT", "", 0), entered, exited);
      }
      if (invalid && kernel.version().invalidL2() == InvalidL2.EMULATE) {
        return List.of(new TimelineEvent.InstructionEmulated(moment, "0: ec"));
      }
      if (invalid) {
        return List.of(
            new TimelineEvent.NestedVmExited(moment, "EXTERNAL_INTERRUPT", "", 0), entered, exited);
      }
      return vcpu.inGuestMode().isYes()
          ? List.of(entered, exited, new TimelineEvent.L2Exited(moment, "IO_INSTRUCTION", "", 0))
          : List.of(entered, exited);
    }
    return List.of();
  }

  private RunResult result(Outcome outcome, KvmRun page) {
    KvmRun after = page.withExitReason(KvmExit.KVM_EXIT_IO.number());
    return switch (outcome) {
      case Outcome.Refused r ->
          new RunResult(-1, r.errno().number(), page, Answer.NO, Answer.NO, true);
      case Outcome.Exits e ->
          new RunResult(0, 0, page.withExitReason(e.exit().number()), Answer.NO, Answer.NO, true);
      case Outcome.Runs r ->
          new RunResult(
              0,
              0,
              after,
              Answer.YES,
              Answer.of(r.fault() != null || !vcpu.inGuestMode().isYes()),
              true);
      case Outcome.Returns _, Outcome.Succeeds _, Outcome.Undecided _ ->
          new RunResult(
              -1, Errno.EINTR.number(), page, Answer.CANNOT_TELL, Answer.CANNOT_TELL, true);
    };
  }

  private PolicyLane.Place place(String call) {
    return new PolicyLane.Place(moment, moment, name, call, "");
  }

  private final PolicyLane.Writer writer =
      new PolicyLane.Writer() {
        @Override
        public Culprit of(Vcpu v) {
          GuestStateCheck failed = v.registers().emulation().failed();
          String field = failed == null ? null : Blame.field(failed);
          return field == null
              ? Culprit.UNKNOWN
              : guestWrites.contains(Blame.writer(v, field)) ? Culprit.GUEST : Culprit.USER;
        }

        @Override
        public long seq(Vcpu v, @Nullable GuestStateCheck failed) {
          return -1;
        }
      };

  /** All moments so far. */
  List<PolicyMoment> moments() {
    return lane.moments();
  }

  /** The verdicts at the last moment of this kind, or that all policies just go on. */
  List<String> verdicts(Point point) {
    return lane.moments().reversed().stream()
        .filter(m -> m.point() == point && m.moment() == moment)
        .findFirst()
        .map(m -> m.verdicts().stream().map(j -> word(j.verdict())).toList())
        .orElse(policies.stream().map(_ -> "accept").toList());
  }

  /** The verdicts at KVM_RUN, the last call. */
  List<String> atRun() {
    return verdicts(Point.RUN);
  }

  /** The verdicts at an ioctl, the last call. */
  List<String> atIoctl() {
    return verdicts(Point.IOCTL);
  }

  /** What is held against the policies over all moments: {@code refuse-ioctl R1} and so on. */
  List<String> held() {
    List<String> held = new ArrayList<>();
    for (PolicyMoment m : lane.moments()) {
      for (int i = 0; i < policies.size(); i++) {
        Judged judged = m.verdicts().get(i);
        for (Criterion criterion : judged.against()) {
          held.add(policies.get(i).label() + " " + criterion);
        }
      }
    }
    return held.stream().sorted().distinct().toList();
  }

  private static String word(Verdict verdict) {
    return switch (verdict) {
      case Verdict.RefuseRun r ->
          r.check() == CallCheck.RUN_PENDING_ENTRY_BUG ? "EIO" : r.ending().name();
      case Verdict.RefuseIoctl r -> r.errno().name();
      default -> verdict.word();
    };
  }
}
