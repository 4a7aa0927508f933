package dev.faultline.audit;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.vcpu.KernelVersion;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VmCommand;
import dev.faultline.x86.Msr;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** R01 to R08: what must be created and configured first. */
final class CreationRules implements RuleFamily {
  private static final List<Ioctl> NEED_CPUID =
      List.of(
          Ioctl.SET_SREGS,
          Ioctl.SET_SREGS2,
          Ioctl.SET_XCRS,
          Ioctl.SET_XSAVE,
          Ioctl.SET_MSRS,
          Ioctl.GET_MSRS,
          Ioctl.SET_NESTED_STATE);

  static final Rule R01 =
      Rule.of(
          "R01",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.x86("C47", "C73"),
          new Rule.Prose(
              "The interrupt controller is created before the first vCPU, and each vCPU once",
              """
              KVM_CREATE_VCPU gives the vCPU a local APIC only if an in-kernel or split interrupt
              controller exists by then; KVM_CREATE_IRQCHIP (EINVAL) and KVM_CAP_SPLIT_IRQCHIP
              (EEXIST) are refused afterwards. On arm64 it is the other way round. A second
              KVM_CREATE_VCPU with the same identifier fails with EEXIST.
              (kvm_arch_vm_ioctl, kvm_vm_ioctl_create_vcpu)\
              """,
              "Create the interrupt controller right after the VM; keep the descriptor of a vCPU"
                  + " that is unplugged, and use it again."));
  static final Rule R02 =
      Rule.of(
          "R02",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.x86(),
          new Rule.Prose(
              "KVM_SET_BOOT_CPU_ID comes before the first vCPU",
              """
              Which vCPU is the bootstrap processor is looked up when vCPUs are created, so KVM
              refuses the call with EBUSY afterwards. (kvm_arch_vm_ioctl)\
              """,
              "Call KVM_SET_BOOT_CPU_ID right after KVM_CREATE_VM."));
  static final Rule R03 =
      Rule.of(
          "R03",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.x86("C72"),
          new Rule.Prose(
              "One-time settings of the VM come before its vCPUs and memory slots",
              """
              KVM_SET_IDENTITY_MAP_ADDR, KVM_CAP_DIRTY_LOG_RING, KVM_CAP_PMU_CAPABILITY and
              KVM_CAP_MAX_VCPU_ID are refused once a vCPU exists; KVM_SET_TSS_ADDR makes a hidden
              memory slot and fails with EEXIST where it overlaps one of userspace;
              KVM_CAP_EXCEPTION_PAYLOAD and KVM_CAP_X86_TRIPLE_FAULT_EVENT change what
              KVM_SET_VCPU_EVENTS means and come before its first use.\
              """,
              "Make these calls right after KVM_CREATE_VM, before memory slots and vCPUs."));
  static final Rule R04 =
      Rule.of(
          "R04",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.on("x86", "5.17 and later", "C31"),
          new Rule.Prose(
              "The use of AMX is asked for by arch_prctl before KVM_GET_SUPPORTED_CPUID and"
                  + " KVM_SET_CPUID2",
              """
              Until ARCH_REQ_XCOMP_GUEST_PERM is granted KVM hides AMX from
              KVM_GET_SUPPORTED_CPUID, and refuses a CPUID table with it.
              (kvm_check_cpuid, fpu_enable_guest_xfd_features)\
              """,
              "Call arch_prctl(ARCH_REQ_XCOMP_GUEST_PERM, 18) before the first vCPU exists."));
  static final Rule R05 =
      Rule.of(
          "R05",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.on(
              "x86",
              "all; KVM_GET_MSRS and CR4 since 6.13, earlier kernels forgive them",
              "C21",
              "C33",
              "C34"),
          new Rule.Prose(
              "KVM_SET_CPUID2 is the first that a vCPU is given",
              """
              Which bits of CR4, EFER, XCR0 and APIC base are allowed, which MSRs exist, how wide
              physical addresses are and whether VMX may be restored follow from the guest's CPUID.
              Before it is set the answers are those of a CPU without features: a refusal, or,
              silently, the value 0 of a feature MSR that is written back later.\
              """,
              "Call KVM_SET_CPUID2 right after KVM_CREATE_VCPU."));
  static final Rule R06 =
      Rule.of(
          "R06",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.on("x86", "5.16 and later refuse it", "C26"),
          new Rule.Prose(
              "The CPUID table does not change after the first KVM_RUN",
              """
              KVM builds page-table roles from the table when the vCPU first runs and cannot follow
              a change; since 5.16 a table that differs is refused with EINVAL, the same table is
              accepted. (kvm_set_cpuid)\
              """,
              "Set CPUID only on a vCPU that has not run; to resume, leave it out."));
  static final Rule R07 =
      Rule.of(
          "R07",
          Severity.ERROR,
          Tier.T1,
          false,
          Rule.Where.on("x86", "6.4 and later refuse it"),
          new Rule.Prose(
              "Feature MSRs do not change after the first KVM_RUN",
              """
              VMX capability MSRs, IA32_ARCH_CAPABILITIES, IA32_PERF_CAPABILITIES and AMD's DE_CFG
              are part of the CPU model: since 6.4 another value is refused once the vCPU ran, so
              KVM_SET_MSRS stops there. (kvm_do_msr_access, do_set_msr)\
              """,
              "Write feature MSRs once, before the first KVM_RUN."));
  static final Rule R08 =
      Rule.of(
          "R08",
          Severity.WARNING,
          Tier.T1,
          true,
          Rule.Where.x86("C35"),
          new Rule.Prose(
              "The APIC identifiers in a vCPU's CPUID are its own",
              """
              Guests find their processors by CPUID leaf 1 (EBX 31:24) and 0xB and 0x1F (EDX). Two
              vCPUs with the same number share a stack or are taken for one; KVM checks nothing.\
              """,
              "Patch the leaves 1, 0xB and 0x1F (on AMD 0x8000001E) with each vCPU's identifier."));

