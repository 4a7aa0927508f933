package dev.faultline.migration;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.kvm.MsrEntry;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.migration.Arrival.Step;
import dev.faultline.migration.RestoreStep.Condition;
import dev.faultline.migration.RestoreStep.OnRefusal;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.Verdict;
import dev.faultline.vcpu.Vm;
import dev.faultline.vmx.VmEntryCheck;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.List;
import java.util.SortedSet;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The writing half of a plan: the KVM_SET_* calls of a VMM on a fresh vCPU.
 *
 * <p>A value that is not known is written all the same and stays unknown. KVM takes back what it
 * gave: on the kernel that was read from, a call whose acceptance hangs on such values alone is
 * taken as accepted, and says so.
 */
final class Restoring {
  private static final int SMM = KvmVcpuEvents.LAYOUT.indexOf("smi.smm");
  private static final int FLAGS = KvmVcpuEvents.LAYOUT.indexOf("flags");

  private final Plan plan;
  private final boolean sameKernel;
  private final @Nullable Policy policy;

  /**
   * Restores by this plan.
   *
   * @param policy what rules there instead of KVM over an L2 that hardware cannot run, or null
   */
  Restoring(Plan plan, boolean sameKernel, @Nullable Policy policy) {
    this.plan = plan;
    this.sameKernel = sameKernel;
    this.policy = policy;
  }

  Arrival restore(SavedState saved, Vcpu fresh) {
    Work work = new Work(saved, fresh);
    for (int i = 0; i < plan.restores().size() && work.aborted == null; i++) {
      RestoreStep step = plan.restores().get(i);
      Ioctl read = Payload.readFor(step.ioctl(), saved);
      Reply reply = saved.reply(read);
      Long returned = saved.returned(read);
      if (reply != null) {
        Vcpu before = work.v;
        work.write(i, step, reply);
        work.rule(i, step, before);
      } else if (step.ioctl() == Ioctl.SET_TSC_KHZ && returned != null) {
        work.tscKhz(i, returned);
      } else if (returned != null || step.ioctl() == Ioctl.KVMCLOCK_CTRL) {
        // The x87 and SSE registers are a part of the XSAVE area; of the rest no vCPU has state.
        work.steps.add(Step.accepted(i, step.ioctl()));
      }
    }
    return new Arrival(
        work.v,
        List.copyOf(work.steps),
        work.aborted,
        work.tscWritten,
        work.carriedMsrs,
        work.memory);
  }

  /** One restore. */
  private final class Work {
    private final SavedState saved;
    private final List<Step> steps = new ArrayList<>();
    private Vcpu v;
    private @Nullable Step aborted;
    private @Nullable VcpuCommand carriedOut;
    private Memory memory = Memory.NOTHING;
    private boolean tscWritten;
    private final SortedSet<Integer> carriedMsrs = new TreeSet<>();

    Work(SavedState saved, Vcpu fresh) {
      this.saved = saved;
      this.v = fresh;
    }

    void write(int number, RestoreStep step, Reply reply) {
      if (!applies(step.when())) {
        return;
      }
      int moment = Arrival.moment(number);
      switch (reply) {
        case Reply.Msrs m -> msrs(number, step, Replies.chosen(m, step.msrs()), moment);
        case Reply.Struct s -> {
          if (step.ioctl() == Ioctl.SET_NESTED_STATE) {
            nested(number, step, new Reply.Parts(List.of(s)), moment);
          } else {
            struct(number, step, s, moment);
          }
        }
        case Reply.Parts p -> nested(number, step, p, moment);
        case Reply.Cpuid c -> {
          VcpuCommand command = Payload.command(step.ioctl(), c, moment);
          if (command != null && (c.count() > 1 || v.platform().cpuidSet().isYes())) {
            plain(number, step, command, false);
          }
        }
      }
    }

