package dev.faultline.ingest;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.store.EventType;
import dev.faultline.store.StoredEvent;
import dev.faultline.trace.FtraceReport;
import dev.faultline.trace.LeftOut;
import dev.faultline.trace.MergeReport;
import dev.faultline.trace.Merged;
import dev.faultline.trace.Observation;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.TraceEvent;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.SortedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/** Puts stored events together to the observations that {@link EventMaker} took apart. */
final class EventReader {
  private EventReader() {}

  /**
   * The observation that begins with this event; the rest of it is taken from {@code rest}. Null
   * for an event that is part of none.
   */
  static @Nullable Observation observation(StoredEvent e, Iterator<StoredEvent> rest) {
    return switch (e.type()) {
      case IOCTL_RETURNED -> ioctl(e, rest);
      case RUN_ENTERED -> run(e, rest);
      case KVM_RUN_MAPPED ->
          new Observation.Mapped(
              e.number(0),
              e.number(1),
              e.number(3),
              (int) e.number(4),
              e.text(0),
              e.number(5),
              e.number(6),
              e.number(7),
              where(e, 1));
      case DESCRIPTOR_CLOSED ->
          new Observation.Closed(
              e.number(0),
              e.number(1),
              e.number(3),
              (int) e.number(4),
              e.text(0),
              e.text(1),
              (int) e.number(5),
              where(e, 2));
      case SMRAM_CAPTURED ->
          new Observation.SmramCaptured(
              e.number(0),
              e.number(1),
              e.number(3),
              e.text(0),
              e.number(4),
              e.bytes(0),
              where(e, 1));
      case MARKED ->
          new Observation.Mark(e.number(0), e.number(1), e.number(3), e.text(0), where(e, 1));
      case PROGRAM_STARTED ->
          new Observation.Started(
              e.number(0), e.number(1), e.number(3), e.textsFrom(2), e.text(0), where(e, 1));
      case THREAD_EXITED ->
          new Observation.Exited(
              e.number(0),
              e.number(1),
              e.number(3),
              e.number(4),
              (int) e.number(5),
              (int) e.number(6),
              where(e, 0));
      case RECORDER_TIMED_OUT -> new Observation.TimedOut(e.number(0), e.number(1), where(e, 0));
      case CALL_DECIDED -> DecidedCalls.call(e);
      case RUN_DECIDED -> DecidedCalls.run(e, next(rest, EventType.RUN_ANSWERED));
      case LINE_NOT_UNDERSTOOD ->
          new Observation.UnknownLine(e.number(0), e.number(1), e.text(0), e.text(1), where(e, 2));
      default -> null;
    };
  }

  private static String where(StoredEvent e, int file) {
    return new Where(e.text(file), e.number(2)).text();
  }

  private static Observation ioctl(StoredEvent e, Iterator<StoredEvent> rest) {
    Observation.Payload payload =
        new Observation.Payload(
            e.bytes(0),
            e.bytes(1),
            e.bytes(2),
            e.bytes(3),
            e.bytes(4).isEmpty() && e.bytes(5).isEmpty() && e.bytesCount() == 7
                ? Observation.Extras.NONE
                : new Observation.Extras(e.bytes(4), e.bytes(5), e.bytesFrom(7)),
            Holdings.of(e.number(13), e.bytes(6)));
    return new Observation.Call(
        e.number(0),
        e.number(1),
        e.number(2),
        new Observation.Caller(e.number(4), e.number(5)),
        new Observation.Target((int) e.number(6), e.text(1), e.text(2)),
        new Observation.Request((int) e.number(7), e.text(0), e.number(8)),
        new Observation.Result((int) e.number(9), (int) e.number(10)),
        payload,
        new Observation.Traced(traced(e.number(12), rest), Coverages.of(e.number(11))),
        new Where(e.text(3), e.number(3)).text());
  }

