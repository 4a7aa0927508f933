package dev.faultline.vcpu;

import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.x86.Msr;
import java.util.AbstractList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * KVM_GET_MSRS and KVM_SET_MSRS, and what other calls do to the MSRs.
 *
 * <p>Both go through their list in order and stop at the first entry that KVM refuses. They return
 * how many entries they did, so a refusal is no error.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, msr_io()}, v6.1.
 */
final class MsrRules {
  private static final int MAX_ENTRIES = 255;

  /** Special registers that are MSRs, too. */
  private static final FieldSet ALIASES =
      FieldSet.of(
          KvmSregs.LAYOUT.count(),
          SregsFields.EFER,
          SregsFields.APIC_BASE,
          SregsFields.FS_BASE,
          SregsFields.GS_BASE);

  private MsrRules() {}

  static Decision decide(Vcpu v, VcpuCommand.SetMsrs c) {
    KvmMsrs msrs = c.msrs();
    if (msrs.count() > MAX_ENTRIES) {
      return tooMany(c.moment(), Ioctl.SET_MSRS);
    }
    int entries = msrs.held();
    if (entries != msrs.count()) {
      return Decision.undecided(
          new TimelineEvent.MsrsSet(c.moment(), msrs, 0, false), "the entries of the list");
    }
    MsrList list = list(v, msrs);
    MsrWrites batch = new MsrWrites(v, msrs, list);
    for (int i : list.judged(msrs)) {
      MsrFate fate = batch.next(i);
      if (fate.accepted().isNo()) {
        return done(c, i, fate.check());
      }
      if (!fate.accepted().isKnown()) {
        return Decision.undecided(
            new TimelineEvent.MsrsSet(c.moment(), msrs, i, false), missing(msrs, i, fate));
      }
    }
    return done(c, entries, null);
  }

  private static Decision done(VcpuCommand.SetMsrs c, int processed, @Nullable MsrCheck stopped) {
    return Decision.of(
        new Outcome.Returns(processed, stopped),
        new TimelineEvent.MsrsSet(c.moment(), c.msrs(), processed, true));
  }

  private static Decision tooMany(int moment, Ioctl ioctl) {
    return Decision.of(
        new Outcome.Refused(Errno.E2BIG, MsrCheck.MSR_COUNT),
        new TimelineEvent.CallRefused(moment, ioctl, Errno.E2BIG, MsrCheck.MSR_COUNT));
  }

  private static String missing(KvmMsrs msrs, int entry, MsrFate fate) {
    return "entry " + entry + ", " + Msr.name(msrs.index(entry)) + ": " + fate.missing();
  }

  /**
   * The check that stops KVM_SET_MSRS at this entry, after KVM accepted those before it; null if
   * none certainly does.
   */
  static @Nullable MsrCheck refusal(Vcpu v, KvmMsrs msrs, int entry) {
    MsrWrites batch = new MsrWrites(v, msrs, list(v, msrs));
    for (int i = 0; i < entry; i++) {
      batch.next(i);
    }
    return batch.next(entry).check();
  }

  /** The check that stops KVM_GET_MSRS at an entry; null if none certainly does. */
  static @Nullable MsrCheck unreadable(Vcpu v, KvmMsrs msrs, int entry) {
    MsrReader reader = new MsrReader(v);
    reader.read(msrs.index(entry));
    return reader.fate().check();
  }

  private static MsrList list(Vcpu v, KvmMsrs msrs) {
    return v.platform().msrs().layout().list(msrs, v);
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.MsrsSet e) {
    KvmMsrs msrs = e.msrs();
    MsrStore store = new MsrStore(v, msrs, list(v, msrs), e.moment());
    int entries = msrs.held();
    int done = Math.min(e.processed(), entries);
    store.apply(done);
    for (int i = done; !e.certain() && i < entries; i++) {
      store.doubt(i);
    }
    return store.done();
  }

  /** A KVM_SET_MSRS of an unknown list, or one that contradicts the model: anything may be set. */
  static Vcpu doubt(Vcpu v, int moment) {
    MsrState msrs = v.platform().msrs();
    MsrState.Edit edit = msrs.edit();
    for (int at = 0; at < msrs.size(); at++) {
      switch (MsrKind.of(msrs.indexAt(at))) {
        case MCG_CAP -> {
          // Not writable.
        }
        case VMX, ARCH_CAPABILITIES, PERF_CAPABILITIES ->
            edit.write(msrs.indexAt(at), msrs.valueAt(at), false, moment);
        default -> edit.forgetAt(at, moment);
      }
    }
    // Whether the guest's clock page is registered hangs on these, also if none was seen written.
    edit.write(Msr.KVM_SYSTEM_TIME, 0, false, moment);
    edit.write(Msr.KVM_SYSTEM_TIME_NEW, 0, false, moment);
    Tracked sregs = v.registers().sregs().forget(ALIASES, moment);
    Vcpu next =
        v.withPlatform(v.platform().withMsrs(edit.done()))
            .withRegisters(v.registers().withSregs(sregs));
    Nested.Mode mode = v.nested().mode();
    boolean outside = mode.vmxonAnywhere().isNo() && mode.guestMode().isNo();
    // Zero in IA32_FEATURE_CONTROL ends nested operation.
    return outside
        ? next
        : NestedRules.maybeLeave(next, moment)
            .withNested(next.nested().withMode(Nested.Mode.UNKNOWN));
  }