    /** What the policy says of the call that KVM has accepted. */
    void rule(int number, RestoreStep step, Vcpu before) {
      VcpuCommand command = carriedOut;
      carriedOut = null;
      if (policy == null || command == null) {
        return;
      }
      Policy.Ruling ruling = policy.atIoctl(memory, before, command, v);
      memory = ruling.memory().withWorld(null);
      if (ruling.verdict() instanceof Verdict.RefuseIoctl refused) {
        v = before;
        steps.removeLast();
        done(
            Step.refused(number, step.ioctl(), refused.errno(), refused.failed()),
            step.onRefusal());
      }
    }

    private boolean applies(Condition when) {
      if (when == Condition.SAVED) {
        return true;
      }
      if (!(saved.reply(Ioctl.GET_NESTED_STATE) instanceof Reply.Parts p)) {
        return false;
      }
      if (when == Condition.NESTED_DATA) {
        return p.parts().size() > 1;
      }
      KvmNestedState s = new KvmNestedState(Replies.bytes(p));
      boolean on =
          s.isVmx()
              ? s.vmxonPa() != NestedRestore.NO_ADDRESS
              : (s.flags() & NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE) != 0;
      return on || !Replies.unknown(p.parts().getFirst()).isEmpty();
    }

    void tscKhz(int number, long khz) {
      int moment = Arrival.moment(number);
      v =
          khz == 0
              ? VcpuModel.evolve(v, new TimelineEvent.CallDoubted(moment, Ioctl.SET_TSC_KHZ))
              : VcpuModel.evolve(v, new TimelineEvent.TscKhzSet(moment, khz));
      steps.add(Step.accepted(number, Ioctl.SET_TSC_KHZ));
    }

    private void done(Step step, OnRefusal onRefusal) {
      steps.add(step);
      if (step.end() == Arrival.End.REFUSED && onRefusal == OnRefusal.ABORT) {
        aborted = step;
      }
    }

    private void evolve(List<TimelineEvent> events) {
      for (TimelineEvent event : events) {
        v = VcpuModel.evolve(v, event);
      }
    }

    /** A payload that is known. */
    private void plain(int number, RestoreStep step, VcpuCommand command, boolean rests) {
      Decision d = VcpuModel.decide(v, command);
      evolve(d.events());
      carriedOut = d.outcome() instanceof Outcome.Refused ? null : command;
      done(
          switch (d.outcome()) {
            case Outcome.Refused r -> Step.refused(number, step.ioctl(), r.errno(), r.check());
            case Outcome.Undecided u ->
                sameKernel
                    ? Step.assumed(number, step.ioctl(), u.missing())
                    : Step.open(number, step.ioctl(), u.missing());
            case Outcome.Returns _, Outcome.Succeeds _, Outcome.Exits _, Outcome.Runs _ ->
                rests
                    ? Step.assumed(number, step.ioctl(), "what was not known when it was read")
                    : Step.accepted(number, step.ioctl());
          },
          step.onRefusal());
    }

    private void struct(int number, RestoreStep step, Reply.Struct saved, int moment) {
      Reply.Struct s = written(step, saved);
      VcpuCommand command = Payload.command(step.ioctl(), s, moment);
      if (command == null) {
        steps.add(Step.accepted(number, step.ioctl()));
        return;
      }
      FieldSet unknown = Replies.unknown(s);
      if (unknown.isEmpty()) {
        plain(number, step, command, false);
        return;
      }
      boolean events = step.ioctl() == Ioctl.SET_VCPU_EVENTS;
      if (events && (unknown.has(SMM) || unknown.has(FLAGS))) {
        doubt(number, step.ioctl(), moment, "whether the vCPU was in SMM");
        return;
      }
      Vcpu before = v;
      boolean rests = unknown.meets(Payload.decisive(step.ioctl(), s.layout()));
      Decision d = VcpuModel.decide(v, command);
      if (rests && (!sameKernel || d.outcome() instanceof Outcome.Refused)) {
        if (!sameKernel) {
          doubt(number, step.ioctl(), moment, "values that were not known when they were read");
          return;
        }
        // What it was refused for is not what was read: only values that are not known are.
        VcpuCommand last = command;
        v = accept(last, moment);
        carriedOut = last;
        steps.add(Step.assumed(number, step.ioctl(), "what was not known when it was read"));
      } else {
        plain(number, step, command, rests);
      }
      if (steps.getLast().end() != Arrival.End.REFUSED) {
        forget(s, unknown, moment);
        if (step.ioctl() == Ioctl.SET_LAPIC && unknown.has(LAPIC_TPR)) {
          keepCr8(before, moment);
        }
      }
    }

