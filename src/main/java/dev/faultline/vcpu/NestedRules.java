package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.Check;
import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.vmx.CheckResult;
import dev.faultline.vmx.EntryContext;
import dev.faultline.vmx.GuestLimits;
import dev.faultline.vmx.PinControls;
import dev.faultline.vmx.PrimaryControls;
import dev.faultline.vmx.SecondaryControls;
import dev.faultline.vmx.VmEntryChecks;
import dev.faultline.vmx.Vmcs12;
import dev.faultline.vmx.VmcsField;
import dev.faultline.vmx.VmxCapabilities;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE on VMX.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/vmx/nested.c, vmx_set_nested_state(),
 * vmx_get_nested_state(), vmx_leave_nested()}, v6.1.
 */
final class NestedRules {
  private static final int HEADER = KvmNestedState.HEADER_LAYOUT.size();

  /** The flags that the dispatcher of all vendors knows. */
  static final int ALL_FLAGS =
      NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE
          | NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING
          | NestedStateFlags.KVM_STATE_NESTED_EVMCS
          | NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING
          | NestedStateFlags.KVM_STATE_NESTED_GIF_SET;

  private static final int SMM_FLAGS =
      NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE
          | NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON;

  /** NVMX_VMENTRY_VMEXIT, which KVM_SET_NESTED_STATE returns as it is. */
  private static final int ENTRY_FAILED = 2;

  private NestedRules() {}

  /** Builds a decision step by step, as the kernel walks through the call. */
  private static final class Walk {
    private final int moment;
    private final List<TimelineEvent> events = new ArrayList<>(6);
    private @Nullable String missing;

    /** Whether all that is missing is what the checks of the vmcs12 need. */
    private boolean onlyVmcs12;

    private Walk(int moment) {
      this.moment = moment;
    }

    /** True when the check certainly fails; notes what is missing when nobody can tell. */
    boolean fails(Answer violated, String what) {
      if (!violated.isKnown() && missing == null) {
        missing = what;
      }
      return violated.isYes();
    }

    Decision refused(NestedStateCheck check) {
      return refused(check.errno(), check);
    }

    Decision refused(Errno errno, Check check) {
      events.add(new TimelineEvent.CallRefused(moment, Ioctl.SET_NESTED_STATE, errno, check));
      return finish(new Outcome.Refused(errno, check));
    }

    /**
     * The decision. Where it cannot be told whether vmcs12 passes its checks, the events are those
     * of a call that passes: a recorded 0 says that it did.
     */
    Decision finish(Outcome outcome) {
      if (missing == null) {
        return new Decision(outcome, List.copyOf(events), null);
      }
      if (outcome.equals(Outcome.ZERO) && onlyVmcs12) {
        return new Decision(new Outcome.Undecided(missing), List.copyOf(events), null);
      }
      return Decision.undecided(
          new TimelineEvent.CallDoubted(moment, Ioctl.SET_NESTED_STATE), missing);
    }
  }

  /**
   * Whether the vendor module has nested state at all: those of Intel and AMD have, whatever their
   * parameters.
   */
  private static boolean unsupported(Vcpu v) {
    MsrState extensions = v.vm().host().extensions();
    int number = KvmCap.KVM_CAP_NESTED_STATE.number();
    return extensions.knows(number) && extensions.value(number) <= 0;
  }