  /** A recorded read contradicts what was known of these entries. */
  static Vcpu doubt(Vcpu v, Reply.Msrs reply, FieldSet fields) {
    MsrState.Edit edit = v.platform().msrs().edit();
    Tracked sregs = v.registers().sregs();
    for (int f = fields.next(0); f >= 0 && f < reply.read(); f = fields.next(f + 1)) {
      int index = reply.index(f);
      switch (MsrKind.of(index)) {
        case EFER, APIC_BASE, SEGMENT_BASE ->
            sregs = sregs.doubt(FieldSet.of(sregs.layout().count(), MsrReader.sregsField(index)));
        case VMX -> edit.doubt(MsrVmx.source(index));
        default -> edit.doubt(index);
      }
    }
    return v.withPlatform(v.platform().withMsrs(edit.done()))
        .withRegisters(v.registers().withSregs(sregs));
  }

  static Decision decide(Vcpu v, VcpuCommand.GetMsrs c) {
    KvmMsrs msrs = c.msrs();
    if (msrs.count() > MAX_ENTRIES) {
      return tooMany(c.moment(), Ioctl.GET_MSRS);
    }
    int entries = msrs.held();
    if (entries != msrs.count()) {
      return new Decision(new Outcome.Undecided("the entries of the list"), List.of(), null);
    }
    Shown shown = new Shown(msrs, entries);
    MsrReader reader = new MsrReader(v);
    for (int i = 0; i < entries; i++) {
      reader.read(msrs.index(i));
      Answer readable = reader.fate().accepted();
      if (readable.isNo()) {
        return new Decision(
            new Outcome.Returns(i, reader.fate().check()), List.of(), shown.reply(i, true));
      }
      if (!readable.isKnown()) {
        return new Decision(
            new Outcome.Undecided(missing(msrs, i, reader.fate())),
            List.of(),
            shown.reply(i, false));
      }
      shown.values[i] = reader.value();
      shown.known[i] = reader.known();
    }
    return new Decision(new Outcome.Returns(entries), List.of(), shown.reply(entries, true));
  }

  /** Values of the entries that were read so far. */
  private static final class Shown {
    private final KvmMsrs msrs;
    private final long[] values;
    private final boolean[] known;

    private Shown(KvmMsrs msrs, int entries) {
      this.msrs = msrs;
      this.values = new long[entries];
      this.known = new boolean[entries];
    }

    private Reply.Msrs reply(int count, boolean whole) {
      return new Reply.Msrs(
          msrs,
          new View<>(count) {
            @Override
            public Long get(int i) {
              return values[i];
            }
          },
          new View<>(count) {
            @Override
            public Boolean get(int i) {
              return known[i];
            }
          },
          whole);
    }
  }

  /** A list that boxes its elements only when somebody looks. */
  private abstract static class View<T> extends AbstractList<T> {
    private final int count;

    private View(int count) {
      this.count = count;
    }

    @Override
    public int size() {
      return count;
    }
  }

  /** A recorded read: what was not known becomes known. */
  static Vcpu evolve(Vcpu v, TimelineEvent.MsrsRead e) {
    KvmMsrs msrs = e.msrs();
    MsrState before = v.platform().msrs();
    MsrState.Edit edit = null;
    Vcpu next = v;
    int count = Math.min(e.count(), msrs.held());
    for (int i = 0; i < count; i++) {
      int index = msrs.index(i);
      switch (MsrKind.of(index)) {
        case EFER, APIC_BASE, SEGMENT_BASE -> next = MsrStore.learnAlias(next, index, msrs.data(i));
        default -> {
          if (!before.knows(index) && lasts(index, msrs.data(i))) {
            edit = edit == null ? before.edit() : edit;
            edit.learn(index, msrs.data(i));
            int other = MsrStore.otherName(index);
            if (other >= 0 && !before.knows(other)) {
              edit.learn(other, msrs.data(i));
            }
          }
        }
      }
    }
    return edit == null ? next : next.withPlatform(next.platform().withMsrs(edit.done()));
  }

  /** Whether the next read shows the same value if nobody writes the MSR. */
  private static boolean lasts(int index, long data) {
    return switch (MsrKind.of(index)) {
      case TSC, X2APIC, ASYNC_PF_ACK, PRED_CMD, FLUSH_CMD, DROPPED, CONSTANT -> false;
      case TSC_DEADLINE -> data == 0;
      case HYPERV -> !MsrHyperv.changesByItself(index);
      case VMX -> MsrVmx.source(index) == index;
      default -> true;
    };
  }

