package dev.faultline.timeline;

import dev.faultline.Bytes;
import dev.faultline.timeline.PolicyMoment.Point;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.InvalidEntry;
import dev.faultline.vcpu.InvalidEntry.Reach;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.KernelVersion.InvalidL2;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Policy.Ruling;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.Vcpu.Emulation;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Verdict;
import dev.faultline.vmx.GuestStateCheck;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One vCPU under all policies: asks each of them at each moment at which it has a say, and holds
 * against it what the recording, or the rest of it, shows.
 */
final class PolicyLane {
  private final KernelModel kernel;
  private final List<Policy> policies;
  private final Memory[] memories;
  private final List<PolicyDraft> drafts = new ArrayList<>();
  private final List<Punishment> open = new ArrayList<>();
  private final SavedStates saved;
  private boolean invalid;
  private @Nullable GuestStateCheck failing;
  private Culprit culprit = Culprit.UNKNOWN;
  private boolean invalidAside;
  private @Nullable Restore restore;
  private final boolean[] prevented;
  private final long[] changed;
  private boolean counted;
  private boolean hasRun;
  private boolean wroteSinceRun;
  private boolean leftRunning;
  private long entries;
  private long failedRsms;
  private long restores;

  /**
   * A vCPU that was not seen before.
   *
   * @param kernel the kernel that the policies are to decide on
   */
  PolicyLane(KernelModel kernel, List<Policy> policies, SavedStates saved) {
    this.kernel = kernel;
    this.policies = policies;
    this.saved = saved;
    this.memories = new Memory[policies.size()];
    this.prevented = new boolean[policies.size()];
    this.changed = new long[policies.size()];
    Arrays.fill(memories, Memory.NOTHING);
  }

  /** Where a call stands. */
  record Place(int moment, long seq, String vcpu, String call, String variant) {}

  /** Saved state of another vCPU is being restored here. */
  private static final class Restore {
    private final SavedStates.Saved source;
    private boolean edited;

    private Restore(SavedStates.Saved source) {
      this.source = source;
    }
  }

  /** A verdict that is right only if the state is still invalid when L2 is about to run. */
  private record Punishment(PolicyDraft draft, int policy) {}

  List<PolicyMoment> moments() {
    return drafts.stream().map(PolicyDraft::finished).toList();
  }

  long entries() {
    return entries;
  }

  long failedRsms() {
    return failedRsms;
  }

  long restores() {
    return restores;
  }

  /** What the policies remember, for a vCPU that takes over this one's state. */
  Memory memory(int policy) {
    return memories[policy];
  }

  /** How often the policy remembered something else after a restore. */
  long changed(int policy) {
    return changed[policy];
  }

  /** Whether this is a copy that has not run: what is read from it is what was written to it. */
  boolean isFreshCopy() {
    return restore != null && !hasRun;
  }

  Culprit culprit() {
    return culprit;
  }

  boolean isInvalid() {
    return invalid;
  }

  /** An accepted call that is not KVM_RUN. */
  void call(
      Place place, Vcpu before, VcpuCommand command, Vcpu after, Writer writer, Bytes payload) {
    boolean writes = isWrite(command);
    observe(before, writer.of(before));
    if (writes) {
      join(place, command, payload);
    }
    Culprit by = writes ? Culprit.USER : writer.of(after);
    Restore joined = restore;
    if (writes && joined != null && joined.source.holds(command, payload)) {
      by = joined.source.culprit();
    }
    observe(after, by);
    if (!writes) {
      return;
    }
    List<Ruling> rulings = new ArrayList<>();
    for (int i = 0; i < policies.size(); i++) {
      rulings.add(policies.get(i).atIoctl(memories[i], asked(before), command, asked(after)));
    }
    boolean speaks = rulings.stream().anyMatch(r -> !(r.verdict() instanceof Verdict.Accept));
    if (speaks) {
      PolicyDraft draft = draft(place, Point.IOCTL, after, RunEnding.RAN, writer);
      for (int i = 0; i < policies.size(); i++) {
        judgeIoctl(draft, i, rulings.get(i).verdict());
      }
    }
    remember(rulings);
    wroteSinceRun |= after.inGuestMode().isYes();
    leftL2(before, after);
  }

  /** The vCPU on the kernel that the policies decide on. */
  private Vcpu asked(Vcpu v) {
    return v.kernel().equals(kernel) ? v : v.withVm(v.vm().withKernel(kernel));
  }

  private static boolean isWrite(VcpuCommand command) {
    return switch (command) {
      case VcpuCommand.SetRegs _,
          VcpuCommand.SetSregs _,
          VcpuCommand.SetSregs2 _,
          VcpuCommand.SetVcpuEvents _,
          VcpuCommand.SetNestedState _,
          VcpuCommand.SetMsrs _,
          VcpuCommand.SetMpState _,
          VcpuCommand.SetDebugregs _,
          VcpuCommand.SetCpuid2 _ ->
          true;
      default -> false;
    };
  }

