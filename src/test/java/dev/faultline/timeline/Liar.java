package dev.faultline.timeline;

import dev.faultline.Bytes;
import dev.faultline.StructField;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmMsrs;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Payload;
import dev.faultline.trace.Observation.Result;
import dev.faultline.trace.RecordedCalls;
import dev.faultline.vcpu.Decision;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.Reply;
import dev.faultline.vcpu.VcpuModel;
import dev.faultline.vcpu.VmRules;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;

/** Thinks up lies about a call that re-execution could find out, as far as it got. */
final class Liar {
  private static final int EXIT_REASON = 8;
  private static final int SUBERROR = 32;

  /** Words of an entry of a CPUID table that are no padding. */
  private static final int CPUID_VALUES = 7;

  private static final Errno[] ERRNOS = Errno.values();
  private static final KvmExit[] EXITS = KvmExit.values();

  private final SplittableRandom random;

  Liar(SplittableRandom random) {
    this.random = random;
  }

  /** A range of bytes of a payload that the model predicts. */
  record Span(String field, int from, int to) {}

  /** One lie of each kind that could be found out, after what {@code before} was fed. */
  List<Lie> lies(Reexecution before, Call call) {
    Reexecution scratch = before.fork(TimelineListener.NONE);
    Recorded fact = RecordedCalls.convert(call, scratch.nextMoment());
    List<Lie> lies = new ArrayList<>();
    switch (fact) {
      case Recorded.VcpuCall vcpu -> {
        Decision decision =
            VcpuModel.decide(scratch.machine().vcpu(vcpu.vcpu(), vcpu.vm()), vcpu.command());
        if (vcpu.run() != null) {
          runLies(lies, call, decision.outcome(), vcpu.run());
        } else {
          returnLies(lies, call, decision.outcome());
          byteLie(lies, call, decision.reply());
        }
      }
      case Recorded.VmCall vm ->
          returnLies(
              lies, call, VmRules.decide(scratch.machine().vm(vm.vm()), vm.command()).outcome());
      case Recorded.VmCreation _ -> returnLies(lies, call, new Outcome.Succeeds());
      case Recorded.HostQuestion _,
          Recorded.SmramCapture _,
          Recorded.Unreadable _,
          Recorded.Note _ -> {}
    }
    return lies;
  }

  private void returnLies(List<Lie> lies, Call call, Outcome outcome) {
    boolean compared =
        switch (outcome) {
          case Outcome.Returns _, Outcome.Succeeds _, Outcome.Refused _ -> true;
          case Outcome.Exits _, Outcome.Runs _, Outcome.Undecided _ -> false;
        };
    if (!compared) {
      return;
    }
    if (call.ret() < 0) {
      lies.add(returning(Lie.Kind.SUCCESS_FOR_FAILURE, call, 0, 0));
      lies.add(returning(Lie.Kind.OTHER_ERRNO, call, -1, otherErrno(call.errno())));
    } else {
      lies.add(returning(Lie.Kind.FAILURE_FOR_SUCCESS, call, -1, Errno.EINVAL.number()));
      lies.add(returning(Lie.Kind.FAILURE_FOR_SUCCESS, call, -1, otherErrno(0)));
      int off = call.ret() > 0 && random.nextBoolean() ? -1 : 1;
      lies.add(returning(Lie.Kind.ONE_OFF, call, call.ret() + off, 0));
    }
  }

  private void runLies(List<Lie> lies, Call call, Outcome outcome, Recorded.Run run) {
    boolean told = run.tracedExit() != null;
    boolean predicted = outcome instanceof Outcome.Refused || outcome instanceof Outcome.Exits;
    if (!told && !predicted) {
      return;
    }
    if (call.ret() < 0) {
      lies.add(returning(Lie.Kind.SUCCESS_FOR_FAILURE, call, 0, 0));
      lies.add(returning(Lie.Kind.OTHER_ERRNO, call, -1, otherErrno(call.errno())));
      return;
    }
    lies.add(returning(Lie.Kind.FAILURE_FOR_SUCCESS, call, -1, Errno.EINVAL.number()));
    lies.add(returning(Lie.Kind.FAILURE_FOR_SUCCESS, call, -1, Errno.EINTR.number()));
    lies.add(returning(Lie.Kind.FAILURE_FOR_SUCCESS, call, -1, otherErrno(0)));
    lies.add(returning(Lie.Kind.ONE_OFF, call, call.ret() + 1, 0));
    int now = call.runOut().i32(EXIT_REASON);
    KvmExit exit = EXITS[random.nextInt(EXITS.length)];
    if (exit.number() != now) {
      lies.add(
          new Lie(
              Lie.Kind.OTHER_EXIT,
              "exit reason " + now + " -> " + exit,
              withRunOut(call, call.runOut().with(EXIT_REASON, 4, exit.number()))));
    }
    if (outcome instanceof Outcome.Exits e && e.suberror() >= 0) {
      lies.add(
          new Lie(
              Lie.Kind.OTHER_SUBERROR,
              "suberror + 1",
              withRunOut(call, call.runOut().with(SUBERROR, 4, e.suberror() + 1))));
    }
  }