  @Override
  public List<Rule> rules() {
    return List.of(R01, R02, R03, R04, R05, R06, R07, R08);
  }

  @Override
  public void vmCall(VmTrack vm, Call call, Findings findings) {
    Call vcpu = vm.firstCreated();
    switch (call.ioctl()) {
      case CREATE_VCPU -> createVcpu(vm, call, findings);
      case CREATE_IRQCHIP -> {
        if (vcpu != null && !call.done()) {
          findings.add(
              R01,
              call.as("refused: " + call.result()),
              "KVM_CREATE_IRQCHIP comes after KVM_CREATE_VCPU and is refused",
              vcpu.as("the first vCPU"));
        }
      }
      case SET_BOOT_CPU_ID -> {
        if (vcpu != null) {
          findings.add(
              R02,
              call.as("returns " + call.result()),
              "KVM_SET_BOOT_CPU_ID comes after KVM_CREATE_VCPU",
              vcpu.as("the first vCPU"));
        }
      }
      case SET_TSS_ADDR, SET_IDENTITY_MAP_ADDR -> address(vm, call, vcpu, findings);
      case ENABLE_CAP -> cap(vm, call, vcpu, findings);
      default -> {}
    }
  }

  private static void createVcpu(VmTrack vm, Call call, Findings findings) {
    if (call.vmCommand() instanceof VmCommand.CreateVcpu create) {
      Call earlier = vm.created().get(create.id());
      if (earlier != null && call.failed(Errno.EEXIST)) {
        findings.add(
            R01,
            call.as("the second for vCPU " + create.id() + ": EEXIST"),
            "KVM_CREATE_VCPU is called twice for vCPU " + create.id(),
            earlier.as("the first for vCPU " + create.id()));
      }
    }
  }

  private static void address(VmTrack vm, Call call, @Nullable Call vcpu, Findings findings) {
    Call slot = vm.first(Ioctl.SET_USER_MEMORY_REGION);
    if (slot == null) {
      slot = vm.first(Ioctl.SET_USER_MEMORY_REGION2);
    }
    if (!call.done() && (slot != null || vcpu != null)) {
      Call reason = call.failed(Errno.EEXIST) && slot != null ? slot : vcpu != null ? vcpu : slot;
      if (reason != null) {
        findings.add(
            R03,
            call.as("refused: " + call.result()),
            call.name() + " comes after " + reason.name() + " and is refused",
            reason.as("came first"));
      }
    }
  }

