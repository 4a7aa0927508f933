package dev.faultline.vcpu;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmEnableCap;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmGuestDebug;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMpState;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmTprAccessCtl;
import dev.faultline.kvm.KvmVapicAddr;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXcrs;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.svm.Intercept;
import dev.faultline.svm.VmcbField;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Cr4;
import dev.faultline.x86.Msr;
import dev.faultline.x86.Segment;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.FieldSource;

/**
 * Given a vCPU on which a call passes, when one field of the call or of the state changes, then one
 * check ends it, with its errno or exit, and nothing else of the state has changed.
 */
class CallCheckScenario {
  private static final int MOMENT = VmxGuest.MOMENT;
  private static final KernelModel V6_1 = VmxGuest.kernel(KernelVersion.V6_1);
  private static final Segment NO_TASK = new Segment(0, 0x67, 0x28, 11, 0, 0, 0, 0, 0, 0, 0, 1);

  /** State in which an L2 cannot run: TR is unusable. */
  private static final KvmSregs BROKEN = VmxGuest.SREGS.withSegment(SegmentRegister.TR, NO_TASK);

  private static final long X87 = 1;
  private static final long SSE = 2;
  private static final int MXCSR = 24;
  private static final int XCOMP_BV = 520;
  private static final long YMM = 4;

  /** A call that passes on one vCPU, and one that fails on the same or on another. */
  record Row(
      CallCheck check,
      String change,
      Vcpu valid,
      VcpuCommand passes,
      Vcpu vcpu,
      VcpuCommand fails,
      Outcome outcome) {
    @Override
    public String toString() {
      return check + ": " + change;
    }
  }

  private static final List<Row> ROWS = new ArrayList<>();

  static {
    runs();
    runsOfL2();
    runsOnSvm();
    events();
    tables();
    lapic();
    otherIoctls();
    hyperv();
  }

  private static void row(
      CallCheck check,
      Errno errno,
      String change,
      Vcpu valid,
      VcpuCommand passes,
      Vcpu vcpu,
      VcpuCommand fails) {
    Outcome outcome = new Outcome.Refused(errno, check);
    ROWS.add(new Row(check, change, valid, passes, vcpu, fails, outcome));
  }

  /** The call changes, not the state. */
  private static void row(
      CallCheck check, String change, Vcpu v, VcpuCommand passes, VcpuCommand fails) {
    row(check, Errno.EINVAL, change, v, passes, v, fails);
  }

  private static Vcpu dead(Vcpu v) {
    return v.withVm(v.vm().withDead(Answer.YES));
  }

  private static Vcpu inState(Vcpu v, MpState state) {
    Tracked mp = v.platform().mpState().edit(MOMENT).set(0, state.number()).done();
    return v.withPlatform(v.platform().withMpState(mp));
  }

  private static Vcpu withEvent(Vcpu v, int field, long value) {
    return v.withEvents(v.events().edit(MOMENT).set(field, value).done());
  }

  private static Vcpu userspaceApic() {
    return VmxGuest.registersSet(
        VmxGuest.created(V6_1, Vm.Irqchip.NONE, VmxGuest.CPUID, VmxGuest.CPUID));
  }

  private static KvmRun page(Consumer<Bytes.Builder> change) {
    Bytes.Builder raw = KvmRun.zero().raw().toBuilder();
    change.accept(raw);
    return new KvmRun(raw.build());
  }

  private static KvmRun withCr8(long cr8) {
    return page(raw -> raw.put(KvmRun.LAYOUT.field("cr8").offset(), Long.BYTES, cr8));
  }

