package dev.faultline.store;

import dev.faultline.Check;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.UsageException;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.store.WhatIf.Answered;
import dev.faultline.store.WhatIf.Call;
import dev.faultline.store.WhatIf.Supposed;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.CommandPayload;
import dev.faultline.vcpu.FaultCause;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.PageShown;
import dev.faultline.vcpu.RunResult;
import dev.faultline.vcpu.TimelineEvent.TripleFaultSynthesized;
import dev.faultline.vcpu.VcpuCommand;
import dev.faultline.vcpu.VmCommand;
import dev.faultline.vmx.GuestStateCheck;
import java.util.List;

/** Calls that nobody made as stored events, and back. */
final class DecidedEvents {
  private static final String CANNOT_TELL = "cannot-tell";
  private static final String RUNS = "runs";
  private static final String FAULTS = "faults";

  /** Descriptors of vCPUs that were created by decision; no program has as many. */
  private static final int FIRST_DESCRIPTOR = 1 << 20;

  private DecidedEvents() {}

  /** The descriptor of the vCPU of this identifier, were it created by decision. */
  static int descriptor(int id) {
    return FIRST_DESCRIPTOR + id;
  }

  /** The same by the name of the lane. */
  static int descriptor(String lane) {
    String digits = lane.replaceFirst("^.*/vcpu", "");
    return digits.matches("[0-9]{1,5}") ? descriptor(Integer.parseInt(digits)) : -1;
  }

  /**
   * The answer to a call.
   *
   * @param descriptor what the call returns if it makes something
   * @throws UsageException if nobody can tell it and none is supposed, or one is supposed
   *     needlessly
   */
  static Answered answer(int moment, long seq, Call call, Outcome outcome, int descriptor) {
    Supposed supposed = call.supposed();
    String name = call.ioctl().uapiName();
    if (outcome instanceof Outcome.Undecided u) {
      if (supposed == null) {
        throw new UsageException(
            ErrorCode.ANSWER_UNKNOWN,
            name
                + ": expected that KVM's rules tell the answer, found that it hangs on "
                + u.missing()
                + "; suppose one by --answer 0 or --answer EINVAL");
      }
      return new Answered(moment, seq, outcome, supposed.ret(), supposed.errno(), null);
    }
    if (supposed != null) {
      throw new UsageException(
          ErrorCode.USAGE,
          "--answer: expected it where nobody can tell what KVM answers, found a "
              + name
              + " that its rules decide; leave it out");
    }
    return switch (outcome) {
      case Outcome.Returns r -> new Answered(moment, seq, outcome, (int) r.value(), 0, null);
      case Outcome.Succeeds _ -> new Answered(moment, seq, outcome, descriptor, 0, null);
      case Outcome.Refused r -> new Answered(moment, seq, outcome, -1, r.errno().number(), null);
      case Outcome.Runs r -> new Answered(moment, seq, outcome, 0, 0, r.fault());
      case Outcome.Exits _, Outcome.Undecided _ -> new Answered(moment, seq, outcome, 0, 0, null);
    };
  }

  private static String word(Outcome outcome) {
    return switch (outcome) {
      case Outcome.Returns _, Outcome.Succeeds _ -> "returns";
      case Outcome.Refused _ -> "refused";
      case Outcome.Exits _ -> "exits";
      case Outcome.Runs r -> r.fault() == null ? RUNS : FAULTS;
      case Outcome.Undecided _ -> CANNOT_TELL;
    };
  }

  private static String check(Outcome outcome) {
    Check check =
        switch (outcome) {
          case Outcome.Returns r -> r.stopped();
          case Outcome.Refused r -> r.check();
          case Outcome.Exits e -> e.check();
          case Outcome.Succeeds _, Outcome.Runs _, Outcome.Undecided _ -> null;
        };
    return check == null ? "" : check.id();
  }

