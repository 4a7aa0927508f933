package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmGsiRouting;
import dev.faultline.kvm.KvmIrqfd;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmSregsCommon;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Cr0;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Efer;
import java.util.List;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** R65 to R68 and R70: interrupts, devices and memory of the VM. */
final class MachineRules implements RuleFamily {
  private static final int DEASSIGN = 1;
  private static final int IOAPIC_PINS = 24;
  private static final int CHIPS = 3;
  private static final int MAX_GSIS = 4096;

  static final Rule R65 =
      Rule.of(
          "R65",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C65"),
          new Rule.Prose(
              "A route exists before its KVM_IRQFD is assigned, and until it is deassigned",
              """
              An irqfd looks its route up when it is assigned; with posted interrupts KVM has then
              programmed the host's IOMMU for a route that is not there, or is gone.
              (kvm_irqfd_assign, kvm_irq_routing_update)\
              """,
              "KVM_SET_GSI_ROUTING, then assign; deassign, then KVM_SET_GSI_ROUTING."));
  static final Rule R66 =
      Rule.of(
          "R66",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C39"),
          new Rule.Prose(
              "All three interrupt controllers and the PIT are saved and restored",
              """
              With KVM_CREATE_IRQCHIP the state is in the master PIC, the slave PIC and the IOAPIC,
              and with KVM_CREATE_PIT2 in the PIT. One left out is at reset: its interrupts are
              masked or lost.\
              """,
              "KVM_GET_IRQCHIP and KVM_SET_IRQCHIP for chips 0, 1 and 2, KVM_GET_PIT2 and"
                  + " KVM_SET_PIT2."));
  static final Rule R67 =
      Rule.of(
          "R67",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.x86("C48", "C66"),
          new Rule.Prose(
              "Devices are quiet before the state of vCPUs and interrupt controllers is read",
              """
              An interrupt that a device raises afterwards is in the device's saved state and not in
              the saved interrupt controller, or the other way round: lost, or delivered twice.\
              """,
              "Drain and stop devices first, save KVM's state last."));
  static final Rule R68 =
      Rule.of(
          "R68",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.x86("C67"),
          new Rule.Prose(
              "The last pass over the dirty log comes after the state was captured",
              """
              Reading state can write guest memory: a page that carries the vmcs12, steal time or the
              pages of devices. What is dirtied after the last pass is not sent.\
              """,
              "Read the dirty log once more after all state was read."));
  static final Rule R70 =
      Rule.of(
          "R70",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.x86(),
          new Rule.Prose(
              "Guest memory is there before KVM_SET_SREGS of a guest with PAE paging",
              """
              KVM reads the four PDPTRs from memory at CR3 when special registers are set, and
              ignores a failure. (load_pdptrs)\
              """,
              "Restore memory first, or use KVM_SET_SREGS2 with KVM_SREGS2_FLAGS_PDPTRS_VALID."));

  private final TreeMap<String, TreeSet<Integer>> routes = new TreeMap<>();
  private final TreeMap<String, TreeMap<Integer, Call>> irqfds = new TreeMap<>();
  private final TreeMap<String, Call> signals = new TreeMap<>();
  private final TreeMap<String, Call> capturedBefore = new TreeMap<>();

  @Override
  public List<Rule> rules() {
    return List.of(R65, R66, R67, R68, R70);
  }

  @Override
  public void vmCall(VmTrack vm, Call call, Findings findings) {
    switch (call.ioctl()) {
      case SET_GSI_ROUTING -> routing(vm, call, findings);
      case IRQFD -> {
        irqfd(vm, call, findings);
        signal(vm, call);
      }
      case IRQ_LINE, IRQ_LINE_STATUS -> signal(vm, call);
      case SIGNAL_MSI -> {
        signal(vm, call);
        duringReset(vm, call, findings);
      }
      default -> {}
    }
  }

