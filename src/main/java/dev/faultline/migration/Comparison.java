package dev.faultline.migration;

import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.KvmXsave;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Nested;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vcpu.Completion;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;

/**
 * What is different between a vCPU that stayed and one that was migrated.
 *
 * <p>A field of which nobody knows the value is no difference if the plan carries it: both have the
 * value that the guest or the kernel gave it, whatever that is. Who wrote it last tells.
 */
final class Comparison {
  private static final StructLayout EVENTS = KvmVcpuEvents.LAYOUT;
  private static final int INJECTED = EVENTS.indexOf("exception.injected");
  private static final int PENDING = EVENTS.indexOf("exception.pending");
  private static final int NR = EVENTS.indexOf("exception.nr");
  private static final int HAS_PAYLOAD = EVENTS.indexOf("exception_has_payload");
  private static final int PAYLOAD = EVENTS.indexOf("exception_payload");
  private static final int ERROR_CODE = EVENTS.indexOf("exception.error_code");
  private static final int HAS_ERROR_CODE = EVENTS.indexOf("exception.has_error_code");
  private static final int INTERRUPT = EVENTS.indexOf("interrupt.injected");
  private static final int INTERRUPT_NR = EVENTS.indexOf("interrupt.nr");
  private static final int INTERRUPT_SOFT = EVENTS.indexOf("interrupt.soft");
  private static final int SMI_PENDING = EVENTS.indexOf("smi.pending");
  private static final int SMM = EVENTS.indexOf("smi.smm");
  private static final int SMM_INSIDE_NMI = EVENTS.indexOf("smi.smm_inside_nmi");
  private static final int LATCHED_INIT = EVENTS.indexOf("smi.latched_init");

  /** Fields of the queue that mean something whatever the others say. */
  private static final int[] ALWAYS = {
    EVENTS.indexOf("interrupt.shadow"),
    EVENTS.indexOf("nmi.injected"),
    EVENTS.indexOf("nmi.pending"),
    EVENTS.indexOf("nmi.masked"),
    SMM,
    EVENTS.indexOf("triple_fault.pending")
  };

  private static final int NESTED_SIZE = KvmNestedState.HEADER_LAYOUT.indexOf("size");
  private static final int TSX_CTRL = 0x122;
  private static final int HV_TSC_FREQUENCY = 0x4000_0022;
  private static final int HV_APIC_FREQUENCY = 0x4000_0023;
  private static final int CR8 = KvmSregs.LAYOUT.indexOf("cr8");
  private static final int TPR = KvmLapicState.LAYOUT.indexOf("tpr");
  private static final int BREAKPOINT = 3;
  private static final int OVERFLOW = 4;
  private static final int MAX_CPUID = 256;

  private static final List<Ioctl> REGS = List.of(Ioctl.SET_REGS, Ioctl.SET_NESTED_STATE);
  private static final List<Ioctl> SREGS =
      List.of(
          Ioctl.SET_SREGS,
          Ioctl.SET_SREGS2,
          Ioctl.SET_NESTED_STATE,
          Ioctl.SET_LAPIC,
          Ioctl.SET_MSRS);
  private static final List<Ioctl> QUEUE =
      List.of(Ioctl.SET_VCPU_EVENTS, Ioctl.SET_SREGS, Ioctl.SET_NESTED_STATE);
  private static final List<Ioctl> LAPIC = List.of(Ioctl.SET_LAPIC);

  /** CR8 is another name of it. */
  private static final List<Ioctl> LAPIC_TPR =
      List.of(Ioctl.SET_LAPIC, Ioctl.SET_SREGS, Ioctl.SET_SREGS2);

  private static final List<Ioctl> XSAVE_CARRIERS = List.of(Ioctl.SET_XSAVE, Ioctl.SET_FPU);

  /** The interrupt in the special registers is the one in the queue. */
  private static final FieldSet SREGS_COMPARED =
      KvmSregs.LAYOUT
          .values()
          .minus(
              KvmSregs.LAYOUT.of(
                  "interrupt_bitmap[0]",
                  "interrupt_bitmap[1]",
                  "interrupt_bitmap[2]",
                  "interrupt_bitmap[3]"));

