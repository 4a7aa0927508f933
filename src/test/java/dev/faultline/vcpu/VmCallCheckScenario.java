package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmEnableCap;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Given a VM on which a call passes, when one field of the call or of the VM changes, then one
 * check refuses the call, and nothing has changed.
 */
class VmCallCheckScenario {
  private static final int MOMENT = VmxGuest.MOMENT;
  private static final KernelModel V6_1 = VmxGuest.kernel(KernelVersion.V6_1);

  /** A call that passes on one VM, and one that fails on the same or on another. */
  record Row(
      CallCheck check,
      String change,
      Vm valid,
      VmCommand passes,
      Vm vm,
      VmCommand fails,
      Errno errno) {
    @Override
    public String toString() {
      return check + ": " + change;
    }
  }

  private static final List<Row> ROWS = new ArrayList<>();

  static {
    vms();
  }

  private static void row(
      CallCheck check, Errno errno, String change, Vm valid, Vm vm, VmCommand command) {
    ROWS.add(new Row(check, change, valid, command, vm, command, errno));
  }

  private static void vms() {
    Vm fresh = Vm.created("vm1", V6_1, Host.UNKNOWN);
    Vm inhabited = fresh.withVcpuIds(List.of(0));
    VmCommand irqchip = new VmCommand.CreateIrqchip(MOMENT);
    row(CallCheck.VM_DEAD, Errno.EIO, "vm_dead", fresh, fresh.withDead(Answer.YES), irqchip);
    VmCommand boot = new VmCommand.SetBootCpuId(MOMENT, 1);
    row(CallCheck.BOOT_CPU_AFTER_VCPU, Errno.EBUSY, "a vCPU exists", fresh, inhabited, boot);
    row(CallCheck.IRQCHIP_AFTER_VCPU, Errno.EINVAL, "a vCPU exists", fresh, inhabited, irqchip);
    VmCommand split =
        new VmCommand.EnableCap(MOMENT, KvmEnableCap.of(KvmCap.KVM_CAP_SPLIT_IRQCHIP, 24));
    row(CallCheck.IRQCHIP_AFTER_VCPU, Errno.EEXIST, "split", fresh, inhabited, split);
    for (Vm.Irqchip there : List.of(Vm.Irqchip.KERNEL, Vm.Irqchip.SPLIT)) {
      row(
          CallCheck.IRQCHIP_EXISTS,
          Errno.EEXIST,
          there.name(),
          fresh,
          fresh.withIrqchip(there),
          irqchip);
    }
    VmCommand vcpu = new VmCommand.CreateVcpu(MOMENT, 0);
    row(CallCheck.VCPU_EXISTS, Errno.EEXIST, "id", fresh, inhabited, vcpu);
    VmCommand unreadable = new VmCommand.BadPointer(MOMENT, Ioctl.SET_USER_MEMORY_REGION);
    ROWS.add(
        new Row(
            CallCheck.ARGUMENT_UNREADABLE,
            "pointer",
            fresh,
            vcpu,
            fresh,
            unreadable,
            Errno.EFAULT));
    for (int id : new int[] {-1, 4096}) {
      VmCommand create = new VmCommand.CreateVcpu(MOMENT, id);
      ROWS.add(new Row(CallCheck.VCPU_ID, "id " + id, fresh, vcpu, fresh, create, Errno.EINVAL));
    }
    VmCommand third = new VmCommand.CreateVcpu(MOMENT, 2);
    Vm limited = fresh.withSettings(fresh.settings().withMaxVcpuId(2));
    row(CallCheck.VCPU_ID, Errno.EINVAL, "KVM_CAP_MAX_VCPU_ID", fresh, limited, third);
    KvmEnableCap fault = KvmEnableCap.of(KvmCap.KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
    VmCommand enable = new VmCommand.EnableCap(MOMENT, fault);
    ROWS.add(
        new Row(
            CallCheck.ENABLE_CAP_FLAGS,
            "flags",
            fresh,
            enable,
            fresh,
            new VmCommand.EnableCap(MOMENT, fault.withFlags(1)),
            Errno.EINVAL));
    Vm older = fresh.withKernel(VmxGuest.kernel(KernelVersion.V5_17));
    row(CallCheck.ENABLE_CAP_UNKNOWN, Errno.EINVAL, "on 5.17", fresh, older, enable);
  }

  static Set<CallCheck> covered() {
    Set<CallCheck> covered = EnumSet.noneOf(CallCheck.class);
    ROWS.forEach(row -> covered.add(row.check()));
    return covered;
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void one_change_makes_its_check_end_the_vms_call_and_changes_nothing(Row row) {
    assertThat(VmRules.decide(row.valid(), row.passes()).outcome())
        .isNotInstanceOfAny(Outcome.Refused.class, Outcome.Undecided.class);

    VmRules.Result result = VmRules.decide(row.vm(), row.fails());

    assertThat(result.outcome()).isEqualTo(new Outcome.Refused(row.errno(), row.check()));
    assertThat(result.after()).isSameAs(row.vm());
  }
}