  private static void runs() {
    Vcpu v = VmxGuest.inL1();
    VcpuCommand run = VmxGuest.run(KvmRun.zero());
    row(CallCheck.VM_DEAD, Errno.EIO, "vm_dead", v, run, dead(v), run);
    VcpuCommand get = new VcpuCommand.GetRegs(MOMENT);
    row(CallCheck.VM_DEAD, Errno.EIO, "KVM_GET_REGS", v, get, dead(v), get);
    row(
        CallCheck.ARGUMENT_UNREADABLE,
        Errno.EFAULT,
        "pointer",
        v,
        new VcpuCommand.SetRegs(MOMENT, KvmRegs.zero()),
        v,
        new VcpuCommand.BadPointer(MOMENT, Ioctl.SET_REGS));
    row(
        CallCheck.RUN_ARGUMENT,
        "arg",
        v,
        run,
        new VcpuCommand.Run(MOMENT, new RunInput(1, KvmRun.zero())));
    VcpuCommand immediate = VmxGuest.run(KvmRun.zero().withImmediateExit(1));
    row(CallCheck.RUN_IMMEDIATE_EXIT, Errno.EINTR, "immediate_exit", v, run, v, immediate);
    row(
        CallCheck.RUN_UNINITIALIZED,
        Errno.EINTR,
        "mp_state",
        v,
        run,
        inState(v, MpState.UNINITIALIZED),
        immediate);
    CallCheck flags = CallCheck.RUN_SYNC_REGS_FLAGS;
    for (long bit : new long[] {8, 1L << 63}) {
      String name = " 0x" + Long.toHexString(bit);
      row(flags, "dirty" + name, v, run, VmxGuest.run(KvmRun.zero().withDirtyRegs(bit)));
      row(flags, "valid" + name, v, run, VmxGuest.run(KvmRun.zero().withValidRegs(bit)));
    }
    KvmRun sregs =
        KvmRun.zero().withDirtyRegs(KvmRun.KVM_SYNC_X86_SREGS).withSyncSregs(VmxGuest.SREGS);
    row(
        CallCheck.RUN_SYNC_SREGS,
        "cr4",
        v,
        VmxGuest.run(sregs),
        VmxGuest.run(sregs.withSyncSregs(VmxGuest.SREGS.withCr4(Cr4.VMXE))));
    KvmRun events =
        KvmRun.zero()
            .withDirtyRegs(KvmRun.KVM_SYNC_X86_EVENTS)
            .withSyncEvents(KvmVcpuEvents.zero());
    row(
        CallCheck.RUN_SYNC_EVENTS,
        "flags",
        v,
        VmxGuest.run(events),
        VmxGuest.run(events.withSyncEvents(KvmVcpuEvents.zero().withFlags(1 << 6))));
    Vcpu outside = userspaceApic();
    for (long cr8 : new long[] {0x10, 1L << 63}) {
      String name = "cr8 0x" + Long.toHexString(cr8);
      row(CallCheck.RUN_CR8, name, outside, VmxGuest.run(withCr8(15)), VmxGuest.run(withCr8(cr8)));
    }
    ROWS.add(
        new Row(
            CallCheck.RUN_TRIPLE_FAULT_L1,
            "triple fault requested",
            v,
            run,
            withEvent(v, EventsFields.TRIPLE_FAULT, 1),
            run,
            new Outcome.Exits(KvmExit.KVM_EXIT_SHUTDOWN, -1, CallCheck.RUN_TRIPLE_FAULT_L1)));
  }

  private static Vcpu broken(KernelVersion version) {
    return VmxGuest.after(
        VmxGuest.inL2(VmxGuest.kernel(version)), new VcpuCommand.SetSregs(MOMENT, BROKEN));
  }

  private static Vcpu pending(Vcpu v) {
    Nested nested = v.nested();
    return v.withNested(nested.withMode(nested.mode().withPending(Answer.YES, Answer.NO)));
  }

  private static void runsOfL2() {
    VcpuCommand run = VmxGuest.run(KvmRun.zero());
    Vcpu l2 = VmxGuest.inL2();
    for (int field : new int[] {EventsFields.EXCEPTION_PENDING, EventsFields.EXCEPTION_INJECTED}) {
      CallCheck check = CallCheck.RUN_EMULATION_WITH_EXCEPTION;
      String name = KvmVcpuEvents.LAYOUT.field(field).name();
      ROWS.add(
          new Row(
              check,
              name,
              withEvent(l2, field, 1),
              run,
              withEvent(broken(KernelVersion.V6_1), field, 1),
              run,
              internalError(check)));
    }
    CallCheck entry = CallCheck.RUN_EMULATION_WITH_PENDING_ENTRY;
    ROWS.add(
        new Row(
            entry,
            "7.3",
            pending(VmxGuest.inL2(VmxGuest.kernel(KernelVersion.V7_3))),
            run,
            pending(broken(KernelVersion.V7_3)),
            run,
            internalError(entry)));
    row(
        CallCheck.RUN_PENDING_ENTRY_BUG,
        Errno.EIO,
        "6.1",
        pending(l2),
        run,
        pending(broken(KernelVersion.V6_1)),
        run);
  }