  private static final FieldSet XSAVE_COMPARED = xsaveCompared();

  /** All but what KVM fills in by itself: the mask of MXCSR, and what is reserved for software. */
  private static FieldSet xsaveCompared() {
    FieldSet compared = KvmXsave.LAYOUT.values();
    for (int f = 0; f < KvmXsave.LAYOUT.count(); f++) {
      int at = KvmXsave.LAYOUT.field(f).offset();
      if ((at >= 28 && at < 32) || (at >= 464 && at < 512)) {
        compared = compared.without(f);
      }
    }
    return compared;
  }

  /** Counts down by itself, or follows from the rest. */
  private static final FieldSet LAPIC_MOVES = KvmLapicState.LAYOUT.of("tmcct", "ppr", "version");

  private final Vcpu stayed;
  private final Vcpu migrated;
  private final Arrival arrival;
  private final IntPredicate byCpuid;
  private final List<Difference> found = new ArrayList<>();
  private final List<Integer> suspects = new ArrayList<>();

  private Comparison(Vcpu stayed, Vcpu migrated, Arrival arrival, IntPredicate byCpuid) {
    this.stayed = stayed;
    this.migrated = migrated;
    this.arrival = arrival;
    this.byCpuid = byCpuid;
  }

  /**
   * The differences, the certain ones first.
   *
   * @param byCpuid whether KVM_SET_CPUID2 wrote at this moment of the timeline
   */
  static List<Difference> of(Vcpu stayed, Vcpu migrated, Arrival arrival, IntPredicate byCpuid) {
    Comparison c = new Comparison(stayed, migrated, arrival, byCpuid);
    c.nested();
    c.queue();
    c.registers();
    c.lapic();
    c.msrs();
    c.cpuid();
    c.progress();
    List<Difference> sorted = new ArrayList<>();
    c.found.stream().filter(Difference::certain).forEach(sorted::add);
    c.found.stream().filter(d -> !d.certain()).forEach(sorted::add);
    return List.copyOf(sorted);
  }

  private void registers() {
    Vcpu.Registers s = stayed.registers();
    Vcpu.Registers m = migrated.registers();
    fields("regs.", s.regs(), m.regs(), REGS);
    fields("sregs.", s.sregs(), m.sregs(), SREGS, SREGS_COMPARED);
    fields("debugregs.", s.debugregs(), m.debugregs(), List.of(Ioctl.SET_DEBUGREGS));
    fields("", s.xcrs(), m.xcrs(), List.of(Ioctl.SET_XCRS));
    xsave(s.xsave(), m.xsave());
    Tracked before = stayed.platform().mpState();
    Tracked after = migrated.platform().mpState();
    fields("", before, after, List.of(Ioctl.SET_MP_STATE, Ioctl.SET_SREGS));
  }

  /** XSAVE areas are the same if KVM shows the same of them. */
  private void xsave(Tracked s, Tracked m) {
    if (s.knowsEverything() && !s.bytes().equals(m.bytes())) {
      Reply one = VcpuModel.decide(stayed, new VcpuCommand.GetXsave(0, false)).reply();
      if (one instanceof Reply.Struct r && sameXsave(r, m)) {
        return;
      }
    } else if (s.knowsEverything()) {
      return;
    }
    fields("xsave.", s, m, XSAVE_CARRIERS, XSAVE_COMPARED);
  }

  private static boolean sameXsave(Reply.Struct shown, Tracked m) {
    FieldSet compared = shown.knownFields().intersect(XSAVE_COMPARED);
    return compared.minus(m.known()).isEmpty()
        && !shown.layout().differing(shown.bytes(), m.bytes()).meets(compared);
  }

  private void fields(String prefix, Tracked s, Tracked m, List<Ioctl> carriers) {
    fields(prefix, s, m, carriers, s.layout().values());
  }