  static Decision set(Vcpu v, VcpuCommand.SetNestedState c) {
    if (unsupported(v)) {
      return DeviceRules.refused(
          c.moment(), Ioctl.SET_NESTED_STATE, Errno.EINVAL, NestedStateCheck.NESTED_UNSUPPORTED);
    }
    if (v.kernel().isSvm()) {
      return SvmNestedRules.set(v, c);
    }
    KvmNestedState s = c.state();
    Walk walk = new Walk(c.moment());
    if (!v.kernel().isVmx()) {
      walk.missing = "which vendor's nested state it is";
      return walk.finish(Outcome.ZERO);
    }
    NestedStateCheck failed = headerCheck(v, s, walk);
    if (failed != null) {
      return walk.refused(failed);
    }
    if (!v.nested().mode().vmxonAnywhere().isNo() || !v.inGuestMode().isNo()) {
      walk.events.add(new TimelineEvent.NestedLeft(c.moment()));
    }
    if (s.vmxonPa() == NestedFields.INVALID_GPA) {
      return walk.finish(Outcome.ZERO);
    }
    walk.events.add(new TimelineEvent.VmxonSet(c.moment(), s.vmxonPa()));
    boolean evmcs = (s.flags() & NestedStateFlags.KVM_STATE_NESTED_EVMCS) != 0;
    boolean guestMode = (s.flags() & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) != 0;
    boolean hasPointer = s.vmcs12Pa() != NestedFields.INVALID_GPA;
    if (s.sizeField() < HEADER + Vmcs12.SIZE_PACKED) {
      return guestMode || evmcs || hasPointer
          ? walk.refused(NestedStateCheck.NESTED_NO_VMCS12)
          : walk.finish(Outcome.ZERO);
    }
    if (hasPointer) {
      if (s.vmcs12Pa() == s.vmxonPa()
          || walk.fails(GuestCpuid.validPage(v, s.vmcs12Pa()).not(), "the guest's CPUID")) {
        return walk.refused(NestedStateCheck.NESTED_VMCS12_PA);
      }
      walk.events.add(new TimelineEvent.CurrentVmcsSet(c.moment(), s.vmcs12Pa()));
    } else if (!evmcs) {
      return walk.refused(NestedStateCheck.NESTED_VMCS12_PA_MISSING);
    }
    return loadVmcs12(v, s, walk, guestMode);
  }

  private static @Nullable NestedStateCheck headerCheck(Vcpu v, KvmNestedState s, Walk walk) {
    int flags = s.flags();
    if (s.sizeField() < HEADER) {
      return NestedStateCheck.NESTED_SIZE;
    }
    if ((flags & ~ALL_FLAGS) != 0) {
      return NestedStateCheck.NESTED_FLAGS;
    }
    boolean guestMode = (flags & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) != 0;
    boolean runPending = (flags & NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING) != 0;
    if (runPending && !guestMode) {
      return NestedStateCheck.NESTED_RUN_PENDING_ALONE;
    }
    if (s.format() != NestedStateFlags.KVM_STATE_NESTED_FORMAT_VMX) {
      return NestedStateCheck.NESTED_FORMAT;
    }
    NestedStateCheck failed = addressCheck(v, s, walk);
    return failed != null ? failed : smmCheck(v, s, walk);
  }

  /** Whether the guest may use VMX. */
  private static Answer allowed(Vcpu v) {
    return v.kernel().nested().and(GuestCpuid.vmx(v));
  }

  private static @Nullable NestedStateCheck addressCheck(Vcpu v, KvmNestedState s, Walk walk) {
    if (s.vmxonPa() == NestedFields.INVALID_GPA) {
      if (s.smmFlags() != 0) {
        return NestedStateCheck.NESTED_OFF_SMM_FLAGS;
      }
      if (s.vmcs12Pa() != NestedFields.INVALID_GPA) {
        return NestedStateCheck.NESTED_OFF_VMCS12_PA;
      }
      return (s.flags() & ~NestedStateFlags.KVM_STATE_NESTED_EVMCS) != 0
          ? NestedStateCheck.NESTED_OFF_FLAGS
          : null;
    }
    if (walk.fails(allowed(v).not(), "the guest's CPUID")) {
      return NestedStateCheck.NESTED_NOT_ALLOWED;
    }
    return walk.fails(GuestCpuid.validPage(v, s.vmxonPa()).not(), "the guest's CPUID")
        ? NestedStateCheck.NESTED_VMXON_PA
        : null;
  }

  private static @Nullable NestedStateCheck smmCheck(Vcpu v, KvmNestedState s, Walk walk) {
    int flags = s.flags();
    int smmFlags = s.smmFlags();
    boolean guestMode = (flags & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) != 0;
    boolean smmGuest = (smmFlags & NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE) != 0;
    if (smmGuest && guestMode) {
      return NestedStateCheck.NESTED_SMM_AND_GUEST_MODE;
    }
    if ((smmFlags & ~SMM_FLAGS) != 0) {
      return NestedStateCheck.NESTED_SMM_FLAGS;
    }
    if ((s.vmxFlags() & ~NestedStateFlags.KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE) != 0) {
      return NestedStateCheck.NESTED_VMX_FLAGS;
    }
    boolean running =
        (flags
                & (NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE
                    | NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING))
            != 0;
    Answer wrong =
        Answer.of(running).and(v.inSmm()).or(Answer.of(smmFlags != 0).and(v.inSmm().not()));
    if (walk.fails(wrong, "whether the vCPU is in SMM")) {
      return NestedStateCheck.NESTED_SMM_MODE;
    }
    if (smmGuest && (smmFlags & NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON) == 0) {
      return NestedStateCheck.NESTED_SMM_GUEST_WITHOUT_VMXON;
    }
    boolean evmcs = (flags & NestedStateFlags.KVM_STATE_NESTED_EVMCS) != 0;
    Answer noEvmcs = v.progress().enlightenedVmcs().not().or(allowed(v).not());
    return evmcs && walk.fails(noEvmcs, "whether enlightened VMCS is enabled")
        ? NestedStateCheck.NESTED_EVMCS
        : null;
  }

