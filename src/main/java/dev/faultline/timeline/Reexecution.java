package dev.faultline.timeline;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.FormatException;
import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Divergence.What;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.NestedPhase;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Vm;
import dev.faultline.vcpu.VmCommand;
import dev.faultline.vcpu.VmRules;
import dev.faultline.vmx.VmEntryCheck;
import dev.faultline.vmx.VmEntryTexts;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * Decides each recorded call again and compares. The recording is the fact: the state follows what
 * was recorded, and where that contradicts the model, whatever the call may have written is unknown
 * from there on, so that one difference is reported once.
 *
 * <p>Feed it facts in order; each takes the moment that {@link #nextMoment()} named.
 */
public final class Reexecution {
  private final String name;
  private final Machine machine;
  private final TimelineListener listener;
  private final MomentIndex index;
  private final Scores scores;
  private final DeathWatch deaths;
  private final Runs runs;
  private final Map<String, NestedPhase> phases = new TreeMap<>();
  private final Shelf shelf;
  private boolean fromStart;

  public Reexecution(String name, KernelModel kernel, TimelineListener listener) {
    this.name = name;
    this.machine = new Machine(kernel);
    this.listener = listener;
    this.index = new MomentIndex();
    this.scores = new Scores(listener);
    this.deaths = new DeathWatch(machine, scores);
    this.runs = new Runs(this);
    this.shelf = new Shelf(machine, scores, deaths, phases);
  }

  private Reexecution(Reexecution from, TimelineListener listener) {
    this.name = from.name;
    this.machine = from.machine.copy();
    this.listener = listener;
    this.index = from.index.copy();
    this.scores = from.scores.copy(listener);
    this.deaths = from.deaths.copy(machine, scores);
    this.runs = new Runs(this);
    this.shelf = new Shelf(machine, scores, deaths, phases);
    this.shelf.knowAs(from.shelf);
    this.fromStart = from.fromStart;
    this.phases.putAll(from.phases);
  }

  /** The same up to here, to be fed another rest; neither notices what the other goes on with. */
  public Reexecution fork(TimelineListener forksListener) {
    return new Reexecution(this, forksListener);
  }

  /** The same state, without a memory of what was found on the way to it. */
  public Reexecution withoutFindings() {
    Reexecution bare = new Reexecution(this, TimelineListener.NONE);
    bare.scores.forgetFindings();
    return bare;
  }

  /** Where VMs are put away of which no descriptor is open. */
  public Shelf shelf() {
    return shelf;
  }

  /** The moment that the next fact will take. */
  public int nextMoment() {
    return index.size();
  }

  /** Lets go of what was found so far; it stays counted. */
  public void forgetFindings() {
    scores.forgetFindings();
  }

  /** The vCPUs at the present moment, by name, in order of first appearance. */
  public SequencedMap<String, Vcpu> vcpus() {
    return Collections.unmodifiableSequencedMap(machine.vcpus());
  }

  public MomentIndex index() {
    return index;
  }

  /** A vCPU at the present moment, with its VM as it is now; null if there was none so far. */
  public @Nullable Vcpu vcpu(String vcpu) {
    shelf.takeBack(vcpu.substring(0, Math.max(0, vcpu.indexOf('/'))), nextMoment());
    Vcpu known = machine.vcpus().get(vcpu);
    return known == null ? null : machine.vcpu(vcpu, known.vm().name());
  }

  /** A vCPU that was created and not called yet, as its first call would find it. */
  public @Nullable Vcpu createdVcpu(String vcpu, String vm, int fd) {
    Reexecution ahead = fork(TimelineListener.NONE);
    return ahead.machine.seeVcpu(vcpu, vm, fd, nextMoment()).created()
        ? ahead.machine.vcpu(vcpu, vm)
        : null;
  }

  /** A VM at the present moment; null if there was none so far. */
  public @Nullable Vm vm(String vm) {
    return shelf.takeBack(vm, nextMoment()) ? machine.vm(vm) : null;
  }

  TimelineListener listener() {
    return listener;
  }

  Machine machine() {
    return machine;
  }

  Scores scores() {
    return scores;
  }

  DeathWatch deaths() {
    return deaths;
  }

  /** The next recorded fact, converted for {@link #nextMoment()}. */
  public void accept(Recorded fact) {
    switch (fact) {
      case Recorded.VcpuCall call -> vcpuCall(call);
      case Recorded.VmCall call -> vmCall(call);
      case Recorded.VmCreation c -> vmCreation(c);
      case Recorded.HostQuestion q -> {
        int moment = index.add(q.seq(), q.name());
        machine.learn(q.fact());
        listener.fact(moment, q, null);
      }
      case Recorded.SmramCapture s -> smram(s);
      case Recorded.Unreadable u -> unreadable(u);
      case Recorded.Note n -> note(n);
    }
  }

  /** The result, should nothing follow; more may be fed nevertheless. */
  public Verification result() {
    return result(_ -> true);
  }

  /** The result for these vCPUs and VMs alone. */
  public Verification result(Predicate<String> lanes) {
    Scores settled = scores.copy(TimelineListener.NONE);
    deaths.settle(settled);
    return settled.verification(name, machine.kernel(), lanes);
  }

  /** How many divergences there are for these; a result holds only the first ten thousand. */
  public long divergencesFound(Predicate<String> lanes) {
    return scores.divergencesFound(lanes);
  }

  /** Nothing follows: what waited for the next call is told to the listener. */
  public void end() {
    deaths.end();
  }

  /** Tells the listener when a vCPU changes its phase. */
  void notice(int moment, Vcpu before, Vcpu after, boolean byIoctl) {
    if (before.nested().mode().equals(after.nested().mode())
        && before.vm().dead() == after.vm().dead()
        && before.inSmm() == after.inSmm()
        && phases.containsKey(after.name())) {
      return;
    }
    NestedPhase from = phases.get(after.name());
    NestedPhase to = NestedPhase.of(after);
    if (to == null || from == to) {
      return;
    }
    phases.put(after.name(), to);
    if (from != null) {
      passThrough(moment, after.name(), from, to, byIoctl);
    }
  }

  /** Whether VMXON and the VM-Enter succeeded shows only when L2 runs. */
  private void passThrough(
      int moment, String vcpu, NestedPhase from, NestedPhase to, boolean byIoctl) {
    NestedPhase at = from;
    boolean inL2 = to == NestedPhase.L2 || to == NestedPhase.L2_PENDING;
    if (inL2 && !byIoctl && at == NestedPhase.OFF) {
      listener.transition(moment, vcpu, at, NestedPhase.ROOT, false);
      at = NestedPhase.ROOT;
    }
    if (to == NestedPhase.L2 && !byIoctl && at == NestedPhase.ROOT) {
      listener.transition(moment, vcpu, at, NestedPhase.L2_PENDING, false);
      at = NestedPhase.L2_PENDING;
    }
    listener.transition(moment, vcpu, at, to, byIoctl);
  }

  private void unreadable(Recorded.Unreadable u) {
    int moment = index.add(u.seq(), u.name());
    scores.unread(u.lane());
    listener.fact(moment, u, null);
  }

  private void smram(Recorded.SmramCapture s) {
    int moment = index.add(s.seq(), "smram");
    meetVm(s.vm(), -1);
    meetVcpu(s.vcpu(), s.vm(), -1, moment);
    Vcpu v = machine.vcpu(s.vcpu(), s.vm());
    listener.fact(moment, s, null);
    machine.put(VcpuModel.evolve(v, new TimelineEvent.SmramCaptured(moment, s.smbase(), s.map())));
  }

  private void note(Recorded.Note n) {
    int moment = index.add(n.seq(), n.kind());
    fromStart |= n.kind().equals("start");
    if (n.kind().equals("mmap") && n.lane().contains("/")) {
      meetVcpu(n.lane(), n.lane().substring(0, n.lane().indexOf('/')), n.fd(), moment);
    }
    listener.fact(moment, n, null);
  }

  private void vmCreation(Recorded.VmCreation c) {
    int moment = index.add(c.seq(), Ioctl.CREATE_VM.uapiName());
    if (c.ret() >= 0) {
      machine.vmCreated(new Machine.Creation(moment, c.seq(), "", 0, c.ret(), 0, c.where()));
    } else if (fromStart) {
      machine.vmRefused(
          new Machine.Creation(moment, c.seq(), "", 0, c.ret(), c.errno(), c.where()));
    }
    listener.fact(moment, c, null);
  }

  private void meetVm(String vm, int fd) {
    if (shelf.takeBack(vm, nextMoment())) {
      return;
    }
    Machine.Sighting sighting = machine.seeVm(vm, fd);
    if (sighting.mismatched() != null) {
      descriptor(sighting.mismatched(), Ioctl.CREATE_VM, "/dev/kvm", fd);
    }
  }

  private void meetVcpu(String vcpu, String vm, int fd, int moment) {
    if (shelf.takeBack(vm, nextMoment()) && machine.knowsVcpu(vcpu)) {
      return;
    }
    Machine.Sighting sighting = machine.seeVcpu(vcpu, vm, fd, moment);
    if (sighting.mismatched() != null) {
      descriptor(sighting.mismatched(), Ioctl.CREATE_VCPU, vm, fd);
      scores.calls(vm).retract();
    }
  }

  private void descriptor(Machine.Creation creation, Ioctl ioctl, String lane, int fd) {
    scores.diverge(
        new Divergence(
            creation.moment(),
            creation.seq(),
            lane,
            ioctl.uapiName(),
            What.RETURN,
            null,
            Words.returned(creation.ret(), creation.errno()),
            Integer.toString(fd),
            "later calls use this descriptor",
            creation.where()));
  }

  private void vmCall(Recorded.VmCall call) {
    Ioctl ioctl = vmIoctl(call.command());
    int moment = index.add(call.seq(), ioctl.uapiName());
    meetVm(call.vm(), call.fd());
    Vm vm = machine.vm(call.vm());
    if (deaths.isOpen(vm)) {
      vm =
          deaths.resolve(
              vm,
              DeathWatch.survivor(
                  moment, call.seq(), call.vm(), ioctl, call.ret(), call.errno(), call.where()),
              Words.isEio(call.ret(), call.errno()));
    }
    VmRules.Result result = VmRules.decide(vm, call.command());
    boolean agrees =
        call.decided()
            || scores.compareReturn(
                moment,
                call.seq(),
                call.vm(),
                ioctl,
                call.where(),
                result.outcome(),
                call.ret(),
                call.errno());
    if (call.decided()) {
      scores.compareDecided(moment, call, ioctl, result.outcome());
    }
    Vm after = result.after();
    if (!agrees) {
      after = VmRules.doubted(vm, call.command());
    } else if (result.outcome() instanceof Outcome.Undecided && call.ret() < 0) {
      // What nobody could tell did not happen.
      after = vm;
    }
    machine.put(after);
    if (call.command() instanceof VmCommand.CreateVcpu create && (call.ret() >= 0 || !agrees)) {
      machine.vcpuCreated(
          new Machine.Creation(
              moment, call.seq(), call.vm(), create.id(), call.ret(), call.errno(), call.where()));
    }
    listener.fact(moment, call, result.outcome());
  }

  private static Ioctl vmIoctl(VmCommand command) {
    return switch (command) {
      case VmCommand.CreateVcpu _ -> Ioctl.CREATE_VCPU;
      case VmCommand.CreateIrqchip _ -> Ioctl.CREATE_IRQCHIP;
      case VmCommand.SetBootCpuId _ -> Ioctl.SET_BOOT_CPU_ID;
      case VmCommand.EnableCap _ -> Ioctl.ENABLE_CAP;
      case VmCommand.SetMemoryRegion _ -> Ioctl.SET_USER_MEMORY_REGION;
      case VmCommand.BadPointer b -> b.ioctl();
      case VmCommand.Unseen u -> u.ioctl();
      case VmCommand.Other o -> o.ioctl();
    };
  }

  private void vcpuCall(Recorded.VcpuCall call) {
    Ioctl ioctl = VcpuModel.ioctl(call.command());
    int moment = index.add(call.seq(), ioctl.uapiName());
    meetVm(call.vm(), -1);
    meetVcpu(call.vcpu(), call.vm(), call.fd(), moment);
    Vcpu v = machine.vcpu(call.vcpu(), call.vm());
    if (deaths.isOpen(v.vm())) {
      v =
          v.withVm(
              deaths.resolve(
                  v.vm(),
                  DeathWatch.survivor(
                      moment,
                      call.seq(),
                      call.vcpu(),
                      ioctl,
                      call.ret(),
                      call.errno(),
                      call.where()),
                  Words.isEio(call.ret(), call.errno())));
    }
    Decision decision = VcpuModel.decide(v, call.command());
    listener.fact(moment, call, decision.outcome());
    if (call.decided()) {
      decidedCall(moment, v, call, decision, ioctl);
      return;
    }
    if (call.run() != null) {
      runs.run(moment, v, call, decision, call.run());
      return;
    }
    boolean agrees =
        scores.compareReturn(
            moment,
            call.seq(),
            call.vcpu(),
            ioctl,
            call.where(),
            decision.outcome(),
            call.ret(),
            call.errno());
    if (agrees) {
      compareReason(moment, call, ioctl, decision);
    }
    Vcpu next = v;
    if (decision.outcome() instanceof Outcome.Undecided || agrees) {
      next = carryOut(v, decision, call, ioctl, moment);
    } else {
      next = doubt(v, call, decision, ioctl, moment);
    }
    notice(moment, v, next, true);
    long differences = scores.divergencesFound(call.vcpu());
    machine.put(read(next, decision.reply(), call, ioctl, moment));
    if (agrees && scores.divergencesFound(call.vcpu()) == differences) {
      machine.host(
          VcpuModel.learn(machine.host(), v, call.command(), call.ret(), ReadFacts.payload(call)));
    }
  }

  /** A call that nobody made does what the rules say; the answer kept with it is no fact. */
  private void decidedCall(
      int moment, Vcpu v, Recorded.VcpuCall call, Decision decision, Ioctl ioctl) {
    scores.compareDecided(moment, call, ioctl, decision.outcome());
    if (call.run() != null) {
      runs.supposed(moment, v, call, decision, call.run());
      return;
    }
    Vcpu next = carryOut(v, decision, call, ioctl, moment);
    notice(moment, v, next, true);
    machine.put(next);
  }

  /** A refusal must be for the reason that the kernel itself traced. */
  private void compareReason(int moment, Recorded.VcpuCall call, Ioctl ioctl, Decision decision) {
    if (call.failedChecks().isEmpty()
        || !(decision.outcome() instanceof Outcome.Refused refused)
        || !(refused.check() instanceof VmEntryCheck check)) {
      return;
    }
    List<VmEntryCheck> traced = VmEntryTexts.printing(call.failedChecks());
    if (traced.isEmpty() || traced.contains(check)) {
      return;
    }
    scores.diverge(
        new Divergence(
            moment,
            call.seq(),
            call.vcpu(),
            ioctl.uapiName(),
            What.RETURN,
            "check",
            String.join("; ", call.failedChecks()),
            check.id(),
            "the tracepoint kvm_nested_vmenter_failed names another check",
            call.where()));
  }

  /** What is left of a call whose recorded result contradicts the model. */
  private static Vcpu doubt(
      Vcpu v, Recorded.VcpuCall call, Decision decision, Ioctl ioctl, int moment) {
    Vcpu next = v;
    if (call.command() instanceof VcpuCommand.SetMsrs set
        && decision.outcome() instanceof Outcome.Returns predicted) {
      int sure = (int) Math.max(0, Math.min(predicted.value(), call.ret()));
      return VcpuModel.evolve(v, new TimelineEvent.MsrsSet(moment, set.msrs(), sure, false));
    }
    if (call.command() instanceof VcpuCommand.SetRegs set) {
      // KVM_SET_REGS cannot fail, so what it was given is more likely than what was there before.
      next = VcpuModel.evolve(v, new TimelineEvent.RegsSet(moment, set.regs()));
    }
    return VcpuModel.evolve(next, new TimelineEvent.CallDoubted(moment, ioctl));
  }

  /** The call did what the model says, or, where the model cannot tell, what was recorded. */
  private static Vcpu carryOut(
      Vcpu v, Decision decision, Recorded.VcpuCall call, Ioctl ioctl, int moment) {
    if (decision.outcome() instanceof Outcome.Undecided
        && call.command() instanceof VcpuCommand.SetMsrs set
        && call.ret() >= 0) {
      // How many entries KVM processed is recorded, so nothing is in doubt.
      return VcpuModel.evolve(v, new TimelineEvent.MsrsSet(moment, set.msrs(), call.ret(), true));
    }
    boolean failed = call.ret() < 0 || (ioctl == Ioctl.SET_NESTED_STATE && call.ret() != 0);
    if (decision.outcome() instanceof Outcome.Undecided && failed) {
      return VcpuModel.evolve(v, new TimelineEvent.CallDoubted(moment, ioctl));
    }
    Vcpu next = v;
    for (TimelineEvent event : decision.events()) {
      next = VcpuModel.evolve(next, event);
    }
    return next;
  }

  /** A payload that KVM wrote: compared where it was known, learned where it was not. */
  private Vcpu read(
      Vcpu v, @Nullable Reply reply, Recorded.VcpuCall call, Ioctl ioctl, int moment) {
    if (call.ret() < 0 || call.reply().isEmpty()) {
      return v;
    }
    FieldSet doubted = reply == null ? null : compare(reply, call, ioctl, moment, v);
    Vcpu next = v;
    TimelineEvent fact;
    try {
      fact = ReadFacts.of(call, ioctl, moment);
    } catch (FormatException e) {
      if (doubted == null || doubted.isEmpty()) {
        throw e.inPayload(call.where(), ioctl.uapiName());
      }
      // That the payload contradicts itself is told already.
      fact = null;
    }
    if (fact != null) {
      next = VcpuModel.evolve(v, fact);
    }
    if (reply != null && doubted != null && !doubted.isEmpty()) {
      next = VcpuModel.evolve(next, new TimelineEvent.ReadDoubted(moment, reply, doubted));
    }
    return next;
  }

  private FieldSet compare(
      Reply reply, Recorded.VcpuCall call, Ioctl ioctl, int moment, Vcpu before) {
    Bytes payload = call.reply();
    int count = reply.count();
    FieldSet doubted = FieldSet.none(count);
    Scores.Count fields = scores.fields(call.vcpu());
    for (int f = 0; f < count; f++) {
      boolean counted = reply.isValue(f);
      if (counted) {
        fields.meet(1);
      }
      if (!reply.known(f) || !shown(call, f)) {
        continue;
      }
      long predicted = reply.predicted(f);
      Long recorded = recorded(reply, f, payload);
      boolean equal = recorded != null && recorded == predicted;
      if (counted || !equal) {
        fields.compare(equal);
      }
      if (!equal) {
        doubted = doubted.with(f);
        scores.diverge(
            new Divergence(
                moment,
                call.seq(),
                call.vcpu(),
                ioctl.uapiName(),
                What.FIELD,
                reply.name(f),
                recorded == null ? "the payload ends before it" : Words.hex(recorded),
                Words.hex(predicted),
                Writers.describe(before, reply, f, index),
                call.where()));
      }
    }
    fields.meet(ReadFacts.fieldsBeyond(reply, call, ioctl));
    return doubted;
  }

  private static boolean shown(Recorded.VcpuCall call, int field) {
    return call.replyShown() == null || call.replyShown().has(field);
  }

  private static @Nullable Long recorded(Reply reply, int field, Bytes payload) {
    try {
      return reply.recorded(field, payload);
    } catch (IndexOutOfBoundsException _) {
      return null;
    }
  }
}
