package dev.faultline.timeline;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Divergence.What;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.CallCheck;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Vm;
import org.jspecify.annotations.Nullable;

/**
 * A KVM_RUN with EIO that nothing else explains leaves it open whether the VM is dead: the next
 * call on the VM tells, and the one after it whether that was told truly.
 */
final class DeathWatch {
  private final Machine machine;
  private final Scores scores;
  private @Nullable Obituary obituary;

  DeathWatch(Machine machine, Scores scores) {
    this.machine = machine;
    this.scores = scores;
  }

  DeathWatch copy(Machine machines, Scores others) {
    DeathWatch copy = new DeathWatch(machines, others);
    copy.obituary = obituary;
    return copy;
  }

  /**
   * A KVM_RUN after which the VM may be dead.
   *
   * @param alive what is wrong with the call that did not fail with EIO, should the VM be dead;
   *     null before there was such a call
   */
  private record Obituary(int moment, Recorded.VcpuCall run, @Nullable Divergence alive) {}

  void suspect(int moment, Recorded.VcpuCall run) {
    obituary = new Obituary(moment, run, null);
  }

  /** Whether the next call may tell more about the VM. */
  boolean isOpen(Vm vm) {
    return obituary != null || !vm.dead().isKnown();
  }

  /** Whether it is open if a KVM_RUN of this VM was told truly. */
  boolean awaits(String vm) {
    return obituary != null && obituary.run().vm().equals(vm);
  }

  /** The VM as the next call on it shows it. */
  Vm resolve(Vm vm, Divergence alive, boolean eio) {
    Obituary open = obituary;
    boolean awaited = open != null && open.run().vm().equals(vm.name());
    if (vm.dead().isKnown() && !awaited) {
      return vm;
    }
    Vm resolved = vm.withDead(Answer.of(eio));
    machine.put(resolved);
    if (open != null && awaited) {
      bury(open, alive, eio);
    }
    return resolved;
  }

  private void bury(Obituary open, Divergence alive, boolean eio) {
    Divergence before = open.alive();
    if (eio) {
      obituary = null;
      if (before != null) {
        scores.diverge(before);
      }
    } else if (before == null) {
      obituary = new Obituary(open.moment(), open.run(), alive);
    } else {
      end();
    }
  }

  /** No further call on the VM tells anything. */
  void end() {
    settle(scores);
    if (obituary != null && obituary.alive() != null) {
      obituary = null;
    }
  }

  /** Nothing else shows a dead VM, so the KVM_RUN is the one that is told wrongly. */
  void settle(Scores told) {
    Obituary open = obituary;
    if (open != null && open.alive() != null) {
      told.contradicted(open.moment(), open.run(), "no EIO", "a VM that fails with EIO stays dead");
    }
  }

  /** What is wrong with a call, should its VM be dead. */
  static Divergence survivor(
      int moment, long seq, String lane, Ioctl ioctl, int ret, int errno, String where) {
    Outcome dead = new Outcome.Refused(Errno.EIO, CallCheck.VM_DEAD);
    return new Divergence(
        moment,
        seq,
        lane,
        ioctl.uapiName(),
        What.RETURN,
        null,
        Words.returned(ret, errno),
        Words.outcome(dead),
        Words.because(dead),
        where);
  }
}