  private static Decision loadVmcs12(Vcpu v, KvmNestedState s, Walk walk, boolean guestMode) {
    int smmFlags = s.smmFlags();
    if ((smmFlags & NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON) != 0) {
      boolean smmGuest = (smmFlags & NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE) != 0;
      walk.events.add(new TimelineEvent.SmmNestingSet(walk.moment, smmGuest));
    }
    Bytes payload = s.raw();
    if (payload.size() < HEADER + Vmcs12.SIZE_PACKED) {
      return walk.refused(NestedStateCheck.NESTED_VMCS12_UNREADABLE);
    }
    Vmcs12 vmcs12 = packed(payload, HEADER);
    walk.events.add(new TimelineEvent.Vmcs12Loaded(walk.moment, vmcs12));
    if (vmcs12.revisionId() != Vmcs12.REVISION) {
      return walk.refused(NestedStateCheck.NESTED_REVISION);
    }
    if (!guestMode) {
      return walk.finish(Outcome.ZERO);
    }
    if (usesShadow(vmcs12)) {
      int needed = HEADER + Vmcs12.SIZE + Vmcs12.SIZE_PACKED;
      if (s.sizeField() < needed) {
        return walk.refused(NestedStateCheck.NESTED_SHADOW_SIZE);
      }
      if (payload.size() < needed) {
        return walk.refused(NestedStateCheck.NESTED_SHADOW_UNREADABLE);
      }
      Vmcs12 shadow = packed(payload, HEADER + Vmcs12.SIZE);
      walk.events.add(new TimelineEvent.ShadowVmcs12Loaded(walk.moment, shadow));
      if (shadow.revisionId() != Vmcs12.REVISION || !shadow.isShadow()) {
        return walk.refused(NestedStateCheck.NESTED_SHADOW_REVISION);
      }
    }
    return enter(v, s, vmcs12, walk);
  }

  /** What KVM copies: the fields, not the rest of the page. */
  private static Vmcs12 packed(Bytes payload, int at) {
    int rest = Vmcs12.SIZE - Vmcs12.SIZE_PACKED;
    boolean zeroRest =
        payload.size() >= at + Vmcs12.SIZE
            && payload.regionEquals(at + Vmcs12.SIZE_PACKED, Vmcs12.LAYOUT.zero(), 0, rest);
    // Nearly always the rest is zero anyway, and the payload can be shared.
    return new Vmcs12(
        zeroRest
            ? payload.slice(at, Vmcs12.SIZE)
            : Bytes.builder(Vmcs12.SIZE).putBytes(0, payload, at, Vmcs12.SIZE_PACKED).build());
  }