  private void routing(VmTrack vm, Call call, Findings findings) {
    if (!call.done()) {
      return;
    }
    TreeMap<Integer, Call> assigned = irqfds.getOrDefault(vm.name(), new TreeMap<>());
    if (call.payload().size() < KvmGsiRouting.HEADER_SIZE) {
      return;
    }
    KvmGsiRouting table = new KvmGsiRouting(call.payload());
    TreeSet<Integer> now = new TreeSet<>();
    for (int i = 0; i < Math.min(table.held(), MAX_GSIS); i++) {
      now.add(table.gsi(i));
    }
    TreeSet<Integer> before = routes.put(vm.name(), now);
    for (var entry : assigned.entrySet()) {
      if (before != null && before.contains(entry.getKey()) && !now.contains(entry.getKey())) {
        findings.add(
            R65,
            call.as("without GSI " + entry.getKey()),
            "KVM_SET_GSI_ROUTING takes the route of GSI "
                + entry.getKey()
                + " away while its irqfd is assigned",
            entry.getValue().as("assigned"));
      }
    }
  }

  private void irqfd(VmTrack vm, Call call, Findings findings) {
    if (call.payload().size() != KvmIrqfd.SIZE) {
      if (call.unseen() && !vm.has(Ioctl.SET_GSI_ROUTING)) {
        findings.cannotTell(R65, "what KVM_IRQFD assigns was not recorded");
      }
      return;
    }
    KvmIrqfd irqfd = new KvmIrqfd(call.payload());
    TreeMap<Integer, Call> assigned = irqfds.computeIfAbsent(vm.name(), _ -> new TreeMap<>());
    if ((irqfd.flags() & DEASSIGN) != 0) {
      assigned.remove(irqfd.gsi());
      return;
    }
    if (assigned.size() < MAX_GSIS && call.done()) {
      assigned.put(irqfd.gsi(), call);
    }
    TreeSet<Integer> table = routes.get(vm.name());
    boolean byDefault =
        table == null
            && irqfd.gsi() < IOAPIC_PINS
            && (vm.has(Ioctl.CREATE_IRQCHIP) || !vm.fromCreation());
    boolean routed = table == null ? byDefault : table.contains(irqfd.gsi());
    boolean known = table != null || vm.fromCreation();
    if (!routed && known) {
      Call last = vm.last(Ioctl.SET_GSI_ROUTING);
      findings.add(
          R65,
          call.as("GSI " + irqfd.gsi()),
          "KVM_IRQFD is assigned to GSI " + irqfd.gsi() + ", which has no route yet",
          last == null ? new Evidence[0] : new Evidence[] {last.as("the routes so far")});
    }
  }

  /** A message arrives at a vCPU that ran, and whose state is being written. */
  private static void duringReset(VmTrack vm, Call call, Findings findings) {
    for (VcpuTrack vcpu : vm.tracks()) {
      Call events = vcpu.written().last(Ioctl.SET_VCPU_EVENTS);
      boolean registers = vcpu.written().has(Ioctl.SET_REGS) || vcpu.written().has(Ioctl.SET_SREGS);
      if (vcpu.hasRun() && events != null && registers) {
        findings.add(
            R67,
            call.as("a device signals"),
            "KVM_SIGNAL_MSI arrives while " + vcpu.name() + " is being reset",
            events.as("being written"));
        return;
      }
    }
  }

  /** A device speaks up although a vCPU was read since it ran. */
  private void signal(VmTrack vm, Call call) {
    if (!call.done() || signals.containsKey(vm.name())) {
      return;
    }
    for (VcpuTrack vcpu : vm.tracks()) {
      Call sregs = vcpu.read().last(Ioctl.GET_SREGS);
      if (vcpu.read().isSave() && sregs != null && vcpu.written().isEmpty()) {
        Call chip = vm.last(Ioctl.GET_IRQCHIP);
        Call captured = chip != null && chip.moment() > sregs.moment() ? chip : sregs;
        signals.put(vm.name(), call);
        capturedBefore.put(vm.name(), captured);
        return;
      }
    }
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    if (call.ioctl() == Ioctl.SET_SREGS || call.ioctl() == Ioctl.SET_SREGS2) {
      memory(step, findings);
    }
  }

  private static void memory(Step step, Findings findings) {
    Call call = step.call();
    VmTrack vm = step.vm();
    boolean slots =
        vm.has(Ioctl.SET_USER_MEMORY_REGION)
            || vm.has(Ioctl.SET_USER_MEMORY_REGION2)
            || vm.has(Ioctl.SET_MEMORY_REGION);
    if (slots || !vm.fromCreation() || !step.vcpu().fromCreation()) {
      return;
    }
    KvmSregsCommon sregs = null;
    switch (call.command()) {
      case VcpuCommand.SetSregs s -> sregs = s.sregs();
      case VcpuCommand.SetSregs2 s -> {
        if ((s.sregs().flags() & KvmSregs2.KVM_SREGS2_FLAGS_PDPTRS_VALID) != 0) {
          return;
        }
        sregs = s.sregs();
      }
      case null, default -> {}
    }
    if (sregs == null || isPae(sregs)) {
      findings.add(
          R70,
          call.as(sregs == null ? "no memory slot yet" : "PAE paging, no memory slot yet"),
          "KVM_SET_SREGS comes before guest memory"
              + (sregs == null ? "" : ": the PDPTRs are not loaded"));
    }
  }

