package dev.faultline.audit;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregsCommon;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.SegmentRegister;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What userspace wrote to a vCPU between two KVM_RUNs, or read from it: per ioctl the first and the
 * last call, per MSR the last value. Bounded.
 */
final class Window {
  private static final int MAX_MSRS = 4096;
  private static final int MAX_TSC_WRITES = 64;
  private static final int ENTRIES_PER_MOMENT = 1 << 16;
  private static final int RESET_CS = 0xf000;
  private static final long RESET_CS_BASE = 0xffff0000L;
  private static final int FEW = 2;
  private static final int FULL = 5;

  /** What only a restore writes: a VMM that boots a guest has no use for it. */
  private static final List<Ioctl> RESTORED =
      List.of(
          Ioctl.SET_XSAVE,
          Ioctl.SET_VCPU_EVENTS,
          Ioctl.SET_XCRS,
          Ioctl.SET_DEBUGREGS,
          Ioctl.SET_MP_STATE,
          Ioctl.SET_NESTED_STATE);

  /** The groups of state that a save reads. */
  private static final List<Ioctl> READ =
      List.of(
          Ioctl.GET_REGS,
          Ioctl.GET_SREGS,
          Ioctl.GET_MSRS,
          Ioctl.GET_XSAVE,
          Ioctl.GET_FPU,
          Ioctl.GET_XCRS,
          Ioctl.GET_VCPU_EVENTS,
          Ioctl.GET_DEBUGREGS,
          Ioctl.GET_MP_STATE,
          Ioctl.GET_LAPIC,
          Ioctl.GET_NESTED_STATE);

  private final EnumMap<Ioctl, Span> done = new EnumMap<>(Ioctl.class);
  private final EnumMap<Ioctl, Call> failed = new EnumMap<>(Ioctl.class);
  private final TreeMap<Integer, MsrWrite> msrs = new TreeMap<>();
  private final List<MsrWrite> tscWrites = new ArrayList<>();
  private boolean msrsUnseen;
  private int size;

  /** Takes a call that was made. */
  void add(Call call) {
    size++;
    Ioctl kind = kind(call.ioctl());
    if (!call.done()) {
      failed.put(kind, call);
      return;
    }
    if (kind == Ioctl.SET_SREGS) {
      // Another write-back of everything begins.
      tscWrites.clear();
    }
    Span before = done.get(kind);
    done.put(kind, before == null ? new Span(call) : before.with(call));
    switch (call.command()) {
      case VcpuCommand.SetMsrs set -> entries(call, set.msrs(), call.ret());
      case VcpuCommand.GetMsrs _ when !call.reply().isEmpty() ->
          entries(call, new KvmMsrs(call.reply()), call.ret());
      case null -> {}
      case VcpuCommand _ when call.unseen() && call.ioctl() == Ioctl.SET_MSRS -> msrsUnseen = true;
      default -> {}
    }
  }

  private void entries(Call call, KvmMsrs set, int count) {
    int held = Math.min(count, set.held());
    for (int i = 0; i < held; i++) {
      MsrWrite write =
          new MsrWrite(
              set.index(i), set.data(i), (long) call.moment() * ENTRIES_PER_MOMENT + i, call);
      if (msrs.size() < MAX_MSRS || msrs.containsKey(write.index())) {
        msrs.put(write.index(), write);
      }
      if (write.index() == dev.faultline.x86.Msr.IA32_TSC && tscWrites.size() < MAX_TSC_WRITES) {
        tscWrites.add(write);
      }
    }
  }

  /** The newer variant of an ioctl counts as the older one. */
  private static Ioctl kind(Ioctl ioctl) {
    return switch (ioctl) {
      case SET_SREGS2 -> Ioctl.SET_SREGS;
      case GET_SREGS2 -> Ioctl.GET_SREGS;
      case GET_XSAVE2 -> Ioctl.GET_XSAVE;
      case SET_CPUID -> Ioctl.SET_CPUID2;
      default -> ioctl;
    };
  }

  boolean isEmpty() {
    return size == 0;
  }

  boolean has(Ioctl ioctl) {
    return done.containsKey(ioctl);
  }

  @Nullable Call first(Ioctl ioctl) {
    Span span = done.get(ioctl);
    return span == null ? null : span.first();
  }

  @Nullable Call last(Ioctl ioctl) {
    Span span = done.get(ioctl);
    return span == null ? null : span.last();
  }

  int count(Ioctl ioctl) {
    Span span = done.get(ioctl);
    return span == null ? 0 : span.count();
  }

  @Nullable Call failed(Ioctl ioctl) {
    return failed.get(ioctl);
  }

  @Nullable MsrWrite msr(int index) {
    return msrs.get(index);
  }

  TreeMap<Integer, MsrWrite> msrs() {
    return msrs;
  }

  /** Every write of the time-stamp counter, in order. */
  List<MsrWrite> tscWrites() {
    return tscWrites;
  }

  /** Whether MSRs were written that the recording does not show. */
  boolean msrsUnseen() {
    return msrsUnseen;
  }

