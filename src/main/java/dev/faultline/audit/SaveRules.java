package dev.faultline.audit;

import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.Msr;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** R10 to R13 and R16 to R19: how a vCPU is read. */
final class SaveRules implements RuleFamily {
  private static final int XSAVE2 = KvmCap.KVM_CAP_XSAVE2.number();
  private static final int LVT_MODE_SHIFT = 17;
  private static final int LVT_MODE_MASK = 3;
  private static final int LVT_DEADLINE = 2;
  private static final int LVT_MASKED = 1 << 16;
  private static final int VECTOR_MASK = 0xff;
  private static final int XSAVE_TILE_DATA = 18;

  static final Rule R10 =
      Rule.of(
          "R10",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C43"),
          new Rule.Prose(
              "A pending exit is completed by KVM_RUN before a vCPU is saved",
              """
              After KVM_EXIT_IO, MMIO, X86_RDMSR, X86_WRMSR, HYPERCALL or XEN the instruction is
              half done: KVM finishes it at the start of the next KVM_RUN. What is read before shows
              the instruction not executed, or half executed, and the rest is lost.
              (api.rst, "KVM_RUN"; complete_userspace_io)\
              """,
              "Call KVM_RUN with immediate_exit = 1 (it returns EINTR) before the first KVM_GET."));
  static final Rule R11 =
      Rule.of(
          "R11",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86(),
          new Rule.Prose(
              "All vCPUs of the VM stand still while one is saved",
              """
              KVM_GET_VCPU_EVENTS and KVM_GET_LAPIC are a picture of what others do to this vCPU:
              an IPI, INIT or SMI of a vCPU that still runs arrives after the picture was taken.\
              """,
              "Kick every vCPU out of KVM_RUN and wait before the first KVM_GET."));
  static final Rule R12 =
      Rule.of(
          "R12",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.x86("C37", "C38"),
          new Rule.Prose(
              "KVM_GET_MP_STATE comes before registers and local APIC are read",
              """
              The call takes in pending INIT and SIPI, which changes CS, RIP, the local APIC and
              may leave L2; registers that were read before are old then.
              (kvm_apic_accept_events)\
              """,
              "Read KVM_GET_MP_STATE first."));
  static final Rule R13 =
      Rule.of(
          "R13",
          Severity.INFORMATION,
          Tier.T0,
          false,
          Rule.Where.x86(),
          new Rule.Prose(
              "KVM_GET_VCPU_EVENTS is the first or the last that is read",
              """
              It may deliver an exception's payload (CR2, DR6) when KVM_CAP_EXCEPTION_PAYLOAD is off.
              QEMU and the selftests read it first, so that later reads see that; Firecracker and
              Cloud Hypervisor last. In the middle it is neither.\
              """,
              "Read it before KVM_GET_SREGS and KVM_GET_DEBUGREGS."));
  static final Rule R16 =
      Rule.of(
          "R16",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.on("x86", "5.17 and later", "C28", "C29"),
          new Rule.Prose(
              "The extended state is read with the size that KVM_CAP_XSAVE2 answers",
              """
              With AMX permitted the state is larger than the 4096 bytes of KVM_GET_XSAVE, which
              then silently leaves out the tiles; where the answer is 0 the ioctl does not exist and
              4096 bytes are right.\
              """,
              "Ask KVM_CHECK_EXTENSION(KVM_CAP_XSAVE2) on the VM: 0 means KVM_GET_XSAVE and 4096,"
                  + " else KVM_GET_XSAVE2 with a buffer of that size."));
  static final Rule R17 =
      Rule.of(
          "R17",
          Severity.WARNING,
          Tier.T1,
          true,
          Rule.Where.x86("C32"),
          new Rule.Prose(
              "The CPUID table holds no empty entries",
              """
              KVM_GET_CPUID2 fills less than the buffer holds and tells by nent. What is beyond is
              zero, and given back it is a second leaf 0 that hides the real one.\
              """,
              "Cut the table at the nent that KVM returned."));
  static final Rule R18 =
      Rule.of(
          "R18",
          Severity.ERROR,
          Tier.T2,
          true,
          Rule.Where.x86("C04", "C42"),
          new Rule.Prose(
              "What is restored is what was saved, and saving it again gives the same",
              """
              KVM keeps of a restored state only what the vCPU's other state allows: a timer in
              TSC-deadline mode, for one, becomes a one-shot timer if the CPUID table lacks the
              mode. A second save of such a guest has lost it for good.\
              """,
              "Save CPUID with KVM_GET_CPUID2 and restore exactly that table first; compare a save"
                  + " taken right after the restore with the one that was restored."));
  static final Rule R19 =
      Rule.of(
          "R19",
          Severity.WARNING,
          Tier.T1,
          true,
          Rule.Where.x86("C03"),
          new Rule.Prose(
              "A timer in TSC-deadline mode has a deadline, or its interrupt is pending",
              """
              When the deadline passes KVM sets the MSR to 0 and the interrupt's bit in the IRR. A
              save that caught the first and not the second has lost the tick, and a guest that
              waits for it never wakes up.\
              """,
              "Read KVM_GET_LAPIC after all vCPUs stand still and MSRs after it; if both are empty,"
                  + " restore a deadline of now."));