    /** The task priority is not known, but CR8, its upper half, was written before. */
    private void keepCr8(Vcpu before, int moment) {
      Tracked sregs = before.registers().sregs();
      v =
          v.withRegisters(
              v.registers()
                  .withSregs(
                      v.registers()
                          .sregs()
                          .edit(moment)
                          .set(CR8, sregs.value(CR8), sregs.knows(CR8))
                          .done()));
    }

    /** What the VMM makes of what was saved. */
    private Reply.Struct written(RestoreStep step, Reply.Struct saved) {
      List<String> clears = step.how().clears();
      List<String> keeps = step.how().keeps();
      if (clears.isEmpty() && keeps.isEmpty()) {
        return saved;
      }
      StructLayout layout = saved.layout();
      Bytes.Builder bytes = saved.bytes().toBuilder();
      FieldSet known = saved.knownFields();
      for (String name : clears) {
        StructField field = layout.field(name);
        bytes.put(field.offset(), field.width(), 0);
        known = known.with(layout.indexOf(name));
      }
      if (!keeps.isEmpty()) {
        Reply.Struct there = Payload.there(v, step.ioctl());
        for (String name : keeps) {
          int field = layout.indexOf(name);
          StructField f = layout.field(field);
          bytes.put(f.offset(), f.width(), there.predicted(field));
          known = there.known(field) ? known.with(field) : known.without(field);
        }
      }
      return new Reply.Struct(saved.prefix(), saved.offset(), layout, bytes.build(), known);
    }

    /** Carries a call out although the model would refuse what stands for values not known. */
    private Vcpu accept(VcpuCommand command, int moment) {
      TimelineEvent event =
          switch (command) {
            case VcpuCommand.SetSregs c -> new TimelineEvent.SregsSet(moment, c.sregs());
            case VcpuCommand.SetSregs2 c -> new TimelineEvent.Sregs2Set(moment, c.sregs());
            case VcpuCommand.SetVcpuEvents c ->
                new TimelineEvent.VcpuEventsSet(moment, c.events(), true);
            case VcpuCommand.SetMpState c -> new TimelineEvent.MpStateSet(moment, c.state());
            case VcpuCommand.SetDebugregs c ->
                new TimelineEvent.DebugregsSet(moment, c.debugregs());
            case VcpuCommand.SetXcrs c -> new TimelineEvent.XcrsSet(moment, c.xcrs());
            case VcpuCommand.SetXsave c -> new TimelineEvent.XsaveSet(moment, c.xsave());
            default -> new TimelineEvent.CallNoted(moment, VcpuModel.ioctl(command));
          };
      return VcpuModel.evolve(v, event);
    }

    private void doubt(int number, Ioctl ioctl, int moment, String missing) {
      v = VcpuModel.evolve(v, new TimelineEvent.CallDoubted(moment, ioctl));
      steps.add(Step.open(number, ioctl, missing));
    }