  private void remember(List<Ruling> rulings) {
    for (int i = 0; i < memories.length; i++) {
      memories[i] = rulings.get(i).memory();
    }
  }

  /** Who has written what the checks read. */
  interface Writer {
    /** Who wrote last what makes the vCPU's state invalid. */
    Culprit of(Vcpu v);

    /** The sequence number of the call that wrote last what the check blames, or -1. */
    long seq(Vcpu v, @Nullable GuestStateCheck failed);
  }

  /** Follows who made the state invalid: whoever stood there when it became so, or otherwise so. */
  private void observe(Vcpu after, Culprit by) {
    Emulation emulation = after.registers().emulation();
    if (!Policy.invalidL2(after).isYes()) {
      invalid = false;
      failing = null;
      return;
    }
    boolean other = failing != null && emulation.failed() != failing;
    if (!invalid || other) {
      culprit = by;
    }
    invalid = true;
    failing = emulation.failed();
  }

  /** A vCPU that has not run takes over what was read from another one. */
  private void join(Place place, VcpuCommand command, Bytes payload) {
    if (hasRun) {
      return;
    }
    Restore joined = restore;
    if (joined == null) {
      SavedStates.Saved source = saved.find(place.vcpu(), command, payload);
      if (source != null) {
        restore = new Restore(source);
        restores++;
      }
    } else if (joined.source.differs(command, payload)) {
      joined.edited = true;
    }
  }

  private PolicyDraft draft(Place place, Point point, Vcpu v, RunEnding recorded, Writer writer) {
    GuestStateCheck failed = v.registers().emulation().failed();
    PolicyDraft draft =
        new PolicyDraft(
            place, point, culprit, failed, writer.seq(v, failed), recorded, policies.size());
    drafts.add(draft);
    return draft;
  }

  private void judgeIoctl(PolicyDraft draft, int policy, Verdict verdict) {
    draft.verdicts.add(verdict);
    draft.against.add(new ArrayList<>());
    switch (verdict) {
      case Verdict.RefuseIoctl _ -> {
        prevented[policy] = true;
        punished(draft, policy);
      }
      case Verdict.CannotTell _ -> draft.open[policy] = true;
      case Verdict.Accept _,
          Verdict.RefuseRun _,
          Verdict.TripleFault _,
          Verdict.Emulate _,
          Verdict.FixedUp _ -> {}
    }
  }

  /** Userspace was punished before L2 was about to run: what comes next shows whether rightly. */
  private void punished(PolicyDraft draft, int policy) {
    switch (draft.culprit) {
      case GUEST -> draft.against.get(policy).add(Criterion.R2);
      case USER -> {
        draft.open[policy] = true;
        open.add(new Punishment(draft, policy));
      }
      case UNKNOWN -> draft.open[policy] = true;
    }
  }

  /** L2 is about to run, or never will with the state that was punished. */
  private void settle(boolean stillInvalid) {
    for (Punishment p : open) {
      p.draft().open[p.policy()] = false;
      if (!stillInvalid) {
        p.draft().against.get(p.policy()).add(Criterion.R1);
      }
    }
    open.clear();
    Arrays.fill(prevented, false);
  }

  /** An ioctl can take the vCPU out of L2; the punished state then never runs. */
  private void leftL2(Vcpu before, Vcpu after) {
    if (before.inGuestMode().isYes()
        && after.inGuestMode().isNo()
        && after.nested().mode().smmGuestMode().isNo()) {
      settle(false);
    }
  }

  /** A KVM_RUN with what happened inside. */
  void run(
      Place place,
      Vcpu before,
      VcpuCommand.Run command,
      List<TimelineEvent> inside,
      RunResult result,
      Vcpu after,
      Writer writer) {
    boolean entryProves = before.kernel().version().invalidL2() == InvalidL2.TRIPLE_FAULT;
    RunEnding ending = RunEnding.of(inside, 0, result, entryProves);
    Vcpu start = RunEvidence.told(before, ending, result);
    InvalidEntry entry = InvalidEntry.of(asked(start), command);
    if (entry.reach() == Reach.CANNOT_TELL
        && Policy.invalidL2(InvalidEntry.started(start, command)).isYes()) {
      entry = entry.shown(RunEvidence.reached(ending));
    }
    if (ending == RunEnding.INTERRUPTED
        && result.ranGuest().isNo()
        && entry.reach() != Reach.NOT_INVALID) {
      entry = entry.shown(Reach.INTERRUPTED);
    }
    Reach reach = entry.reach();
    migrate();
    boolean wrote = wroteSinceRun || command.input().run().dirtyRegs() != 0;
    observe(
        InvalidEntry.started(start, command),
        wrote && leftRunning ? Culprit.USER : writer.of(start));
    atStart(place, start, command, entry, ending, writer);
    walk(place, before, inside, result, entryProves, writer);
    finish(before, after, reach, ending);
    hasRun |= !result.ranGuest().isNo();
    if (!result.ranGuest().isNo()) {
      wroteSinceRun = false;
      leftRunning = RunEvidence.endsInHardware(inside);
    }
  }

