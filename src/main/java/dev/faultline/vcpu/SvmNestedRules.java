package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmNestedState;
import dev.faultline.kvm.NestedStateFlags;
import dev.faultline.svm.Vmcb;
import dev.faultline.x86.Efer;
import java.util.List;

/**
 * KVM_GET_NESTED_STATE and KVM_SET_NESTED_STATE on SVM.
 *
 * <p>Where VMX takes L2 from the payload, SVM takes the current registers for L2's and the payload
 * for what L1 goes on with. So it must come after KVM_SET_SREGS.
 *
 * <p><em>Source:</em> {@code arch/x86/kvm/svm/nested.c, svm_set_nested_state(),
 * svm_get_nested_state(), svm_leave_nested()}, v6.1.
 */
final class SvmNestedRules {
  private static final int HEADER = KvmNestedState.HEADER_SIZE;
  private static final int WHOLE = KvmNestedState.SVM_SIZE;
  private static final int COPIED = HEADER + Vmcb.SAVE_OFFSET + Vmcb.SAVE_SIZE;
  private static final int SVM_FLAGS =
      NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE
          | NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING
          | NestedStateFlags.KVM_STATE_NESTED_GIF_SET;
  private static final int FLAGS = KvmNestedState.SVM_HEADER_LAYOUT.indexOf("flags");
  private static final int SIZE = KvmNestedState.SVM_HEADER_LAYOUT.indexOf("size");

  private SvmNestedRules() {}

  static Decision set(Vcpu v, VcpuCommand.SetNestedState c) {
    KvmNestedState s = c.state();
    SvmWalk walk = new SvmWalk(c.moment());
    if (badHeader(s, walk) || badFlags(v, s, walk)) {
      return walk.finish();
    }
    boolean gif = has(s, NestedStateFlags.KVM_STATE_NESTED_GIF_SET);
    if (!has(s, NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE)) {
      if (!v.inGuestMode().isNo()) {
        walk.add(new TimelineEvent.NestedLeft(c.moment()));
      }
      walk.add(new TimelineEvent.GifSet(c.moment(), gif));
      return walk.finish();
    }
    if (walk.refuse(
            GuestCpuid.validPage(v, s.vmcbPa()).not(),
            SvmNestedCheck.SVM_VMCB_PA,
            "the guest's CPUID")
        || walk.refuse(s.sizeField() < WHOLE, SvmNestedCheck.SVM_SIZE)
        || walk.refuse(s.raw().size() < COPIED, SvmNestedCheck.SVM_UNREADABLE)) {
      return walk.finish();
    }
    Vmcb vmcb = vmcb(s.raw());
    if (SvmEntryRules.refuse(v, vmcb, walk)) {
      return walk.finish();
    }
    Answer illegalCr3 = illegalCr3(v);
    walk.add(
        new TimelineEvent.L2Restored(
            c.moment(),
            s.vmcbPa(),
            gif,
            has(s, NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING),
            vmcb,
            !illegalCr3.isYes()));
    walk.refuse(illegalCr3, SvmNestedCheck.SVM_L2_CR3, "the current CR3");
    return walk.finish();
  }

  private static boolean has(KvmNestedState s, int flag) {
    return (s.flags() & flag) != 0;
  }

  private static boolean badHeader(KvmNestedState s, SvmWalk walk) {
    boolean pendingAlone =
        has(s, NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING)
            && !has(s, NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE);
    return walk.refuse(s.sizeField() < HEADER, NestedStateCheck.NESTED_SIZE)
        || walk.refuse((s.flags() & ~NestedRules.ALL_FLAGS) != 0, NestedStateCheck.NESTED_FLAGS)
        || walk.refuse(pendingAlone, NestedStateCheck.NESTED_RUN_PENDING_ALONE);
  }