    /** What was not known when it was read is not known where it was written. */
    private void forget(Reply.Struct s, FieldSet unknown, int moment) {
      // CR8 and the task priority of the local APIC are one register.
      if (s.layout().has("cr8") && unknown.has(s.layout().indexOf("cr8"))) {
        doubt(KvmLapicState.LAYOUT, LAPIC_TPR, moment);
      }
      if (s.layout().equals(KvmSregs2.LAYOUT)) {
        Reply.Struct narrow = Replies.asSregs(s);
        FieldSet rest = Replies.unknown(narrow);
        if (!rest.isEmpty()) {
          v = VcpuModel.evolve(v, new TimelineEvent.ReadDoubted(moment, narrow, rest));
        }
        return;
      }
      v = VcpuModel.evolve(v, new TimelineEvent.ReadDoubted(moment, s, unknown));
    }

    private void doubt(StructLayout layout, int field, int moment) {
      Reply.Struct whole =
          new Reply.Struct("", 0, layout, Bytes.zero(layout.size()), layout.none());
      v =
          VcpuModel.evolve(
              v, new TimelineEvent.ReadDoubted(moment, whole, layout.none().with(field)));
    }

    private void msrs(int number, RestoreStep step, Reply.Msrs chosen, int moment) {
      if (chosen.read() == 0) {
        return;
      }
      Step worst = Step.accepted(number, Ioctl.SET_MSRS);
      Reply.Msrs rest = chosen;
      while (rest.read() > 0) {
        Reply.Msrs batch = step.how().oneByOne() ? single(rest, 0) : rest;
        if (step.how().onlyChanged() && isThere(batch)) {
          rest = tail(rest, 1);
          continue;
        }
        KvmMsrs list = batch.asked();
        Decision d = VcpuModel.decide(v, new VcpuCommand.SetMsrs(moment, list));
        int processed = batch.read();
        if (d.outcome() instanceof Outcome.Returns r && r.value() < batch.read()) {
          processed = (int) r.value();
        }
        Vcpu before = v;
        v = VcpuModel.evolve(v, new TimelineEvent.MsrsSet(moment, list, processed, true));
        int tsc = list.find(Msr.IA32_TSC);
        tscWritten |= tsc >= 0 && tsc < processed;
        forget(batch, processed, moment);
        if (d.outcome() instanceof Outcome.Undecided u && worst.end() != Arrival.End.REFUSED) {
          worst = undecided(number, u.missing());
        }
        if (processed == batch.read()) {
          rest = tail(rest, batch.read());
          continue;
        }
        if (!batch.certain().get(processed) && sameKernel) {
          // The value is not known, so neither is that it is refused.
          Reply.Msrs one = single(batch, processed);
          v = VcpuModel.evolve(v, new TimelineEvent.MsrsSet(moment, one.asked(), 0, false));
          carriedMsrs.add(one.index(0));
          worst = worst.end() == Arrival.End.REFUSED ? worst : undecided(number, "its value");
        } else {
          worst = cutShort(before, number, list, processed);
          if (step.onRefusal() != OnRefusal.LOG) {
            break;
          }
        }
        rest = tail(rest, processed + 1);
      }
      done(worst, step.onRefusal());
    }

    /** Whether the destination has the one MSR's value already. */
    private boolean isThere(Reply.Msrs one) {
      MsrState msrs = v.platform().msrs();
      int index = one.index(0);
      return one.certain().get(0) && msrs.knows(index) && msrs.value(index) == one.values().get(0);
    }

    private Step undecided(int number, String missing) {
      return sameKernel
          ? Step.assumed(number, Ioctl.SET_MSRS, missing)
          : Step.open(number, Ioctl.SET_MSRS, missing);
    }

    private Step cutShort(Vcpu before, int number, KvmMsrs list, int processed) {
      return Step.cutShort(
          number,
          Ioctl.SET_MSRS,
          processed,
          VcpuModel.stopped(before, new VcpuCommand.SetMsrs(0, list), processed),
          Msr.name(list.index(processed)));
    }

