package dev.faultline.migration;

import dev.faultline.FieldSet;
import dev.faultline.kvm.Errno;
import dev.faultline.migration.Migration.Moved;
import dev.faultline.migration.Migration.RunDifference;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.MsrState;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Policy.Memory;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A migrated vCPU on which the recorded calls go on, until a KVM_RUN: what it is like then is what
 * its guest notices.
 */
final class Pending {
  private static final int MOST_LATER = 8;
  private static final int MOST_CALLS = 4096;

  private final Migration migration;
  private final Moved moved;
  private final List<Difference> atFirst;
  private final List<String> later = new ArrayList<>();
  private Vcpu migrated;
  private Memory memory;
  private int calls;
  private boolean touched;
  private @Nullable MigrationOutcome outcome;

  Pending(Migration migration, Moved moved) {
    this.migration = migration;
    this.moved = moved;
    this.migrated = moved.vcpu();
    this.memory = moved.arrival().memory();
    if (moved.isFatal()) {
      atFirst = List.of();
      outcome = Migration.outcome(moved, List.of(), List.of(), NO_RUN, List.of());
      return;
    }
    atFirst = migration.compare(moved.reference(), migrated, moved.arrival());
    if (moved.moved() || (atFirst.isEmpty() && memory.equals(moved.memory()))) {
      // Nothing differs; or the VMM has let KVM complete an access, so the recorded calls no longer
      // follow.
      Migration.Side stayed = new Migration.Side(moved.reference(), moved.memory());
      outcome = Migration.outcome(moved, atFirst, List.of(), migration.run(stayed, side()), later);
    }
  }

  private Migration.Side side() {
    return new Migration.Side(migrated, memory);
  }

  private static final RunDifference NO_RUN = new RunDifference(null, false, "");

  @Nullable MigrationOutcome outcome() {
    return outcome;
  }

  /** Whether the very same vCPU arrived, from the very same one. */
  boolean isLike(Pending other) {
    return outcome == null
        && other.outcome == null
        && later.isEmpty()
        && States.same(migrated, other.migrated)
        && memory.equals(other.memory)
        && atFirst.equals(other.atFirst);
  }

  /** The vCPU that stayed has done a recorded call; the migrated one does it, too. */
  void follow(Recorded.VcpuCall call, Migration.Side before, Migration.Side after) {
    if (outcome != null) {
      return;
    }
    if (call.command() instanceof VcpuCommand.Run run) {
      settle(before, migration.run(before, side(), run));
      return;
    }
    calls++;
    if (call.reply().isEmpty()) {
      write(call);
    } else {
      migrated = learn(migrated, after.vcpu());
    }
    if (calls > MOST_CALLS) {
      settle(after);
    }
  }

  /** Whether it has done a call that may have changed it. */
  boolean isTouched() {
    return touched;
  }

  private void write(Recorded.VcpuCall call) {
    touched = true;
    Decision d = VcpuModel.decide(migrated, call.command());
    String end = ending(d.outcome());
    String recorded = ending(call);
    if (!end.isEmpty() && !end.equals(recorded) && later.size() < MOST_LATER) {
      later.add(
          "%s (seq %d) then returns %s, and not %s"
              .formatted(VcpuModel.ioctl(call.command()).uapiName(), call.seq(), end, recorded));
    }
    Vcpu before = migrated;
    for (var event : d.events()) {
      migrated = VcpuModel.evolve(migrated, event);
    }
    if (!(d.outcome() instanceof Outcome.Refused)) {
      memory = migration.remember(memory, before, call.command(), migrated);
    }
  }

  private static String ending(Outcome outcome) {
    return switch (outcome) {
      case Outcome.Returns r -> Long.toString(r.value());
      case Outcome.Refused r -> r.errno().name();
      case Outcome.Succeeds _, Outcome.Exits _, Outcome.Runs _, Outcome.Undecided _ -> "";
    };
  }

  private static String ending(Recorded.VcpuCall call) {
    if (call.ret() >= 0) {
      return Integer.toString(call.ret());
    }
    Errno errno = Errno.of(call.errno());
    return errno == null ? "errno " + call.errno() : errno.name();
  }

  /** The guest goes on now, or will when nobody looks any more. */
  void settle(Migration.Side stayed) {
    if (outcome == null) {
      settle(stayed, migration.run(stayed, side()));
    }
  }

  private void settle(Migration.Side stayed, RunDifference run) {
    List<Difference> now =
        migration.compare(
            stayed.memory().worldOr(stayed.vcpu()), memory.worldOr(migrated), moved.arrival());
    List<String> still = now.stream().map(Difference::field).toList();
    List<String> healed =
        atFirst.stream()
            .filter(Difference::certain)
            .map(Difference::field)
            .filter(field -> !still.contains(field))
            .toList();
    outcome = Migration.outcome(moved, now, healed, run, later);
  }

  /**
   * What a recorded read shows of the vCPU that stayed holds for the migrated one where the plan
   * carried it without knowing it.
   */
  private Vcpu learn(Vcpu m, Vcpu stayed) {
    Vcpu.Registers r = m.registers();
    Vcpu.Registers s = stayed.registers();
    Vcpu.Registers registers =
        new Vcpu.Registers(
            learn(r.regs(), s.regs()),
            learn(r.sregs(), s.sregs()),
            learn(r.debugregs(), s.debugregs()),
            learn(r.xcrs(), s.xcrs()),
            learn(r.xsave(), s.xsave()),
            r.emulation());
    Vcpu.Platform p = m.platform();
    Vcpu.Platform q = stayed.platform();
    Vcpu.Platform platform =
        p.withLapic(learn(p.lapic(), q.lapic()))
            .withMpState(learn(p.mpState(), q.mpState()))
            .withMsrs(learn(p.msrs(), q.msrs()));
    return m.withRegisters(registers)
        .withPlatform(platform)
        .withEvents(learn(m.events(), stayed.events()))
        .withNested(
            UnseenVmcs.learned(
                m.nested().withVmcs12(learn(m.nested().vmcs12(), stayed.nested().vmcs12())),
                moved.reference().nested(),
                stayed.nested()));
  }

  private Tracked learn(Tracked mine, Tracked shown) {
    FieldSet fresh = shown.known().minus(mine.known());
    FieldSet carried = fresh;
    for (int f = fresh.next(0); f >= 0; f = fresh.next(f + 1)) {
      if (!fromPlan(mine.writer(f)) && mine.writer(f) != shown.writer(f)) {
        carried = carried.without(f);
      }
    }
    return carried.isEmpty() ? mine : mine.learn(shown.bytes(), carried);
  }

  private MsrState learn(MsrState mine, MsrState shown) {
    MsrState.Edit edit = null;
    for (int i = 0; i < mine.size(); i++) {
      if (!mine.knowsAt(i)
          && (mine.writerAt(i) < 0 || mine.writerAt(i) >= Arrival.BASE)
          && moved.arrival().carriedMsrs().contains(mine.indexAt(i))
          && shown.knows(mine.indexAt(i))) {
        edit = edit == null ? mine.edit() : edit;
        edit.learn(mine.indexAt(i), shown.value(mine.indexAt(i)));
      }
    }
    return edit == null ? mine : edit.done();
  }

  /** Whether the plan wrote it, with a call that carries what was saved. */
  private boolean fromPlan(int writer) {
    return writer >= Arrival.BASE && moved.arrival().wrote(writer);
  }
}