  @SuppressWarnings("ReferenceEquality") // The very same value has no differences.
  private void fields(String prefix, Tracked s, Tracked m, List<Ioctl> carriers, FieldSet values) {
    if (s == m) {
      return;
    }
    StructLayout layout = s.layout();
    FieldSet differing = layout.differing(s.bytes(), m.bytes());
    FieldSet both = s.known().intersect(m.known());
    FieldSet lost = differing.intersect(both).intersect(values);
    for (int f = lost.next(0); f >= 0; f = lost.next(f + 1)) {
      found.add(Difference.lost(prefix + layout.field(f).name(), s.value(f), m.value(f)));
    }
    FieldSet open = values.minus(both);
    for (int f = open.next(0); f >= 0; f = open.next(f + 1)) {
      open(prefix + layout.field(f).name(), s, m, f, carriers);
    }
  }

  private void open(String name, Tracked s, Tracked m, int field, List<Ioctl> carriers) {
    if (!carried(s, m, field, carriers)) {
      found.add(
          Difference.open(
              name,
              Difference.Value.of(s.knows(field), s.value(field)),
              Difference.Value.of(m.knows(field), m.value(field))));
    }
  }

  /** Whether a field that neither side knows has the value on both that it had on the source. */
  private boolean carried(Tracked s, Tracked m, int field, List<Ioctl> carriers) {
    if (s.knows(field) || m.knows(field)) {
      return false;
    }
    int writer = m.writer(field);
    return arrival.wroteBy(writer, carriers)
        || (writer >= 0 && writer < Arrival.BASE - 1 && writer == s.writer(field));
  }

  private void lapic() {
    if (stayed.vm().irqchip().lapicInKernel().isNo()) {
      return;
    }
    Tracked s = stayed.platform().lapic();
    Tracked m = migrated.platform().lapic();
    StructLayout layout = s.layout();
    FieldSet compared = layout.values().minus(LAPIC_MOVES);
    for (int f = compared.next(0); f >= 0; f = compared.next(f + 1)) {
      if (f != TPR || s.knows(f) || !sameCr8()) {
        compare("lapic.", s, m, f, f == TPR ? LAPIC_TPR : LAPIC);
      }
    }
  }

  /** CR8 shows the half of the task priority that a guest uses. */
  private boolean sameCr8() {
    Tracked s = stayed.registers().sregs();
    Tracked m = migrated.registers().sregs();
    return s.knows(CR8) && m.is(CR8, s.value(CR8)).isYes();
  }

  private void compare(String prefix, Tracked s, Tracked m, int f, List<Ioctl> carriers) {
    if (s.knows(f) && m.knows(f)) {
      if (s.value(f) != m.value(f)) {
        found.add(Difference.lost(prefix + s.layout().field(f).name(), s.value(f), m.value(f)));
      }
    } else {
      open(prefix + s.layout().field(f).name(), s, m, f, carriers);
    }
  }

  /** What is queued for injection. A software interrupt or exception is executed once more. */
  private void queue() {
    Tracked s = stayed.events();
    Tracked m = migrated.events();
    for (int f : ALWAYS) {
      compare("events.", s, m, f, QUEUE);
    }
    smi(s, m);
    exception(s, m);
    Answer external = s.is(INTERRUPT, 0).not().and(s.is(INTERRUPT_SOFT, 0));
    if (external.isYes() || m.is(INTERRUPT, 0).isNo()) {
      compare("events.", s, m, INTERRUPT, QUEUE);
      compare("events.", s, m, INTERRUPT_NR, QUEUE);
    } else if (!external.isKnown()) {
      open("events.interrupt.injected", s, m, INTERRUPT, QUEUE);
    }
  }

  private void smi(Tracked s, Tracked m) {
    Answer before = s.is(SMI_PENDING, 0).not().or(stayed.progress().smiRequested());
    Answer after = m.is(SMI_PENDING, 0).not().or(migrated.progress().smiRequested());
    answer("events.smi.pending", before, after, carried(s, m, SMI_PENDING, QUEUE));
    if (!s.is(SMM, 0).isYes()) {
      compare("events.", s, m, SMM_INSIDE_NMI, QUEUE);
    }
    if (!stayed.vm().irqchip().lapicInKernel().isNo()) {
      compare("events.", s, m, LATCHED_INIT, QUEUE);
    }
  }

