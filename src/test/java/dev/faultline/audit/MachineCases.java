package dev.faultline.audit;

import static dev.faultline.audit.CaseScript.RESTORE;
import static dev.faultline.audit.CaseScript.SAVE;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmIrqchip;
import java.util.List;

/** Public bugs of nesting, interrupts, devices, memory and other architectures. */
final class MachineCases {
  private static final long VMX_CONTROLS = 0x48e;
  private static final int ARM_VCPU_INIT = 0x4020aeae;
  private static final int ARM_VCPU_FINALIZE = 0x4004aec2;
  private static final long SVE_VLS = 0x606000000015ffffL;
  private static final String EVENTS_FIRST =
      "CPUID2 SREGS MSRS REGS VCPU_EVENTS NESTED_STATE XSAVE XCRS DEBUGREGS LAPIC MP_STATE";

  private MachineCases() {}

  static Bytes chip(int id) {
    return KvmIrqchip.zero().withChipId(id).raw();
  }

  static Bytes msi() {
    return Bytes.builder(32).put(0, 8, 0xfee00000L).put(8, 4, 0x41).build();
  }

  private static Bytes irqfd(int gsi, boolean assign) {
    return Bytes.builder(32).put(0, 4, 20).put(4, 4, gsi).put(8, 4, assign ? 0 : 1).build();
  }

  /** One route, of an MSI. */
  private static Bytes routes(int... gsis) {
    Bytes.Builder b = Bytes.builder(8 + 48 * gsis.length).put(0, 4, gsis.length);
    for (int i = 0; i < gsis.length; i++) {
      b.put(8 + 48 * i, 4, gsis[i]).put(8 + 48 * i + 4, 4, 2);
    }
    return b.build();
  }

  /** An Intel guest that has VMX, on a 6.1 kernel. */
  private static CaseScript vmx(CaseScript s) {
    s.sregs = s.sregs.withCr4(0x2020);
    return s.on("6.1.0", "kvm_intel")
        .with(CaseStates.leaf1(0, CaseStates.USUAL | CaseStates.VMX))
        .msr(0x3a, 5);
  }

  private static CaseScript svm(CaseScript s) {
    s.sregs = s.sregs.withEfer(0x1500);
    return s.on("6.1.0", "kvm_amd")
        .with(
            new dev.faultline.kvm.CpuidEntry(
                0x80000001, 0, 0, 0, 0, 1 << 2, 1 << 29 | 1 << 20 | 1 << 11));
  }