  private static Outcome internalError(CallCheck check) {
    return new Outcome.Exits(
        KvmExit.KVM_EXIT_INTERNAL_ERROR, KvmRun.KVM_INTERNAL_ERROR_EMULATION, check);
  }

  private static void runsOnSvm() {
    VcpuCommand run = VmxGuest.run(KvmRun.zero());
    SvmGuest intercepting = SvmGuest.withL2Registers();
    intercepting.accepts(SvmGuest.l2State(vmcb -> vmcb.intercepting(Intercept.SHUTDOWN)));
    CallCheck check = CallCheck.RUN_TRIPLE_FAULT_NOT_INTERCEPTED;
    ROWS.add(
        new Row(
            check,
            "intercepts",
            withEvent(intercepting.vcpu(), EventsFields.TRIPLE_FAULT, 1),
            run,
            withEvent(SvmGuest.inL2().vcpu(), EventsFields.TRIPLE_FAULT, 1),
            run,
            new Outcome.Exits(KvmExit.KVM_EXIT_SHUTDOWN, -1, check)));
    ROWS.add(
        new Row(
            CallCheck.RUN_MSR_BITMAP_MISSING,
            "msrpm_base_pa",
            bitmapAt(0x8000),
            run,
            bitmapAt(1L << 30),
            run,
            internalError(CallCheck.RUN_MSR_BITMAP_MISSING)));
  }

  private static Vcpu bitmapAt(long address) {
    SvmGuest guest = SvmGuest.withL2Registers();
    guest.become(v -> v.withVm(v.vm().withSlots(List.of(new Vm.Slot(0, 0, 1 << 20)))));
    guest.accepts(
        SvmGuest.l2State(
            vmcb -> vmcb.intercepting(Intercept.MSR_PROT).with(VmcbField.MSRPM_BASE_PA, address)));
    return guest.vcpu();
  }

  private static void events() {
    Vcpu v = VmxGuest.inL1();
    Vcpu outside = userspaceApic();
    VcpuCommand vector = new VcpuCommand.Interrupt(MOMENT, 255);
    for (long irq : new long[] {256, 0xffff_ffffL}) {
      row(
          CallCheck.INTERRUPT_VECTOR,
          "irq " + irq,
          outside,
          vector,
          new VcpuCommand.Interrupt(MOMENT, irq));
    }
    row(CallCheck.INTERRUPT_CONTROLLER, Errno.ENXIO, "pic in kernel", outside, vector, v, vector);
    VcpuCommand runnable = mpState(MpState.RUNNABLE.number());
    for (MpState state :
        List.of(
            MpState.UNINITIALIZED,
            MpState.INIT_RECEIVED,
            MpState.HALTED,
            MpState.SIPI_RECEIVED,
            MpState.AP_RESET_HOLD)) {
      VcpuCommand set = mpState(state.number());
      row(CallCheck.MP_STATE_NEEDS_LAPIC, state.name(), outside, runnable, set);
    }
    for (int state : new int[] {5, 8, 10, -1}) {
      row(CallCheck.MP_STATE_UNKNOWN, "mp_state " + state, v, runnable, mpState(state));
    }
    Vcpu smi = withEvent(v, EventsFields.SMI_PENDING, 1);
    for (MpState state : List.of(MpState.INIT_RECEIVED, MpState.SIPI_RECEIVED)) {
      VcpuCommand set = mpState(state.number());
      CallCheck check = CallCheck.MP_STATE_BLOCKED;
      String name = state.name();
      row(check, Errno.EINVAL, name + " in SMM", v, set, VmxGuest.inSmm(), set);
      row(check, Errno.EINVAL, name + " in VMX root", v, set, VmxGuest.inVmxOperation(), set);
      row(check, Errno.EINVAL, name + " with an SMI", v, set, smi, set);
    }
  }