  private void exception(Tracked s, Tracked m) {
    boolean none = s.is(INJECTED, 0).isYes() && s.is(PENDING, 0).isYes();
    boolean arrivedNone = m.is(INJECTED, 0).isYes() && m.is(PENDING, 0).isYes();
    if (none && arrivedNone) {
      return;
    }
    boolean soft =
        s.knows(NR) && (s.value(NR) == BREAKPOINT || s.value(NR) == OVERFLOW) && arrivedNone;
    if (soft) {
      return;
    }
    compare("events.", s, m, INJECTED, QUEUE);
    compare("events.", s, m, PENDING, QUEUE);
    compare("events.", s, m, NR, QUEUE);
    compare("events.", s, m, HAS_ERROR_CODE, QUEUE);
    if (!s.is(HAS_ERROR_CODE, 0).isYes()) {
      compare("events.", s, m, ERROR_CODE, QUEUE);
    }
    if (!s.is(PENDING, 0).isYes()) {
      compare("events.", s, m, HAS_PAYLOAD, QUEUE);
      if (!s.is(HAS_PAYLOAD, 0).isYes()) {
        compare("events.", s, m, PAYLOAD, QUEUE);
      }
    }
  }

  private void answer(String name, Answer before, Answer after, boolean carried) {
    if (before.isKnown() && after.isKnown()) {
      if (before != after) {
        found.add(Difference.lost(name, before.isYes() ? 1 : 0, after.isYes() ? 1 : 0));
      }
    } else if (!carried || before.isKnown() != after.isKnown()) {
      found.add(
          Difference.open(
              name,
              Difference.Value.of(before.isKnown(), before.isYes() ? 1 : 0),
              Difference.Value.of(after.isKnown(), after.isYes() ? 1 : 0)));
    }
  }

  private void nested() {
    Nested.Mode s = stayed.nested().mode();
    Nested.Mode m = migrated.nested().mode();
    boolean carried = arrival.carriedOut(Ioctl.SET_NESTED_STATE);
    int before = found.size();
    answer("nested.guest_mode", s.guestMode(), m.guestMode(), carried);
    if (stayed.kernel().isSvm()) {
      answer("nested.gif", stayed.nested().svm().gif(), migrated.nested().svm().gif(), carried);
    } else {
      answer("nested.vmxon", s.vmxon(), m.vmxon(), carried);
      answer("nested.smm.vmxon", s.smmVmxon(), m.smmVmxon(), carried);
      if (!s.smmVmxon().isNo()) {
        answer("nested.smm.guest_mode", s.smmGuestMode(), m.smmGuestMode(), carried);
      }
    }
    if (found.size() > before) {
      // Without it there is nothing whose details could be compared.
      return;
    }
    if (!s.guestMode().isNo()) {
      answer("nested.run_pending", s.runPending(), m.runPending(), carried);
      answer("nested.mtf_pending", s.mtfPending(), m.mtfPending(), carried);
    }
    boolean on = stayed.kernel().isSvm() ? !s.guestMode().isNo() : !s.vmxonAnywhere().isNo();
    if (on) {
      nestedFields(carried);
    }
  }

  private void nestedFields(boolean carried) {
    List<Reply.Struct> s = parts(stayed);
    List<Reply.Struct> m = parts(migrated);
    for (int i = 0; i < Math.min(s.size(), m.size()); i++) {
      Reply.Struct one = s.get(i);
      Reply.Struct other = m.get(i);
      if (!one.layout().equals(other.layout())) {
        return;
      }
      FieldSet values = one.layout().values();
      for (int f = values.next(0); f >= 0; f = values.next(f + 1)) {
        nestedField(i, one, other, f, carried);
      }
    }
    if (s.size() != m.size() && sized(s) && sized(m)) {
      found.add(Difference.lost("nested.size", s.size(), m.size()));
    }
  }