  /** The vCPU goes on where another one was saved. */
  private void migrate() {
    Restore joined = restore;
    if (joined == null || hasRun) {
      return;
    }
    for (int i = 0; i < memories.length; i++) {
      memories[i] = policies.get(i).migrated(stayed(joined, i), memories[i]);
      if (!counted && memories[i].stuffed() != stayed(joined, i).stuffed()) {
        changed[i]++;
      }
    }
    counted = true;
  }

  /** What the policy would remember had the vCPU stayed, with what userspace changed on the way. */
  private Memory stayed(Restore joined, int policy) {
    Memory memory = joined.source.memory(policy);
    return joined.edited ? policies.get(policy).edited(memory) : memory;
  }

  private void atStart(
      Place place,
      Vcpu start,
      VcpuCommand.Run command,
      InvalidEntry entry,
      RunEnding ending,
      Writer writer) {
    Reach reach = entry.reach();
    boolean undecided = reach == Reach.CANNOT_TELL && start.inGuestMode().isYes();
    List<Ruling> rulings = new ArrayList<>();
    for (int i = 0; i < policies.size(); i++) {
      rulings.add(policies.get(i).atRun(memories[i], asked(start), command, entry));
    }
    boolean refusesSync =
        rulings.stream().anyMatch(r -> r.verdict() instanceof Verdict.RefuseIoctl);
    switch (reach) {
      case REJECTED, ENTERS, ENTERS_PENDING -> settle(true);
      case NOT_INVALID, RETURNS_FIRST, INTERRUPTED, OTHER_FIRST, CANNOT_TELL -> {}
    }
    boolean speaks =
        switch (reach) {
          case NOT_INVALID, RETURNS_FIRST -> refusesSync;
          case INTERRUPTED, REJECTED, ENTERS, ENTERS_PENDING, OTHER_FIRST -> true;
          case CANNOT_TELL -> undecided;
        };
    if (speaks) {
      PolicyDraft draft =
          draft(place, Point.RUN, InvalidEntry.started(start, command), ending, writer);
      for (int i = 0; i < policies.size(); i++) {
        Vcpu base = rulings.get(i).memory().worldOr(start);
        judgeRun(draft, i, rulings.get(i).verdict(), base, reach);
        lost(draft, i, start, command, entry);
      }
    }
    remember(rulings);
  }

  private void judgeRun(PolicyDraft draft, int policy, Verdict verdict, Vcpu base, Reach reach) {
    draft.verdicts.add(verdict);
    List<Criterion> against = new ArrayList<>();
    draft.against.add(against);
    switch (verdict) {
      case Verdict.Accept _ -> {
        if (RunEvidence.runsNow(reach) && Policy.invalidL2(base).isYes()) {
          against.add(Criterion.R3);
        }
      }
      case Verdict.Emulate _ -> against.add(Criterion.R3);
      case Verdict.RefuseIoctl _ -> punished(draft, policy);
      case Verdict.RefuseRun r -> refused(draft, policy, r, reach);
      case Verdict.CannotTell _ -> draft.open[policy] = true;
      case Verdict.TripleFault _, Verdict.FixedUp _ -> {}
    }
  }

  private void refused(PolicyDraft draft, int policy, Verdict.RefuseRun refused, Reach reach) {
    if (refused.ending() == Verdict.Ending.SHUTDOWN) {
      // To userspace that is a guest that shut itself down.
      return;
    }
    if (draft.culprit != Culprit.USER || !RunEvidence.runsNow(reach)) {
      punished(draft, policy);
    }
  }

  /** Whether the vCPU's own history, had it stayed, would have decided otherwise. */
  private void lost(
      PolicyDraft draft, int policy, Vcpu start, VcpuCommand.Run command, InvalidEntry entry) {
    Restore joined = restore;
    if (joined == null || hasRun) {
      return;
    }
    Memory here = memories[policy];
    Memory there = here.withStuffed(stayed(joined, policy).stuffed());
    Verdict stayed = policies.get(policy).atRun(there, asked(start), command, entry).verdict();
    boolean told =
        !(stayed instanceof Verdict.CannotTell)
            && !(draft.verdicts.get(policy) instanceof Verdict.CannotTell);
    if (told && !stayed.getClass().equals(draft.verdicts.get(policy).getClass())) {
      draft.against.get(policy).add(Criterion.R4);
    }
  }