  private static VcpuCommand mpState(int number) {
    return new VcpuCommand.SetMpState(MOMENT, KvmMpState.zero().withMpState(number));
  }

  private static VcpuCommand xcr0(long value) {
    return new VcpuCommand.SetXcrs(MOMENT, KvmXcrs.zero().withXcr0(value));
  }

  private static void tables() {
    Vcpu v = VmxGuest.inL1();
    KvmDebugregs plain = KvmDebugregs.zero().withDr6(0xffff_0ff0L).withDr7(0x400);
    VcpuCommand debug = new VcpuCommand.SetDebugregs(MOMENT, plain);
    debugregs(CallCheck.DEBUGREGS_FLAGS, "flags", v, debug, plain.withFlags(1));
    debugregs(CallCheck.DEBUGREGS_DR6, "dr6", v, debug, plain.withDr6(1L << 32));
    debugregs(CallCheck.DEBUGREGS_DR7, "dr7", v, debug, plain.withDr7(1L << 63));
    VcpuCommand xcrs = xcr0(X87);
    KvmXcrs one = KvmXcrs.zero().withXcr0(X87);
    row(CallCheck.XCRS_COUNT, "17", v, xcrs, new VcpuCommand.SetXcrs(MOMENT, one.withNrXcrs(17)));
    row(CallCheck.XCRS_COUNT, "-1", v, xcrs, new VcpuCommand.SetXcrs(MOMENT, one.withNrXcrs(-1)));
    row(CallCheck.XCRS_FLAGS, "flags", v, xcrs, new VcpuCommand.SetXcrs(MOMENT, one.withFlags(1)));
    row(CallCheck.XCR0_X87, "0", v, xcrs, xcr0(0));
    row(CallCheck.XCR0_X87, "SSE alone", v, xcrs, xcr0(SSE));
    row(CallCheck.XCR0_YMM, "no SSE", v, xcr0(X87 | SSE | YMM), xcr0(X87 | YMM));
    row(CallCheck.XCR0_MPX, "BNDREGS", v, xcrs, xcr0(X87 | 1 << 3));
    row(CallCheck.XCR0_MPX, "BNDCSR", v, xcrs, xcr0(X87 | 1 << 4));
    row(CallCheck.XCR0_AVX512, "part", v, xcrs, xcr0(X87 | SSE | YMM | 1 << 5));
    row(CallCheck.XCR0_AVX512, "no YMM", v, xcrs, xcr0(X87 | SSE | 7 << 5));
    row(CallCheck.XCR0_AMX, "XTILE_CFG", v, xcrs, xcr0(X87 | 1 << 17));
    row(CallCheck.XCR0_AMX, "XTILE_DATA", v, xcrs, xcr0(X87 | 1 << 18));
    row(CallCheck.XCR0_UNSUPPORTED, "PKRU", v, xcrs, xcr0(X87 | 1 << 9));
    KvmXsave area = KvmXsave.zero().withXstateBv(SSE);
    row(
        CallCheck.XSAVE_FEATURES,
        "xstate_bv",
        v,
        new VcpuCommand.SetXsave(MOMENT, area),
        new VcpuCommand.SetXsave(MOMENT, area.withXstateBv(SSE | 1L << 9)));
    VcpuCommand plainArea = new VcpuCommand.SetXsave(MOMENT, area);
    for (int at : new int[] {XCOMP_BV, XCOMP_BV + 7}) {
      row(CallCheck.XSAVE_COMPACTED, "byte " + at, v, plainArea, changed(area, at));
    }
    for (int at : new int[] {XCOMP_BV + 8, XCOMP_BV + 55}) {
      row(CallCheck.XSAVE_HEADER_RESERVED, "byte " + at, v, plainArea, changed(area, at));
    }
    row(CallCheck.XSAVE_MXCSR, "bit 16", v, plainArea, changed(area, MXCSR + 2));
    row(CallCheck.XSAVE_MXCSR, "bit 24", v, plainArea, changed(area, MXCSR + 3));
    debugAndVapic(v);
    cpuid(v);
    nestedAndCaps(v);
  }