  static StoredEvent called(Answered a, String lane, int fd, Call call) {
    FdKind kind = lane.indexOf('/') < 0 ? FdKind.VM : FdKind.VCPU;
    return StoredEvent.of(
        EventType.CALL_DECIDED,
        a.moment(),
        List.of(
            a.seq(),
            -1L,
            (long) fd,
            (long) call.ioctl().number(),
            call.arg(),
            (long) a.ret(),
            (long) a.errno()),
        List.of(
            call.ioctl().uapiName(),
            kind == FdKind.VM ? "vm" : "vcpu",
            lane,
            word(a.outcome()),
            check(a.outcome())),
        List.of(call.in()));
  }

  static StoredEvent runEntered(Answered a, String lane, Call call) {
    return StoredEvent.of(
        EventType.RUN_DECIDED,
        a.moment(),
        List.of(a.seq(), -1L, (long) descriptor(lane), (long) call.ioctl().number(), call.arg()),
        List.of(call.ioctl().uapiName(), "vcpu", lane),
        List.of(call.in()));
  }

  static StoredEvent vmEntry(int moment, long seq) {
    return StoredEvent.of(EventType.VM_ENTRY_DECIDED, moment, seq);
  }

  static StoredEvent fault(int moment, long seq, TripleFaultSynthesized fault) {
    return StoredEvent.of(EventType.TRIPLE_FAULT_SYNTHESIZED, moment, seq)
        .texts(fault.cause().name(), fault.failed() == null ? "" : fault.failed().id());
  }

  static StoredEvent runReturned(int moment, Answered a) {
    long exit = a.outcome() instanceof Outcome.Exits e ? e.exit().number() : -1;
    return StoredEvent.of(EventType.RUN_ANSWERED, moment, (long) a.ret(), (long) a.errno(), exit)
        .texts(word(a.outcome()), check(a.outcome()));
  }

  static Ioctl ioctlOf(StoredEvent event) {
    Ioctl ioctl = Ioctl.ofName(event.text(0));
    if (ioctl == null) {
      throw damaged(event, "an ioctl of this version");
    }
    return ioctl;
  }

  static VcpuCommand commandOf(StoredEvent e) {
    return CommandPayload.vcpu(e.moment(), ioctlOf(e), e.number(4), e.bytes(0));
  }

  static VmCommand vmCommandOf(StoredEvent e) {
    return CommandPayload.vm(e.moment(), ioctlOf(e), e.number(4), e.bytes(0));
  }

  static boolean failed(StoredEvent called) {
    return called.number("ret") < 0;
  }

  /** Whether a call that nobody could decide is supposed to have failed. */
  static boolean resultIsFailure(StoredEvent called, Ioctl ioctl) {
    return failed(called) || (ioctl == Ioctl.SET_NESTED_STATE && called.number("ret") != 0);
  }

  static TripleFaultSynthesized faultOf(StoredEvent event) {
    GuestStateCheck failed = null;
    for (GuestStateCheck each : GuestStateCheck.values()) {
      failed = each.id().equals(event.text(1)) ? each : failed;
    }
    for (FaultCause cause : FaultCause.values()) {
      if (cause.name().equals(event.text(0))) {
        return new TripleFaultSynthesized(event.moment(), cause, failed);
      }
    }
    throw damaged(event, "a cause of a fault");
  }

  /** How a KVM_RUN came back. */
  static RunResult resultOf(StoredEvent answered) {
    KvmExit exit = KvmExit.of((int) answered.number("exit"));
    boolean faults = answered.text(0).equals(FAULTS);
    boolean runs = faults || answered.text(0).equals(RUNS);
    boolean unknown = answered.text(0).equals(CANNOT_TELL);
    Answer ran = runs ? Answer.YES : unknown ? Answer.CANNOT_TELL : Answer.NO;
    return new RunResult(
        (int) answered.number("ret"),
        (int) answered.number("errno"),
        exit == null ? KvmRun.zero() : KvmRun.zero().withExitReason(exit.number()),
        exit == null ? PageShown.NOTHING : PageShown.EXIT_REASON,
        ran,
        runs && !faults ? Answer.CANNOT_TELL : ran,
        false);
  }

  private static FormatException damaged(StoredEvent found, String expected) {
    return FormatException.corrupt(
        ErrorCode.EVENT_CORRUPT,
        "a decided call at moment "
            + found.moment()
            + ": expected "
            + expected
            + ", found "
            + found);
  }
}