  @Override
  public List<Rule> rules() {
    return List.of(R10, R11, R12, R13, R16, R17, R18, R19);
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    fixpoint(step, findings);
    switch (call.ioctl()) {
      case GET_XSAVE, GET_XSAVE2 -> xsave(step, findings);
      case SET_XSAVE -> {
        if (!call.unseen() && call.command() instanceof VcpuCommand.BadPointer) {
          findings.add(
              R16, call.as("returns " + call.result()), "the extended state has no bytes at all");
        }
      }
      case SET_CPUID2 -> {
        emptyEntries(call, findings);
        otherTable(step, findings);
      }
      case SET_LAPIC -> lostMode(step, findings);
      default -> {}
    }
  }

  /** A restored vCPU is read again before it runs. */
  private static void fixpoint(Step step, Findings findings) {
    Call call = step.call();
    Window written = step.vcpu().written();
    if (!call.done() || !written.isRestore()) {
      return;
    }
    String difference = Fixpoint.difference(call, written);
    Call writer = difference == null ? null : Fixpoint.writer(call, written);
    if (difference != null && writer != null) {
      findings.add(
          R18,
          call.as("read again"),
          "what was restored is not what a save would read now: " + difference,
          writer.as("restored"));
    }
  }

  private static void xsave(Step step, Findings findings) {
    Call call = step.call();
    Integer size = step.scene().extensions().get(XSAVE2);
    if (size == null) {
      return;
    }
    if (call.ioctl() == Ioctl.GET_XSAVE2 && size == 0) {
      findings.add(
          R16,
          call.as("returns " + call.result()),
          "KVM_GET_XSAVE2 is called although KVM_CAP_XSAVE2 answered 0");
    }
    KvmCpuid2 table = step.vcpu().cpuid();
    boolean noAmx = table != null && !CpuidBits.AMX_TILE.in(table);
    if (call.ioctl() == Ioctl.GET_XSAVE && size > KvmXsave.SIZE && !noAmx) {
      findings.add(
          R16,
          call.as("4096 bytes"),
          "KVM_GET_XSAVE reads 4096 bytes of an extended state of " + size);
    }
  }

  private static void emptyEntries(Call call, Findings findings) {
    KvmCpuid2 table = Window.cpuidOf(call);
    if (table == null) {
      return;
    }
    int empty = 0;
    for (CpuidEntry e : table.entries()) {
      boolean zero = (e.eax() | e.ebx() | e.ecx() | e.edx()) == 0;
      empty += zero && e.function() == 0 && e.index() == 0 ? 1 : 0;
    }
    if (empty > 0) {
      findings.add(
          R17,
          call.as(empty + " of " + table.held() + " entries are zero"),
          "the CPUID table has " + empty + " empty entries, each of which is a leaf 0");
    }
  }

