package dev.faultline.ingest;

import dev.faultline.Bytes;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRun;
import dev.faultline.store.StoredEvent;
import dev.faultline.trace.Observation;
import dev.faultline.vcpu.PageShown;

/** Reads calls that nobody made as observations, marked as such. */
final class DecidedCalls {
  /** Where such a call stands: in no input. */
  static final String WHERE = "what-if";

  private DecidedCalls() {}

  static Observation call(StoredEvent e) {
    return new Observation.Call(
        e.number(0),
        e.number(1),
        e.number(1),
        new Observation.Caller(0, 0),
        new Observation.Target((int) e.number(2), e.text(1), e.text(2)),
        new Observation.Request((int) e.number(3), e.text(0), e.number(4)),
        new Observation.Result((int) e.number(5), (int) e.number(6), true),
        new Observation.Payload(
            e.bytes(0), Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Observation.Extras.NONE),
        Observation.Traced.ABSENT,
        WHERE);
  }

  static Observation run(StoredEvent e, StoredEvent answered) {
    KvmExit exit = KvmExit.of((int) answered.number("exit"));
    Bytes page = exit == null ? Bytes.EMPTY : KvmRun.zero().withExitReason(exit.number()).raw();
    PageShown shown = exit == null ? PageShown.NOTHING : PageShown.EXIT_REASON;
    return new Observation.Call(
        e.number(0),
        e.number(1),
        e.number(1),
        new Observation.Caller(0, 0),
        new Observation.Target((int) e.number(2), e.text(1), e.text(2)),
        new Observation.Request((int) e.number(3), e.text(0), e.number(4)),
        new Observation.Result((int) answered.number("ret"), (int) answered.number("errno"), true),
        new Observation.Payload(
            Bytes.EMPTY,
            Bytes.EMPTY,
            e.bytes(0),
            page,
            Observation.Extras.NONE,
            new Observation.Holding(true, null, shown)),
        Observation.Traced.ABSENT,
        WHERE);
  }
}
