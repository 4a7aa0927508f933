package dev.faultline.kvm;

import dev.faultline.BitNames;
import dev.faultline.Bytes;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The page that a VMM shares with KVM for one vCPU: what it asks of KVM_RUN, and why KVM_RUN came
 * back.
 *
 * <p><i>Shape</i>: a header of 32 bytes; 256 bytes that each exit reason lays out for itself; which
 * register groups are shared; the groups themselves (regs, sregs, events).
 *
 * <p>The getters of an exit reason read its bytes whatever the reason is: the caller asks {@link
 * #exitReason()} first. After KVM_RUN failed with an errno the reason may be the one of the run
 * before.
 *
 * <p><i>Source</i>: {@code Documentation/virt/kvm/api.rst}, "The kvm_run structure"; {@code
 * include/uapi/linux/kvm.h, struct kvm_run, v6.1}.
 */
public record KvmRun(Bytes raw) implements KvmStruct {
  /** Bytes of the struct. */
  public static final int SIZE = 2352;

  /** A bit of {@link #flags()}: the vCPU is in SMM. */
  public static final int KVM_RUN_X86_SMM = 1;

  /** A bit of {@link #flags()}: a bus lock was taken. */
  public static final int KVM_RUN_X86_BUS_LOCK = 1 << 1;

  /** A bit of {@link #flags()}, of newer kernels: the vCPU runs L2. */
  public static final int KVM_RUN_X86_GUEST_MODE = 1 << 2;

  /** A bit of the shared groups: the general-purpose registers. */
  public static final long KVM_SYNC_X86_REGS = 1;

  /** A bit of the shared groups: the special registers. */
  public static final long KVM_SYNC_X86_SREGS = 1 << 1;

  /** A bit of the shared groups: the events. */
  public static final long KVM_SYNC_X86_EVENTS = 1 << 2;

  /** A direction of port I/O: the guest reads. */
  public static final int KVM_EXIT_IO_IN = 0;

  /** A direction of port I/O: the guest writes. */
  public static final int KVM_EXIT_IO_OUT = 1;

  /** A suberror: an instruction could not be emulated. */
  public static final int KVM_INTERNAL_ERROR_EMULATION = 1;

  /** A suberror: exceptions at the same time. */
  public static final int KVM_INTERNAL_ERROR_SIMUL_EX = 2;

  /** A suberror: an exit while an event was delivered. */
  public static final int KVM_INTERNAL_ERROR_DELIVERY_EV = 3;

  /** A suberror: an exit that KVM does not know. */
  public static final int KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON = 4;

  /** A bit of {@link #emulationFlags()}: the instruction's bytes are there. */
  public static final long KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES = 1;

  private static final int REQUEST_INTERRUPT_WINDOW = 0;
  private static final int IMMEDIATE_EXIT = 1;
  private static final int EXIT_REASON = 8;
  private static final int READY_FOR_INTERRUPT_INJECTION = 12;
  private static final int IF_FLAG = 13;
  private static final int FLAGS = 14;
  private static final int CR8 = 16;
  private static final int APIC_BASE = 24;
  private static final int EXIT = 32;
  private static final int EXIT_SIZE = 256;
  private static final int KVM_VALID_REGS = 288;
  private static final int KVM_DIRTY_REGS = 296;
  private static final int SYNC_REGS = 304;
  private static final int SYNC_SREGS = SYNC_REGS + KvmRegs.SIZE;
  private static final int SYNC_EVENTS = SYNC_SREGS + KvmSregs.SIZE;

  private static final int HARDWARE_EXIT_REASON = EXIT;
  private static final int FAIL_ENTRY_REASON = EXIT;
  private static final int FAIL_ENTRY_CPU = EXIT + 8;
  private static final int EX_EXCEPTION = EXIT;
  private static final int EX_ERROR_CODE = EXIT + 4;
  private static final int IO_DIRECTION = EXIT;
  private static final int IO_SIZE = EXIT + 1;
  private static final int IO_PORT = EXIT + 2;
  private static final int IO_COUNT = EXIT + 4;
  private static final int IO_DATA_OFFSET = EXIT + 8;
  private static final int DEBUG_EXCEPTION = EXIT;
  private static final int DEBUG_PC = EXIT + 8;
  private static final int DEBUG_DR6 = EXIT + 16;
  private static final int DEBUG_DR7 = EXIT + 24;
  private static final int MMIO_PHYS_ADDR = EXIT;
  private static final int MMIO_DATA = EXIT + 8;
  private static final int MMIO_LEN = EXIT + 16;
  private static final int MMIO_IS_WRITE = EXIT + 20;
  private static final int HYPERCALL_NR = EXIT;
  private static final int HYPERCALL_ARGS = EXIT + 8;
  private static final int HYPERCALL_ARG_COUNT = 6;
  private static final int HYPERCALL_RET = EXIT + 56;
  private static final int HYPERCALL_LONGMODE = EXIT + 64;
  private static final int TPR_ACCESS_RIP = EXIT;
  private static final int TPR_ACCESS_IS_WRITE = EXIT + 8;
  private static final int INTERNAL_SUBERROR = EXIT;
  private static final int INTERNAL_NDATA = EXIT + 4;
  private static final int INTERNAL_DATA = EXIT + 8;
  private static final int DATA_COUNT = 16;
  private static final int EMULATION_FLAGS = EXIT + 8;
  private static final int EMULATION_INSN_SIZE = EXIT + 16;
  private static final int EMULATION_INSN_BYTES = EXIT + 17;
  private static final int INSN_BYTES_SIZE = 15;
  private static final int SYSTEM_EVENT_TYPE = EXIT;
  private static final int SYSTEM_EVENT_NDATA = EXIT + 4;
  private static final int SYSTEM_EVENT_DATA = EXIT + 8;
  private static final int EOI_VECTOR = EXIT;
  private static final int MSR_ERROR = EXIT;
  private static final int MSR_REASON = EXIT + 8;
  private static final int MSR_INDEX = EXIT + 12;
  private static final int MSR_DATA = EXIT + 16;
  private static final int NOTIFY_FLAGS = EXIT;

  /** The fields of the struct, with the bytes of the exit reason in pieces {@code exit[OFF]}. */
  public static final StructLayout LAYOUT = whole().opaque("exit", EXIT, EXIT_SIZE).build();

  /** A payload of exactly {@link #SIZE} bytes. */
  public KvmRun {
    if (raw.size() != SIZE) {
      throw FormatException.structSize("kvm_run", Integer.toString(SIZE), raw.size());
    }
  }

  /** All zeros. */
  public static KvmRun zero() {
    return new KvmRun(Bytes.zero(SIZE));
  }

  private static StructLayout.Builder whole() {
    return StructLayout.builder("kvm_run", SIZE)
        .value("request_interrupt_window", REQUEST_INTERRUPT_WINDOW, 1)
        .value("immediate_exit", IMMEDIATE_EXIT, 1)
        .value("exit_reason", EXIT_REASON, 4)
        .value("ready_for_interrupt_injection", READY_FOR_INTERRUPT_INJECTION, 1)
        .value("if_flag", IF_FLAG, 1)
        .value("flags", FLAGS, 2)
        .value("cr8", CR8, 8)
        .value("apic_base", APIC_BASE, 8)
        .value("kvm_valid_regs", KVM_VALID_REGS, 8)
        .value("kvm_dirty_regs", KVM_DIRTY_REGS, 8)
        .include("s.regs.regs.", SYNC_REGS, KvmRegs.LAYOUT)
        .include("s.regs.sregs.", SYNC_SREGS, KvmSregs.LAYOUT)
        .include("s.regs.events.", SYNC_EVENTS, KvmVcpuEvents.LAYOUT);
  }

  /** The fields of this page, those of its exit reason by name; made anew by each call. */
  @Override
  public StructLayout layout() {
    KvmExit exit = exit();
    StructLayout.Builder layout = whole();
    if (exit == null) {
      return LAYOUT;
    }
    return switch (exit) {
      case KVM_EXIT_UNKNOWN ->
          layout.value("hw.hardware_exit_reason", HARDWARE_EXIT_REASON, 8).build();
      case KVM_EXIT_EXCEPTION ->
          layout
              .value("ex.exception", EX_EXCEPTION, 4)
              .value("ex.error_code", EX_ERROR_CODE, 4)
              .build();
      case KVM_EXIT_IO -> ioLayout(layout);
      case KVM_EXIT_HYPERCALL ->
          layout
              .value("hypercall.nr", HYPERCALL_NR, 8)
              .values("hypercall.args", HYPERCALL_ARGS, 8, HYPERCALL_ARG_COUNT)
              .value("hypercall.ret", HYPERCALL_RET, 8)
              .value("hypercall.longmode", HYPERCALL_LONGMODE, 4)
              .build();
      case KVM_EXIT_DEBUG ->
          layout
              .value("debug.arch.exception", DEBUG_EXCEPTION, 4)
              .value("debug.arch.pc", DEBUG_PC, 8)
              .value("debug.arch.dr6", DEBUG_DR6, 8)
              .value("debug.arch.dr7", DEBUG_DR7, 8)
              .build();
      case KVM_EXIT_MMIO ->
          layout
              .value("mmio.phys_addr", MMIO_PHYS_ADDR, 8)
              .value("mmio.data", MMIO_DATA, 8)
              .value("mmio.len", MMIO_LEN, 4)
              .value("mmio.is_write", MMIO_IS_WRITE, 1)
              .build();
      case KVM_EXIT_FAIL_ENTRY ->
          layout
              .value("fail_entry.hardware_entry_failure_reason", FAIL_ENTRY_REASON, 8)
              .value("fail_entry.cpu", FAIL_ENTRY_CPU, 4)
              .build();
      case KVM_EXIT_TPR_ACCESS ->
          layout
              .value("tpr_access.rip", TPR_ACCESS_RIP, 8)
              .value("tpr_access.is_write", TPR_ACCESS_IS_WRITE, 4)
              .build();
      case KVM_EXIT_INTERNAL_ERROR -> internalLayout(layout);
      case KVM_EXIT_SYSTEM_EVENT ->
          layout
              .value("system_event.type", SYSTEM_EVENT_TYPE, 4)
              .value("system_event.ndata", SYSTEM_EVENT_NDATA, 4)
              .values("system_event.data", SYSTEM_EVENT_DATA, 8, DATA_COUNT)
              .build();
      case KVM_EXIT_IOAPIC_EOI -> layout.value("eoi.vector", EOI_VECTOR, 1).build();
      case KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR ->
          layout
              .value("msr.error", MSR_ERROR, 1)
              .value("msr.reason", MSR_REASON, 4)
              .value("msr.index", MSR_INDEX, 4)
              .value("msr.data", MSR_DATA, 8)
              .build();
      case KVM_EXIT_NOTIFY -> layout.value("notify.flags", NOTIFY_FLAGS, 4).build();
      default -> LAYOUT;
    };
  }

  private static StructLayout ioLayout(StructLayout.Builder layout) {
    return layout
        .value("io.direction", IO_DIRECTION, 1)
        .value("io.size", IO_SIZE, 1)
        .value("io.port", IO_PORT, 2)
        .value("io.count", IO_COUNT, 4)
        .value("io.data_offset", IO_DATA_OFFSET, 8)
        .build();
  }

  private StructLayout internalLayout(StructLayout.Builder layout) {
    layout
        .value("internal.suberror", INTERNAL_SUBERROR, 4)
        .value("internal.ndata", INTERNAL_NDATA, 4);
    if (internalSuberror() != KVM_INTERNAL_ERROR_EMULATION) {
      return layout.values("internal.data", INTERNAL_DATA, 8, DATA_COUNT).build();
    }
    layout
        .value("emulation_failure.flags", EMULATION_FLAGS, 8)
        .value("emulation_failure.insn_size", EMULATION_INSN_SIZE, 1)
        .values("emulation_failure.insn_bytes", EMULATION_INSN_BYTES, 1, INSN_BYTES_SIZE);
    int rest = EMULATION_INSN_BYTES + INSN_BYTES_SIZE;
    return layout.opaque("internal", rest, INTERNAL_DATA + DATA_COUNT * 8 - rest).build();
  }

  /** Non-zero asks for an exit as soon as the guest takes interrupts. */
  public int requestInterruptWindow() {
    return raw.u8(REQUEST_INTERRUPT_WINDOW);
  }

  /** Non-zero asks KVM_RUN to come back before it enters the guest. */
  public int immediateExit() {
    return raw.u8(IMMEDIATE_EXIT);
  }

  /** Why KVM_RUN came back, as a number. */
  public int exitReason() {
    return raw.i32(EXIT_REASON);
  }

  /** Why KVM_RUN came back; null if the number has no name. */
  public @Nullable KvmExit exit() {
    return KvmExit.of(exitReason());
  }

  /** Non-zero if an interrupt can be injected now. */
  public int readyForInterruptInjection() {
    return raw.u8(READY_FOR_INTERRUPT_INJECTION);
  }

  /** RFLAGS.IF of the guest. */
  public int ifFlag() {
    return raw.u8(IF_FLAG);
  }

  /** {@link #KVM_RUN_X86_SMM} and its kind. */
  public int flags() {
    return raw.u16(FLAGS);
  }

  /** True if the vCPU was in SMM when KVM_RUN came back. */
  public boolean inSmm() {
    return (flags() & KVM_RUN_X86_SMM) != 0;
  }

  /** The task priority; counts where the APIC is userspace's. */
  public long cr8() {
    return raw.u64(CR8);
  }

  /** IA32_APIC_BASE. */
  public long apicBase() {
    return raw.u64(APIC_BASE);
  }

  /** Which groups userspace wants to be told. */
  public long validRegs() {
    return raw.u64(KVM_VALID_REGS);
  }

  /** Which groups userspace has written. */
  public long dirtyRegs() {
    return raw.u64(KVM_DIRTY_REGS);
  }

  /** The shared general-purpose registers. */
  public KvmRegs syncRegs() {
    return new KvmRegs(raw.slice(SYNC_REGS, KvmRegs.SIZE));
  }

  /** The shared special registers. */
  public KvmSregs syncSregs() {
    return new KvmSregs(raw.slice(SYNC_SREGS, KvmSregs.SIZE));
  }

  /** The shared events. */
  public KvmVcpuEvents syncEvents() {
    return new KvmVcpuEvents(raw.slice(SYNC_EVENTS, KvmVcpuEvents.SIZE));
  }

  /** KVM_EXIT_UNKNOWN: what the processor said. */
  public long hardwareExitReason() {
    return raw.u64(HARDWARE_EXIT_REASON);
  }

  /** KVM_EXIT_FAIL_ENTRY: what the processor said. */
  public long failEntryReason() {
    return raw.u64(FAIL_ENTRY_REASON);
  }

  /** KVM_EXIT_FAIL_ENTRY: the physical processor. */
  public int failEntryCpu() {
    return raw.i32(FAIL_ENTRY_CPU);
  }

  /** KVM_EXIT_EXCEPTION: the vector. */
  public int exException() {
    return raw.i32(EX_EXCEPTION);
  }

  /** KVM_EXIT_EXCEPTION: the error code. */
  public int exErrorCode() {
    return raw.i32(EX_ERROR_CODE);
  }

  /** KVM_EXIT_IO: {@link #KVM_EXIT_IO_IN} or {@link #KVM_EXIT_IO_OUT}. */
  public int ioDirection() {
    return raw.u8(IO_DIRECTION);
  }

  /** KVM_EXIT_IO: bytes of an item. */
  public int ioSize() {
    return raw.u8(IO_SIZE);
  }

  /** KVM_EXIT_IO: the port. */
  public int ioPort() {
    return raw.u16(IO_PORT);
  }

  /** KVM_EXIT_IO: how many items. */
  public int ioCount() {
    return raw.i32(IO_COUNT);
  }

  /**
   * KVM_EXIT_IO: where the items lie, from the start of the page; past what a recording holds of
   * it.
   */
  public long ioDataOffset() {
    return raw.u64(IO_DATA_OFFSET);
  }

  /** KVM_EXIT_DEBUG: the vector. */
  public int debugException() {
    return raw.i32(DEBUG_EXCEPTION);
  }

  /** KVM_EXIT_DEBUG: the linear address of the instruction. */
  public long debugPc() {
    return raw.u64(DEBUG_PC);
  }

  /** KVM_EXIT_DEBUG: DR6. */
  public long debugDr6() {
    return raw.u64(DEBUG_DR6);
  }

  /** KVM_EXIT_DEBUG: DR7. */
  public long debugDr7() {
    return raw.u64(DEBUG_DR7);
  }

  /** KVM_EXIT_MMIO: the guest-physical address. */
  public long mmioPhysAddr() {
    return raw.u64(MMIO_PHYS_ADDR);
  }

  /** KVM_EXIT_MMIO: eight bytes, of which {@link #mmioLen()} count. */
  public long mmioData() {
    return raw.u64(MMIO_DATA);
  }

  /** KVM_EXIT_MMIO: bytes. */
  public int mmioLen() {
    return raw.i32(MMIO_LEN);
  }

  /** KVM_EXIT_MMIO: true if the guest writes. */
  public boolean mmioIsWrite() {
    return raw.u8(MMIO_IS_WRITE) != 0;
  }

  /** KVM_EXIT_HYPERCALL: the call's number. */
  public long hypercallNr() {
    return raw.u64(HYPERCALL_NR);
  }

  /** KVM_EXIT_HYPERCALL: an argument; {@code index} is 0 to 5. */
  public long hypercallArg(int index) {
    return raw.u64(HYPERCALL_ARGS + 8 * Objects.checkIndex(index, HYPERCALL_ARG_COUNT));
  }

  /** KVM_EXIT_HYPERCALL: what userspace answers. */
  public long hypercallRet() {
    return raw.u64(HYPERCALL_RET);
  }

  /** KVM_EXIT_HYPERCALL: 1 if the guest is in 64-bit mode. */
  public int hypercallLongmode() {
    return raw.i32(HYPERCALL_LONGMODE);
  }

  /** KVM_EXIT_TPR_ACCESS: the instruction. */
  public long tprAccessRip() {
    return raw.u64(TPR_ACCESS_RIP);
  }

  /** KVM_EXIT_TPR_ACCESS: 1 if the guest writes. */
  public int tprAccessIsWrite() {
    return raw.i32(TPR_ACCESS_IS_WRITE);
  }

  /** KVM_EXIT_INTERNAL_ERROR: {@link #KVM_INTERNAL_ERROR_EMULATION} and its kind. */
  public int internalSuberror() {
    return raw.i32(INTERNAL_SUBERROR);
  }

  /** KVM_EXIT_INTERNAL_ERROR: how many words of {@link #internalData} count. */
  public int internalNdata() {
    return raw.i32(INTERNAL_NDATA);
  }

  /** KVM_EXIT_INTERNAL_ERROR: a word; {@code index} is 0 to 15. */
  public long internalData(int index) {
    return raw.u64(INTERNAL_DATA + 8 * Objects.checkIndex(index, DATA_COUNT));
  }

  /** {@link #KVM_INTERNAL_ERROR_EMULATION}: what is told, if {@link #internalNdata()} is not 0. */
  public long emulationFlags() {
    return raw.u64(EMULATION_FLAGS);
  }

  /** {@link #KVM_INTERNAL_ERROR_EMULATION}: how many of the instruction's bytes count. */
  public int emulationInsnSize() {
    return raw.u8(EMULATION_INSN_SIZE);
  }

  /** {@link #KVM_INTERNAL_ERROR_EMULATION}: the bytes at RIP, 15 of them. */
  public Bytes emulationInsnBytes() {
    return raw.slice(EMULATION_INSN_BYTES, INSN_BYTES_SIZE);
  }

  /** KVM_EXIT_SYSTEM_EVENT: shutdown, reset, crash and so on. */
  public int systemEventType() {
    return raw.i32(SYSTEM_EVENT_TYPE);
  }

  /** KVM_EXIT_SYSTEM_EVENT: how many words of {@link #systemEventData} count. */
  public int systemEventNdata() {
    return raw.i32(SYSTEM_EVENT_NDATA);
  }

  /** KVM_EXIT_SYSTEM_EVENT: a word; {@code index} is 0 to 15. */
  public long systemEventData(int index) {
    return raw.u64(SYSTEM_EVENT_DATA + 8 * Objects.checkIndex(index, DATA_COUNT));
  }

  /** KVM_EXIT_IOAPIC_EOI: the vector. */
  public int eoiVector() {
    return raw.u8(EOI_VECTOR);
  }

  /** KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR: non-zero is userspace's wish for a #GP. */
  public int msrError() {
    return raw.u8(MSR_ERROR);
  }

  /** KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR: why userspace is asked. */
  public int msrReason() {
    return raw.i32(MSR_REASON);
  }

  /** KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR: the MSR's number. */
  public int msrIndex() {
    return raw.i32(MSR_INDEX);
  }

  /** KVM_EXIT_X86_RDMSR, KVM_EXIT_X86_WRMSR: its value. */
  public long msrData() {
    return raw.u64(MSR_DATA);
  }

  /** This page with another wish to come back at once. */
  public KvmRun withImmediateExit(int value) {
    return new KvmRun(raw.with(IMMEDIATE_EXIT, 1, value));
  }

  /** This page with another exit reason. */
  public KvmRun withExitReason(int value) {
    return new KvmRun(raw.with(EXIT_REASON, 4, value));
  }

  /** This page with other flags. */
  public KvmRun withFlags(int value) {
    return new KvmRun(raw.with(FLAGS, 2, value));
  }

  /** This page with other groups written by userspace. */
  public KvmRun withDirtyRegs(long value) {
    return new KvmRun(raw.with(KVM_DIRTY_REGS, 8, value));
  }

  /** This page with other groups that userspace wants to be told. */
  public KvmRun withValidRegs(long value) {
    return new KvmRun(raw.with(KVM_VALID_REGS, 8, value));
  }

  /** This page with other shared general-purpose registers. */
  public KvmRun withSyncRegs(KvmRegs regs) {
    return new KvmRun(raw.toBuilder().putBytes(SYNC_REGS, regs.raw()).build());
  }

  /** This page with other shared special registers. */
  public KvmRun withSyncSregs(KvmSregs sregs) {
    return new KvmRun(raw.toBuilder().putBytes(SYNC_SREGS, sregs.raw()).build());
  }

  /** This page with other shared events. */
  public KvmRun withSyncEvents(KvmVcpuEvents events) {
    return new KvmRun(raw.toBuilder().putBytes(SYNC_EVENTS, events.raw()).build());
  }

  /** The flags by name, {@code BUS_LOCK|SMM}. */
  public static String describeFlags(int flags) {
    return BitNames.none()
        .and("SMM", KVM_RUN_X86_SMM)
        .and("BUS_LOCK", KVM_RUN_X86_BUS_LOCK)
        .and("GUEST_MODE", KVM_RUN_X86_GUEST_MODE)
        .describe(flags);
  }
}