  static List<PublicCase> nesting() {
    return List.of(
        PublicCase.of(
            "C49",
            "QEMU put nested state before events: of a guest saved in SMM it is refused"
                + " (qemu-devel 2023-10-26)",
            "R36",
            s -> {
              vmx(s).nested = CaseStates.inSmm();
              s.events = s.events.withSmiSmm(1);
              s.sregs = s.sregs.withCr4(0x20);
              s.fresh()
                  .set("CPUID2 SREGS MSRS REGS")
                  .refused("NESTED_STATE", Errno.EINVAL)
                  .set("XSAVE XCRS VCPU_EVENTS MP_STATE DEBUGREGS LAPIC")
                  .run();
            },
            s -> {
              vmx(s).nested = CaseStates.inSmm();
              s.events = s.events.withSmiSmm(1);
              s.sregs = s.sregs.withCr4(0x20);
              s.restored(EVENTS_FIRST).run();
            }),
        PublicCase.of(
            "C50",
            "nested state with VMXON came before the VMX capability MSRs: failed to set MSR 0x48e"
                + " (V. Kuznetsov, RFC 2020-01-20)",
            "R37",
            s -> {
              vmx(s).nested = CaseStates.header();
              s.fresh()
                  .set("CPUID2 SREGS REGS NESTED_STATE")
                  .setMsrs(1, 0x174, 0, VMX_CONTROLS, 0xf7b9fffe_0401e172L);
            },
            s -> {
              vmx(s).nested = CaseStates.header();
              s.fresh()
                  .set("CPUID2 SREGS REGS")
                  .setMsrs(3, 0x174, 0, 0x3a, 5, VMX_CONTROLS, 0xf7b9fffe_0401e172L)
                  .set("NESTED_STATE");
            }),
        PublicCase.of(
            "C51",
            "a reset in VMX operation: special registers are refused (qemu-devel 2022-08-10)",
            "R39",
            s -> {
              vmx(s).nested = CaseStates.header();
              s.fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE").run();
              s.get("NESTED_STATE");
              s.sregs = s.sregs.withCr4(0x20);
              s.refused("SREGS", Errno.EINVAL);
            },
            s -> {
              vmx(s).nested = CaseStates.header();
              s.fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE").run();
              s.get("NESTED_STATE");
              s.sregs = s.sregs.withCr4(0x20);
              s.nested = dev.faultline.kvm.KvmNestedState.vmxOff();
              s.set("NESTED_STATE SREGS REGS MP_STATE").run();
            }),
        PublicCase.of(
            "C53",
            "on AMD nested state needs EFER.SVME, which special registers set (QEMU, 2020)",
            "R35",
            s -> {
              svm(s).nested = CaseStates.svm(true);
              s.fresh().set("CPUID2").refused("NESTED_STATE", Errno.EINVAL).set("SREGS REGS");
            },
            s -> {
              svm(s).nested = CaseStates.svm(false);
              s.fresh().set("CPUID2 SREGS NESTED_STATE REGS").run();
            }),
        PublicCase.of(
            "C55",
            "a synthesized triple fault was not in the migrated state"
                + " (KVM_CAP_X86_TRIPLE_FAULT_EVENT, 2022)",
            "R48 R47",
            s -> {
              s.on("6.1.0", "kvm_intel").vm();
              tripleFaultCap(s).vcpu(0).set("CPUID2 SREGS REGS").run();
              s.events = s.events.withFlags(0x2d).withTripleFaultPending(1);
              s.get(SAVE);
              s.events = s.events.withFlags(0xd).withTripleFaultPending(0);
              s.restored(RESTORE).run();
            },
            s -> {
              s.on("6.1.0", "kvm_intel").vm();
              tripleFaultCap(s).vcpu(0).set("CPUID2 SREGS REGS").run();
              s.events = s.events.withFlags(0x2d).withTripleFaultPending(1);
              s.get(SAVE).vm();
              tripleFaultCap(s).vcpu(0).set(RESTORE).run(KvmExit.KVM_EXIT_SHUTDOWN);
            }),
        PublicCase.of(
            "C56",
            "a nested state of 128 bytes was taken for none (rust-vmm/kvm#385)",
            "R45",
            s -> {
              vmx(s).nested = CaseStates.header();
              s.saved(SAVE + " NESTED_STATE").restored(RESTORE).run();
            },
            s -> {
              vmx(s).nested = CaseStates.header();
              s.saved(SAVE + " NESTED_STATE").restored(RESTORE + " NESTED_STATE").run();
            }),
        PublicCase.of(
            "C57",
            "nested state was not saved at all (cloud-hypervisor#7160, crosvm 25fd04b4,"
                + " openvmm#3744)",
            "R92",
            s -> vmx(s).saved(SAVE),
            s -> vmx(s).saved(SAVE + " NESTED_STATE")),
        PublicCase.of(
            "C58",
            "QEMU 4.0 cannot migrate a guest with VMX (kata#1747)",
            "R92",
            s -> vmx(s).restored(RESTORE).run(),
            s -> s.on("6.1.0", "kvm_intel").restored(RESTORE).run()),
        PublicCase.of(
            "C59",
            "special registers before nested state left vmcb02 stale (Linux e63fb1379f4b)",
            "R43",
            s -> {
              svm(s).nested = CaseStates.svm(true);
              s.fresh().set("CPUID2 SREGS REGS NESTED_STATE").run();
            },
            s -> {
              svm(s).on("7.3.0", "kvm_amd").nested = CaseStates.svm(true);
              s.fresh().set("CPUID2 SREGS REGS NESTED_STATE").run();
            }),
        PublicCase.of(
            "C61",
            "userspace stuffs an invalid state into L2: TRIPLE_FAULT for L1 (Linux cd0e615c49e5)",
            "R80",
            s -> {
              vmx(s).nested = CaseStates.l2();
              s.fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE");
              s.sregs = CaseStates.withoutTask(s.sregs);
              s.set("SREGS").run(KvmExit.KVM_EXIT_IO);
            },
            s -> {
              vmx(s).nested = CaseStates.l2();
              s.fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE");
              var valid = s.sregs;
              s.sregs = CaseStates.withoutTask(valid);
              s.set("SREGS");
              s.sregs = valid;
              s.set("SREGS").run(KvmExit.KVM_EXIT_IO);
            }),
        PublicCase.of(
            "C62",
            "RSM enters L2 with controls of vmcs12 that no VM-Enter accepts (Linux 5a30e8aea079)",
            "R81",
            s -> {
              vmx(s).nested = CaseStates.inSmm();
              s.nested =
                  s.nested.withVmcs12(
                      CaseStates.vmcs12()
                          .with(dev.faultline.vmx.VmcsField.CR3_TARGET_COUNT, 0)
                          .with(dev.faultline.vmx.VmcsField.HOST_CS_SELECTOR, 0));
              s.events = s.events.withSmiSmm(1);
              s.sregs = s.sregs.withCr4(0x20);
              s.restored(EVENTS_FIRST).runFails(Errno.EIO);
            },
            s -> {
              vmx(s).nested = CaseStates.inSmm();
              s.events = s.events.withSmiSmm(1);
              s.sregs = s.sregs.withCr4(0x20);
              s.restored(EVENTS_FIRST).run();
            }),
        PublicCase.of(
            "C63",
            "KVM_RUN with state stuffed into a pending nested VM-Enter (KVM 6.15)",
            "R82",
            s -> {
              vmx(s).on("6.15.0", "kvm_intel").nested = CaseStates.l2().withFlags(3);
              s.fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE");
              s.sregs = CaseStates.withoutTask(s.sregs);
              s.set("SREGS").run(KvmExit.KVM_EXIT_INTERNAL_ERROR);
            },
            s -> {
              vmx(s).on("6.15.0", "kvm_intel").nested = CaseStates.l2().withFlags(3);
              s.fresh().set("CPUID2 SREGS MSRS REGS NESTED_STATE SREGS").run();
            }),
        PublicCase.of(
            "C64",
            "EFER.SVME is cleared while L2 is active: L2's code would run as L1 (Linux"
                + " cdc69269b18a)",
            "R88",
            s -> {
              svm(s).on("7.3.0", "kvm_amd").nested = CaseStates.svm(true);
              s.fresh().set("CPUID2 SREGS REGS NESTED_STATE");
              s.sregs = s.sregs.withEfer(0x500);
              s.set("SREGS").run();
            },
            s -> {
              svm(s).on("7.3.0", "kvm_amd").nested = CaseStates.svm(true);
              s.fresh().set("CPUID2 SREGS REGS NESTED_STATE SREGS").run();
            }));
  }