  private static boolean badFlags(Vcpu v, KvmNestedState s, SvmWalk walk) {
    boolean onlyGif = s.flags() == NestedStateFlags.KVM_STATE_NESTED_GIF_SET;
    boolean guestMode = has(s, NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE);
    return walk.refuse(
            s.format() != NestedStateFlags.KVM_STATE_NESTED_FORMAT_SVM, SvmNestedCheck.SVM_FORMAT)
        || walk.refuse((s.flags() & ~SVM_FLAGS) != 0, SvmNestedCheck.SVM_FLAGS)
        || walk.refuse(
            svme(v).not().and(Answer.of(!onlyGif)),
            SvmNestedCheck.SVM_FLAGS_WITHOUT_SVME,
            "the current EFER")
        || walk.refuse(
            v.inSmm().and(Answer.of(guestMode)),
            SvmNestedCheck.SVM_GUEST_MODE_IN_SMM,
            "whether the vCPU is in SMM");
  }

  /** Whether SVM is enabled in the current EFER, as it must be while L2 is active. */
  private static Answer svme(Vcpu v) {
    return v.inGuestMode().isYes()
        ? Answer.YES
        : v.registers().sregs().hasAny(SregsFields.EFER, Efer.SVME);
  }

  private static Answer illegalCr3(Vcpu v) {
    Tracked sregs = v.registers().sregs();
    return sregs.knows(SregsFields.CR3)
        ? GuestCpuid.illegalGpa(v, sregs.value(SregsFields.CR3))
        : Answer.CANNOT_TELL;
  }

  /** What KVM reads: the two areas, not the rest of the page. */
  private static Vmcb vmcb(Bytes payload) {
    return new Vmcb(Bytes.builder(Vmcb.SIZE).putBytes(0, payload, HEADER, COPIED - HEADER).build());
  }

  static Decision get(Vcpu v, VcpuCommand.GetNestedState c) {
    Answer guestMode = v.inGuestMode();
    int size = guestMode.isYes() ? WHOLE : HEADER;
    if (guestMode.isKnown() ? c.bufferSize() < size : c.bufferSize() < HEADER) {
      return DeviceRules.refused(
          c.moment(), Ioctl.GET_NESTED_STATE, Errno.E2BIG, CallCheck.NESTED_BUFFER);
    }
    Reply.Struct header = header(v, size);
    Reply.Parts reply =
        new Reply.Parts(guestMode.isYes() ? List.of(header, vmcb(v, c.moment())) : List.of(header));
    return guestMode.isKnown() || c.bufferSize() >= WHOLE
        ? Decision.reads(reply)
        : new Decision(new Outcome.Undecided("whether L2 is active"), List.of(), reply);
  }

  private static Reply.Struct header(Vcpu v, int size) {
    Answer guestMode = v.inGuestMode();
    Answer runPending = guestMode.and(v.nested().mode().runPending());
    SvmNested svm = v.nested().svm();
    long flags =
        flag(guestMode, NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE)
            | flag(runPending, NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING)
            | flag(svm.gif(), NestedStateFlags.KVM_STATE_NESTED_GIF_SET);
    Tracked.Edit edit =
        Tracked.known(KvmNestedState.SVM_HEADER_LAYOUT, SvmNested.emptyHeader(), 0).edit(0);
    edit.set(FLAGS, flags, guestMode.isKnown() && runPending.isKnown() && svm.gif().isKnown());
    edit.set(SIZE, size, guestMode.isKnown());
    if (guestMode.isYes()) {
      edit.copy(SvmNested.VMCB_PA, svm.header(), SvmNested.VMCB_PA);
    } else if (!guestMode.isNo()) {
      edit.forget(SvmNested.VMCB_PA);
    }
    Tracked reply = edit.done();
    return new Reply.Struct("", 0, reply.layout(), reply.bytes(), reply.known());
  }

  private static long flag(Answer answer, int flag) {
    return answer.isYes() ? flag : 0;
  }

