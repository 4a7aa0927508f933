package dev.faultline.audit;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmSregsCommon;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.MpState;
import dev.faultline.kvm.VcpuEventFlags;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.x86.ApicBase;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** R30 to R34, R40 to R42, R44 and R49: in which order a vCPU is written. */
final class RestoreRules implements RuleFamily {
  private static final int MAX_SHORT = 64;
  private static final String UNSEEN_MSRS = "which MSRs were written was not recorded";

  static final Rule R30 =
      Rule.of(
          "R30",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C39"),
          new Rule.Prose(
              "KVM_SET_SREGS (APIC base) comes before KVM_SET_LAPIC",
              """
              KVM takes the local APIC's page for one of xAPIC or x2APIC mode as IA32_APIC_BASE says
              at that moment: identifier and logical destination lie elsewhere in the other mode.
              (kvm_apic_set_state; api.rst, "KVM_GET_LAPIC")\
              """,
              "Set special registers first."));
  static final Rule R31 =
      Rule.of(
          "R31",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C01"),
          new Rule.Prose(
              "KVM_SET_LAPIC comes before the KVM_SET_MSRS that holds IA32_TSC_DEADLINE (0x6e0)",
              """
              KVM drops a deadline while the timer is not in TSC-deadline mode, and KVM_SET_LAPIC
              clears one that is there. The timer never fires; a guest that sleeps until it does
              hangs. (kvm_set_lapic_tscdeadline_msr, apic_update_lvtt)\
              """,
              "Set the local APIC, then MSRs; or write 0x6e0 in a call of its own at the end."));
  static final Rule R32 =
      Rule.of(
          "R32",
          Severity.ERROR,
          Tier.T1,
          true,
          Rule.Where.x86("C02"),
          new Rule.Prose(
              "IA32_TSC (0x10) is written before IA32_TSC_DEADLINE (0x6e0)",
              """
              The deadline is a value of the guest's TSC and is turned into a time when it is
              written. With the TSC still near 0 that is hours or days away.\
              """,
              "Write 0x6e0 after 0x10, best in the last KVM_SET_MSRS."));
  static final Rule R33 =
      Rule.of(
          "R33",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86("C11"),
          new Rule.Prose(
              "KVM_SET_TSC_KHZ comes before TSC, TSC offset and deadline, and is not forgotten",
              """
              KVM computes offset and scaling with the frequency of that moment. A guest whose
              frequency is not restored counts time at the new host's speed.\
              """,
              "Save KVM_GET_TSC_KHZ, restore it before MSRs."));
  static final Rule R34 =
      Rule.of(
          "R34",
          Severity.WARNING,
          Tier.T1,
          true,
          Rule.Where.x86("C10", "C25"),
          new Rule.Prose(
              "Each thing has one owner: IA32_APIC_BASE is not written after the local APIC, the"
                  + " TSC not twice",
              """
              IA32_APIC_BASE belongs to KVM_SET_SREGS; as an MSR after KVM_SET_LAPIC it may reset what
              was set. The TSC through the MSR and again through the MSR or KVM_VCPU_TSC_OFFSET jumps
              by the time in between.\
              """,
              "Leave 0x1b out of the MSRs; restore the TSC by MSR or by offset."));
  static final Rule R40 =
      Rule.of(
          "R40",
          Severity.ERROR,
          Tier.T0,
          true,
          Rule.Where.x86(),
          new Rule.Prose(
              "KVM_SET_REGS comes before KVM_SET_VCPU_EVENTS",
              """
              KVM_SET_REGS forgets a pending exception. (__set_regs clears exception.pending)\
              """,
              "Set registers first, events late."));
  static final Rule R41 =
      Rule.of(
          "R41",
          Severity.ERROR,
          Tier.T1,
          false,
          Rule.Where.x86(),
          new Rule.Prose(
              "A vCPU that waits for SIPI is not in SMM and has no SMI pending",
              """
              KVM_SET_MP_STATE(INIT_RECEIVED or SIPI_RECEIVED) and KVM_SET_VCPU_EVENTS with smm or
              smi.pending refuse each other with EINVAL, in both orders.\
              """,
              "Save while INIT and SMI are settled; such a pair cannot be restored."));
  static final Rule R42 =
      Rule.of(
          "R42",
          Severity.WARNING,
          Tier.T1,
          true,
          Rule.Where.on("x86", "XFD: before 6.19 and its stable fixes", "C30"),
          new Rule.Prose(
              "XSTATE_BV marks no state component that IA32_XFD disables",
              """
              A state component that is marked in use although XFD disables it makes the host's
              XRSTOR fault with #NM in KVM, a panic on kernels before the fix.\
              """,
              "Restore IA32_XFD and XSAVE from the same moment; mask XSTATE_BV with ~XFD."));
  static final Rule R44 =
      Rule.of(
          "R44",
          Severity.ERROR,
          Tier.T0,
          false,
          Rule.Where.x86("C17", "C18", "C19", "C20"),
          new Rule.Prose(
              "KVM_SET_MSRS and KVM_GET_MSRS process every entry",
              """
              Both stop at the first MSR that KVM refuses and return how many came before it; that
              is no error for ioctl(2). What follows in the list is not restored either.\
              """,
              "Compare the return value with nmsrs; name the MSR at that place and stop."));
  static final Rule R49 =
      Rule.of(
          "R49",
          Severity.WARNING,
          Tier.T0,
          true,
          Rule.Where.x86(),
          new Rule.Prose(
              "Nothing is injected between the last KVM_SET and the first KVM_RUN",
              """
              KVM_NMI, KVM_SMI and KVM_INTERRUPT change the events that were just restored; the one
              that they are added to may be the same one.\
              """,
              "Let devices signal only when all vCPUs run again."));