  /** The area with 1 in one byte. */
  private static VcpuCommand changed(KvmXsave area, int at) {
    return new VcpuCommand.SetXsave(
        MOMENT, new KvmXsave(area.raw().toBuilder().put(at, 1, 1).build()));
  }

  private static VcpuCommand other(Ioctl ioctl, Bytes payload) {
    return new VcpuCommand.Other(MOMENT, ioctl, 0, payload);
  }

  private static void debugAndVapic(Vcpu v) {
    Bytes nothing = KvmGuestDebug.zero().raw();
    VcpuCommand quiet = other(Ioctl.SET_GUEST_DEBUG, nothing);
    VcpuCommand injects =
        other(
            Ioctl.SET_GUEST_DEBUG,
            nothing.toBuilder().put(0, 4, KvmGuestDebug.KVM_GUESTDBG_INJECT_BP).build());
    Vcpu pending =
        v.withEvents(v.events().edit(MOMENT).set(EventsFields.EXCEPTION_PENDING, 1).done());
    row(
        CallCheck.GUEST_DEBUG_BUSY,
        Errno.EBUSY,
        "exception pending",
        pending,
        quiet,
        pending,
        injects);
    Bytes tpr = Bytes.zero(KvmTprAccessCtl.SIZE);
    row(
        CallCheck.TPR_REPORTING_FLAGS,
        "flags",
        v,
        other(Ioctl.TPR_ACCESS_REPORTING, tpr),
        other(Ioctl.TPR_ACCESS_REPORTING, tpr.toBuilder().put(4, 4, 1).build()));
    Vcpu mapped = v.withVm(v.vm().withSlots(List.of(new Vm.Slot(0, 0x1000, 0x1000))));
    Bytes address = Bytes.zero(KvmVapicAddr.SIZE);
    for (long at : new long[] {0xffc, 0x1ffd, 0x2000, 1L << 32}) {
      row(
          CallCheck.VAPIC_NO_MEMORY,
          "0x" + Long.toHexString(at),
          mapped,
          other(Ioctl.SET_VAPIC_ADDR, address.toBuilder().put(0, 8, 0x1ffc).build()),
          other(Ioctl.SET_VAPIC_ADDR, address.toBuilder().put(0, 8, at).build()));
    }
  }

  private static VcpuCommand other(Ioctl ioctl, int size, int offset, int width, long value) {
    return new VcpuCommand.Other(
        MOMENT, ioctl, 0, Bytes.builder(size).put(offset, width, value).build());
  }

  private static void otherIoctls() {
    Vcpu v = VmxGuest.inL1();
    VcpuCommand mask = other(Ioctl.SET_SIGNAL_MASK, 12, 0, 4, 8);
    VcpuCommand narrow = other(Ioctl.SET_SIGNAL_MASK, 12, 0, 4, 4);
    row(CallCheck.SIGNAL_MASK_SIZE, "len", v, mask, narrow);
    row(CallCheck.MCE_STATUS, "status", v, mce(1, -1), mce(1, 0));
    row(CallCheck.MCE_BANK, "bank", v, mce(31, -1), mce(32, -1));
    VcpuCommand offset = other(Ioctl.SET_DEVICE_ATTR, 24, 16, 8, 0x1000);
    row(
        CallCheck.VCPU_ATTRIBUTE,
        Errno.ENXIO,
        "group",
        v,
        offset,
        v,
        other(Ioctl.SET_DEVICE_ATTR, 24, 4, 4, 1));
    row(
        CallCheck.VCPU_ATTRIBUTE,
        Errno.ENXIO,
        "attribute",
        v,
        offset,
        v,
        other(Ioctl.HAS_DEVICE_ATTR, 24, 8, 8, 1));
    Vcpu old = VmxGuest.inL1(VmxGuest.kernel(KernelVersion.V5_10));
    row(CallCheck.IOCTL_UNKNOWN, Errno.EINVAL, "5.10", v, offset, old, offset);
    VcpuCommand stats = new VcpuCommand.Other(MOMENT, Ioctl.GET_STATS_FD, 0, Bytes.EMPTY);
    row(CallCheck.IOCTL_UNKNOWN, Errno.EINVAL, "statistics", v, stats, old, stats);
  }

