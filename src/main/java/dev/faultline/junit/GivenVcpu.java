package dev.faultline.junit;

import dev.faultline.Check;
import dev.faultline.ingest.Plans;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmRun;
import dev.faultline.migration.Difference;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MigrationOutcome.Refusal;
import dev.faultline.migration.Migrations;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowCall;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.Host;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.RunInput;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Vm;
import dev.faultline.vcpu.VmCommand;
import dev.faultline.vcpu.VmRules;
import java.util.ArrayList;
import java.util.List;

/**
 * A state that a test builds call by call: given a fresh vCPU, when calls are made on it, then its
 * migration has an outcome.
 */
public final class GivenVcpu {
  /** VMX, x2APIC, every feature of leaf 1's EDX, long mode, 40 bits of physical address. */
  private static final KvmCpuid2 WITH_VMX =
      KvmCpuid2.of(
          List.of(
              new CpuidEntry(0, 0, 0, 1, 0, 0, 0),
              new CpuidEntry(1, 0, 0, 0, 0, 1 << 5 | 1 << 21, -1),
              new CpuidEntry(0x8000_0000, 0, 0, 0x8000_0008, 0, 0, 0),
              new CpuidEntry(0x8000_0001, 0, 0, 0, 0, 0, 1 << 29 | 1 << 20),
              new CpuidEntry(0x8000_0008, 0, 0, 0x3028, 0, 0, 0)));

  private final KernelModel kernel;
  private Vcpu vcpu;

  private GivenVcpu(KernelModel kernel, Vcpu vcpu) {
    this.kernel = kernel;
    this.vcpu = vcpu;
  }

  /** A fresh vCPU on this kernel, with VMX and a local APIC in the kernel. */
  public static GivenVcpu on(String kernelVersion) {
    KernelModel kernel = KernelModel.defaults().withVersion(Kernels.of(kernelVersion));
    Vm vm = Vm.created("vm1", kernel, Host.UNKNOWN.withSupportedCpuid(WITH_VMX));
    for (VmCommand command :
        List.of(
            new VmCommand.CreateIrqchip(0),
            new VmCommand.EnableCap(0, KvmEnableCap.of(KvmCap.KVM_CAP_EXCEPTION_PAYLOAD, 1)),
            new VmCommand.CreateVcpu(0, 0))) {
      vm = VmRules.decide(vm, command).after();
    }
    Vcpu fresh =
        VcpuModel.evolve(
            VcpuModel.unseen("vm1/vcpu0", 0, vm),
            new TimelineEvent.VcpuCreated(0, 0, Answer.YES, Answer.YES));
    return new GivenVcpu(kernel, fresh).when(new VcpuCommand.SetCpuid2(0, WITH_VMX));
  }

  /** The call is made, and KVM accepts it. */
  public GivenVcpu when(VcpuCommand call) {
    Decision decision = VcpuModel.decide(vcpu, call);
    boolean accepted = decision.outcome() instanceof Outcome.Returns r && r.stopped() == null;
    if (!accepted) {
      throw new AssertionError(
          VcpuModel.ioctl(call).uapiName()
              + ": expected that KVM accepts it, found "
              + decision.outcome());
    }
    vcpu = evolved(vcpu, decision);
    return this;
  }

  /** What becomes of the vCPU when it is migrated by a plan to the same kernel. */
  public Then thenMigratedBy(String plan) {
    return thenMigratedBy(plan, kernel.version().label());
  }

  /** What becomes of the vCPU when it is migrated by a plan. */
  public Then thenMigratedBy(String plan, String toKernel) {
    KernelModel to = kernel.withVersion(Kernels.of(toKernel));
    return new Then(plan, Migrations.once(vcpu, Plans.open(plan), to));
  }

  /**
   * What becomes of the vCPU when these calls are made on it in every order, and it then runs. Give
   * each call a moment of its own.
   */
  public Orders thenInEveryOrder(VcpuCommand... calls) {
    List<WindowCall> made = new ArrayList<>();
    Vcpu v = vcpu;
    for (VcpuCommand call : calls) {
      Decision decision = VcpuModel.decide(v, call);
      Outcome answer = decision.outcome();
      int ret = answer instanceof Outcome.Returns r ? (int) r.value() : 0;
      made.add(
          answer instanceof Outcome.Refused r
              ? new WindowCall(made.size() + 1, call, -1, r.errno().number())
              : new WindowCall(made.size() + 1, call, ret, 0));
      v = evolved(v, decision);
    }
    VcpuCommand run = new VcpuCommand.Run(calls.length + 1, new RunInput(0, KvmRun.zero()));
    return Orders.of(
        vcpu.name(),
        new Window(vcpu, made, List.of(), List.of(), new WindowCall(made.size() + 1, run, 0, 0)));
  }

  private static Vcpu evolved(Vcpu v, Decision decision) {
    Vcpu next = v;
    for (TimelineEvent event : decision.events()) {
      next = VcpuModel.evolve(next, event);
    }
    return next;
  }

  /** Assertions on an outcome. */
  public static final class Then {
    private final String plan;
    private final MigrationOutcome outcome;

    private Then(String plan, MigrationOutcome outcome) {
      this.plan = plan;
      this.outcome = outcome;
    }

    public MigrationOutcome outcome() {
      return outcome;
    }

    /** Nothing is refused or lost, and the guest goes on. */
    public Then isFaithful() {
      return demand(outcome.kind() == Kind.FAITHFUL, "a faithful migration");
    }

    /** KVM refuses this call for this reason, and the VMM gives up. */
    public Then isRefused(Ioctl ioctl, Check check) {
      Refusal r = outcome.refused();
      return demand(
          outcome.kind() == Kind.REFUSED
              && r != null
              && r.ioctl() == ioctl
              && check.equals(r.check()),
          ioctl.uapiName() + " refused by " + check.id());
    }

    /** This field is lost. */
    public Then loses(String field) {
      return demand(
          outcome.lost().stream().map(Difference::field).anyMatch(field::equals),
          "that " + field + " is lost");
    }

    /** This field is not lost, nor may be. */
    public Then keeps(String field) {
      return demand(
          outcome.kind() != Kind.REFUSED
              && outcome.lost().stream().map(Difference::field).noneMatch(field::equals)
              && outcome.open().stream().map(Difference::field).noneMatch(field::equals),
          "that " + field + " is kept");
    }

    /** The guest survives: nothing is refused for which the VMM gives up, and nothing faults. */
    public Then neverFaults() {
      return demand(
          outcome.kind() != Kind.REFUSED && outcome.kind() != Kind.FAULT,
          "no refusal and no fault");
    }

    private Then demand(boolean is, String expected) {
      if (!is) {
        throw new AssertionError(
            "migrated by plan "
                + plan
                + ": expected "
                + expected
                + ", found "
                + Assertions.sentence(outcome));
      }
      return this;
    }
  }
}