  @SuppressWarnings("ReferenceEquality") // There is one layout of each header.
  private static boolean sized(List<Reply.Struct> parts) {
    return !parts.isEmpty()
        && (parts.getFirst().layout() != KvmNestedState.HEADER_LAYOUT
            || parts.getFirst().known(NESTED_SIZE));
  }

  private void nestedField(int part, Reply.Struct one, Reply.Struct other, int f, boolean carried) {
    String name = (part == 0 ? "nested." : one.prefix()) + one.layout().field(f).name();
    boolean known = one.known(f);
    boolean arrived = other.known(f);
    if (known && arrived) {
      if (one.predicted(f) != other.predicted(f)) {
        found.add(Difference.lost(name, one.predicted(f), other.predicted(f)));
      }
    } else if (!carried || known) {
      found.add(
          Difference.open(
              name,
              Difference.Value.of(known, known ? one.predicted(f) : 0),
              Difference.Value.of(arrived, arrived ? other.predicted(f) : 0)));
    }
  }

  private static List<Reply.Struct> parts(Vcpu v) {
    Decision d =
        VcpuModel.decide(v, new VcpuCommand.GetNestedState(0, KvmNestedState.VMX_SIZE_WITH_SHADOW));
    return d.reply() instanceof Reply.Parts p ? p.parts() : List.of();
  }

  /** MSRs by index, of both sides. */
  @SuppressWarnings("ReferenceEquality") // The very same MSRs have no differences.
  private void msrs() {
    MsrState s = stayed.platform().msrs();
    MsrState m = migrated.platform().msrs();
    int i = 0;
    int j = 0;
    while (s != m && (i < s.size() || j < m.size())) {
      int order =
          i == s.size()
              ? 1
              : j == m.size() ? -1 : Integer.compareUnsigned(s.indexAt(i), m.indexAt(j));
      if (order == 0) {
        if (!s.knowsAt(i) || !m.knowsAt(j) || s.valueAt(i) != m.valueAt(j)) {
          msr(s.indexAt(i), s, i, m, j);
        }
      } else if (order < 0 && s.knowsAt(i)) {
        msr(s.indexAt(i), s, i, m, -1);
      }
      i += order <= 0 ? 1 : 0;
      j += order >= 0 ? 1 : 0;
    }
    suspects();
    clocks();
  }

  /** MSRs of which one side keeps no value: what KVM shows of them decides. */
  private void suspects() {
    if (suspects.isEmpty()) {
      return;
    }
    List<Long> before = shown(stayed);
    List<Long> after = shown(migrated);
    for (int i = 0; i < suspects.size(); i++) {
      Long one = before.get(i);
      Long other = after.get(i);
      String name = "msr." + Msr.name(suspects.get(i));
      if (one != null && other != null) {
        if (!one.equals(other)) {
          found.add(Difference.lost(name, one, other));
        }
      } else {
        found.add(
            Difference.open(
                name,
                Difference.Value.of(one != null, one == null ? 0 : one),
                Difference.Value.of(other != null, other == null ? 0 : other)));
      }
    }
  }

  private List<Long> shown(Vcpu v) {
    List<Long> values = new ArrayList<>();
    for (int index : suspects) {
      Reply reply = VcpuModel.decide(v, new VcpuCommand.GetMsrs(0, KvmMsrs.of(index, 0))).reply();
      boolean known = reply instanceof Reply.Msrs m && m.read() == 1 && m.certain().get(0);
      values.add(known && reply instanceof Reply.Msrs m ? m.values().get(0) : null);
    }
    return values;
  }

  /** What counts while nobody looks: no recording holds it, but what is not carried starts anew. */
  private void clocks() {
    Answer entered = stayed.progress().entered();
    if (!arrival.carriedOut(Ioctl.SET_DEVICE_ATTR) && !arrival.tscWritten() && !entered.isNo()) {
      found.add(unseen("msr.IA32_TSC", entered.isYes()));
    }
    MsrState s = stayed.platform().msrs();
    int time = Msr.KVM_SYSTEM_TIME_NEW;
    boolean off = s.knows(time) && (s.value(time) & 1) == 0;
    if (!arrival.carriedOut(Ioctl.SET_CLOCK) && !entered.isNo() && !off) {
      found.add(unseen("kvmclock", entered.isYes() && s.knows(time)));
    }
  }