  private static VcpuCommand mce(int bank, long status) {
    Bytes.Builder raw = Bytes.builder(64).put(0, 8, status).put(32, 1, bank);
    return new VcpuCommand.Other(MOMENT, Ioctl.X86_SET_MCE, 0, raw.build());
  }

  private static VcpuCommand cap(KvmCap cap, long argument) {
    return new VcpuCommand.EnableCap(MOMENT, KvmEnableCap.of(cap, argument));
  }

  private static void hyperv() {
    Vcpu v = VmxGuest.inL1();
    VcpuCommand synic = cap(KvmCap.KVM_CAP_HYPERV_SYNIC2, 0);
    row(CallCheck.ENABLE_CAP_ARGUMENT, "args", v, synic, cap(KvmCap.KVM_CAP_HYPERV_SYNIC2, 1));
    row(CallCheck.ENABLE_CAP_APIC, Errno.EINVAL, "irqchip", v, synic, userspaceApic(), synic);
    VcpuCommand evmcs = cap(KvmCap.KVM_CAP_HYPERV_ENLIGHTENED_VMCS, 0);
    row(
        CallCheck.ENABLE_CAP_VENDOR,
        Errno.ENOTTY,
        "SVM",
        v,
        evmcs,
        MsrStates.created(MsrStates.svm(), Host.UNKNOWN),
        evmcs);
  }

  private static void debugregs(
      CallCheck check, String change, Vcpu v, VcpuCommand passes, KvmDebugregs changed) {
    row(check, change, v, passes, new VcpuCommand.SetDebugregs(MOMENT, changed));
  }

  private static void cpuid(Vcpu v) {
    VcpuCommand same = new VcpuCommand.SetCpuid2(MOMENT, VmxGuest.CPUID);
    Bytes many =
        Bytes.builder(KvmCpuid2.HEADER_SIZE + 257 * KvmCpuid2.ENTRY_SIZE).put(0, 4, 257).build();
    row(
        CallCheck.CPUID_TOO_MANY,
        Errno.E2BIG,
        "nent 257",
        v,
        same,
        v,
        new VcpuCommand.SetCpuid2(MOMENT, new KvmCpuid2(many)));
    Vcpu ran = v.withProgress(v.progress().withEntered(Answer.YES));
    KvmCpuid2 less =
        VmxGuest.cpuid(VmxGuest.LEAF_1_ECX, 0, VmxGuest.LEAF_7_EBX, VmxGuest.LEAF_7_ECX);
    row(CallCheck.CPUID_AFTER_RUN, "edx", ran, same, new VcpuCommand.SetCpuid2(MOMENT, less));
    row(
        CallCheck.CPUID_AFTER_RUN,
        "fewer entries",
        ran,
        same,
        new VcpuCommand.SetCpuid2(MOMENT, KvmCpuid2.of(List.of())));
    for (int bits : new int[] {1, 47, 49, 64}) {
      KvmCpuid2 wide =
          KvmCpuid2.of(List.of(new CpuidEntry(0x8000_0008, 0, 0, bits << 8 | 40, 0, 0, 0)));
      row(
          CallCheck.CPUID_VIRTUAL_BITS,
          Integer.toString(bits),
          v,
          same,
          new VcpuCommand.SetCpuid2(MOMENT, wide));
    }
    int entries = VmxGuest.CPUID.held();
    row(
        CallCheck.CPUID_BUFFER,
        Errno.E2BIG,
        "one entry short",
        v,
        new VcpuCommand.GetCpuid2(MOMENT, entries),
        v,
        new VcpuCommand.GetCpuid2(MOMENT, entries - 1));
  }