  /** Follows the inside of a KVM_RUN for VM-Enters and for RSMs that return to L2. */
  private void walk(
      Place place,
      Vcpu before,
      List<TimelineEvent> inside,
      RunResult result,
      boolean entryProves,
      Writer writer) {
    Vcpu v = before;
    for (int i = 0; i < inside.size(); i++) {
      TimelineEvent event = inside.get(i);
      Answer suspended = v.nested().mode().smmGuestMode();
      boolean wasInvalid = invalid;
      v = VcpuModel.evolve(v, event);
      switch (event) {
        case TimelineEvent.SmmEntered _ -> invalidAside = wasInvalid;
        case TimelineEvent.SmmLeft _ -> {
          if (!suspended.isNo()) {
            rsm(
                place,
                RunEvidence.loaded(v, event.moment()),
                inside,
                i + 1,
                suspended,
                result,
                entryProves,
                writer);
          }
          invalidAside = false;
        }
        case TimelineEvent.VmExited _, TimelineEvent.L2Exited _ -> entered();
        default -> {}
      }
    }
    if (!result.traced() && result.ranGuest().isYes()) {
      entered();
    }
  }

  private void entered() {
    for (int i = 0; i < memories.length; i++) {
      memories[i] = policies.get(i).entered(memories[i]);
    }
  }

  /** RSM returned to an L2; what followed tells whether its state was valid. */
  private void rsm(
      Place place,
      Vcpu v,
      List<TimelineEvent> inside,
      int from,
      Answer suspended,
      RunResult result,
      boolean entryProves,
      Writer writer) {
    boolean toL2 =
        from < inside.size() && inside.get(from) instanceof TimelineEvent.NestedVmEntered;
    if (!toL2 && (entryProves || !suspended.isYes())) {
      return;
    }
    entries++;
    RunEnding ending = RunEnding.of(inside, from, result, entryProves);
    Answer loadedInvalid = RunEvidence.rsmInvalid(v, inside, from, ending);
    if (loadedInvalid.isNo()) {
      if (ending.reachedHardware()) {
        settle(false);
      } else {
        failedRsms++;
      }
      return;
    }
    culprit = invalidAside ? Culprit.USER : Culprit.GUEST;
    Vcpu loaded =
        v.withNested(v.nested().withMode(v.nested().mode().withGuestMode(Answer.YES)))
            .withRegisters(
                v.registers()
                    .withEmulation(
                        new Emulation(loadedInvalid, v.registers().emulation().failed())));
    boolean[] never = prevented.clone();
    if (loadedInvalid.isYes()) {
      settle(true);
    }
    PolicyDraft draft = draft(place, Point.RSM, loaded, ending, writer);
    List<Ruling> rulings = new ArrayList<>();
    for (int i = 0; i < policies.size(); i++) {
      // What the policy refused to userspace did not get into SMRAM.
      boolean healthy = never[i] && culprit == Culprit.USER;
      Ruling ruling =
          healthy
              ? new Ruling(new Verdict.Accept(), memories[i])
              : loadedInvalid.isYes()
                  ? policies.get(i).atRsm(memories[i], asked(loaded))
                  : new Ruling(
                      new Verdict.CannotTell(
                          "whether RSM itself failed or loaded an invalid state: both end so"),
                      memories[i]);
      rulings.add(ruling);
      judgeRun(draft, i, ruling.verdict(), loaded, healthy ? Reach.OTHER_FIRST : Reach.ENTERS);
    }
    remember(rulings);
  }

  private void finish(Vcpu before, Vcpu after, Reach reach, RunEnding ending) {
    boolean l2First = before.inGuestMode().isYes();
    boolean suspended = !after.nested().mode().smmGuestMode().isNo();
    switch (reach) {
      case NOT_INVALID -> {
        if (l2First && ending.reachedHardware()) {
          entries++;
          settle(false);
        } else if (before.inGuestMode().isNo()
            && before.nested().mode().smmGuestMode().isNo()
            && ending == RunEnding.RAN) {
          settle(false);
        }
      }
      case REJECTED, ENTERS, ENTERS_PENDING -> entries++;
      case OTHER_FIRST -> {
        if (after.inGuestMode().isNo() && !suspended) {
          settle(false);
        }
      }
      case RETURNS_FIRST, INTERRUPTED, CANNOT_TELL -> {}
    }
    for (int i = 0; i < memories.length; i++) {
      memories[i] = policies.get(i).returned(memories[i]);
    }
    observe(after, Culprit.GUEST);
  }
}