  private static Observation run(StoredEvent e, Iterator<StoredEvent> rest) {
    List<TraceEvent> traced = traced(e.number(8), rest);
    StoredEvent end = next(rest, EventType.RUN_RETURNED);
    if (end.type() != EventType.RUN_RETURNED) {
      throw damaged(EventType.RUN_RETURNED.storedName(), end);
    }
    return new Observation.Call(
        e.number(0),
        e.number(1),
        end.number(0),
        new Observation.Caller(e.number(3), e.number(4)),
        new Observation.Target((int) e.number(5), e.text(1), e.text(2)),
        new Observation.Request((int) e.number(6), e.text(0), e.number(7)),
        new Observation.Result((int) end.number(1), (int) end.number(2)),
        new Observation.Payload(
            e.bytes(0),
            end.bytes(0),
            e.bytes(1),
            end.bytes(1),
            Observation.Extras.NONE,
            Holdings.of(e.number(9), e.bytes(2))),
        new Observation.Traced(traced, Coverages.of(end.number(3))),
        where(e, 3));
  }

  private static List<TraceEvent> traced(long count, Iterator<StoredEvent> rest) {
    if (count == 0) {
      return List.of();
    }
    List<TraceEvent> traced = new ArrayList<>();
    for (long i = 0; i < count; i++) {
      traced.add(traced(next(rest, EventType.TRACED_OTHERWISE)));
    }
    return traced;
  }

  /** The next event that is a fact. */
  private static StoredEvent next(Iterator<StoredEvent> rest, EventType expected) {
    while (rest.hasNext()) {
      StoredEvent event = rest.next();
      if (!event.type().isJudgement()) {
        return event;
      }
    }
    throw FormatException.corrupt(
        ErrorCode.EVENT_CORRUPT,
        "a stored call: expected " + expected.storedName() + ", found the end of the timeline");
  }

  private static FormatException damaged(String expected, StoredEvent found) {
    return FormatException.corrupt(
        ErrorCode.EVENT_CORRUPT,
        "a stored call at moment "
            + found.moment()
            + ": expected "
            + expected
            + ", found "
            + found.type().storedName());
  }

  private static TraceEvent traced(StoredEvent e) {
    long ns = e.number(0);
    return switch (e.type()) {
      case VM_ENTERED ->
          new TraceEvent.VmEntry(
              ns, (int) e.number(1), e.number(2), e.number(3), e.number(4), e.number(5) != 0);
      case VM_EXITED ->
          new TraceEvent.VmExit(
              ns,
              (int) e.number(1),
              e.text(0),
              e.text(1),
              e.number(2),
              e.number(3),
              e.number(4),
              e.number(5),
              e.number(6),
              e.number(7));
      case L2_EXITED ->
          new TraceEvent.NestedVmExit(
              ns,
              (int) e.number(1),
              e.text(0),
              e.text(1),
              e.number(2),
              e.number(3),
              e.number(4),
              e.number(5),
              e.number(6),
              e.number(7));
      case NESTED_VM_ENTERED ->
          new TraceEvent.NestedVmEnter(
              ns,
              e.number(1) != 0,
              e.number(2),
              e.number(3),
              e.number(4),
              e.number(5),
              e.number(6),
              e.number(7) != 0,
              e.text(0),
              e.number(8));
      case NESTED_VM_EXITED ->
          new TraceEvent.NestedVmExitInject(
              ns, e.text(0), e.text(1), e.number(1), e.number(2), e.number(3), e.number(4));
      case SMM_ENTERED -> new TraceEvent.SmmTransition(ns, (int) e.number(1), true, e.number(2));
      case SMM_LEFT -> new TraceEvent.SmmTransition(ns, (int) e.number(1), false, e.number(2));
      default -> tracedBesides(e, ns);
    };
  }