  private static void cap(VmTrack vm, Call call, @Nullable Call vcpu, Findings findings) {
    if (call.unseen()) {
      if (!call.done() && vcpu != null) {
        findings.cannotTell(R03, "which capability a refused KVM_ENABLE_CAP was about");
      }
      return;
    }
    KvmCap cap =
        call.vmCommand() instanceof VmCommand.EnableCap enable
            ? KvmCap.of(Integer.toUnsignedLong(enable.cap().cap()))
            : null;
    if (cap == null) {
      return;
    }
    switch (cap) {
      case KVM_CAP_SPLIT_IRQCHIP -> {
        if (vcpu != null) {
          findings.add(
              R01,
              call.as("returns " + call.result()),
              "KVM_CAP_SPLIT_IRQCHIP is enabled after KVM_CREATE_VCPU",
              vcpu.as("the first vCPU"));
        }
      }
      case KVM_CAP_DIRTY_LOG_RING, KVM_CAP_PMU_CAPABILITY, KVM_CAP_MAX_VCPU_ID -> {
        if (vcpu != null && !call.done()) {
          findings.add(
              R03,
              call.as("refused: " + call.result()),
              cap.name() + " is enabled after KVM_CREATE_VCPU and is refused",
              vcpu.as("the first vCPU"));
        }
      }
      case KVM_CAP_EXCEPTION_PAYLOAD, KVM_CAP_X86_TRIPLE_FAULT_EVENT ->
          eventsCap(vm, call, cap, findings);
      default -> {}
    }
  }

  private static void eventsCap(VmTrack vm, Call call, KvmCap cap, Findings findings) {
    for (VcpuTrack vcpu : vm.tracks()) {
      Call used = vcpu.written().last(Ioctl.SET_VCPU_EVENTS);
      if (used != null) {
        findings.add(
            R03,
            call.as("enabled"),
            cap.name() + " is enabled after KVM_SET_VCPU_EVENTS on " + vcpu.name(),
            used.as("given without the capability"));
        return;
      }
    }
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    if (NEED_CPUID.contains(call.ioctl())) {
      beforeCpuid(step, findings);
    }
    if (call.ioctl() == Ioctl.SET_CPUID2) {
      amx(step, findings);
      afterRun(step, findings);
    }
    if (call.ioctl() == Ioctl.SET_MSRS) {
      frozen(step, findings);
    }
    if (call.ioctl() == Ioctl.SET_LAPIC
        && call.failed(Errno.EINVAL)
        && step.vm().fromCreation()
        && !step.vm().has(Ioctl.CREATE_IRQCHIP)
        && !step.vm().caps().containsKey(KvmCap.KVM_CAP_SPLIT_IRQCHIP.number())
        && !step.vm().has(Ioctl.ENABLE_CAP)) {
      findings.add(
          R01,
          call.as("refused: EINVAL"),
          "the vCPU has no local APIC in the kernel: no interrupt controller was created before"
              + " it");
    }
  }

  private static void beforeCpuid(Step step, Findings findings) {
    Call call = step.call();
    VcpuTrack vcpu = step.vcpu();
    if (!vcpu.fromCreation() || vcpu.cpuidCall() != null || !needsCpuid(call)) {
      return;
    }
    boolean reads = call.ioctl() == Ioctl.GET_MSRS;
    boolean lenient =
        step.scene().before(KernelVersion.V6_15)
            && call.done()
            && (reads || call.ioctl() == Ioctl.SET_SREGS || call.ioctl() == Ioctl.SET_SREGS2);
    if (vcpu.written().first(Ioctl.SET_CPUID2) == null
        && vcpu.written().first(call.ioctl()) != null
        && call.done()) {
      return;
    }
    findings.add(
        R05,
        lenient ? Severity.WARNING : Severity.ERROR,
        call.as("returns " + call.result()),
        call.name()
            + " comes before KVM_SET_CPUID2"
            + (reads ? ": feature MSRs read as 0, silently" : "")
            + (lenient ? "; this kernel forgives it, 6.13 and later do not" : ""));
  }

  /** MSRs that no feature decides about are free to go first. */
  private static boolean needsCpuid(Call call) {
    return switch (call.command()) {
      case VcpuCommand.SetMsrs set -> {
        for (int i = 0; i < set.msrs().held(); i++) {
          if (isFeatureDependent(set.msrs().index(i))) {
            yield true;
          }
        }
        yield call.ret() < set.msrs().held();
      }
      case VcpuCommand.GetMsrs get -> {
        for (int i = 0; i < get.msrs().held(); i++) {
          if (isFeatureDependent(get.msrs().index(i))) {
            yield true;
          }
        }
        yield false;
      }
      case VcpuCommand.SetXcrs set -> set.xcrs().nrXcrs() > 0 && set.xcrs().value(0) > 1;
      case VcpuCommand.SetXsave set -> (set.xsave().xstateBv() & ~3L) != 0 || !call.done();
      case VcpuCommand.SetNestedState set ->
          !call.done() || set.state().flags() != 0 || set.state().vmxonPa() != -1;
      case null, default -> true;
    };
  }