  /** The first of the last calls of several kinds that came after a call; null if none did. */
  @Nullable Call lastAfter(Ioctl ioctl, Call call) {
    Call last = last(ioctl);
    return last != null && last.moment() > call.moment() ? last : null;
  }

  /** Whether a saved state is written back, as far as the names tell. */
  boolean isRestore() {
    return restored() >= FEW && (has(Ioctl.SET_REGS) || has(Ioctl.SET_SREGS)) && !isReset();
  }

  /** Whether all of a vCPU is written back. */
  boolean isFullRestore() {
    return isRestore()
        && has(Ioctl.SET_REGS)
        && has(Ioctl.SET_SREGS)
        && has(Ioctl.SET_MSRS)
        && (has(Ioctl.SET_XSAVE) || has(Ioctl.SET_FPU))
        && restored() + (has(Ioctl.SET_LAPIC) ? 1 : 0) >= FEW + 1;
  }

  private int restored() {
    int found = 0;
    for (Ioctl ioctl : RESTORED) {
      found += has(ioctl) ? 1 : 0;
    }
    return found;
  }

  /** Whether what was written is a CPU at its reset vector: a start, and not a restore. */
  boolean isReset() {
    KvmSregsCommon sregs = sregs();
    return sregs != null
        && sregs.segment(SegmentRegister.CS).selector() == RESET_CS
        && sregs.segment(SegmentRegister.CS).base() == RESET_CS_BASE;
  }

  /** How many groups of state were read. */
  int groupsRead() {
    int found = 0;
    for (Ioctl ioctl : READ) {
      found += has(ioctl) ? 1 : 0;
    }
    return found;
  }

  /** Whether a vCPU is read to be saved, and not only looked at. */
  boolean isSave() {
    return has(Ioctl.GET_REGS) && has(Ioctl.GET_SREGS) && groupsRead() >= FULL;
  }

  /** The first of the reads; null if there was none. */
  @Nullable Call firstRead() {
    Call first = null;
    for (Ioctl ioctl : READ) {
      Call call = first(ioctl);
      if (call != null && (first == null || call.moment() < first.moment())) {
        first = call;
      }
    }
    return first;
  }

  /** The first call of all. */
  @Nullable Call firstCall() {
    Call first = null;
    for (Span span : done.values()) {
      if (first == null || span.first().moment() < first.moment()) {
        first = span.first();
      }
    }
    return first;
  }

  /** The last call of all. */
  @Nullable Call lastCall() {
    Call last = null;
    for (Span span : done.values()) {
      if (last == null || span.last().moment() > last.moment()) {
        last = span.last();
      }
    }
    return last;
  }

  /** The special registers that were written last; null if none were, or nobody knows. */
  @Nullable KvmSregsCommon sregs() {
    Call call = last(Ioctl.SET_SREGS);
    return call == null
        ? null
        : switch (call.command()) {
          case VcpuCommand.SetSregs s -> s.sregs();
          case VcpuCommand.SetSregs2 s -> s.sregs();
          case null, default -> null;
        };
  }

  @Nullable KvmRegs regs() {
    Call call = last(Ioctl.SET_REGS);
    return call != null && call.command() instanceof VcpuCommand.SetRegs s ? s.regs() : null;
  }

  @Nullable KvmVcpuEvents events() {
    return eventsOf(last(Ioctl.SET_VCPU_EVENTS));
  }

  static @Nullable KvmVcpuEvents eventsOf(@Nullable Call call) {
    return call != null && call.command() instanceof VcpuCommand.SetVcpuEvents s
        ? s.events()
        : null;
  }

  @Nullable KvmLapicState lapic() {
    return lapicOf(last(Ioctl.SET_LAPIC));
  }

  static @Nullable KvmLapicState lapicOf(@Nullable Call call) {
    return call != null && call.command() instanceof VcpuCommand.SetLapic s ? s.lapic() : null;
  }

  @Nullable KvmNestedState nested() {
    return nestedOf(last(Ioctl.SET_NESTED_STATE));
  }

  static @Nullable KvmNestedState nestedOf(@Nullable Call call) {
    return call != null && call.command() instanceof VcpuCommand.SetNestedState s
        ? s.state()
        : null;
  }

  static @Nullable KvmCpuid2 cpuidOf(@Nullable Call call) {
    return call != null && call.command() instanceof VcpuCommand.SetCpuid2 s ? s.cpuid() : null;
  }

  /** The events that were read last; null if none were, or nobody knows. */
  @Nullable KvmVcpuEvents eventsRead() {
    Call call = last(Ioctl.GET_VCPU_EVENTS);
    return call == null || call.reply().size() != KvmVcpuEvents.SIZE
        ? null
        : new KvmVcpuEvents(call.reply());
  }

  @Nullable KvmLapicState lapicRead() {
    Call call = last(Ioctl.GET_LAPIC);
    return call == null || call.reply().size() != KvmLapicState.SIZE
        ? null
        : new KvmLapicState(call.reply());
  }

  @Nullable KvmNestedState nestedRead() {
    Call call = last(Ioctl.GET_NESTED_STATE);
    return call == null || call.reply().size() < KvmNestedState.HEADER_SIZE
        ? null
        : new KvmNestedState(call.reply());
  }
}