  private static void nestedAndCaps(Vcpu v) {
    Vcpu l2 = VmxGuest.inL2();
    row(
        CallCheck.NESTED_BUFFER,
        Errno.E2BIG,
        "a byte short",
        l2,
        new VcpuCommand.GetNestedState(MOMENT, KvmNestedState.VMX_SIZE),
        l2,
        new VcpuCommand.GetNestedState(MOMENT, KvmNestedState.VMX_SIZE - 1));
    Vcpu clock = MsrStates.withMsr(v, Msr.KVM_SYSTEM_TIME_NEW, 0x5001);
    Vcpu noClock = MsrStates.withMsr(v, Msr.KVM_SYSTEM_TIME_NEW, 0x5000);
    VcpuCommand ctrl = new VcpuCommand.KvmclockCtrl(MOMENT);
    row(CallCheck.KVMCLOCK_INACTIVE, Errno.EINVAL, "enable bit", clock, ctrl, noClock, ctrl);
    KvmEnableCap evmcs = KvmEnableCap.of(KvmCap.KVM_CAP_HYPERV_ENLIGHTENED_VMCS, 0);
    VcpuCommand enable = new VcpuCommand.EnableCap(MOMENT, evmcs);
    row(
        CallCheck.ENABLE_CAP_FLAGS,
        "flags",
        v,
        enable,
        new VcpuCommand.EnableCap(MOMENT, evmcs.withFlags(1)));
    row(
        CallCheck.ENABLE_CAP_UNKNOWN,
        "cap",
        v,
        enable,
        new VcpuCommand.EnableCap(MOMENT, evmcs.withCap(9999)));
  }

  private static void lapic() {
    Vcpu v = VmxGuest.inL1();
    VcpuCommand set = new VcpuCommand.SetLapic(MOMENT, KvmLapicState.zero());
    VcpuCommand get = new VcpuCommand.GetLapic(MOMENT);
    CallCheck none = CallCheck.LAPIC_NOT_IN_KERNEL;
    row(none, Errno.EINVAL, "KVM_SET_LAPIC", v, set, userspaceApic(), set);
    row(none, Errno.EINVAL, "KVM_GET_LAPIC", v, get, userspaceApic(), get);
    KvmSregs x2apic = VmxGuest.SREGS.withApicBase(VmxGuest.SREGS.apicBase() | ApicBase.EXTD);
    Vcpu wide = VmxGuest.after(v, new VcpuCommand.SetSregs(MOMENT, x2apic));
    Vcpu ids = wide.withVm(wide.vm().withSettings(wide.vm().settings().withX2apicApi(Answer.YES)));
    VcpuCommand other = new VcpuCommand.SetLapic(MOMENT, KvmLapicState.zero().withId(1));
    row(CallCheck.LAPIC_X2APIC_ID, "id", ids, set, other);
    row(CallCheck.LAPIC_X2APIC_ID, Errno.EINVAL, "x2apic mode", v, other, ids, other);
  }

  static Set<CallCheck> covered() {
    // A method of its own: RSM is not a call.
    Set<CallCheck> covered = EnumSet.of(CallCheck.RSM_TO_INVALID_L2);
    ROWS.forEach(row -> covered.add(row.check()));
    covered.addAll(VmCallCheckScenario.covered());
    return covered;
  }

  @ParameterizedTest
  @FieldSource("ROWS")
  void one_change_makes_its_check_end_the_call_and_changes_nothing(Row row) {
    assertThat(VcpuModel.decide(row.valid(), row.passes()).outcome())
        .isNotInstanceOfAny(Outcome.Refused.class, Outcome.Exits.class, Outcome.Undecided.class);

    Decision decision = VcpuModel.decide(row.vcpu(), row.fails());

    assertThat(decision.outcome()).isEqualTo(row.outcome());
    Vcpu after = VmxGuest.evolved(row.vcpu(), decision);
    assertThat(after.registers()).isSameAs(row.vcpu().registers());
    assertThat(after.nested()).isSameAs(row.vcpu().nested());
    assertThat(after.platform()).isSameAs(row.vcpu().platform());
    assertThat(after.events()).isSameAs(row.vcpu().events());
  }

  @Test
  void rsm_to_an_invalid_l2_ends_the_run_from_7_3_on() {
    Policy policy = new Policy.SynthesizeTripleFault();

    Verdict verdict = policy.atRsm(Policy.Memory.NOTHING, broken(KernelVersion.V7_3)).verdict();

    assertThat(verdict)
        .isEqualTo(new Verdict.RefuseRun(Verdict.Ending.SHUTDOWN, CallCheck.RSM_TO_INVALID_L2));
  }

