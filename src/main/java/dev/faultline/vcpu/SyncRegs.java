package dev.faultline.vcpu;

import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmRun;
import org.jspecify.annotations.Nullable;

/**
 * Registers exchanged through the shared kvm_run page instead of ioctls.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, sync_regs(), store_regs()}, v6.1.
 */
final class SyncRegs {
  private SyncRegs() {}

  /** What taking over the dirty registers led to. */
  record Result(Vcpu vcpu, @Nullable CallCheck failed, @Nullable String missing) {}

  /** Takes over the register sets that userspace marked dirty: REGS, then SREGS, then EVENTS. */
  static Result apply(Vcpu v, KvmRun run, int moment) {
    long dirty = run.dirtyRegs();
    Vcpu next = v;
    if ((dirty & KvmRun.KVM_SYNC_X86_REGS) != 0) {
      next = RegsRules.evolve(next, new TimelineEvent.RegsSet(moment, run.syncRegs()));
    }
    if ((dirty & KvmRun.KVM_SYNC_X86_SREGS) != 0) {
      Decision d = SregsRules.set(next, new VcpuCommand.SetSregs(moment, run.syncSregs()));
      if (d.outcome() instanceof Outcome.Refused) {
        return new Result(next, CallCheck.RUN_SYNC_SREGS, null);
      }
      if (d.outcome() instanceof Outcome.Undecided undecided) {
        Vcpu doubted = doubt(next, Ioctl.SET_SREGS, moment);
        if ((dirty & KvmRun.KVM_SYNC_X86_EVENTS) != 0) {
          doubted = doubt(doubted, Ioctl.SET_VCPU_EVENTS, moment);
        }
        return new Result(doubted, null, undecided.missing());
      }
      next = SregsRules.evolve(next, new TimelineEvent.SregsSet(moment, run.syncSregs()));
    }
    if ((dirty & KvmRun.KVM_SYNC_X86_EVENTS) != 0) {
      Decision d = EventRules.set(next, new VcpuCommand.SetVcpuEvents(moment, run.syncEvents()));
      if (d.outcome() instanceof Outcome.Undecided undecided) {
        return new Result(doubt(next, Ioctl.SET_VCPU_EVENTS, moment), null, undecided.missing());
      }
      for (TimelineEvent event : d.events()) {
        if (event instanceof TimelineEvent.VcpuEventsSet set) {
          // Refused at its last step, the call has set everything else.
          next = EventRules.evolve(next, set);
        }
      }
      if (d.outcome() instanceof Outcome.Refused) {
        return new Result(next, CallCheck.RUN_SYNC_EVENTS, null);
      }
    }
    return new Result(next, null, null);
  }

  /** Whether KVM accepted the set is not known, so neither is what it may have written. */
  private static Vcpu doubt(Vcpu v, Ioctl ioctl, int moment) {
    return DoubtRules.evolve(v, new TimelineEvent.CallDoubted(moment, ioctl));
  }

  /** Takes over what KVM stored in the page on return. */
  static Vcpu learn(Vcpu v, KvmRun run, int moment) {
    long valid = run.validRegs();
    Vcpu next = v;
    if ((valid & KvmRun.KVM_SYNC_X86_REGS) != 0) {
      next = RegsRules.evolve(next, new TimelineEvent.RegsRead(moment, run.syncRegs()));
    }
    if ((valid & KvmRun.KVM_SYNC_X86_SREGS) != 0) {
      next = SregsRules.evolve(next, new TimelineEvent.SregsRead(moment, run.syncSregs()));
    }
    if ((valid & KvmRun.KVM_SYNC_X86_EVENTS) != 0) {
      next = EventRules.evolve(next, new TimelineEvent.VcpuEventsRead(moment, run.syncEvents()));
    }
    return next;
  }
}