  private final TreeMap<String, List<Call>> shorts = new TreeMap<>();

  /** The last call on MSRs of which it was not recorded which MSRs it names. */
  private @Nullable Call unseen;

  @Override
  public List<Rule> rules() {
    return List.of(R30, R31, R32, R33, R34, R40, R41, R42, R44, R49);
  }

  @Override
  public void vcpuCall(Step step, Findings findings) {
    Call call = step.call();
    switch (call.ioctl()) {
      case SET_LAPIC -> {}
      case SET_SREGS, SET_SREGS2 -> apicMode(step, findings);
      case SET_MSRS, GET_MSRS -> shortCount(step, findings);
      case SET_MP_STATE, SET_VCPU_EVENTS -> waitingForSipi(step, findings);
      case NMI, SMI, INTERRUPT -> {
        Call events = step.vcpu().written().last(Ioctl.SET_VCPU_EVENTS);
        if (events != null && step.vcpu().written().isRestore()) {
          findings.add(
              R49,
              call.as("injected"),
              call.name() + " changes the events that were just restored",
              events.as("restored"));
        }
      }
      default -> {}
    }
  }

  private static void apicMode(Step step, Findings findings) {
    Call call = step.call();
    Window written = step.vcpu().written();
    Call lapic = written.last(Ioctl.SET_LAPIC);
    if (lapic == null || !call.done() || written.has(Ioctl.SET_SREGS)) {
      return;
    }
    KvmSregsCommon sregs =
        call.command() instanceof VcpuCommand.SetSregs s
            ? s.sregs()
            : call.command() instanceof VcpuCommand.SetSregs2 s ? s.sregs() : null;
    Answer changes = Answer.CANNOT_TELL;
    Vcpu before = step.before();
    if (sregs != null && before != null) {
      Tracked known = before.registers().sregs();
      int field = known.layout().indexOf("apic_base");
      if (known.knows(field)) {
        changes =
            Answer.of(
                ((known.value(field) ^ sregs.apicBase()) & (ApicBase.EXTD | ApicBase.EN)) != 0);
      }
    }
    findings.add(
        R30,
        changes.isYes() ? Severity.ERROR : Severity.WARNING,
        call.as(sregs == null ? "sets APIC base" : "apic_base 0x" + hex(sregs.apicBase())),
        changes.isYes()
            ? "KVM_SET_SREGS changes the APIC's mode after KVM_SET_LAPIC"
            : "KVM_SET_SREGS, which sets the APIC's base and mode, comes after KVM_SET_LAPIC",
        lapic.as("taken in the mode of that moment"));
  }

  private static String hex(long value) {
    return Long.toHexString(value);
  }