    private void forget(Reply.Msrs batch, int processed, int moment) {
      FieldSet unknown = FieldSet.none(batch.count());
      for (int i = 0; i < processed; i++) {
        if (!batch.certain().get(i)) {
          unknown = unknown.with(i);
          carriedMsrs.add(batch.index(i));
        } else {
          carriedMsrs.remove(batch.index(i));
        }
      }
      if (!unknown.isEmpty()) {
        v = VcpuModel.evolve(v, new TimelineEvent.ReadDoubted(moment, batch, unknown));
      }
    }

    private void nested(int number, RestoreStep step, Reply.Parts p, int moment) {
      FieldSet header = Replies.unknown(p.parts().getFirst());
      if (header.size() == TIMER.size()) {
        header = header.minus(TIMER);
        if (p.parts().size() > 1) {
          header = header.minus(UnseenVmcs.PLACES);
        }
      }
      if (!header.isEmpty()) {
        doubt(number, step.ioctl(), moment, "the nested state's header");
        return;
      }
      KvmNestedState s = new KvmNestedState(Replies.bytes(p));
      VcpuCommand command = new VcpuCommand.SetNestedState(moment, s);
      Decision d = VcpuModel.decide(v, command);
      boolean partly = !Replies.unknown(p).isEmpty();
      boolean rests =
          switch (d.outcome()) {
            case Outcome.Returns r -> r.value() != 0;
            case Outcome.Refused f -> f.check() instanceof VmEntryCheck;
            default -> false;
          };
      boolean open = d.outcome() instanceof Outcome.Undecided || (partly && rests);
      if (!open) {
        plain(number, step, command, partly && NestedRestore.guestMode(s));
      } else if (sameKernel && s.isVmx() && v.inSmm().isKnown() && v.platform().cpuid() != null) {
        evolve(NestedRestore.accepted(s, moment));
        carriedOut = command;
        steps.add(Step.assumed(number, step.ioctl(), missing(d)));
      } else {
        doubt(number, step.ioctl(), moment, missing(d));
        return;
      }
      if (partly && steps.getLast().end() != Arrival.End.REFUSED) {
        forget(p, moment, NestedRestore.guestMode(s));
      }
    }

    /** Fields of vmcs12 that were not known, and the registers of L2 that came from them. */
    private void forget(Reply.Parts p, int moment, boolean guestMode) {
      FieldSet unknown = Replies.unknown(p);
      int header = p.parts().getFirst().count();
      for (int f = unknown.next(0); f >= 0 && f < header; f = unknown.next(f + 1)) {
        unknown = unknown.without(f);
      }
      if (!unknown.isEmpty()) {
        v = VcpuModel.evolve(v, new TimelineEvent.ReadDoubted(moment, p, unknown));
      }
      if (guestMode && NestedRestore.hidesRegisters(p)) {
        // The guest-state fields were copied from the registers that were saved with them.
        v =
            v.withRegisters(
                v.registers()
                    .withSregs(loaded(v.registers().sregs(), sregs(), loadedSregs(p), moment))
                    .withRegs(
                        loaded(
                            v.registers().regs(),
                            saved.reply(Ioctl.GET_REGS),
                            LOADED_REGS,
                            moment)));
        judgeAgain(moment);
      }
    }

    /** Whether hardware can run what was loaded is judged by what is known of it. */
    private void judgeAgain(int moment) {
      StructLayout layout = KvmSregs.LAYOUT;
      Reply.Struct whole =
          new Reply.Struct("", 0, layout, Bytes.zero(layout.size()), layout.none());
      v = VcpuModel.evolve(v, new TimelineEvent.ReadDoubted(moment, whole, layout.none()));
    }

    private @Nullable Reply sregs() {
      Reply narrow = saved.reply(Ioctl.GET_SREGS);
      return narrow != null ? narrow : saved.reply(Ioctl.GET_SREGS2);
    }
  }