  private static Difference unseen(String field, boolean certain) {
    return new Difference(field, certain, Difference.Value.UNKNOWN, Difference.Value.UNKNOWN);
  }

  private void msr(int index, MsrState s, int i, MsrState m, int j) {
    boolean known = s.knowsAt(i);
    boolean arrived = j >= 0 && m.knowsAt(j);
    String name = "msr." + Msr.name(index);
    if (known && arrived) {
      found.add(Difference.lost(name, s.valueAt(i), m.valueAt(j)));
      return;
    }
    if (!known && !arrived && j >= 0 && carriedMsr(index, s.writerAt(i), m.writerAt(j))) {
      return;
    }
    if (!known && !exists(index)) {
      return;
    }
    if (known) {
      suspects.add(index);
      return;
    }
    found.add(
        Difference.open(
            name,
            Difference.Value.UNKNOWN,
            Difference.Value.of(arrived, arrived ? m.valueAt(j) : 0)));
  }

  private boolean carriedMsr(int index, int before, int after) {
    boolean never = before < 0 && after < 0;
    if (arrival.carriedMsrs().contains(index) || (never && (isFixed(index) || !entered()))) {
      return true;
    }
    // What follows from the CPUID table is the same on both.
    return (before >= 0 && before == after)
        || (arrival.wroteBy(after, List.of(Ioctl.SET_CPUID2))
            && byCpuid.test(before)
            && (index != TSX_CTRL || !exists(index) || !entered()));
  }

  /** Whether it is the host's, and no guest can change it. */
  private static boolean isFixed(int index) {
    return Msr.isVmxCapability(index)
        || index == Msr.IA32_ARCH_CAPABILITIES
        || index == Msr.IA32_PERF_CAPABILITIES
        || index == HV_TSC_FREQUENCY
        || index == HV_APIC_FREQUENCY;
  }

  /** KVM lists the MSRs that it has, but for MTRRs and machine-check banks. */
  private boolean exists(int index) {
    return !Indexes.isListed(index) || !stayed.vm().host().listsMsr(index).isNo();
  }

  private boolean entered() {
    return !stayed.progress().entered().isNo();
  }

  private void cpuid() {
    KvmCpuid2 s = stayed.platform().cpuid();
    KvmCpuid2 m = migrated.platform().cpuid();
    boolean neither = stayed.platform().cpuidSet().isNo() && migrated.platform().cpuidSet().isNo();
    if (neither || (s != null && s.equals(m))) {
      return;
    }
    if (s == null || (m == null && !migrated.platform().cpuidSet().isNo())) {
      found.add(Difference.open("cpuid", Difference.Value.UNKNOWN, Difference.Value.UNKNOWN));
      return;
    }
    Decision one = VcpuModel.decide(stayed, new VcpuCommand.GetCpuid2(0, MAX_CPUID));
    Decision other = VcpuModel.decide(migrated, new VcpuCommand.GetCpuid2(0, MAX_CPUID));
    if (one.outcome() instanceof Outcome.Returns
        && one.reply() instanceof Reply.Cpuid a
        && other.reply() instanceof Reply.Cpuid b
        && !a.table().equals(b.table())) {
      found.add(Difference.lost("cpuid", a.table().count(), b.table().count()));
    }
  }

  private void progress() {
    Completion s = stayed.progress().completion();
    Completion m = migrated.progress().completion();
    if (s == m) {
      return;
    }
    if (s == Completion.UNKNOWN || m == Completion.UNKNOWN) {
      found.add(
          Difference.open("run.completion", Difference.Value.UNKNOWN, Difference.Value.UNKNOWN));
    } else {
      found.add(Difference.lost("run.completion", s.ordinal(), m.ordinal()));
    }
  }
}