  /** The table of the restored vCPU against the one it had when it was saved. */
  private static void otherTable(Step step, Findings findings) {
    Call call = step.call();
    KvmCpuid2 now = Window.cpuidOf(call);
    Scene.Saved saved = step.scene().saved(step.vcpu().index());
    if (now == null || saved == null || saved.vcpu().vm().equals(step.vm()) || !call.done()) {
      return;
    }
    Call source = saved.vcpu().cpuidCall();
    KvmCpuid2 then = saved.vcpu().cpuid();
    String difference = then == null ? "" : CpuidDifference.features(then, now);
    if (source != null && !difference.isEmpty() && saved.reads().isSave()) {
      findings.add(
          R18,
          call.as("restored"),
          "the restored CPUID table is not the one that the saved vCPU had: " + difference,
          source.as("the saved vCPU's table"));
    }
  }

  private static void lostMode(Step step, Findings findings) {
    Call call = step.call();
    KvmLapicState lapic = Window.lapicOf(call);
    KvmCpuid2 table = step.vcpu().cpuid();
    if (lapic == null || table == null || !call.done()) {
      return;
    }
    Call cpuid = step.vcpu().cpuidCall();
    if (isDeadline(lapic) && !CpuidBits.TSC_DEADLINE.in(table) && cpuid != null) {
      findings.add(
          R18,
          call.as("LVT timer 0x" + Integer.toHexString(lapic.lvtTimer())),
          "the local APIC's timer is restored in TSC-deadline mode, which the CPUID table lacks:"
              + " KVM silently makes it a one-shot timer",
          cpuid.as("without TSC_DEADLINE"));
    }
  }

  static boolean isDeadline(KvmLapicState lapic) {
    return (lapic.lvtTimer() >>> LVT_MODE_SHIFT & LVT_MODE_MASK) == LVT_DEADLINE;
  }

  /** Whether the timer can still fire: its interrupt waits, is served, or is being injected. */
  private static boolean timerWaits(KvmLapicState lapic, @Nullable KvmVcpuEvents events) {
    int vector = lapic.lvtTimer() & VECTOR_MASK;
    int word = vector / Integer.SIZE;
    int bit = vector % Integer.SIZE;
    return (lapic.irr(word) >>> bit & 1) != 0
        || (lapic.isr(word) >>> bit & 1) != 0
        || (events != null && events.interruptInjected() != 0 && events.interruptNr() == vector);
  }

  @Override
  public void run(Step step, Findings findings) {
    lostTimer(step.vcpu().written(), findings);
    running(step, findings);
  }

  /**
   * A recording's lines stand in the order in which calls return, its numbers count in the order in
   * which they began: a KVM_RUN with a smaller number was under way during the reads before it.
   */
  private static void running(Step step, Findings findings) {
    Call run = step.call();
    if (!run.done() || run.exit() == null || run.exit() == KvmExit.KVM_EXIT_INTR) {
      // It was kicked out, and may have stood still since.
      return;
    }
    for (VcpuTrack other : step.vm().tracks()) {
      Call events = other.read().last(Ioctl.GET_VCPU_EVENTS);
      if (events == null || other.equals(step.vcpu()) || events.seq() < run.seq()) {
        continue;
      }
      if (other.hasRun() && other.read().isSave() && !isSync(other.written())) {
        findings.add(
            R11,
            events.as("read meanwhile"),
            other.name() + " is saved while " + step.vcpu().name() + " runs",
            run.as("under way"));
      }
    }
  }

  @Override
  public void windowEnd(VcpuTrack vcpu, Scene scene, Findings findings) {
    Window read = vcpu.read();
    if (!read.isSave()) {
      return;
    }
    pendingExit(vcpu, findings);
    order(read, findings);
    savedTimer(vcpu, read, findings);
  }

  private static boolean completes(KvmExit exit) {
    return switch (exit) {
      case KVM_EXIT_IO,
          KVM_EXIT_MMIO,
          KVM_EXIT_X86_RDMSR,
          KVM_EXIT_X86_WRMSR,
          KVM_EXIT_HYPERCALL,
          KVM_EXIT_XEN ->
          true;
      default -> false;
    };
  }