  private void shortCount(Step step, Findings findings) {
    Call call = step.call();
    int asked =
        switch (call.command()) {
          case VcpuCommand.SetMsrs s -> s.msrs().held();
          case VcpuCommand.GetMsrs g -> g.msrs().held();
          case null, default -> -1;
        };
    if (asked < 0) {
      unseen = call;
      if (call.done()) {
        findings.cannotTell(R44, "how many MSRs a call named was not recorded");
      }
      if (call.ret() == 0 && call.ioctl() == Ioctl.SET_MSRS) {
        keep(step.vcpu(), call);
      }
      return;
    }
    unseen = null;
    if (call.ret() < asked) {
      keep(step.vcpu(), call);
    }
  }

  private void keep(VcpuTrack vcpu, Call call) {
    List<Call> kept = shorts.computeIfAbsent(vcpu.name(), _ -> new ArrayList<>());
    if (kept.size() < MAX_SHORT) {
      kept.add(call);
    }
  }

  @Override
  public void printed(String text, Scene scene, Findings findings) {
    Call call = unseen;
    Complaint complaint = Complaint.in(text);
    if (complaint == null || call == null || complaint.ioctl() != call.ioctl()) {
      return;
    }
    unseen = null;
    shorts.getOrDefault(call.lane(), new ArrayList<>()).remove(call);
    findings.add(
        R44,
        call.as("returns " + call.ret()),
        call.name()
            + " stops at "
            + MsrNames.of(complaint.msr())
            + (complaint.value().isEmpty() ? "" : ", to be written with " + complaint.value())
            + ", as the program itself says: "
            + Math.max(call.ret(), 0)
            + " entries are processed");
  }

  /** The MSR that a call stopped at; -1 if it was refused as a whole. */
  static int refused(Call call) {
    return switch (call.command()) {
      case VcpuCommand.SetMsrs s when call.done() && call.ret() < s.msrs().held() ->
          s.msrs().index(call.ret());
      case VcpuCommand.GetMsrs g when call.done() && call.ret() < g.msrs().held() ->
          g.msrs().index(call.ret());
      case null, default -> -1;
    };
  }

  private static void waitingForSipi(Step step, Findings findings) {
    Call call = step.call();
    if (!call.failed(Errno.EINVAL) || step.before() == null) {
      return;
    }
    Vcpu before = step.before();
    if (call.command() instanceof VcpuCommand.SetMpState set) {
      MpState state = set.state().state();
      boolean waits = state == MpState.INIT_RECEIVED || state == MpState.SIPI_RECEIVED;
      KvmVcpuEvents events = step.vcpu().written().events();
      boolean smm =
          before.inSmm().isYes()
              || (events != null && (events.smiSmm() != 0 || events.smiPending() != 0));
      if (waits && smm) {
        findings.add(
            R41,
            call.as("refused: EINVAL"),
            "the vCPU is to wait for SIPI and is in SMM, or has an SMI pending",
            others(step.vcpu().written().last(Ioctl.SET_VCPU_EVENTS), "smm or smi.pending"));
      }
    }
    if (call.command() instanceof VcpuCommand.SetVcpuEvents set
        && (set.events().smiSmm() != 0 || set.events().smiPending() != 0)) {
      Tracked mp = before.platform().mpState();
      if (mp.knows(0) && mp.value(0) == MpState.INIT_RECEIVED.number()) {
        findings.add(
            R41,
            call.as("refused: EINVAL"),
            "the vCPU is to be in SMM, or to have an SMI pending, and waits for SIPI",
            others(step.vcpu().written().last(Ioctl.SET_MP_STATE), "INIT_RECEIVED"));
      }
    }
  }

  private static Evidence[] others(@Nullable Call call, String note) {
    return call == null ? new Evidence[0] : new Evidence[] {call.as(note)};
  }

  @Override
  public void windowEnd(VcpuTrack vcpu, Scene scene, Findings findings) {
    Window written = vcpu.written();
    shortCounts(vcpu, findings);
    if (written.isEmpty()) {
      return;
    }
    deadline(written, findings);
    frequency(vcpu, written, findings);
    owners(vcpu, written, findings);
    regsAfterEvents(written, findings);
    extendedState(written, findings);
  }