  private static Tracked loaded(Tracked state, @Nullable Reply reply, FieldSet set, int moment) {
    if (!(reply instanceof Reply.Struct s)) {
      return state.forget(set, moment);
    }
    Tracked.Edit edit = state.edit(moment);
    for (int f = set.next(0); f >= 0; f = set.next(f + 1)) {
      // Both structs begin with the same fields in the same order.
      edit.set(f, s.predicted(f), s.known(f));
    }
    return edit.done();
  }

  private static final FieldSet LOADED_SREGS =
      KvmSregs.LAYOUT
          .values()
          .minus(
              KvmSregs.LAYOUT.of(
                  "cr2",
                  "cr8",
                  "efer",
                  "apic_base",
                  "interrupt_bitmap[0]",
                  "interrupt_bitmap[1]",
                  "interrupt_bitmap[2]",
                  "interrupt_bitmap[3]"));
  private static final FieldSet LOADED_SREGS_AND_EFER =
      LOADED_SREGS.with(KvmSregs.LAYOUT.indexOf("efer"));

  /** KVM_GET_NESTED_STATE takes long mode from EFER into the VM-entry controls. */
  private static FieldSet loadedSregs(Reply.Parts p) {
    return NestedRestore.hidesControls(p) ? LOADED_SREGS_AND_EFER : LOADED_SREGS;
  }

  private static final int LAPIC_TPR = KvmLapicState.LAYOUT.indexOf("tpr");
  private static final int CR8 = KvmSregs.LAYOUT.indexOf("cr8");
  private static final FieldSet TIMER =
      KvmNestedState.HEADER_LAYOUT.of("vmx.flags", "vmx.preemption_timer_deadline");
  private static final FieldSet LOADED_REGS = KvmRegs.LAYOUT.of("rip", "rsp", "rflags");

  private static String missing(Decision d) {
    return d.outcome() instanceof Outcome.Undecided u
        ? u.missing()
        : "what was not known when it was read";
  }

  private static Reply.Msrs single(Reply.Msrs list, int entry) {
    return part(list, entry, entry + 1);
  }

  private static Reply.Msrs tail(Reply.Msrs list, int from) {
    return from >= list.read() ? Replies.NO_MSRS : part(list, from, list.read());
  }

  private static Reply.Msrs part(Reply.Msrs list, int from, int to) {
    List<MsrEntry> entries = new ArrayList<>();
    for (int i = from; i < to; i++) {
      entries.add(new MsrEntry(list.index(i), list.asked().data(i)));
    }
    return new Reply.Msrs(
        KvmMsrs.of(entries),
        list.values().subList(from, to),
        list.certain().subList(from, to),
        true);
  }

  /** A vCPU as KVM creates it, after those that the VMM has created before it. */
  static Vcpu fresh(Vcpu source, Vm vm) {
    int place = vm.vcpuIds().indexOf(source.id());
    Vm before = place < 0 ? vm : vm.withVcpuIds(vm.vcpuIds().subList(0, place + 1));
    TimelineEvent created =
        new TimelineEvent.VcpuCreated(
            Arrival.BASE - 1,
            source.id(),
            vm.settings().isBootCpu(source.id()),
            vm.irqchip().lapicInKernel());
    return VcpuModel.evolve(VcpuModel.unseen(source.name(), source.id(), before), created)
        .withVm(vm);
  }

  /** The fresh vCPU with what the VMM configured the source's with. */
  static Vcpu configured(Vcpu fresh, Vcpu source) {
    Vcpu v = fresh;
    MsrState msrs = source.platform().msrs();
    int cap = Msr.IA32_MCG_CAP;
    if (msrs.knows(cap) && msrs.value(cap) != v.platform().msrs().value(cap)) {
      v = VcpuModel.evolve(v, new TimelineEvent.MceSetUp(Arrival.BASE - 1, msrs.value(cap)));
    }
    Answer enlightened = source.progress().enlightenedVmcs();
    return enlightened == v.progress().enlightenedVmcs()
        ? v
        : v.withProgress(v.progress().withEnlightenedVmcs(enlightened));
  }
}