  private static CaseScript tripleFaultCap(CaseScript s) {
    return s.vmCall(
        Ioctl.ENABLE_CAP,
        0x7000,
        0,
        KvmEnableCap.of(KvmCap.KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1).raw());
  }

  static List<PublicCase> devices() {
    return List.of(
        PublicCase.of(
            "C65",
            "an irqfd was assigned before its route: a panic on AMD (cloud-hypervisor#6353, #3827)",
            "R65",
            s ->
                s.vm()
                    .vmCall(Ioctl.IRQFD, 0x7000, 0, irqfd(24, true))
                    .vmCall(Ioctl.SET_GSI_ROUTING, 0x7000, 0, routes(24)),
            s ->
                s.vm()
                    .vmCall(Ioctl.SET_GSI_ROUTING, 0x7000, 0, routes(24))
                    .vmCall(Ioctl.IRQFD, 0x7000, 0, irqfd(24, true))
                    .vmCall(Ioctl.IRQFD, 0x7000, 0, irqfd(24, false))
                    .vmCall(Ioctl.SET_GSI_ROUTING, 0x7000, 0, routes())),
        PublicCase.of(
            "C66",
            "devices finished their work after KVM's state was saved (firecracker#5582)",
            "R67",
            s ->
                s.saved(SAVE)
                    .vmCall(Ioctl.GET_IRQCHIP, 0x7000, 0, chip(0), chip(0))
                    .vmCall(Ioctl.GET_IRQCHIP, 0x7000, 0, chip(1), chip(1))
                    .vmCall(Ioctl.GET_IRQCHIP, 0x7000, 0, chip(2), chip(2))
                    .vmCall(Ioctl.SIGNAL_MSI, 0x7000, 1, msi()),
            s ->
                s.fresh()
                    .set("CPUID2 SREGS REGS")
                    .run()
                    .vmCall(Ioctl.SIGNAL_MSI, 0x7000, 1, msi())
                    .get(SAVE)
                    .vmCall(Ioctl.GET_IRQCHIP, 0x7000, 0, chip(0), chip(0))
                    .vmCall(Ioctl.GET_IRQCHIP, 0x7000, 0, chip(1), chip(1))
                    .vmCall(Ioctl.GET_IRQCHIP, 0x7000, 0, chip(2), chip(2))),
        PublicCase.of(
            "C67",
            "capturing state dirtied memory after the last pass (cloud-hypervisor 7042922e)",
            "R68",
            s ->
                s.fresh()
                    .set("CPUID2 SREGS REGS")
                    .run()
                    .vmCall(Ioctl.GET_DIRTY_LOG, 0x7000, 0, Bytes.zero(16))
                    .get(SAVE),
            s ->
                s.fresh()
                    .set("CPUID2 SREGS REGS")
                    .run()
                    .vmCall(Ioctl.GET_DIRTY_LOG, 0x7000, 0, Bytes.zero(16))
                    .get(SAVE)
                    .vmCall(Ioctl.GET_DIRTY_LOG, 0x7000, 0, Bytes.zero(16))),
        PublicCase.of(
            "C68",
            "a virtio queue was not kicked after a restore: no ioctl shows it"
                + " (cloud-hypervisor#8004)",
            "",
            s -> s.restored(RESTORE).run(),
            s -> s.restored(RESTORE).run()),
        PublicCase.of(
            "C70",
            "arm64: the SVE lengths are set after KVM_ARM_VCPU_FINALIZE (cloud-hypervisor"
                + " 5c25d82f)",
            "R69",
            s ->
                s.vm()
                    .vcpu(0)
                    .foreign(ARM_VCPU_INIT, "KVM_ARM_VCPU_INIT")
                    .foreign(ARM_VCPU_FINALIZE, "KVM_ARM_VCPU_FINALIZE")
                    .vcpuCall(Ioctl.SET_ONE_REG, 0x7000, -Errno.EPERM.number(), oneReg(), null),
            s ->
                s.vm()
                    .vcpu(0)
                    .foreign(ARM_VCPU_INIT, "KVM_ARM_VCPU_INIT")
                    .vcpuCall(Ioctl.SET_ONE_REG, 0x7000, 0, oneReg(), null)
                    .foreign(ARM_VCPU_FINALIZE, "KVM_ARM_VCPU_FINALIZE")),
        PublicCase.of(
                "C72",
                "KVM_SET_TSS_ADDR after memory slots: EEXIST (firecracker f9269aa0)",
                "R03",
                s -> s.vm().vmCall(Ioctl.SET_TSS_ADDR, 0xfffbd000L, -Errno.EEXIST.number()),
                s -> s.bareVm().vmCall(Ioctl.SET_TSS_ADDR, 0xfffbd000L, 0).memory())
            .onItsHost(),
        PublicCase.of(
            "C73",
            "interrupt controller and vCPUs are created in another order than x86 wants"
                + " (firecracker#1004)",
            "R01",
            s ->
                s.bareVm().memory().vcpu(0).vmCall(Ioctl.CREATE_IRQCHIP, 0, -Errno.EINVAL.number()),
            s -> s.vm().vcpu(0)),
        PublicCase.of(
            "C74",
            "VM-Enter fails with 0x80000021 on a sound state: the host's kernel"
                + " (forum.proxmox.com 109410)",
            "",
            s -> s.on("6.1.0", "kvm_intel").restored(RESTORE).run(KvmExit.KVM_EXIT_FAIL_ENTRY),
            s -> s.on("6.1.0", "kvm_intel").restored(RESTORE).run()),
        PublicCase.of(
            "C75",
            "a triple fault after an on-demand restore: wrong page content, sound registers"
                + " (cloud-hypervisor#8663)",
            "",
            s -> s.on("6.1.0", "kvm_intel").restored(RESTORE).run(KvmExit.KVM_EXIT_SHUTDOWN),
            s -> s.on("6.1.0", "kvm_intel").restored(RESTORE).run()));
  }

  private static Bytes oneReg() {
    return Bytes.builder(16).put(0, 8, SVE_VLS).put(8, 8, 0x7100).build();
  }
}