  private static void pendingExit(VcpuTrack vcpu, Findings findings) {
    Window read = vcpu.read();
    Call run = vcpu.lastRun();
    Call first = read.firstRead();
    if (run == null || first == null) {
      return;
    }
    KvmExit exit = run.exit();
    if (exit == null) {
      if (vcpu.exitUnknown()) {
        findings.cannotTell(R10, "the input does not show why KVM_RUN returned");
      }
      return;
    }
    if (completes(exit) && !isSync(vcpu.written())) {
      findings.add(
          R10,
          first.as("the first read"),
          "the vCPU is saved while " + exit.name() + " is not completed",
          run.as("returned " + exit.name()));
    }
  }

  /** Whether the registers are written back to the same vCPU: it is looked at, and not saved. */
  private static boolean isSync(Window written) {
    return written.has(Ioctl.SET_REGS) || written.has(Ioctl.SET_SREGS);
  }

  private static void order(Window read, Findings findings) {
    Call mpState = read.first(Ioctl.GET_MP_STATE);
    if (mpState != null) {
      for (Ioctl early : List.of(Ioctl.GET_REGS, Ioctl.GET_SREGS, Ioctl.GET_LAPIC)) {
        Call call = read.first(early);
        if (call != null && call.moment() < mpState.moment() && read.count(early) == 1) {
          findings.add(
              R12,
              mpState.as("takes in INIT and SIPI"),
              "KVM_GET_MP_STATE comes after " + call.name(),
              call.as("may be old"));
          break;
        }
      }
    }
    Call events = read.first(Ioctl.GET_VCPU_EVENTS);
    if (events == null) {
      return;
    }
    Call sregs = read.first(Ioctl.GET_SREGS);
    Call debugregs = read.first(Ioctl.GET_DEBUGREGS);
    if (sregs != null
        && debugregs != null
        && (sregs.moment() < events.moment()) != (debugregs.moment() < events.moment())) {
      Call before = sregs.moment() < debugregs.moment() ? sregs : debugregs;
      findings.add(
          R13,
          events.as("between them"),
          "KVM_GET_VCPU_EVENTS is read between special and debug registers",
          before.as("read before"));
    }
  }

  private static void savedTimer(VcpuTrack vcpu, Window read, Findings findings) {
    KvmLapicState lapic = read.lapicRead();
    MsrWrite deadline = read.msr(Msr.IA32_TSC_DEADLINE);
    Call at = read.last(Ioctl.GET_LAPIC);
    if (lapic == null
        || at == null
        || deadline == null
        || deadline.value() != 0
        || !isDeadline(lapic)
        || (lapic.lvtTimer() & LVT_MASKED) != 0
        || timerWaits(lapic, read.eventsRead())) {
      return;
    }
    findings.add(
        R19,
        Severity.INFORMATION,
        at.as("TSC-deadline mode, nothing pending"),
        vcpu.name() + " is saved with its timer in TSC-deadline mode and no deadline",
        deadline.call().as("deadline 0"));
  }

  private static void lostTimer(Window written, Findings findings) {
    KvmLapicState lapic = written.lapic();
    Call at = written.last(Ioctl.SET_LAPIC);
    MsrWrite deadline = written.msr(Msr.IA32_TSC_DEADLINE);
    if (lapic == null
        || at == null
        || deadline == null
        || deadline.value() != 0
        || !isDeadline(lapic)
        || (lapic.lvtTimer() & LVT_MASKED) != 0
        || timerWaits(lapic, written.events())) {
      return;
    }
    findings.add(
        R19,
        at.as("TSC-deadline mode, nothing pending"),
        "the timer is restored in TSC-deadline mode without a deadline, and its interrupt is not"
            + " pending: a tick that was due may be lost",
        deadline.call().as("deadline 0"));
  }

  /** The bit of XSTATE_BV that AMX's tiles have. */
  static long tileData() {
    return 1L << XSAVE_TILE_DATA;
  }
}