  private static boolean usesShadow(Vmcs12 vmcs12) {
    return (vmcs12.get(VmcsField.CPU_BASED_VM_EXEC_CONTROL)
                & PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
            != 0
        && (vmcs12.get(VmcsField.SECONDARY_VM_EXEC_CONTROL) & SecondaryControls.SHADOW_VMCS) != 0
        && vmcs12.get(VmcsField.VMCS_LINK_POINTER) != NestedFields.INVALID_GPA;
  }

  private static Decision enter(Vcpu v, KvmNestedState s, Vmcs12 vmcs12, Walk walk) {
    boolean runPending = (s.flags() & NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING) != 0;
    CheckResult result =
        VmEntryChecks.firstFailure(vmcs12, capabilities(v), context(v, runPending));
    switch (result) {
      case CheckResult.Failed failed -> {
        return walk.refused(Errno.EINVAL, failed.check());
      }
      case CheckResult.CannotTell cannot -> {
        if (walk.missing == null) {
          walk.missing = cannot.missing().words();
          walk.onlyVmcs12 = true;
        }
      }
      case CheckResult.Passed _ -> {}
    }
    if (walk.fails(
        GuestCpuid.illegalGpa(v, vmcs12.get(VmcsField.GUEST_CR3)), "the guest's CPUID")) {
      walk.events.add(new TimelineEvent.NestedEntryAbandoned(walk.moment));
      return walk.finish(new Outcome.Returns(ENTRY_FAILED));
    }
    TimelineEvent.NestedEntryRestored entered =
        new TimelineEvent.NestedEntryRestored(
            walk.moment,
            runPending,
            (s.flags() & NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING) != 0,
            (s.vmxFlags() & NestedStateFlags.KVM_STATE_VMX_PREEMPTION_TIMER_DEADLINE) != 0,
            s.preemptionTimerDeadline());
    if (v.kernel().version().invalidL2() == KernelVersion.InvalidL2.EMULATE) {
      // Before c8607e4a086f an invalid guest state failed the restore, as it fails a VM-Enter.
      Vcpu after = NestedRegisters.enter(NestedRegisters.loaded(v, vmcs12, walk.moment), entered);
      Answer invalid = after.registers().emulation().required();
      if (walk.fails(invalid, "whether L2's state is valid")) {
        walk.events.add(new TimelineEvent.NestedEntryAbandoned(walk.moment));
        return walk.finish(new Outcome.Returns(ENTRY_FAILED));
      }
    }
    walk.events.add(entered);
    return walk.finish(Outcome.ZERO);
  }

  /** The capabilities that KVM offers this vCPU, as far as its VMX MSRs are known. */
  static VmxCapabilities capabilities(Vcpu v) {
    VmxCapabilities known = v.platform().msrs().capabilities();
    var table = v.platform().cpuid();
    return table == null ? known : known.withFixed1(ControlRegisters.cr4Fixed1(table));
  }

  static EntryContext context(Vcpu v, boolean runPending) {
    int width = GuestCpuid.maxPhyAddr(v);
    boolean tables = v.platform().cpuid() != null && v.vm().host().supportedCpuid() != null;
    GuestLimits limits =
        new GuestLimits(
            width < 0 ? OptionalInt.empty() : OptionalInt.of(width),
            tables ? OptionalLong.of(ControlRegisters.cr4ReservedMask(v)) : OptionalLong.empty(),
            tables ? OptionalLong.of(ControlRegisters.eferAllowedMask(v)) : OptionalLong.empty(),
            OptionalLong.empty(),
            OptionalLong.empty(),
            false);
    EntryContext context = EntryContext.restore(limits, runPending);
    Tracked sregs = v.registers().sregs();
    if (sregs.knows(SregsFields.CR4)) {
      context = context.withLa57((sregs.value(SregsFields.CR4) & dev.faultline.x86.Cr4.LA57) != 0);
    }
    if (sregs.knows(SregsFields.EFER)) {
      context = context.withEfer(sregs.value(SregsFields.EFER));
    }
    return context;
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.VmxonSet e) {
    Nested.Mode mode =
        new Nested.Mode(
            Answer.YES,
            Answer.NO,
            Answer.NO,
            Answer.NO,
            Answer.NO,
            v.nested().mode().smmGuestMode(),
            Answer.CANNOT_TELL,
            Answer.CANNOT_TELL,
            v.nested().mode().lazyFields());
    Tracked header =
        v.nested()
            .header()
            .edit(e.moment())
            .set(NestedFields.VMXON_PA, e.vmxonPa())
            .set(NestedFields.VMCS12_PA, NestedFields.INVALID_GPA)
            .set(NestedFields.VMX_FLAGS, 0)
            .set(NestedFields.DEADLINE, 0)
            .done();
    return v.withNested(
        new Nested(
            mode,
            header,
            Tracked.neverSeen(Vmcs12.LAYOUT),
            Tracked.neverSeen(Vmcs12.LAYOUT),
            v.nested().svm()));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.CurrentVmcsSet e) {
    return v.withNested(
        v.nested()
            .withHeader(
                v.nested()
                    .header()
                    .edit(e.moment())
                    .set(NestedFields.VMCS12_PA, e.vmcs12Pa())
                    .done()));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.SmmNestingSet e) {
    Nested.Mode mode = v.nested().mode();
    Answer guest = e.guestMode() ? Answer.YES : mode.smmGuestMode();
    return v.withNested(v.nested().withMode(mode.withVmxon(Answer.NO).withSmm(Answer.YES, guest)));
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.ShadowVmcs12Loaded e) {
    return v.withNested(
        v.nested().withShadowVmcs12(Tracked.known(Vmcs12.LAYOUT, e.vmcs12().raw(), e.moment())));
  }

  /** The forced exit of KVM: L1's host state is loaded, VMX operation is forgotten. */
  static Vcpu leave(Vcpu v, int moment) {
    if (v.kernel().isSvm()) {
      return SvmNestedRules.leave(v, moment);
    }
    Nested.Mode mode = v.nested().mode();
    if (!v.kernel().isVmx()) {
      return mode.guestMode().isNo() ? v : leaveUnknown(v, moment);
    }
    if (!mode.guestMode().isKnown()
        || (!mode.vmxonAnywhere().isKnown() && !mode.guestMode().isYes())) {
      return maybeLeave(v, moment);
    }
    Vcpu next = mode.guestMode().isYes() ? NestedRegisters.leave(v, moment) : v;
    if (mode.vmxonAnywhere().isNo()) {
      return next;
    }
    Nested.Mode off =
        Nested.Mode.OFF
            .withSmm(Answer.NO, mode.smmGuestMode())
            .withLazyFields(next.nested().mode().lazyFields());
    return next.withNested(
        new Nested(
            off,
            offHeader(next.nested().header(), moment),
            Tracked.neverSeen(Vmcs12.LAYOUT),
            Tracked.neverSeen(Vmcs12.LAYOUT),
            next.nested().svm()));
  }

  /** Leaving nested operation of another vendor: what L1's registers become is not modelled. */
  private static Vcpu leaveUnknown(Vcpu v, int moment) {
    Nested.Mode mode = v.nested().mode().withGuestMode(Answer.NO);
    return NestedRegisters.forget(v, moment).withNested(v.nested().withMode(mode));
  }

  private static Tracked offHeader(Tracked header, int moment) {
    return header
        .edit(moment)
        .set(NestedFields.VMXON_PA, NestedFields.INVALID_GPA)
        .set(NestedFields.VMCS12_PA, NestedFields.INVALID_GPA)
        .set(NestedFields.VMX_FLAGS, 0)
        .set(NestedFields.DEADLINE, 0)
        .done();
  }

  /** The forced exit when nobody knows whether there is anything to leave. */
  static Vcpu maybeLeave(Vcpu v, int moment) {
    if (v.kernel().isSvm()) {
      return SvmNestedRules.maybeLeave(v, moment);
    }
    Nested.Mode mode = v.nested().mode();
    Nested off =
        new Nested(
            Nested.Mode.OFF
                .withSmm(Answer.NO, mode.smmGuestMode())
                .withLazyFields(mode.guestMode().isNo() ? mode.lazyFields() : Answer.CANNOT_TELL),
            offHeader(v.nested().header(), moment),
            Tracked.neverSeen(Vmcs12.LAYOUT),
            Tracked.neverSeen(Vmcs12.LAYOUT),
            v.nested().svm());
    if (mode.guestMode().isNo()) {
      return v.withNested(off);
    }
    Vcpu next = NestedRegisters.forget(v, moment).withNested(off);
    return Validity.recompute(MpStateRules.runnable(next, Answer.CANNOT_TELL, moment));
  }

  static Decision get(Vcpu v, VcpuCommand.GetNestedState c) {
    if (unsupported(v)) {
      return DeviceRules.refused(
          c.moment(), Ioctl.GET_NESTED_STATE, Errno.EINVAL, NestedStateCheck.NESTED_UNSUPPORTED);
    }
    if (v.kernel().isSvm()) {
      return SvmNestedRules.get(v, c);
    }
    Nested nested = v.nested();
    if (!v.kernel().isVmx()) {
      return Decision.reads(
          new Reply.Struct(
              "",
              0,
              KvmNestedState.HEADER_LAYOUT,
              nested.header().bytes(),
              FieldSet.none(KvmNestedState.HEADER_LAYOUT.count())));
    }
    Answer on = nested.mode().vmxonAnywhere();
    Answer hasVmcs =
        on.and(nested.header().is(NestedFields.VMCS12_PA, NestedFields.INVALID_GPA).not());
    Answer shadow = nested.mode().guestMode().and(usesShadow(nested.vmcs12()));
    int size = HEADER + (hasVmcs.isYes() ? Vmcs12.SIZE : 0) + (shadow.isYes() ? Vmcs12.SIZE : 0);
    boolean sizeKnown = hasVmcs.isKnown() && (hasVmcs.isNo() || shadow.isKnown());
    if (sizeKnown && c.bufferSize() < size) {
      return DeviceRules.refused(
          c.moment(), Ioctl.GET_NESTED_STATE, Errno.E2BIG, CallCheck.NESTED_BUFFER);
    }
    List<Reply.Struct> parts = new ArrayList<>(3);
    parts.add(header(v, size, sizeKnown, on));
    if (hasVmcs.isYes()) {
      Tracked vmcs12 =
          nested.mode().guestMode().isYes()
              ? Vmcs12Sync.vmcs12(v, c.moment())
              : copiedOnDemand(nested, c.moment());
      FieldSet known = nested.mode().guestMode().isKnown() ? vmcs12.known() : NO_VMCS12;
      parts.add(new Reply.Struct("", HEADER, Vmcs12.LAYOUT, vmcs12.bytes(), known));
    }
    if (shadow.isYes()) {
      Tracked shadowVmcs12 = nested.shadowVmcs12();
      parts.add(
          new Reply.Struct(
              "shadow_",
              HEADER + Vmcs12.SIZE,
              Vmcs12.LAYOUT,
              shadowVmcs12.bytes(),
              shadowVmcs12.known()));
    }
    return sizeKnown || c.bufferSize() >= HEADER + 2L * Vmcs12.SIZE
        ? Decision.reads(new Reply.Parts(List.copyOf(parts)))
        : new Decision(
            new Outcome.Undecided("how large the nested state is"),
            List.of(),
            new Reply.Parts(List.copyOf(parts)));
  }

  /**
   * Outside L2 KVM first copies the fields that it copies lazily, from the vmcs02 that there is: a
   * new, empty one if KVM left nested operation since L2 ran.
   */
  private static Tracked copiedOnDemand(Nested nested, int moment) {
    Answer lazy = nested.mode().lazyFields();
    Tracked vmcs12 = nested.vmcs12();
    if (lazy.isNo()) {
      return vmcs12;
    }
    if (!lazy.isKnown()) {
      return vmcs12.doubt(vmcs12.known().intersect(NestedFields.LAZY));
    }
    Tracked.Edit edit = vmcs12.edit(moment);
    FieldSet fields = NestedFields.LAZY;
    for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
      edit.set(f, 0, vmcs12.knows(f));
    }
    return edit.done();
  }