  @Test
  void registers_that_came_before_refused_special_ones_stay() {
    Vcpu v = VmxGuest.inL1();
    KvmRun page =
        KvmRun.zero()
            .withDirtyRegs(KvmRun.KVM_SYNC_X86_REGS | KvmRun.KVM_SYNC_X86_SREGS)
            .withSyncRegs(KvmRegs.zero().withRip(0x1234).withRflags(2))
            .withSyncSregs(VmxGuest.SREGS.withCr4(Cr4.VMXE));

    Decision decision = VcpuModel.decide(v, VmxGuest.run(page));
    Vcpu after = VmxGuest.evolved(v, decision);

    assertThat(decision.outcome())
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, CallCheck.RUN_SYNC_SREGS));
    assertThat(after.registers().regs().is(RegsFields.RIP, 0x1234)).isEqualTo(Answer.YES);
    assertThat(after.registers().sregs()).isSameAs(v.registers().sregs());
  }

  @Test
  void events_refused_at_their_last_step_have_set_the_others() {
    Vcpu v = VmxGuest.inL1();
    int flags =
        VcpuEventFlags.KVM_VCPUEVENT_VALID_TRIPLE_FAULT
            | VcpuEventFlags.KVM_VCPUEVENT_VALID_NMI_PENDING;
    KvmRun page =
        KvmRun.zero()
            .withDirtyRegs(KvmRun.KVM_SYNC_X86_EVENTS)
            .withSyncEvents(KvmVcpuEvents.zero().withFlags(flags).withNmiPending(1));

    Decision decision = VcpuModel.decide(v, VmxGuest.run(page));
    Vcpu after = VmxGuest.evolved(v, decision);

    assertThat(decision.outcome())
        .isEqualTo(new Outcome.Refused(Errno.EINVAL, CallCheck.RUN_SYNC_EVENTS));
    assertThat(after.events().is(EventsFields.NMI_PENDING, 1)).isEqualTo(Answer.YES);
  }

  @Test
  void a_run_with_an_argument_takes_nothing_from_the_page() {
    Vcpu v = VmxGuest.inL1();
    KvmRun page =
        KvmRun.zero()
            .withDirtyRegs(KvmRun.KVM_SYNC_X86_REGS)
            .withSyncRegs(KvmRegs.zero().withRip(0x1234));

    Decision decision = VcpuModel.decide(v, new VcpuCommand.Run(MOMENT, new RunInput(1, page)));

    assertThat(VmxGuest.evolved(v, decision)).isSameAs(v);
  }

  @Test
  void a_userspace_apic_gives_cr8_with_each_run() {
    Vcpu v = userspaceApic();
    KvmRun page = withCr8(5).withImmediateExit(1);

    Vcpu after = VmxGuest.evolved(v, VcpuModel.decide(v, VmxGuest.run(page)));

    assertThat(after.registers().sregs().is(SregsFields.CR8, 5)).isEqualTo(Answer.YES);
    assertThat(after.registers().sregs().writer(SregsFields.CR8)).isEqualTo(MOMENT);
  }

  @Test
  void with_an_apic_in_the_kernel_cr8_in_the_page_is_no_matter() {
    Vcpu v = VmxGuest.inL1();
    KvmRun page = withCr8(-1).withImmediateExit(1);

    Decision decision = VcpuModel.decide(v, VmxGuest.run(page));

    assertThat(decision.outcome())
        .isEqualTo(new Outcome.Refused(Errno.EINTR, CallCheck.RUN_IMMEDIATE_EXIT));
    assertThat(VmxGuest.evolved(v, decision).registers()).isSameAs(v.registers());
  }

  @Test
  void where_nobody_knows_the_apic_a_reserved_bit_of_cr8_leaves_it_open() {
    Vcpu v = VmxGuest.inL1();
    Vcpu open = v.withVm(v.vm().withIrqchip(Vm.Irqchip.UNKNOWN));

    Decision reserved = VcpuModel.decide(open, VmxGuest.run(withCr8(0x10)));
    Decision other = VcpuModel.decide(open, VmxGuest.run(withCr8(3).withImmediateExit(1)));

    assertThat(reserved.outcome()).isInstanceOf(Outcome.Undecided.class);
    assertThat(VmxGuest.evolved(open, other).registers().sregs().knows(SregsFields.CR8)).isFalse();
  }
}