  private static boolean isFeatureDependent(int index) {
    return Msr.isVmxCapability(index)
        || index == Msr.IA32_ARCH_CAPABILITIES
        || index == Msr.IA32_PERF_CAPABILITIES
        || index == Msr.IA32_FEATURE_CONTROL
        || index == Msr.IA32_XSS
        || index == Msr.IA32_EFER
        || index == Msr.IA32_SPEC_CTRL
        || index == MsrNames.TSX_CTRL
        || index == MsrNames.XFD;
  }

  private static void amx(Step step, Findings findings) {
    Call call = step.call();
    KvmCpuid2 table = Window.cpuidOf(call);
    if (call.failed(Errno.EPERM)) {
      findings.add(
          R04,
          call.as("refused: EPERM"),
          "the CPUID table has a feature whose use the process was not permitted: no arch_prctl"
              + " (ARCH_REQ_XCOMP_GUEST_PERM) came before");
    } else if (table != null
        && CpuidBits.AMX_TILE.in(table)
        && !step.scene().permissionAsked()
        && call.done()) {
      findings.cannotTell(R04, "the input does not show arch_prctl, and the guest has AMX");
    } else if (table != null && CpuidBits.AMX_TILE.in(table) && !call.done()) {
      findings.add(
          R04,
          call.as("refused: " + call.result()),
          "a CPUID table with AMX is refused; the permission was not asked for, or too late");
    }
  }

  private static void afterRun(Step step, Findings findings) {
    Call call = step.call();
    VcpuTrack vcpu = step.vcpu();
    Call run = vcpu.lastRun();
    if (run == null) {
      return;
    }
    KvmCpuid2 before = vcpu.cpuid();
    KvmCpuid2 now = Window.cpuidOf(call);
    boolean differs = before != null && now != null && !before.raw().equals(now.raw());
    if (call.failed(Errno.EINVAL)) {
      findings.add(
          R06,
          call.as("refused: EINVAL"),
          "KVM_SET_CPUID2 after KVM_RUN is refused: the table differs from the one in force",
          run.as("the vCPU ran"));
    } else if (differs && call.done()) {
      findings.add(
          R06,
          Severity.WARNING,
          call.as("accepted"),
          "KVM_SET_CPUID2 changes the table after KVM_RUN; 5.16 and later refuse that",
          run.as("the vCPU ran"));
    }
  }

  private static void frozen(Step step, Findings findings) {
    Call call = step.call();
    Call run = step.vcpu().lastRun();
    if (run == null
        || step.before() == null
        || !(call.command() instanceof VcpuCommand.SetMsrs set)) {
      return;
    }
    MsrState known = step.before().platform().msrs();
    for (int i = 0; i < set.msrs().held(); i++) {
      int index = set.msrs().index(i);
      boolean feature =
          Msr.isVmxCapability(index)
              || index == Msr.IA32_ARCH_CAPABILITIES
              || index == Msr.IA32_PERF_CAPABILITIES
              || index == Msr.AMD64_DE_CFG;
      if (feature && known.knows(index) && known.value(index) != set.msrs().data(i)) {
        boolean refused = call.ret() == i;
        findings.add(
            R07,
            refused || step.scene().since(KernelVersion.V6_8) ? Severity.ERROR : Severity.WARNING,
            call.as("entry " + i + (refused ? " is refused" : " is accepted")),
            MsrNames.of(index) + " gets another value after KVM_RUN",
            run.as("the vCPU ran"));
        return;
      }
    }
  }

  @Override
  public void run(Step step, Findings findings) {
    VmTrack vm = step.vm();
    VcpuTrack vcpu = step.vcpu();
    KvmCpuid2 table = vcpu.cpuid();
    int vcpus = Math.max(vm.created().size(), vm.vcpus().size());
    if (vcpu.hasRun() || table == null || vcpu.id() < 0 || vcpus < 2) {
      return;
    }
    Call cpuid = vcpu.cpuidCall();
    String wrong = TopologyLeaves.wrong(table, vcpu.id());
    if (cpuid != null && !wrong.isEmpty()) {
      findings.add(
          R08,
          cpuid.as("the table of vCPU " + vcpu.id()),
          "the CPUID of vCPU " + vcpu.id() + " names another APIC identifier: " + wrong,
          step.call().as("the vCPU runs with it"));
    }
  }
}
