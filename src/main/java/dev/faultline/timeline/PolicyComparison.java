package dev.faultline.timeline;

import dev.faultline.Bytes;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vmx.GuestStateCheck;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.function.Predicate;
import org.jspecify.annotations.Nullable;

/**
 * The policies for invalid nested state over one timeline. The recording stays the fact: each
 * policy is asked at each moment what it would do, and the rest of the recording shows whether it
 * should have.
 *
 * <p>Feed it facts in order; each takes the moment that {@link #nextMoment()} names.
 */
public final class PolicyComparison {
  private final String name;
  private final KernelModel recorded;
  private final KernelModel kernel;
  private final List<Policy> policies;
  private final Reexecution reexecution;
  private final SavedStates saved = new SavedStates();
  private final SequencedMap<String, PolicyLane> lanes = new LinkedHashMap<>();
  private final VariantOutcomes variants;
  private final List<TimelineEvent> inside = new ArrayList<>();
  private @Nullable Vcpu before;
  private @Nullable Outcome predicted;

  /**
   * Compares policies.
   *
   * @param recorded the kernel that was recorded: by its rules the recording is read
   * @param asked the kernel on which the policies decide
   */
  public PolicyComparison(
      String name, KernelModel recorded, KernelModel asked, List<Policy> policies) {
    this.name = name;
    this.kernel = asked;
    this.recorded = recorded;
    this.policies = List.copyOf(policies);
    this.reexecution = new Reexecution(name, recorded, new Ear());
    this.variants = new VariantOutcomes();
  }

  /** Hears what a fact consists of while it is re-executed. */
  private final class Ear implements TimelineListener {
    @Override
    public void fact(int moment, Recorded fact, @Nullable Outcome outcome) {
      predicted = outcome;
      before = fact instanceof Recorded.VcpuCall call ? reexecution.vcpus().get(call.vcpu()) : null;
    }

    @Override
    public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
      if (!(event instanceof TimelineEvent.TripleFaultSynthesized)) {
        inside.add(event);
      }
    }
  }

  /** The moment that the next fact will take. */
  public int nextMoment() {
    return reexecution.nextMoment();
  }

  /** The vCPUs that appeared, by name. */
  public SequencedMap<String, Vcpu> vcpus() {
    return reexecution.vcpus();
  }

  /** What a policy, by its position, remembers of a vCPU by now. */
  public Memory memory(String vcpu, int policy) {
    PolicyLane lane = lanes.get(vcpu);
    return lane == null ? Memory.NOTHING : lane.memory(policy);
  }

  /** The next recorded fact. */
  public void accept(Recorded fact) {
    int moment = nextMoment();
    inside.clear();
    reexecution.accept(fact);
    Vcpu start = before;
    switch (fact) {
      case Recorded.VcpuCall call -> {
        Vcpu after = reexecution.vcpus().get(call.vcpu());
        if (start != null && after != null) {
          called(moment, call, start, after);
        }
      }
      case Recorded.Note note -> variants.note(note);
      case Recorded.VmCall _,
          Recorded.VmCreation _,
          Recorded.HostQuestion _,
          Recorded.SmramCapture _,
          Recorded.Unreadable _ -> {}
    }
  }

  private void called(int moment, Recorded.VcpuCall call, Vcpu start, Vcpu after) {
    PolicyLane lane =
        lanes.computeIfAbsent(call.vcpu(), _ -> new PolicyLane(kernel, policies, saved));
    Ioctl ioctl = VcpuModel.ioctl(call.command());
    PolicyLane.Place place =
        new PolicyLane.Place(moment, call.seq(), call.vcpu(), ioctl.uapiName(), variants.present());
    Recorded.Run run = call.run();
    if (run != null && call.command() instanceof VcpuCommand.Run command) {
      List<TimelineEvent> events = List.copyOf(inside);
      lane.run(place, start, command, events, run.result(), after, writers);
      variants.run(call.vcpu(), start, events, run.result(), predicted);
      return;
    }
    variants.call(call, start, after, predicted);
    if (call.ret() < 0) {
      return;
    }
    Bytes payload = payload(call);
    lane.call(place, start, call.command(), after, writers, payload);
    if (SavedStates.keeps(ioctl) && after.inGuestMode().isYes() && !lane.isFreshCopy()) {
      List<Memory> memories = new ArrayList<>();
      for (int i = 0; i < policies.size(); i++) {
        memories.add(lane.memory(i));
      }
      Culprit culprit = lane.isInvalid() ? lane.culprit() : Culprit.USER;
      saved.read(call.vcpu(), ioctl, payload, memories, culprit);
    }
  }

  /** What a call reads or writes, cut to what it holds. */
  private static Bytes payload(Recorded.VcpuCall call) {
    return switch (call.command()) {
      case VcpuCommand.SetRegs c -> c.regs().raw();
      case VcpuCommand.SetSregs c -> c.sregs().raw();
      case VcpuCommand.SetSregs2 c -> c.sregs().raw();
      case VcpuCommand.SetNestedState c -> held(c.state());
      case VcpuCommand.GetNestedState _ when !call.reply().isEmpty() ->
          held(new KvmNestedState(call.reply()));
      default -> call.reply();
    };
  }

  private static Bytes held(KvmNestedState state) {
    long size = Math.min(state.raw().size(), Math.max(0, state.sizeField()));
    return state.raw().slice(0, (int) size);
  }

  private final PolicyLane.Writer writers =
      new PolicyLane.Writer() {
        @Override
        public Culprit of(Vcpu v) {
          GuestStateCheck failed = v.registers().emulation().failed();
          int moment = writer(v, failed);
          if (moment < 0) {
            return Culprit.UNKNOWN;
          }
          return reexecution.index().name(moment).equals(Ioctl.RUN.uapiName())
              ? Culprit.GUEST
              : Culprit.USER;
        }

        @Override
        public long seq(Vcpu v, @Nullable GuestStateCheck failed) {
          int moment = writer(v, failed);
          return moment < 0 ? -1 : reexecution.index().seq(moment);
        }

        private int writer(Vcpu v, @Nullable GuestStateCheck failed) {
          String field = failed == null ? null : Blame.field(failed);
          return field == null ? -1 : Blame.writer(v, field);
        }
      };

  /** The comparison so far, for the vCPUs that are asked for. */
  public PolicyReview result(Predicate<String> vcpus) {
    List<PolicyMoment> moments = new ArrayList<>();
    long entries = 0;
    long failedRsms = 0;
    long restores = 0;
    long[] changed = new long[policies.size()];
    for (var entry : lanes.sequencedEntrySet()) {
      if (vcpus.test(entry.getKey())) {
        PolicyLane lane = entry.getValue();
        moments.addAll(lane.moments());
        entries += lane.entries();
        failedRsms += lane.failedRsms();
        restores += lane.restores();
        for (int i = 0; i < changed.length; i++) {
          changed[i] += lane.changed(i);
        }
      }
    }
    moments.sort(Comparator.comparingInt(PolicyMoment::moment));
    return new PolicyReview(
        name,
        kernel,
        policies,
        List.copyOf(moments),
        entries,
        failedRsms,
        restores,
        Arrays.stream(changed).boxed().toList());
  }

  /** What became of each of the recorded program's test cases. */
  public List<VariantOutcome> variants() {
    return variants.outcomes(name, recorded.version());
  }
}