  private static final FieldSet NO_VMCS12 = FieldSet.none(Vmcs12.LAYOUT.count());

  private static Answer usesShadow(Tracked vmcs12) {
    return vmcs12
        .hasAny(
            Vmcs12.indexOf(VmcsField.CPU_BASED_VM_EXEC_CONTROL),
            PrimaryControls.ACTIVATE_SECONDARY_CONTROLS)
        .and(
            vmcs12.hasAny(
                Vmcs12.indexOf(VmcsField.SECONDARY_VM_EXEC_CONTROL), SecondaryControls.SHADOW_VMCS))
        .and(
            vmcs12.is(Vmcs12.indexOf(VmcsField.VMCS_LINK_POINTER), NestedFields.INVALID_GPA).not());
  }

  private static Reply.Struct header(Vcpu v, int size, boolean sizeKnown, Answer on) {
    Nested nested = v.nested();
    Nested.Mode mode = nested.mode();
    Tracked stored = nested.header();
    Tracked.Edit edit = Tracked.known(stored.layout(), Nested.emptyHeader(), 0).edit(0);
    edit.set(NestedFields.SIZE, size, sizeKnown);
    Answer guest = mode.guestMode();
    long flags = 0;
    boolean flagsKnown = guest.isKnown();
    if (guest.isYes()) {
      flags =
          NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE
              | (mode.runPending().isYes() ? NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING : 0)
              | (mode.mtfPending().isYes() ? NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING : 0);
      flagsKnown = mode.runPending().isKnown() && mode.mtfPending().isKnown();
    }
    edit.set(NestedFields.FLAGS, flags, flagsKnown);
    if (on.isYes()) {
      edit.copy(NestedFields.VMXON_PA, stored, NestedFields.VMXON_PA);
      edit.copy(NestedFields.VMCS12_PA, stored, NestedFields.VMCS12_PA);
      long smm =
          (mode.smmVmxon().isYes() ? NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON : 0)
              | (mode.smmGuestMode().isYes()
                  ? NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE
                  : 0);
      edit.set(
          NestedFields.SMM_FLAGS, smm, mode.smmVmxon().isKnown() && mode.smmGuestMode().isKnown());
    } else if (!on.isKnown()) {
      edit.forget(NestedFields.VMXON_PA);
      edit.forget(NestedFields.VMCS12_PA);
      edit.forget(NestedFields.SMM_FLAGS);
    }
    deadline(nested, guest, edit);
    if (!v.progress().enlightenedVmcs().isNo() && !v.progress().entered().isNo()) {
      // L1 may use an enlightened VMCS, which is told by a flag and has no address.
      edit.forget(NestedFields.FLAGS);
      edit.forget(NestedFields.VMCS12_PA);
      edit.forget(NestedFields.SIZE);
    }
    Tracked reply = edit.done();
    return new Reply.Struct("", 0, KvmNestedState.HEADER_LAYOUT, reply.bytes(), reply.known());
  }

