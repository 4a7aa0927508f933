package dev.faultline.audit;

import static dev.faultline.audit.CaseScript.DEADLINE;
import static dev.faultline.audit.CaseScript.KVMCLOCK;
import static dev.faultline.audit.CaseScript.RESTORE;
import static dev.faultline.audit.CaseScript.SAVE;
import static dev.faultline.audit.CaseScript.TSC;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import java.util.List;

/** Public bugs of clocks, MSRs, CPUID, registers and the local APIC. */
final class VcpuCases {
  private static final long ENABLED = 0x1000001;
  private static final String EARLY_MSRS =
      "CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS MSRS LAPIC VCPU_EVENTS";
  private static final CpuidEntry KVM_FEATURES = new CpuidEntry(0x40000001, 0, 0, 1 << 3, 0, 0, 0);
  private static final CpuidEntry KVM_SIGNATURE =
      new CpuidEntry(0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
  private static final CpuidEntry HYPERV_SIGNATURE =
      new CpuidEntry(0x40000000, 0, 0, 0x40000005, 0x7263694d, 0x666f736f, 0x76482074);

  private VcpuCases() {}

  /** The guest has and uses kvmclock. */
  private static CaseScript kvmclock(CaseScript s) {
    return s.with(KVM_SIGNATURE, KVM_FEATURES).msr(KVMCLOCK, ENABLED);
  }

  static List<PublicCase> clocks() {
    return List.of(
        PublicCase.of(
            "C01",
            "dragonball restored MSRs before the local APIC: the TSC deadline was dropped, a few"
                + " percent of the restores hung (kata-containers#13798)",
            "R31",
            s -> s.msr(DEADLINE, 0x6000000).restored(EARLY_MSRS).run(),
            s -> s.msr(DEADLINE, 0x6000000).restored(RESTORE).run()),
        PublicCase.of(
            "C02",
            "Firecracker restored the TSC deadline before the TSC: stuck processes"
                + " (firecracker#4099)",
            "R32",
            s ->
                s.restored("CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS LAPIC")
                    .setMsrs(2, DEADLINE, 0x6000000, TSC, 0x5000000)
                    .set("VCPU_EVENTS")
                    .run(),
            s ->
                s.restored("CPUID2 MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS LAPIC")
                    .setMsrs(1, TSC, 0x5000000)
                    .setMsrs(1, DEADLINE, 0x6000000)
                    .set("VCPU_EVENTS")
                    .run()),
        PublicCase.of(
            "C04",
            "Firecracker saved a CPUID table from the start of the VM: a snapshot of a restored"
                + " guest had lost its TSC-deadline timer (firecracker#1942)",
            "R18",
            s ->
                s.msr(DEADLINE, 0)
                    .saved(SAVE)
                    .with(CaseStates.leaf1(0, CaseStates.X2APIC | CaseStates.XSAVE))
                    .restored(RESTORE)
                    .run(),
            s -> s.msr(DEADLINE, 0x6000000).saved(SAVE + " CPUID2").restored(RESTORE).run()),
        PublicCase.of(
            "C05",
            "Cloud Hypervisor ran vCPUs before KVM_SET_CLOCK: Windows hung for four minutes"
                + " (cloud-hypervisor#7930)",
            "R60",
            s -> kvmclock(s).restored(RESTORE).set("KVMCLOCK_CTRL").run().setClock(0, 0).run(),
            s -> kvmclock(s).restored(RESTORE).set("KVMCLOCK_CTRL").setClock(0, 0).run()),
        PublicCase.of(
            "C06",
            "Cloud Hypervisor never restored the clock (324c924c, 65a39f43)",
            "R60",
            s -> kvmclock(s).restored(RESTORE).set("KVMCLOCK_CTRL").run(),
            s -> kvmclock(s).restored(RESTORE).setClock(0, 0).set("KVMCLOCK_CTRL").run()),
        PublicCase.of(
                "C07",
                "crosvm's kvmclock fell back to 0, and the flags of KVM_GET_CLOCK were refused"
                    + " (e56e7c40)",
                "R64 R60",
                s ->
                    kvmclock(s)
                        .on("5.10.0", "")
                        .getClock()
                        .restored(RESTORE)
                        .setClock(2, -Errno.EINVAL.number())
                        .set("KVMCLOCK_CTRL")
                        .run(),
                s ->
                    kvmclock(s)
                        .on("5.10.0", "")
                        .restored(RESTORE)
                        .setClock(0, 0)
                        .set("KVMCLOCK_CTRL")
                        .run())
            .onItsHost(),
        PublicCase.of(
            "C08",
            "Cloud Hypervisor set the TSC of each vCPU at another time: the master clock never came"
                + " on (cloud-hypervisor#8383)",
            "R62",
            s ->
                s.vm()
                    .vcpu(0)
                    .set(RESTORE)
                    .offset(Ioctl.SET_DEVICE_ATTR, -1000)
                    .with(CaseStates.leaf1(1, CaseStates.USUAL))
                    .vcpu(1)
                    .set(RESTORE)
                    .offset(Ioctl.SET_DEVICE_ATTR, -2500)
                    .on(0)
                    .run()
                    .on(1)
                    .run(),
            s ->
                s.vm()
                    .vcpu(0)
                    .set(RESTORE)
                    .with(CaseStates.leaf1(1, CaseStates.USUAL))
                    .vcpu(1)
                    .set(RESTORE)
                    .on(0)
                    .offset(Ioctl.GET_DEVICE_ATTR, -1000)
                    .on(1)
                    .offset(Ioctl.SET_DEVICE_ATTR, -1000)
                    .on(0)
                    .run()
                    .on(1)
                    .run()),
        PublicCase.of(
            "C09",
            "Firecracker left the TSC offsets of its vCPUs different (firecracker#6200)",
            "R62",
            s ->
                s.vm()
                    .vcpu(0)
                    .set(RESTORE)
                    .after(1500)
                    .with(CaseStates.leaf1(1, CaseStates.USUAL))
                    .vcpu(1)
                    .set(RESTORE)
                    .on(0)
                    .run()
                    .on(1)
                    .run(),
            s ->
                s.vm()
                    .vcpu(0)
                    .set(RESTORE)
                    .after(1500)
                    .with(CaseStates.leaf1(1, CaseStates.USUAL))
                    .vcpu(1)
                    .set(RESTORE)
                    .on(0)
                    .offset(Ioctl.GET_DEVICE_ATTR, -1000)
                    .offset(Ioctl.SET_DEVICE_ATTR, -1000)
                    .on(1)
                    .offset(Ioctl.SET_DEVICE_ATTR, -1000)
                    .on(0)
                    .run()
                    .on(1)
                    .run()),
        PublicCase.of(
            "C10",
            "crosvm restored the TSC through the MSR and through the offset (eb7286c3, 45be65a0)",
            "R34",
            s -> s.restored(RESTORE).offset(Ioctl.SET_DEVICE_ATTR, -1000).run(),
            s -> {
              s.msrs.remove(TSC);
              s.restored(RESTORE).offset(Ioctl.SET_DEVICE_ATTR, -1000).run();
            }),
        PublicCase.of(
            "C11",
            "Cloud Hypervisor did not move the TSC's frequency (cloud-hypervisor#5786)",
            "R33",
            s -> s.saved(SAVE + " TSC_KHZ").restored(RESTORE).run(),
            s -> s.saved(SAVE + " TSC_KHZ").restored("TSC_KHZ " + RESTORE).run()),
        PublicCase.of(
            "C13",
            "openvmm lost Hyper-V's reference time, whose counter only KVM_SET_CLOCK restores"
                + " (openvmm#4066)",
            "R60",
            s -> s.msr(0x40000000L, 0x8100).msr(0x40000021L, 0x3001).restored(RESTORE).run(),
            s ->
                s.msr(0x40000000L, 0x8100)
                    .msr(0x40000021L, 0x3001)
                    .restored(RESTORE)
                    .setClock(0, 0)
                    .refused("KVMCLOCK_CTRL", Errno.EINVAL)
                    .run()),
        PublicCase.of(
            "C14",
            "Firecracker did not tell the guest that it was paused: soft lockups"
                + " (firecracker#5494)",
            "R61",
            s -> kvmclock(s).saved(SAVE).after(30_000).run(),
            s -> kvmclock(s).saved(SAVE).after(30_000).set("KVMCLOCK_CTRL").run()),
        PublicCase.of(
            "C15",
            "Cloud Hypervisor gave a migration up for the EINVAL of KVM_KVMCLOCK_CTRL"
                + " (cloud-hypervisor#3586)",
            "R61",
            s -> s.saved(SAVE).refused("KVMCLOCK_CTRL", Errno.EINVAL).close(),
            s -> s.saved(SAVE).refused("KVMCLOCK_CTRL", Errno.EINVAL).run()));
  }

  static List<PublicCase> msrs() {
    return List.of(
        PublicCase.of(
                "C17",
                "Firecracker ignored that KVM_SET_MSRS stopped early (firecracker#3164)",
                "R44",
                s ->
                    s.fresh()
                        .set("CPUID2 REGS SREGS LAPIC")
                        .setMsrs(1, 0x174, 0, 0x1a0, 1L << 40, 0xc0000081L, 0, 0xc0000082L, 0)
                        .set("VCPU_EVENTS")
                        .run(),
                s ->
                    s.fresh()
                        .set("CPUID2 REGS SREGS LAPIC")
                        .setMsrs(4, 0x174, 0, 0x1a0, 1, 0xc0000081L, 0, 0xc0000082L, 0)
                        .set("VCPU_EVENTS")
                        .run())
            .onItsHost(),
        PublicCase.of(
                "C18",
                "crosvm wrote MSRs one by one and took 0 for success (5441c064, rust-vmm/kvm#63)",
                "R44",
                s ->
                    s.fresh()
                        .set("CPUID2 REGS SREGS")
                        .setMsrs(1, 0x174, 0)
                        .setMsrs(0, 0x1a0, 1L << 40)
                        .setMsrs(1, 0xc0000081L, 0)
                        .run(),
                s ->
                    s.fresh()
                        .set("CPUID2 REGS SREGS")
                        .setMsrs(1, 0x174, 0)
                        .setMsrs(1, 0x1a0, 1)
                        .setMsrs(1, 0xc0000081L, 0)
                        .run())
            .onItsHost(),
        PublicCase.of(
            "C20",
            "Cloud Hypervisor skipped an MSR of PVM that KVM refused (virt-pvm/linux#2)",
            "R44",
            s ->
                s.fresh()
                    .set("CPUID2 REGS SREGS")
                    .setMsrs(1, 0x174, 0, 0x4b564df1L, 0x5000, 0xc0000081L, 0)
                    .setMsrs(1, 0xc0000081L, 0)
                    .set("VCPU_EVENTS")
                    .run(),
            s ->
                s.fresh()
                    .set("CPUID2 REGS SREGS")
                    .setMsrs(3, 0x174, 0, 0x4b564df1L, 0x5000, 0xc0000081L, 0)
                    .set("VCPU_EVENTS")
                    .run()),
        PublicCase.of(
                "C21",
                "Firecracker read IA32_ARCH_CAPABILITIES before KVM_SET_CPUID2: 0 since Linux 6.13,"
                    + " written back later (4681a67f)",
                "R05",
                s ->
                    s.on("6.18.0", "")
                        .fresh()
                        .getMsrs(1, 0x10a, 0)
                        .set("CPUID2 REGS SREGS")
                        .setMsrs(1, 0x10a, 0)
                        .run(),
                s ->
                    s.on("6.18.0", "")
                        .fresh()
                        .set("CPUID2")
                        .getMsrs(1, 0x10a, 0xd)
                        .set("REGS SREGS")
                        .setMsrs(1, 0x10a, 0xd)
                        .run())
            .onItsHost(),
        PublicCase.of(
                "C22",
                "Firecracker did not save IA32_XSS: bad FPU state (49057759)",
                "R15",
                s ->
                    s.with(new CpuidEntry(0xd, 1, 1, 0xb, 0x240, 0x1800, 0))
                        .restored(RESTORE)
                        .run(),
                s ->
                    s.with(new CpuidEntry(0xd, 1, 1, 0xb, 0x240, 0x1800, 0))
                        .msr(0xda0, 0x800)
                        .restored(RESTORE)
                        .run())
            .onItsHost(),
        PublicCase.of(
            "C23",
            "Cloud Hypervisor lost the MTRRs, which KVM_GET_MSR_INDEX_LIST does not name"
                + " (cloud-hypervisor#7944)",
            "R15",
            s -> mtrr(s).restored(RESTORE).run(),
            s -> mtrr(s).msr(0x2ff, 0xc06).restored(RESTORE).run()),
        PublicCase.of(
            "C24",
            "Cloud Hypervisor did not restore the SynIC of Windows guests"
                + " (cloud-hypervisor#1886, #7491)",
            "R15",
            s -> hyperv(s).restored(RESTORE).run(),
            s -> hyperv(s).msr(0x40000080L, 1).msr(0x400000b0L, 0).restored(RESTORE).run()),
        PublicCase.of(
            "C26",
            "Cloud Hypervisor set CPUID again on resume: EINVAL since 5.16 (cloud-hypervisor#4156)",
            "R06",
            s ->
                s.saved(SAVE)
                    .with(new CpuidEntry(0x80000008, 0, 0, 0x3027, 0, 0, 0))
                    .refused("CPUID2", Errno.EINVAL),
            s -> s.saved(SAVE).set("CPUID2").run()),
        PublicCase.of(
            "C27",
            "QEMU stops with \"failed to set MSR 0x48e\": the host cannot take the VMX capability"
                + " (kubevirt#5068, kata#1326, minishift#3210)",
            "R90",
            s ->
                s.with(CaseStates.leaf1(0, CaseStates.USUAL | CaseStates.VMX))
                    .fresh()
                    .set("CPUID2")
                    .setMsrs(1, 0x3a, 5, 0x48e, 0xfffffffe_0401e172L, 0x48f, 0x7fffff_00036dffL),
            s ->
                s.with(CaseStates.leaf1(0, CaseStates.USUAL | CaseStates.VMX))
                    .fresh()
                    .set("CPUID2")
                    .setMsrs(3, 0x3a, 5, 0x48e, 0xf7b9fffe_0401e172L, 0x48f, 0x7fffff_00036dffL)),
        PublicCase.of(
                "C29",
                "crosvm took the 0 of KVM_CAP_XSAVE2 for a size (a10c8386, 8cf9e99a)",
                "R16",
                s ->
                    s.extension(208, 0)
                        .saved("MP_STATE REGS SREGS XCRS DEBUGREGS")
                        .vcpuCall(Ioctl.GET_XSAVE2, 0x7000, -Errno.EINVAL.number(), null, null),
                s -> s.extension(208, 0).saved("MP_STATE REGS SREGS XSAVE XCRS DEBUGREGS"))
            .onItsHost(),
        PublicCase.of(
                "C30",
                "XSTATE_BV had components that IA32_XFD disables: #NM in the host (Linux"
                    + " b45f72177594)",
                "R42",
                s -> {
                  s.xsave = s.xsave.withXstateBv(0x60003);
                  s.xcrs = s.xcrs.withXcr0(0x60007);
                  s.msr(0x1c4, 1 << 18).restored(RESTORE).run();
                },
                s -> {
                  s.xsave = s.xsave.withXstateBv(0x20003);
                  s.xcrs = s.xcrs.withXcr0(0x60007);
                  s.msr(0x1c4, 1 << 18).restored(RESTORE).run();
                })
            .onItsHost(),
        PublicCase.of(
                "C31",
                "AMX without asking for it: KVM_SET_CPUID2 is refused (firecracker#5065)",
                "R04",
                s ->
                    s.with(new CpuidEntry(7, 0, 1, 0, 0, 0, 1 << 24))
                        .fresh()
                        .refused("CPUID2", Errno.EPERM),
                s ->
                    s.mark("arch_prctl(ARCH_REQ_XCOMP_GUEST_PERM, 18) = 0")
                        .with(new CpuidEntry(7, 0, 1, 0, 0, 0, 1 << 24))
                        .fresh()
                        .set("CPUID2"))
            .onItsHost(),
        PublicCase.of(
            "C32",
            "Firecracker kept the zero entries behind what KVM_GET_CPUID2 filled (750ccb2a)",
            "R17",
            s -> {
              s.cpuid =
                  dev.faultline.kvm.KvmCpuid2.of(
                      java.util.stream.Stream.concat(
                              s.cpuid.entries().stream(),
                              java.util.stream.Stream.of(
                                  new CpuidEntry(0, 0, 0, 0, 0, 0, 0),
                                  new CpuidEntry(0, 0, 0, 0, 0, 0, 0)))
                          .toList());
              s.restored(RESTORE).run();
            },
            s -> s.restored(RESTORE).run()),
        PublicCase.of(
                "C34",
                "KVM holds CR4 against CPUID before the table is set (selftests, 2024)",
                "R05",
                s -> s.on("6.18.0", "").fresh().refused("SREGS", Errno.EINVAL).set("CPUID2"),
                s -> s.on("6.18.0", "").fresh().set("CPUID2 SREGS"))
            .onItsHost(),
        PublicCase.of(
            "C35",
            "all vCPUs had one APIC identifier (firecracker#222, cloud-hypervisor#42, #5475,"
                + " #7087)",
            "R08",
            s ->
                s.vm()
                    .vcpu(0)
                    .set("CPUID2 SREGS REGS")
                    .vcpu(1)
                    .set("CPUID2 SREGS REGS")
                    .on(0)
                    .run()
                    .on(1)
                    .run(),
            s ->
                s.vm()
                    .vcpu(0)
                    .set("CPUID2 SREGS REGS")
                    .with(CaseStates.leaf1(1, CaseStates.USUAL))
                    .vcpu(1)
                    .set("CPUID2 SREGS REGS")
                    .on(0)
                    .run()
                    .on(1)
                    .run()),
        PublicCase.of(
            "C36",
            "the destination lacks CPU features (kubevirt#12519, cloud-hypervisor#6848)",
            "R90",
            s -> {
              s.system(Ioctl.GET_SUPPORTED_CPUID, 0x7000, 0, null, s.cpuid.raw());
              s.with(new CpuidEntry(7, 0, 1, 0, 1 << 5 | 1 << 16, 0, 0)).restored(RESTORE).run();
            },
            s -> {
              s.with(new CpuidEntry(7, 0, 1, 0, 1 << 5, 0, 0));
              s.system(Ioctl.GET_SUPPORTED_CPUID, 0x7000, 0, null, s.cpuid.raw());
              s.restored(RESTORE).run();
            }));
  }

  private static CaseScript mtrr(CaseScript s) {
    CpuidEntry leaf = CaseStates.leaf1(0, CaseStates.USUAL);
    return s.with(
        new CpuidEntry(1, 0, 0, leaf.eax(), leaf.ebx(), leaf.ecx(), leaf.edx() | 1 << 12));
  }

  private static CaseScript hyperv(CaseScript s) {
    return s.with(HYPERV_SIGNATURE, new CpuidEntry(0x40000003, 0, 0, 0xc, 0, 0, 0));
  }

  static List<PublicCase> registers() {
    return List.of(
        PublicCase.of(
            "C37",
            "Cloud Hypervisor read KVM_GET_MP_STATE late and did not restore events (e2b5c78d)",
            "R12 R14",
            s ->
                s.saved("REGS SREGS XSAVE XCRS LAPIC MSRS MP_STATE VCPU_EVENTS")
                    .restored("CPUID2 REGS SREGS XSAVE XCRS LAPIC MSRS MP_STATE")
                    .run(),
            s -> s.saved(SAVE).restored(RESTORE).run()),
        PublicCase.of(
            "C38",
            "nanvix saved in an arbitrary order (nanvix#1205, #1209, #1212)",
            "R12",
            s -> s.saved("REGS SREGS LAPIC MSRS XSAVE XCRS DEBUGREGS MP_STATE VCPU_EVENTS"),
            s -> s.saved(SAVE)),
        PublicCase.of(
            "C39",
            "nanvix restored the local APIC before special registers, and of the interrupt"
                + " controllers only the master PIC (nanvix#2441)",
            "R30 R66",
            s ->
                s.fresh()
                    .vmCall(Ioctl.SET_IRQCHIP, 0x7000, 0, MachineCases.chip(0))
                    .set("CPUID2 MP_STATE REGS LAPIC SREGS XSAVE XCRS DEBUGREGS MSRS VCPU_EVENTS")
                    .setClock(0, 0)
                    .run(),
            s ->
                s.fresh()
                    .vmCall(Ioctl.SET_IRQCHIP, 0x7000, 0, MachineCases.chip(0))
                    .vmCall(Ioctl.SET_IRQCHIP, 0x7000, 0, MachineCases.chip(1))
                    .vmCall(Ioctl.SET_IRQCHIP, 0x7000, 0, MachineCases.chip(2))
                    .set(RESTORE)
                    .setClock(0, 0)
                    .run()),
        PublicCase.of(
            "C40",
            "special registers of a nested guest were refused by a newer kernel"
                + " (cloud-hypervisor#2535)",
            "R85",
            s -> {
              s.sregs = s.sregs.withCr4(0x20 | 1 << 13);
              s.fresh().set("CPUID2 MP_STATE REGS").refused("SREGS", Errno.EINVAL);
            },
            s -> {
              s.sregs = s.sregs.withCr4(0x20 | 1 << 13);
              s.nested = CaseStates.header();
              s.with(CaseStates.leaf1(0, CaseStates.USUAL | CaseStates.VMX))
                  .fresh()
                  .set("CPUID2 MP_STATE REGS SREGS NESTED_STATE")
                  .run();
            }),
        PublicCase.of(
            "C41",
            "Firecracker set EFER.LME and CR0.PG without LMA (6ec1a67d)",
            "R85",
            s -> {
              s.sregs = s.sregs.withEfer(0x100);
              s.fresh().set("CPUID2 REGS").refused("SREGS", Errno.EINVAL);
            },
            s -> s.fresh().set("CPUID2 REGS SREGS").run()),
        PublicCase.of(
            "C43",
            "Cloud Hypervisor saved vCPUs in the middle of a port or MMIO access"
                + " (cloud-hypervisor#3658, #5077)",
            "R10",
            s -> s.fresh().set("CPUID2 SREGS REGS").run(KvmExit.KVM_EXIT_MMIO).get(SAVE),
            s ->
                s.fresh()
                    .set("CPUID2 SREGS REGS")
                    .run(KvmExit.KVM_EXIT_MMIO)
                    .immediate()
                    .get(SAVE)),
        PublicCase.of(
            "C44",
            "VM-Enter fails with an interrupt to inject while RFLAGS.IF is 0 (edk2#91)",
            "R84",
            s -> {
              s.regs = s.regs.withRflags(2);
              s.events = s.events.withInterruptInjected(1).withInterruptNr(0xd1);
              s.on("5.10.0", "kvm_intel").restored(RESTORE).run(KvmExit.KVM_EXIT_FAIL_ENTRY);
            },
            s -> {
              s.events = s.events.withInterruptInjected(1).withInterruptNr(0xd1);
              s.on("5.10.0", "kvm_intel").restored(RESTORE).run();
            }),
        PublicCase.of(
            "C45",
            "an SMI in the shadow of STI: KVM before 6.2 forgets the shadow (Levitsky, 2022)",
            "R86",
            s -> {
              s.events = s.events.withInterruptShadow(2).withSmiPending(1);
              s.on("6.1.0", "kvm_intel").restored(RESTORE).run();
            },
            s -> {
              s.events = s.events.withInterruptShadow(2).withSmiPending(1);
              s.on("6.8.0", "kvm_intel").restored(RESTORE).run();
            }),
        PublicCase.of(
            "C47",
            "hot-plugging a vCPU fails with EEXIST (kata#13287)",
            "R01",
            s -> s.fresh().set("CPUID2").vmCall(Ioctl.CREATE_VCPU, 0, -Errno.EEXIST.number()),
            s -> s.fresh().set("CPUID2").vcpu(1)),
        PublicCase.of(
            "C48",
            "a device's message arrived while a vCPU was reset (openvmm bb9bfa07)",
            "R67",
            s ->
                s.fresh()
                    .set("CPUID2 SREGS REGS")
                    .run()
                    .set("REGS SREGS VCPU_EVENTS")
                    .vmCall(Ioctl.SIGNAL_MSI, 0x7000, 1, MachineCases.msi())
                    .set("LAPIC MP_STATE")
                    .run(),
            s ->
                s.fresh()
                    .set("CPUID2 SREGS REGS")
                    .run()
                    .set("REGS SREGS VCPU_EVENTS LAPIC MP_STATE")
                    .run()
                    .vmCall(Ioctl.SIGNAL_MSI, 0x7000, 1, MachineCases.msi())
                    .run()));
  }
}