  private static boolean isPae(KvmSregsCommon s) {
    return (s.cr0() & Cr0.PG) != 0 && (s.cr4() & Cr4.PAE) != 0 && (s.efer() & Efer.LMA) == 0;
  }

  @Override
  public void run(Step step, Findings findings) {
    VmTrack vm = step.vm();
    Call signal = signals.remove(vm.name());
    Call captured = capturedBefore.remove(vm.name());
    if (signal != null && captured != null && captured.ioctl() == Ioctl.GET_IRQCHIP) {
      late(signal, captured, findings);
    }
    if (step.vcpu().written().isRestore() && vm.restoredRun() == null) {
      chips(vm.chipsWritten(), Ioctl.SET_IRQCHIP, Ioctl.SET_PIT2, vm, step.call(), findings);
    }
  }

  private static void late(Call signal, Call captured, Findings findings) {
    findings.add(
        R67,
        signal.as("a device signals"),
        signal.name() + " comes after the VM's state was read",
        captured.as("read"));
  }

  private static void chips(
      TreeMap<Integer, Call> chips,
      Ioctl ioctl,
      Ioctl pit,
      VmTrack vm,
      @Nullable Call run,
      Findings findings) {
    if (chips.isEmpty()) {
      return;
    }
    Call any = chips.lastEntry().getValue();
    Call at = run == null ? any : run;
    if (chips.size() < CHIPS) {
      findings.add(
          R66,
          at.as(run == null ? "the last" : "the restored VM runs"),
          ioctl.uapiName() + " is called for " + chips.size() + " of 3 interrupt controllers",
          any.as(ioctl.uapiName()));
    }
    if (vm.has(Ioctl.CREATE_PIT2) && !vm.has(pit)) {
      Call created = vm.first(Ioctl.CREATE_PIT2);
      findings.add(
          R66,
          at.as(run == null ? "the last" : "the restored VM runs"),
          "the interrupt controllers are "
              + (run == null ? "saved" : "restored")
              + " and the PIT is not",
          created == null ? new Evidence[0] : new Evidence[] {created.as("there is a PIT")});
    }
  }

  @Override
  public void vmEnd(VmTrack vm, Scene scene, Findings findings) {
    Call signal = signals.remove(vm.name());
    Call captured = capturedBefore.remove(vm.name());
    if (signal != null && captured != null && !vm.has(Ioctl.SET_IRQCHIP)) {
      late(signal, captured, findings);
    }
    chips(vm.chipsRead(), Ioctl.GET_IRQCHIP, Ioctl.GET_PIT2, vm, null, findings);
    if (vm.restoredRun() == null && vm.tracks().stream().anyMatch(v -> v.written().isRestore())) {
      chips(vm.chipsWritten(), Ioctl.SET_IRQCHIP, Ioctl.SET_PIT2, vm, null, findings);
    }
    dirtyLog(vm, findings);
    routes.remove(vm.name());
    irqfds.remove(vm.name());
  }

  private static void dirtyLog(VmTrack vm, Findings findings) {
    Call log = vm.last(Ioctl.GET_DIRTY_LOG);
    Call ring = vm.last(Ioctl.RESET_DIRTY_RINGS);
    Call pass = log == null ? ring : ring != null && ring.moment() > log.moment() ? ring : log;
    if (pass == null) {
      return;
    }
    for (VcpuTrack vcpu : vm.tracks()) {
      Call read = vcpu.read().last(Ioctl.GET_SREGS);
      Call run = vm.lastRun();
      if (read != null
          && run != null
          && vcpu.read().isSave()
          && read.moment() > run.moment()
          && pass.moment() < read.moment()) {
        findings.add(
            R68,
            pass.as("the last pass"),
            "the last pass over the dirty log comes before " + vcpu.name() + " is saved",
            read.as("saved"));
        return;
      }
    }
  }
}