  private void byteLie(List<Lie> lies, Call call, @Nullable Reply reply) {
    if (reply == null || call.ret() < 0 || call.out().isEmpty()) {
      return;
    }
    List<Span> spans = spans(reply, call.out().size());
    if (spans.isEmpty()) {
      return;
    }
    Span span = spans.get(random.nextInt(spans.size()));
    int at = span.from() + random.nextInt(span.to() - span.from());
    int flipped = 1 + random.nextInt(255);
    Payload p = call.payload();
    Bytes out = p.out().with(at, 1, p.out().u8(at) ^ flipped);
    lies.add(
        new Lie(
            Lie.Kind.PAYLOAD_BYTE,
            "byte " + at + " (" + span.field() + ") ^ 0x" + Integer.toHexString(flipped),
            withPayload(
                call, new Payload(p.in(), out, p.runIn(), p.runOut(), p.extras(), p.holding()))));
  }

  /** The bytes that the model predicts. */
  static List<Span> spans(Reply reply, int size) {
    List<Span> spans = new ArrayList<>();
    switch (reply) {
      case Reply.Struct s -> structSpans(spans, s, size);
      case Reply.Parts p -> p.parts().forEach(s -> structSpans(spans, s, size));
      case Reply.Msrs m -> {
        add(spans, "header", 0, KvmMsrs.HEADER_SIZE, size);
        for (int i = 0; i < m.asked().held(); i++) {
          int at = KvmMsrs.HEADER_SIZE + i * KvmMsrs.ENTRY_SIZE;
          add(spans, "key", at, Long.BYTES, size);
          if (m.known(i)) {
            add(spans, m.name(i), at + Long.BYTES, Long.BYTES, size);
          }
        }
      }
      case Reply.Cpuid c -> {
        add(spans, "nent", 0, Integer.BYTES, size);
        int words = KvmCpuid2.ENTRY_SIZE / Integer.BYTES;
        for (int i = 0; i < c.table().held() * words; i++) {
          int field = i / words * CPUID_VALUES + i % words;
          if (i % words >= CPUID_VALUES || c.known(field)) {
            add(spans, "word " + i % words, KvmCpuid2.HEADER_SIZE + i * Integer.BYTES, 4, size);
          }
        }
      }
    }
    return spans;
  }

  private static void structSpans(List<Span> spans, Reply.Struct s, int size) {
    for (int f = 0; f < s.count(); f++) {
      if (s.known(f)) {
        StructField field = s.layout().field(f);
        add(spans, s.name(f), s.offset() + field.offset(), field.width(), size);
      }
    }
  }

  private static void add(List<Span> spans, String field, int from, int width, int size) {
    if (from + width <= size) {
      spans.add(new Span(field, from, from + width));
    }
  }

  private int otherErrno(int than) {
    int errno = than;
    while (errno == than) {
      errno = ERRNOS[random.nextInt(ERRNOS.length)].number();
    }
    return errno;
  }

  private static Lie returning(Lie.Kind kind, Call call, int ret, int errno) {
    return new Lie(
        kind,
        words(call.ret(), call.errno()) + " -> " + words(ret, errno),
        new Call(
            call.seq(),
            call.enterNs(),
            call.exitNs(),
            call.caller(),
            call.target(),
            call.request(),
            new Result(ret, errno),
            call.payload(),
            call.traced(),
            call.where()));
  }

  private static String words(int ret, int errno) {
    return ret < 0
        ? ret + " " + Optional.ofNullable(Errno.of(errno)).map(Errno::name).orElse("?")
        : Integer.toString(ret);
  }

  private static Call withRunOut(Call call, Bytes runOut) {
    Payload p = call.payload();
    return withPayload(
        call, new Payload(p.in(), p.out(), p.runIn(), runOut, p.extras(), p.holding()));
  }

  private static Call withPayload(Call call, Payload payload) {
    return new Call(
        call.seq(),
        call.enterNs(),
        call.exitNs(),
        call.caller(),
        call.target(),
        call.request(),
        call.result(),
        payload,
        call.traced(),
        call.where());
  }
}