  /** The deadline is reported only while L2 is active and L1 uses the preemption timer. */
  private static void deadline(Nested nested, Answer guest, Tracked.Edit edit) {
    Answer timer =
        nested
            .vmcs12()
            .hasAny(
                Vmcs12.indexOf(VmcsField.PIN_BASED_VM_EXEC_CONTROL), PinControls.PREEMPTION_TIMER);
    Answer reported = guest.and(timer);
    if (reported.isYes()) {
      edit.copy(NestedFields.VMX_FLAGS, nested.header(), NestedFields.VMX_FLAGS);
      edit.copy(NestedFields.DEADLINE, nested.header(), NestedFields.DEADLINE);
    } else if (!reported.isKnown()) {
      edit.forget(NestedFields.VMX_FLAGS);
      edit.forget(NestedFields.DEADLINE);
    }
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.NestedStateRead e) {
    if (v.kernel().isSvm()) {
      return SvmNestedRules.evolve(v, e);
    }
    if (!v.kernel().isVmx()) {
      return v;
    }
    KvmNestedState s = e.state();
    boolean on = s.vmxonPa() != NestedFields.INVALID_GPA;
    boolean smmVmxon = (s.smmFlags() & NestedStateFlags.KVM_STATE_NESTED_SMM_VMXON) != 0;
    boolean smmGuest = (s.smmFlags() & NestedStateFlags.KVM_STATE_NESTED_SMM_GUEST_MODE) != 0;
    Nested.Mode old = v.nested().mode();
    Nested.Mode read =
        new Nested.Mode(
            or(old.vmxon(), on && !smmVmxon),
            or(old.guestMode(), has(s, NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE)),
            or(old.runPending(), has(s, NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING)),
            or(old.mtfPending(), has(s, NestedStateFlags.KVM_STATE_NESTED_MTF_PENDING)),
            or(old.smmVmxon(), smmVmxon),
            on ? or(old.smmGuestMode(), smmGuest) : old.smmGuestMode(),
            old.restricted(),
            old.l1NmiMasked(),
            Answer.NO);
    Tracked header = DeviceRules.learnAll(v.nested().header(), headerOf(s));
    Nested nested = v.nested().withMode(read).withHeader(header);
    Vmcs12 vmcs12 = s.vmcs12();
    if (vmcs12 != null) {
      Tracked before =
          old.guestMode().isYes() ? nested.vmcs12() : copiedOnDemand(v.nested(), e.moment());
      Tracked learned = DeviceRules.learnAll(before, vmcs12.raw());
      Answer restricted = Nested.restricted(learned);
      nested = nested.withVmcs12(learned).withMode(read.withRestricted(restricted));
    }
    Vmcs12 shadow = s.shadowVmcs12();
    if (shadow != null) {
      nested = nested.withShadowVmcs12(DeviceRules.learnAll(nested.shadowVmcs12(), shadow.raw()));
    }
    Vcpu next = v.withNested(nested);
    return next.registers().emulation().required().isKnown() ? next : Validity.recompute(next);
  }

  private static Bytes headerOf(KvmNestedState s) {
    return s.raw().slice(0, HEADER);
  }

  private static boolean has(KvmNestedState s, int flag) {
    return (s.flags() & flag) != 0;
  }

  /** What was known stays; a contradiction is reported where the reply is compared. */
  private static Answer or(Answer known, boolean read) {
    return known.isKnown() ? known : Answer.of(read);
  }
}