  private static Reply.Struct vmcb(Vcpu v, int moment) {
    Tracked shown = SvmRegisters.shownVmcb(v, moment);
    return new Reply.Struct("", HEADER, Vmcb.LAYOUT, shown.bytes(), shown.known());
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.NestedStateRead e) {
    KvmNestedState s = e.state();
    Nested.Mode old = v.nested().mode();
    boolean guestMode = has(s, NestedStateFlags.KVM_STATE_NESTED_GUEST_MODE);
    Nested.Mode mode =
        old.withGuestMode(learn(old.guestMode(), guestMode))
            .withPending(
                learn(old.runPending(), has(s, NestedStateFlags.KVM_STATE_NESTED_RUN_PENDING)),
                Answer.NO);
    SvmNested svm = v.nested().svm();
    Answer gif = learn(svm.gif(), has(s, NestedStateFlags.KVM_STATE_NESTED_GIF_SET));
    svm = svm.withGif(gif, guestMode ? svm.l1Gif() : gif);
    Vmcb vmcb = s.vmcb();
    if (!guestMode || vmcb == null) {
      return v.withNested(v.nested().withMode(mode).withSvm(svm));
    }
    svm = svm.withHeader(DeviceRules.learnAll(svm.header(), s.raw().slice(0, HEADER)));
    return SvmRegisters.learn(v.withNested(v.nested().withMode(mode).withSvm(svm)), vmcb);
  }

  /** What was known stays; a contradiction is reported where the reply is compared. */
  private static Answer learn(Answer known, boolean read) {
    return known.isKnown() ? known : Answer.of(read);
  }

  static Vcpu evolve(Vcpu v, TimelineEvent.GifSet e) {
    Answer gif = Answer.of(e.set());
    return v.withNested(v.nested().withSvm(v.nested().svm().withGif(gif, gif)));
  }

  /** The vCPU is put back to L1, or may be. Its global interrupt flag is the one L1 had. */
  static Vcpu leave(Vcpu v, int moment) {
    Answer guestMode = v.inGuestMode();
    if (guestMode.isNo()) {
      return v;
    }
    SvmNested svm = v.nested().svm();
    // A flag in the VMCB belongs to the level; KVM's own, without vgif, does not.
    Answer gif = svm.gif() == svm.l1Gif() ? svm.gif() : Answer.CANNOT_TELL;
    Vcpu next = SvmRegisters.leave(v, guestMode, moment);
    Nested nested = next.nested();
    Nested.Mode mode = nested.mode().withGuestMode(Answer.NO).withPending(Answer.NO, Answer.NO);
    return next.withNested(nested.withMode(mode).withSvm(nested.svm().withGif(gif, gif)))
        .withProgress(next.progress().withNestedPagesAwaited(Answer.NO));
  }

  /** The vCPU may be put back to L1, and nobody can tell whether it was. */
  static Vcpu maybeLeave(Vcpu v, int moment) {
    if (v.inGuestMode().isNo()) {
      return v;
    }
    // What is in the VMCB of L1 is not known either: it may be the current one.
    Vcpu next = SvmRegisters.leave(v, Answer.CANNOT_TELL, moment);
    Nested.Mode mode =
        next.nested()
            .mode()
            .withGuestMode(Answer.CANNOT_TELL)
            .withPending(Answer.CANNOT_TELL, Answer.NO);
    SvmNested svm = next.nested().svm().withGif(Answer.CANNOT_TELL, Answer.CANNOT_TELL);
    return next.withNested(next.nested().withMode(mode).withSvm(svm));
  }

  /** EFER.SVME may be clear now. */
  static Vcpu maybeDisabled(Vcpu v, int moment) {
    Vcpu next = maybeLeave(v, moment);
    SvmNested svm = next.nested().svm();
    Answer gif = svm.gif().isYes() ? Answer.YES : Answer.CANNOT_TELL;
    return next.withNested(next.nested().withSvm(svm.withGif(gif, gif)));
  }

  /** EFER.SVME is clear now: there is no L2, and the global interrupt flag is set. */
  static Vcpu disabled(Vcpu v, int moment) {
    Vcpu next = leave(v, moment);
    SvmNested svm = next.nested().svm().withGif(Answer.YES, Answer.YES);
    return next.withNested(next.nested().withSvm(svm));
  }
}