  @Override
  public void run(Step step, Findings findings) {
    VcpuTrack vcpu = step.vcpu();
    Scene.Saved saved = step.scene().saved(vcpu.index());
    if (vcpu.hasRun()
        || !vcpu.written().isRestore()
        || saved == null
        || saved.vcpu().vm().equals(step.vm())) {
      return;
    }
    Call khz = saved.reads().last(Ioctl.GET_TSC_KHZ);
    Call own = vcpu.read().last(Ioctl.GET_TSC_KHZ);
    if (khz != null
        && !vcpu.written().has(Ioctl.SET_TSC_KHZ)
        && !step.vm().has(Ioctl.SET_TSC_KHZ)
        && (own == null || own.ret() != khz.ret())) {
      findings.add(
          R33,
          step.call().as("the restored vCPU runs"),
          "the TSC's frequency was read of " + saved.vcpu().name() + " and is not restored",
          khz.as(khz.ret() + " kHz"));
    }
  }

  private void shortCounts(VcpuTrack vcpu, Findings findings) {
    List<Call> calls = shorts.remove(vcpu.name());
    if (calls == null) {
      return;
    }
    for (Call call : calls) {
      if (call.unseen()) {
        findings.add(
            R44,
            Severity.WARNING,
            call.as("returns 0"),
            call.name()
                + " processes no entry: its first MSR is refused, unless it names none (which it"
                + " names was not recorded)");
        continue;
      }
      int msr = refused(call);
      boolean writes = call.ioctl() == Ioctl.SET_MSRS;
      MsrWrite later = (writes ? vcpu.written() : vcpu.read()).msr(msr);
      if (msr != -1 && later != null && later.after(call)) {
        continue;
      }
      int asked =
          call.command() instanceof VcpuCommand.SetMsrs s
              ? s.msrs().held()
              : call.command() instanceof VcpuCommand.GetMsrs g ? g.msrs().held() : 0;
      String what =
          msr == -1 ? "is refused (" + call.result() + ")" : "stops at " + MsrNames.of(msr);
      Call after = writes ? vcpu.written().lastAfter(Ioctl.SET_VCPU_EVENTS, call) : null;
      findings.add(
          R44,
          call.as("returns " + call.ret() + " of " + asked),
          call.name()
              + " "
              + what
              + ": "
              + Math.max(call.ret(), 0)
              + " of "
              + asked
              + " entries are processed",
          others(after, "the restore goes on"));
    }
  }

  private static void deadline(Window written, Findings findings) {
    MsrWrite deadline = written.msr(Msr.IA32_TSC_DEADLINE);
    Call lapic = written.last(Ioctl.SET_LAPIC);
    KvmLapicState state = written.lapic();
    boolean mode = state == null || SaveRules.isDeadline(state);
    if (deadline != null && deadline.value() != 0 && mode) {
      if (lapic != null && lapic.moment() > deadline.call().moment()) {
        findings.add(
            R31,
            lapic.as("drops the deadline"),
            "KVM_SET_LAPIC comes after the KVM_SET_MSRS that holds IA32_TSC_DEADLINE: the timer is"
                + " lost",
            deadline.call().as("IA32_TSC_DEADLINE = " + hex(deadline.value())));
      }
      MsrWrite tsc = written.msr(Msr.IA32_TSC);
      if (tsc != null && tsc.after(deadline)) {
        findings.add(
            R32,
            tsc.call().as("IA32_TSC comes after"),
            "IA32_TSC is written after IA32_TSC_DEADLINE, which was taken against the old TSC",
            deadline.call().as("IA32_TSC_DEADLINE = " + hex(deadline.value())));
      }
    } else if (deadline == null && written.msrsUnseen() && written.isRestore()) {
      Call msrs = written.last(Ioctl.SET_MSRS);
      if (msrs != null && lapic != null && lapic.moment() > msrs.moment() && mode) {
        findings.add(
            R31,
            Severity.WARNING,
            lapic.as("clears a deadline"),
            "KVM_SET_LAPIC comes after every KVM_SET_MSRS: if one holds IA32_TSC_DEADLINE, the"
                + " timer is lost",
            msrs.as("the last"));
      }
      findings.cannotTell(R32, UNSEEN_MSRS);
    }
  }

