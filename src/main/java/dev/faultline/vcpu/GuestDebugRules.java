package dev.faultline.vcpu;

import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmGuestDebug;

/**
 * KVM_SET_GUEST_DEBUG, as far as it changes what other ioctls show: it can queue a #DB or #BP.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl_set_guest_debug(),
 * kvm_multiple_exception()}, v6.1; random calls on a real 6.18.
 */
final class GuestDebugRules {
  private static final int DEBUG = 1;
  private static final int BREAKPOINT = 3;
  private static final int DOUBLE_FAULT = 8;
  private static final int INJECTS =
      KvmGuestDebug.KVM_GUESTDBG_INJECT_DB | KvmGuestDebug.KVM_GUESTDBG_INJECT_BP;

  private GuestDebugRules() {}

  static Decision set(Vcpu v, VcpuCommand.Other c) {
    TimelineEvent.CallNoted noted = new TimelineEvent.CallNoted(c.moment(), c.ioctl());
    if (c.payload().size() != KvmGuestDebug.SIZE) {
      return Decision.undecided(noted, "what the argument points to");
    }
    int control = new KvmGuestDebug(c.payload()).control();
    if ((control & INJECTS) == 0) {
      return Decision.done(noted);
    }
    Tracked events = v.events();
    Answer busy =
        events
            .is(EventsFields.EXCEPTION_PENDING, 0)
            .not()
            .or(events.is(EventsFields.TRIPLE_FAULT, 0).not());
    if (busy.isYes()) {
      return DeviceRules.refused(
          c.moment(), Ioctl.SET_GUEST_DEBUG, Errno.EBUSY, CallCheck.GUEST_DEBUG_BUSY);
    }
    // Of L2 it may become a VM-exit, and onto a #DF it is a triple fault.
    boolean plain =
        v.inGuestMode().isNo()
            && (events.is(EventsFields.EXCEPTION_INJECTED, 0).isYes()
                || (events.knows(EventsFields.EXCEPTION_NR)
                    && events.value(EventsFields.EXCEPTION_NR) != DOUBLE_FAULT));
    if (!busy.isKnown() || !plain) {
      return Decision.undecided(
          new TimelineEvent.CallDoubted(c.moment(), Ioctl.SET_GUEST_DEBUG),
          "whether an exception is pending already");
    }
    boolean debug = (control & KvmGuestDebug.KVM_GUESTDBG_INJECT_DB) != 0;
    return Decision.done(new TimelineEvent.ExceptionQueued(c.moment(), debug ? DEBUG : BREAKPOINT));
  }

  /** It is pending until the next VM-Enter. */
  static Vcpu evolve(Vcpu v, TimelineEvent.ExceptionQueued e) {
    return v.withEvents(
        v.events()
            .edit(e.moment())
            .set(EventsFields.EXCEPTION_PENDING, 1)
            .set(EventsFields.EXCEPTION_INJECTED, 0)
            .set(EventsFields.EXCEPTION_NR, e.vector())
            .set(EventsFields.EXCEPTION_HAS_ERROR_CODE, 0)
            .set(EventsFields.EXCEPTION_ERROR_CODE, 0)
            .set(EventsFields.HAS_PAYLOAD, 0)
            .set(EventsFields.PAYLOAD, 0)
            .done());
  }
}
