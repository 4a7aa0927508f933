package dev.faultline.trace;

import java.util.function.UnaryOperator;

/** Observations with another number, other names for what they are of, or another place. */
final class Renumbered {
  private Renumbered() {}

  static Observation of(Observation line, long seq, UnaryOperator<String> name) {
    return of(line, seq, name, line.where());
  }

  /** The same line, read from another place. */
  static Observation at(Observation line, String where) {
    return of(line, line.seq(), UnaryOperator.identity(), where);
  }

  private static Observation of(
      Observation line, long seq, UnaryOperator<String> name, String where) {
    return switch (line) {
      case Observation.Call c ->
          new Observation.Call(
              seq,
              c.enterNs(),
              c.exitNs(),
              c.caller(),
              new Observation.Target(c.fd(), c.fdKind(), name.apply(c.obj())),
              c.request(),
              c.result(),
              c.payload(),
              c.traced(),
              where);
      case Observation.Mapped m ->
          new Observation.Mapped(
              seq,
              m.enterNs(),
              m.tid(),
              m.fd(),
              name.apply(m.obj()),
              m.length(),
              m.offset(),
              m.address(),
              where);
      case Observation.Closed c ->
          new Observation.Closed(
              seq, c.enterNs(), c.tid(), c.fd(), c.fdKind(), name.apply(c.obj()), c.ret(), where);
      case Observation.Mark m -> new Observation.Mark(seq, m.enterNs(), m.tid(), m.text(), where);
      case Observation.Started s ->
          new Observation.Started(seq, s.enterNs(), s.pid(), s.argv(), s.recorder(), where);
      case Observation.Exited e ->
          new Observation.Exited(seq, e.enterNs(), e.tid(), e.tgid(), e.code(), e.signal(), where);
      case Observation.TimedOut t -> new Observation.TimedOut(seq, t.enterNs(), where);
      case Observation.SmramCaptured s ->
          new Observation.SmramCaptured(
              seq, s.enterNs(), s.tid(), name.apply(s.obj()), s.smbase(), s.map(), where);
      case Observation.UnknownLine u ->
          new Observation.UnknownLine(seq, u.enterNs(), u.kind(), u.text(), where);
    };
  }
}