  private static TraceEvent tracedBesides(StoredEvent e, long ns) {
    return switch (e.type()) {
      case INTERCEPTS_SHOWN ->
          new TraceEvent.NestedIntercepts(
              ns, e.number(1), e.number(2), e.number(3), e.number(4), e.number(5), e.number(6));
      case NESTED_VM_ENTRY_FAILED -> new TraceEvent.NestedVmEnterFailed(ns, e.text(0));
      case USERSPACE_EXIT_TRACED -> new TraceEvent.UserspaceExit(ns, e.text(0), (int) e.number(1));
      case EXCEPTION_INJECTED ->
          new TraceEvent.InjectedException(ns, e.text(0), e.number(1), e.number(2) != 0);
      case INTERRUPT_INJECTED ->
          new TraceEvent.InjectedIrq(ns, (int) e.number(1), e.number(2) != 0, e.number(3) != 0);
      case MSR_ACCESSED ->
          new TraceEvent.MsrAccess(
              ns, e.number(1) != 0, (int) e.number(2), e.number(3), e.number(4) != 0);
      case CR_ACCESSED ->
          new TraceEvent.CrAccess(ns, e.number(1) != 0, (int) e.number(2), e.number(3));
      case PIO_DONE ->
          new TraceEvent.Pio(
              ns, e.number(1) != 0, (int) e.number(2), (int) e.number(3), e.number(4), e.number(5));
      case MMIO_DONE ->
          new TraceEvent.Mmio(ns, e.text(0), (int) e.number(1), e.number(2), e.number(3));
      case INSTRUCTION_EMULATED ->
          new TraceEvent.EmulateInsn(
              ns, e.number(1), e.number(2), e.bytes(0), e.text(0), e.number(3) != 0);
      case PAGE_FAULTED ->
          new TraceEvent.PageFault(ns, (int) e.number(1), e.number(2), e.number(3), e.number(4));
      case SYSCALL_ENTERED ->
          new TraceEvent.IoctlEntered(ns, (int) e.number(1), (int) e.number(2), e.number(3));
      case SYSCALL_RETURNED -> new TraceEvent.IoctlReturned(ns, e.number(1));
      case TRACE_MARKED -> new TraceEvent.Marker(ns, e.text(0));
      case TRACED_OTHERWISE -> new TraceEvent.Other(ns, e.text(0), e.text(1));
      default -> throw damaged("an event of the trace", e);
    };
  }

  /** The facts in the first event of a timeline. */
  static RecordingFacts facts(StoredEvent opened) {
    SortedMap<String, String> params = new TreeMap<>();
    for (int i = 5; i + 1 < opened.textCount(); i += 2) {
      params.put(opened.text(i), opened.text(i + 1));
    }
    return new RecordingFacts(
        opened.text(1), opened.text(2), opened.text(3), opened.text(4), params);
  }

  /** What is known of the merging of a trace before its end; of a fork that is all there is. */
  static @Nullable MergeReport reportOf(StoredEvent opened) {
    return opened.number(0) == 0
        ? null
        : new MergeReport(new FtraceReport(0, 0, 0, 0, 0, 0, false, List.of()), 0, 0, 0, 0, 0, 0);
  }

  /** How several inputs became one. */
  static Merged merged(StoredEvent e) {
    return new Merged(e.text(0), e.number(0), e.number(1), e.textsFrom(1));
  }

  private static int tracePlaces(StoredEvent e) {
    return (int) Math.min(e.number(14), e.textCount());
  }

  /** What could not be read of the input, from the last event of a timeline. */
  static LeftOut leftOut(StoredEvent e) {
    return new LeftOut(e.number(15), e.number(16), e.textsFrom(tracePlaces(e)));
  }

  /** How the trace was merged, from the last event of a timeline. */
  static @Nullable MergeReport report(StoredEvent e) {
    if (e.number(0) == 0) {
      return null;
    }
    return new MergeReport(
        new FtraceReport(
            e.number(1),
            e.number(2),
            e.number(3),
            e.number(4),
            e.number(5),
            e.number(6),
            e.number(7) != 0,
            e.textsFrom(0).subList(0, tracePlaces(e))),
        e.number(8),
        e.number(9),
        e.number(10),
        e.number(11),
        e.number(12),
        e.number(13));
  }
}
