package dev.faultline.migration;

import dev.faultline.kvm.Ioctl;
import dev.faultline.migration.Migration.Side;
import dev.faultline.timeline.PolicyComparison;
import dev.faultline.timeline.Reexecution;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.vcpu.KernelModel;
import dev.faultline.vcpu.Policy;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.VmCommand;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Objects;
import java.util.SequencedMap;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Migrates the vCPUs of a timeline, by several plans, at the moments that are asked for.
 *
 * <p>The timeline goes by once: a migrated vCPU follows the recorded calls until the guest goes on
 * and is forgotten then. Moments at which the same arrives share it.
 *
 * <p>Feed it facts in order; each takes the moment that {@link #nextMoment()} names.
 */
public final class Migrations {
  /** More moments than these do not wait for the guest to go on. */
  private static final int MOST_WAITING = 1 << 16;

  private final Reexecution reexecution;
  private final @Nullable PolicyComparison ruled;
  private final List<Migration> migrations = new ArrayList<>();
  private final List<Deque<Slot>> waiting = new ArrayList<>();
  private final List<SequencedMap<String, Lane>> lanes = new ArrayList<>();
  private final Set<String> closed = new LinkedHashSet<>();
  private final SequencedMap<String, List<String>> byVm = new LinkedHashMap<>();
  private final @Nullable Wanted wanted;
  private final Listener listener;
  private long moments;

  /** Which moments are asked for. */
  @FunctionalInterface
  public interface Wanted {
    /** Whether a fact that takes these moments, the last of which is when it is over, is meant. */
    boolean at(Recorded fact, int first, int last);
  }

  /** Is told what becomes of each migration, in order of the moments of each plan. */
  @FunctionalInterface
  public interface Listener {
    void outcome(Plan plan, MomentOutcome outcome);
  }

  private record Slot(int moment, long seq, String vcpu, String call, Pending pending) {}

  /** The migrated vCPUs of one vCPU that still follow the timeline. */
  private static final class Lane {
    private final List<Pending> following = new ArrayList<>();
    private @Nullable Vcpu lastSource;
    private Memory lastMemory = Memory.NOTHING;
    private @Nullable Pending last;
  }

  /**
   * Migrates to one kernel.
   *
   * @param recorded the kernel that was recorded
   * @param destination the kernel to which the vCPUs go
   * @param policy what rules on both sides instead of KVM over an L2 that hardware cannot run; null
   *     for KVM itself
   * @param wanted at which moments all vCPUs migrate; null for every vCPU at each moment of its own
   */
  public Migrations(
      String name,
      KernelModel recorded,
      KernelModel destination,
      @Nullable Policy policy,
      List<Plan> plans,
      @Nullable Wanted wanted,
      Listener listener) {
    this.reexecution = new Reexecution(name, recorded, TimelineListener.NONE);
    this.ruled =
        policy == null ? null : new PolicyComparison(name, recorded, recorded, List.of(policy));
    this.wanted = wanted;
    this.listener = listener;
    for (Plan plan : plans) {
      migrations.add(new Migration(plan, destination, this::isCpuid, policy));
      waiting.add(new ArrayDeque<>());
      lanes.add(new LinkedHashMap<>());
    }
  }

  /**
   * Migrates one vCPU, whose guest then goes on at once.
   *
   * @param destination the kernel to which it goes
   */
  public static MigrationOutcome once(Vcpu source, Plan plan, KernelModel destination) {
    return once(source, plan, destination, null, Memory.NOTHING);
  }

  /**
   * The same under a policy.
   *
   * @param memory what the policy remembers of the source
   */
  public static MigrationOutcome once(
      Vcpu source, Plan plan, KernelModel destination, @Nullable Policy policy, Memory memory) {
    Migration migration = new Migration(plan, destination, _ -> false, policy);
    Pending pending = new Pending(migration, migration.migrate(source, memory));
    pending.settle(new Side(source, memory));
    return Objects.requireNonNull(pending.outcome());
  }

  private boolean isCpuid(int moment) {
    return moment >= 0
        && moment < reexecution.index().size()
        && reexecution.index().name(moment).equals(Ioctl.SET_CPUID2.uapiName());
  }

  /** The moment that the next fact will take. */
  public int nextMoment() {
    return reexecution.nextMoment();
  }

  /** The vCPUs that appeared, by name. */
  public SequencedMap<String, Vcpu> vcpus() {
    return reexecution.vcpus();
  }

  /** How many migrations were asked for, of each plan. */
  public long moments() {
    return moments;
  }

  /** The next recorded fact. */
  public void accept(Recorded fact) {
    int first = nextMoment();
    Vcpu before =
        fact instanceof Recorded.VcpuCall call ? reexecution.vcpus().get(call.vcpu()) : null;
    Side start = before == null ? null : side(before);
    reexecution.accept(fact);
    if (ruled != null) {
      ruled.accept(fact);
    }
    int last = nextMoment() - 1;
    if (fact instanceof Recorded.VcpuCall call) {
      if (start == null) {
        meet(call.vm(), call.vcpu());
      }
      Vcpu after = reexecution.vcpus().get(call.vcpu());
      if (start != null && after != null) {
        follow(call, start, side(after));
      }
    }
    if (fact instanceof Recorded.Note note) {
      if (note.kind().equals("close")) {
        close(note.lane());
      } else if (note.kind().equals("mmap") && note.lane().contains("/")) {
        meet(note.lane().substring(0, note.lane().indexOf('/')), note.lane());
      }
    }
    if (wanted == null) {
      each(fact, last);
    } else if (wanted.at(fact, first, last)) {
      for (Vcpu v : List.copyOf(reexecution.vcpus().values())) {
        if (!closed.contains(v.name())) {
          migrate(v, last, fact.seq(), reexecution.index().name(last));
        }
      }
    }
    flush();
  }

  private Side side(Vcpu v) {
    return new Side(v, ruled == null ? Memory.NOTHING : ruled.memory(v.name(), 0));
  }

  private void meet(String vm, String vcpu) {
    List<String> known = byVm.computeIfAbsent(vm, _ -> new ArrayList<>());
    if (!known.contains(vcpu)) {
      known.add(vcpu);
    }
  }

  private void each(Recorded fact, int moment) {
    switch (fact) {
      case Recorded.VcpuCall call -> {
        Vcpu after = reexecution.vcpus().get(call.vcpu());
        if (after != null) {
          migrate(after, moment, call.seq(), VcpuModel.ioctl(call.command()).uapiName());
        }
      }
      case Recorded.VmCall call -> {
        if (!(call.command() instanceof VmCommand.Other)) {
          for (String name : byVm.getOrDefault(call.vm(), List.of())) {
            Vcpu v = reexecution.vcpus().get(name);
            if (v != null && !closed.contains(name)) {
              migrate(v, moment, call.seq(), reexecution.index().name(moment));
            }
          }
        }
      }
      case Recorded.VmCreation _,
          Recorded.HostQuestion _,
          Recorded.SmramCapture _,
          Recorded.Unreadable _,
          Recorded.Note _ -> {}
    }
  }

  private void migrate(Vcpu source, int moment, long seq, String call) {
    moments++;
    Side side = side(source);
    for (int i = 0; i < migrations.size(); i++) {
      Lane lane = lanes.get(i).computeIfAbsent(source.name(), _ -> new Lane());
      Pending pending = lane.last;
      Vcpu lastSource = lane.lastSource;
      if (pending == null
          || lastSource == null
          || pending.isTouched()
          || !Identity.same(lastSource, source)
          || !lane.lastMemory.equals(side.memory())) {
        pending = started(lane, migrations.get(i), side);
      }
      lane.last = pending;
      lane.lastSource = source;
      lane.lastMemory = side.memory();
      waiting.get(i).add(new Slot(moment, seq, source.name(), call, pending));
    }
  }

  private static Pending started(Lane lane, Migration migration, Side source) {
    Pending pending = new Pending(migration, migration.migrate(source.vcpu(), source.memory()));
    if (pending.outcome() != null) {
      return pending;
    }
    for (Pending other : lane.following) {
      if (other.isLike(pending)) {
        return other;
      }
    }
    lane.following.add(pending);
    return pending;
  }

  private void follow(Recorded.VcpuCall call, Side before, Side after) {
    for (SequencedMap<String, Lane> byVcpu : lanes) {
      Lane lane = byVcpu.get(call.vcpu());
      if (lane == null) {
        continue;
      }
      for (Pending pending : lane.following) {
        pending.follow(call, before, after);
      }
      lane.following.removeIf(pending -> pending.outcome() != null);
    }
  }

  private void close(String vcpu) {
    closed.add(vcpu);
    for (SequencedMap<String, Lane> byVcpu : lanes) {
      settle(byVcpu.get(vcpu), vcpu);
    }
  }

  private void settle(@Nullable Lane lane, String vcpu) {
    Vcpu stayed = reexecution.vcpus().get(vcpu);
    if (lane != null && stayed != null) {
      lane.following.forEach(pending -> pending.settle(side(stayed)));
      lane.following.clear();
    }
  }

  /** Whether a migrated vCPU still follows the timeline. */
  public boolean isWaiting() {
    return waiting.stream().anyMatch(queue -> !queue.isEmpty());
  }

  /** The recording has ended: guests that have not gone on do so now. */
  public void finish() {
    for (SequencedMap<String, Lane> byVcpu : lanes) {
      byVcpu.forEach((vcpu, lane) -> settle(lane, vcpu));
    }
    flush();
  }

  private void flush() {
    for (int i = 0; i < migrations.size(); i++) {
      Deque<Slot> queue = waiting.get(i);
      while (!queue.isEmpty()) {
        Slot slot = queue.getFirst();
        if (slot.pending().outcome() == null && queue.size() > MOST_WAITING) {
          settle(lanes.get(i).get(slot.vcpu()), slot.vcpu());
        }
        MigrationOutcome outcome = slot.pending().outcome();
        if (outcome == null) {
          break;
        }
        queue.removeFirst();
        listener.outcome(
            migrations.get(i).plan(),
            new MomentOutcome(slot.moment(), slot.seq(), slot.vcpu(), slot.call(), outcome));
      }
    }
  }
}
