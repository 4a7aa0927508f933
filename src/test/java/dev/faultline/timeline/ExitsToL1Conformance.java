package dev.faultline.timeline;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.Bytes;
import dev.faultline.StructField;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.timeline.Timelines.Timeline;
import dev.faultline.trace.Observation;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * What the model says of vmcs12 and of L1's registers right after an exit of L2 is what KVM shows
 * next, wherever L1 then went to userspace at once.
 */
final class ExitsToL1Conformance {
  private static final String SYNTHESIZED = "synthesized";

  static Stream<Timeline> timelines() {
    return Stream.concat(
        Stream.of(Timelines.shipped("fuzz-restore-order")),
        Stream.of("fuzz/Z1-00", "fuzz/Z4-00").flatMap(path -> Timelines.collected(path).stream()));
  }

  /** A KVM_RUN in which L2 exited to L1 and L1 left once. */
  private record Exit(String reason, Vcpu after) {}

  /** Plays a timeline and compares what is read after such a KVM_RUN with the state before L1. */
  private static final class Comparison implements TimelineListener {
    private final @Nullable Set<Long> eligible;
    private final List<TimelineEvent> inside = new ArrayList<>();
    private final Map<String, Exit> last = new TreeMap<>();
    private final List<String> wrong = new ArrayList<>();
    private final Map<String, Integer> exits = new TreeMap<>();
    private final Map<String, Integer> compared = new TreeMap<>();
    private final Set<Long> found = new TreeSet<>();

    /** Of the KVM_RUNs that are eligible; of all that a trace shows to be so, if null. */
    private Comparison(@Nullable Set<Long> eligible) {
      this.eligible = eligible;
    }

    @Override
    public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
      inside.add(event);
    }

    private Verification play(Timeline timeline, boolean traced) {
      Reexecution replay = new Reexecution(timeline.name(), timeline.kernel(), this);
      for (Observation o : timeline.observations()) {
        Observation told =
            o instanceof Observation.Call c && !traced
                ? c.withTraced(Observation.Traced.ABSENT)
                : o;
        Recorded fact = RecordedCalls.convert(told, replay.nextMoment());
        @Nullable Vcpu before =
            fact instanceof Recorded.VcpuCall c ? replay.vcpus().get(c.vcpu()) : null;
        inside.clear();
        replay.accept(fact);
        if (fact instanceof Recorded.VcpuCall call) {
          see(before, call);
        }
      }
      return replay.result();
    }

    private void see(@Nullable Vcpu before, Recorded.VcpuCall call) {
      if (call.command() instanceof VcpuCommand.Run run) {
        boolean returnedAtOnce = run.input().run().immediateExit() != 0 && call.ret() != 0;
        if (before != null && !returnedAtOnce) {
          ran(before, call, run);
        }
      } else if (last.containsKey(call.vcpu()) && call.ret() >= 0) {
        read(call);
      }
    }

    private void ran(Vcpu before, Recorded.VcpuCall call, VcpuCommand.Run run) {
      last.remove(call.vcpu());
      @Nullable Exit exit =
          eligible == null || eligible.contains(call.seq()) ? exit(before, run) : null;
      if (exit != null && call.ret() == 0) {
        last.put(call.vcpu(), exit);
        exits.merge(exit.reason(), 1, Integer::sum);
        found.add(call.seq());
      }
    }

    /** The last exit to L1, if L1 then left at most once; null if L1 did more. */
    private @Nullable Exit exit(Vcpu before, VcpuCommand.Run run) {
      Vcpu v = VcpuModel.evolve(before, new TimelineEvent.RunEntered(run.moment(), run.input()));
      @Nullable Exit exit = null;
      int left = 0;
      for (TimelineEvent event : inside) {
        v = VcpuModel.evolve(v, event);
        switch (event) {
          case TimelineEvent.TripleFaultSynthesized _ -> {
            exit = new Exit(SYNTHESIZED, v);
            left = 0;
          }
          case TimelineEvent.NestedVmExited e -> {
            // An exit that the model added is confirmed by one of the trace.
            exit = new Exit(exit != null && left == 0 ? exit.reason() : e.reason(), v);
            left = 0;
          }
          case TimelineEvent.VmExited _ -> left++;
          case TimelineEvent.VmEntered _, TimelineEvent.RunReturned _ -> {}
          default -> exit = null;
        }
      }
      return left <= 1 ? exit : null;
    }

    private void read(Recorded.VcpuCall call) {
      Exit exit = Objects.requireNonNull(last.get(call.vcpu()));
      Vcpu v = exit.after();
      switch (call.command()) {
        case VcpuCommand.GetSregs _ ->
            compare(exit, call, v.registers().sregs(), new KvmSregs(call.reply()).raw(), 0);
        case VcpuCommand.GetNestedState _ -> {
          if (new KvmNestedState(call.reply()).vmcs12() != null) {
            compare(exit, call, v.nested().vmcs12(), call.reply(), KvmNestedState.HEADER_SIZE);
          }
        }
        default -> {
          if (!VcpuModel.ioctl(call.command()).uapiName().startsWith("KVM_GET_")) {
            last.remove(call.vcpu());
          }
        }
      }
    }

    private void compare(
        Exit exit, Recorded.VcpuCall call, Tracked predicted, Bytes reply, int at) {
      for (int f = 0; f < predicted.layout().count(); f++) {
        StructField field = predicted.layout().field(f);
        if (!predicted.knows(f) || !field.isValue()) {
          continue;
        }
        compared.merge(exit.reason(), 1, Integer::sum);
        long recorded = reply.uint(at + field.offset(), field.width());
        if (recorded != predicted.value(f)) {
          wrong.add(
              "seq %d after %s: %s recorded 0x%x predicted 0x%x"
                  .formatted(
                      call.seq(), exit.reason(), field.name(), recorded, predicted.value(f)));
        }
      }
    }
  }

  /** The same recording twice: with its trace, and without. */
  @ParameterizedTest
  @MethodSource("timelines")
  void what_l1_finds_is_what_kvm_shows(Timeline timeline) {
    Comparison traced = new Comparison(null);
    assertThat(traced.play(timeline, true).divergences()).isEmpty();
    assertThat(traced.wrong).isEmpty();
    assertThat(traced.compared).isNotEmpty();

    Comparison untraced = new Comparison(traced.found);
    assertThat(untraced.play(timeline, false).divergences()).isEmpty();
    assertThat(untraced.wrong).isEmpty();
    // The exits that KVM makes by its rules alone hang on what userspace set, not on a trace.
    assertThat(untraced.exits.getOrDefault(SYNTHESIZED, 0))
        .isEqualTo(traced.exits.getOrDefault(SYNTHESIZED, 0));
    assertThat(untraced.compared.getOrDefault(SYNTHESIZED, 0) * 10)
        .isGreaterThanOrEqualTo(traced.compared.getOrDefault(SYNTHESIZED, 0) * 9);
  }
}