  private static void frequency(VcpuTrack vcpu, Window written, Findings findings) {
    Call khz = written.last(Ioctl.SET_TSC_KHZ);
    if (khz == null) {
      return;
    }
    for (int index : new int[] {Msr.IA32_TSC, Msr.IA32_TSC_DEADLINE}) {
      MsrWrite msr = written.msr(index);
      if (msr != null && msr.value() != 0 && msr.call().moment() < khz.moment()) {
        findings.add(
            R33,
            khz.as("changes the frequency"),
            "KVM_SET_TSC_KHZ comes after " + MsrNames.of(index) + " was written",
            msr.call().as("written at the old frequency"));
        return;
      }
    }
    Call msrs = written.last(Ioctl.SET_MSRS);
    Call offset = written.last(Ioctl.SET_DEVICE_ATTR);
    Call early =
        msrs != null && written.msrsUnseen() && written.isRestore() && msrs.moment() < khz.moment()
            ? msrs
            : offset != null && offset.moment() < khz.moment() ? offset : null;
    if (early != null && !vcpu.hasRun()) {
      findings.add(
          R33,
          khz.as("changes the frequency"),
          "KVM_SET_TSC_KHZ comes after " + early.name(),
          early.as("at the old frequency"));
    }
  }

  private static void owners(VcpuTrack vcpu, Window written, Findings findings) {
    MsrWrite base = written.msr(Msr.IA32_APIC_BASE);
    Call lapic = written.last(Ioctl.SET_LAPIC);
    if (base != null && lapic != null && base.after(lapic)) {
      findings.add(
          R34,
          base.call().as("IA32_APIC_BASE = 0x" + hex(base.value())),
          "IA32_APIC_BASE is written as an MSR after KVM_SET_LAPIC",
          lapic.as("the local APIC"));
    }
    if (!written.isRestore()) {
      return;
    }
    List<MsrWrite> tsc = written.tscWrites().stream().filter(w -> w.value() != 0).toList();
    if (tsc.size() > 1) {
      findings.add(
          R34,
          tsc.getLast().call().as("again"),
          "IA32_TSC is written " + tsc.size() + " times in one restore",
          tsc.getFirst().call().as("first"));
    }
    Call offset = TscOffsets.set(written);
    boolean copied = vcpu.vm().vcpus().size() > 1 && vcpu.vm().isOffsetRead();
    if (!tsc.isEmpty() && offset != null && !copied) {
      findings.add(
          R34,
          offset.as("the offset"),
          "the TSC is restored through the MSR and through its offset",
          tsc.getLast().call().as("IA32_TSC"));
    }
  }

  private static void regsAfterEvents(Window written, Findings findings) {
    Call events = written.last(Ioctl.SET_VCPU_EVENTS);
    Call regs = written.last(Ioctl.SET_REGS);
    if (events == null || regs == null || regs.moment() < events.moment()) {
      return;
    }
    KvmVcpuEvents given = Window.eventsOf(events);
    if (given == null) {
      findings.add(
          R40,
          Severity.WARNING,
          regs.as("forgets a pending exception"),
          "KVM_SET_REGS comes after KVM_SET_VCPU_EVENTS: a pending exception would be lost",
          events.as("the events"));
    } else if (given.exceptionPending() != 0
        && (given.flags() & VcpuEventFlags.KVM_VCPUEVENT_VALID_PAYLOAD) != 0) {
      findings.add(
          R40,
          regs.as("forgets a pending exception"),
          "KVM_SET_REGS forgets the exception " + given.exceptionNr() + " that was pending",
          events.as("exception.pending"));
    }
  }

  private static void extendedState(Window written, Findings findings) {
    Call call = written.last(Ioctl.SET_XSAVE);
    if (call == null || !(call.command() instanceof VcpuCommand.SetXsave set)) {
      return;
    }
    long used = set.xsave().xstateBv();
    MsrWrite xfd = written.msr(MsrNames.XFD);
    if (xfd != null && (used & xfd.value()) != 0) {
      findings.add(
          R42,
          call.as("XSTATE_BV 0x" + hex(used)),
          "XSTATE_BV marks state components that IA32_XFD disables: 0x" + hex(used & xfd.value()),
          xfd.call().as("IA32_XFD = 0x" + hex(xfd.value())));
    }
  }
}