  /**
   * What values read from a vCPU tell about the host, which all its vCPUs share.
   *
   * @param v the vCPU before the read
   */
  static Host learn(Host host, Vcpu v, KvmMsrs msrs, int count) {
    return MsrVmx.learn(host, v, msrs, Math.min(count, msrs.held()));
  }

  /** What entries that KVM_SET_MSRS accepted tell about the host. */
  static Host learnWritten(Host host, KvmMsrs msrs, int count) {
    return MsrVmx.learnWritten(host, msrs, Math.min(count, msrs.held()));
  }

  /** The MSRs of a vCPU that KVM_CREATE_VCPU just made, as far as they are certain. */
  static MsrState afterReset(Vm vm, int id) {
    return MsrReset.created(vm, id, Tracked.NOBODY);
  }

  /** The guest may have run: it may have written whatever a guest can write. */
  static MsrState afterGuestRan(MsrState s, int moment) {
    return forgetGuests(s, moment, true, false);
  }

  /**
   * The guest may have run.
   *
   * @param traced whether tracepoints show all that happened, SMIs among it, so that {@link
   *     #afterSmi} and {@link #afterRsm} are called for each
   */
  static MsrState afterGuestRan(Vcpu v, int moment, boolean traced) {
    boolean hyperv = !MsrHyperv.guestHasHyperv(v).isNo();
    return forgetGuests(v.platform().msrs(), moment, hyperv, traced);
  }

  private static MsrState forgetGuests(MsrState s, int moment, boolean hyperv, boolean smisTraced) {
    MsrState.Edit edit = null;
    for (int at = 0; at < s.size(); at++) {
      if (!s.knowsAt(at)) {
        continue;
      }
      int index = s.indexAt(at);
      boolean bySmi = index == Msr.IA32_SMBASE || index == Msr.SMI_COUNT;
      if (bySmi ? !smisTraced : MsrReset.guestChanges(index, s.valueAt(at), hyperv)) {
        edit = edit == null ? s.edit() : edit;
        edit.forgetAt(at, moment);
      }
    }
    return edit == null ? s : edit.done();
  }

  /** KVM delivered an SMI: it counts them. */
  static MsrState afterSmi(MsrState s, int moment) {
    int at = s.position(Msr.SMI_COUNT);
    return at < 0
        ? s
        : s.edit().write(Msr.SMI_COUNT, s.valueAt(at) + 1, s.knowsAt(at), moment).done();
  }

  /** RSM loads the SMBASE that SMRAM holds. */
  static MsrState afterRsm(MsrState s, int moment) {
    int at = s.position(Msr.IA32_SMBASE);
    return at < 0 ? s : s.edit().forgetAt(at, moment).done();
  }

  /**
   * KVM_SET_CPUID2 was accepted.
   *
   * @param v the vCPU with the new table
   */
  static MsrState afterCpuid(Vcpu v, int moment) {
    MsrState.Edit edit = v.platform().msrs().edit();
    if (!v.kernel().isSvm()) {
      MsrVmx.afterCpuid(edit, v, moment);
    }
    MsrPmu.afterCpuid(edit, v, moment);
    // KVM switches TSX on or off with the guest's RTM where the CPU can.
    edit.write(MsrKind.IA32_TSX_CTRL, 0, false, moment);
    return edit.done();
  }

  /** KVM_X86_SETUP_MCE. */
  static Decision decide(VcpuCommand.SetupMce c) {
    TimelineEvent.MceSetUp done = new TimelineEvent.MceSetUp(c.moment(), c.mcgCap());
    MsrFate fate = MsrMachineCheck.judgeSetup(c.mcgCap());
    MsrCheck check = fate.check();
    if (check != null) {
      return Decision.of(
          new Outcome.Refused(Errno.EINVAL, check),
          new TimelineEvent.CallRefused(c.moment(), Ioctl.X86_SETUP_MCE, Errno.EINVAL, check));
    }
    return fate.accepted().isYes() ? Decision.done(done) : Decision.undecided(done, fate.missing());
  }

  /**
   * KVM_X86_SETUP_MCE was accepted.
   *
   * @param cap the new IA32_MCG_CAP, its argument
   */
  static MsrState afterMceSetup(MsrState s, long cap, int moment) {
    MsrState.Edit edit = s.edit();
    MsrMachineCheck.setup(edit, cap, moment);
    return edit.done();
  }

  /** KVM_X86_SET_MCE was accepted: an error may be in the banks. */
  static MsrState afterMce(MsrState s, int moment) {
    MsrState.Edit edit = s.edit();
    for (int at = 0; at < s.size(); at++) {
      int index = s.indexAt(at);
      if (MsrKind.of(index) == MsrKind.MC_BANK || index == Msr.IA32_MCG_STATUS) {
        edit.forgetAt(at, moment);
      }
    }
    return edit.done();
  }
}
