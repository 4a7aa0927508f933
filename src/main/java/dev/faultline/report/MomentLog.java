package dev.faultline.report;

import dev.faultline.Check;
import dev.faultline.kvm.Ioctl;
import dev.faultline.report.MomentRow.Result;
import dev.faultline.report.MomentRow.Sort;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.TimelineListener;
import dev.faultline.timeline.Words;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Recorded;
import dev.faultline.vcpu.RsmVerdict;
import dev.faultline.vcpu.TimelineEvent;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vcpu.VcpuModel;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Listens while one recorded fact is played, and makes rows of what was heard. */
public final class MomentLog implements TimelineListener {
  private final List<Heard> facts = new ArrayList<>();
  private final List<MomentRow> rows = new ArrayList<>();
  private @Nullable Outcome predicted;

  /** A fact, and what the model says it answers. */
  private record Heard(int moment, Recorded fact, @Nullable Outcome predicted) {}

  @Override
  public void fact(int moment, Recorded fact, @Nullable Outcome outcome) {
    facts.add(new Heard(moment, fact, outcome));
    predicted = outcome;
  }

  @Override
  public void event(int moment, Recorded.VcpuCall run, TimelineEvent event) {
    rows.add(InsideRows.of(moment, run, event, predicted));
  }

  @Override
  public void rsm(int moment, Recorded.VcpuCall run, RsmVerdict verdict) {
    rows.add(
        new MomentRow(
            moment,
            run.seq(),
            -1,
            run.vcpu(),
            "rsm-judged",
            Sort.SYNTHESIZED,
            "RSM by what SMRAM holds",
            null,
            verdict.failed(),
            List.of(),
            Words.outcome(verdict.end())));
  }

  @Override
  public void divergence(Divergence d) {
    String field = d.field() == null ? "" : d.field() + ": ";
    rows.add(
        new MomentRow(
            d.moment(),
            d.seq(),
            -1,
            d.lane(),
            "divergence",
            Sort.DIVERGENCE,
            d.ioctl(),
            null,
            null,
            List.of(),
            field
                + "recorded "
                + d.recorded()
                + "; predicted "
                + d.predicted()
                + "; "
                + d.because()));
  }

  /**
   * The rows since the last call, in order of moments, a divergence behind what it is about.
   *
   * @param before the vCPU of the fact before it, null if there is none or it was not yet seen
   * @param payload what the fact carried
   */
  public List<MomentRow> drain(@Nullable Vcpu before, CallPayload payload) {
    List<MomentRow> all = new ArrayList<>();
    for (Heard heard : facts) {
      all.add(row(heard, before, payload));
    }
    all.addAll(rows);
    all.sort(Comparator.comparingInt(MomentRow::moment));
    facts.clear();
    rows.clear();
    return all;
  }

  private static MomentRow row(Heard heard, @Nullable Vcpu before, CallPayload payload) {
    int moment = heard.moment();
    return switch (heard.fact()) {
      case Recorded.VcpuCall c -> {
        Ioctl ioctl = VcpuModel.ioctl(c.command());
        Result result = c.run() == null ? new Result(c.ret(), c.errno()) : null;
        Check stopped = before == null ? null : VcpuModel.stopped(before, c.command(), c.ret());
        yield call(
            heard,
            c.vcpu(),
            ioctl.uapiName(),
            result,
            stopped != null ? stopped : check(heard.predicted(), result),
            c.run() == null && (c.ret() >= 0 || !c.reply().isEmpty() || !payload.in().isEmpty())
                ? CallChanges.of(before, payload, c.ret())
                : List.of(),
            CallWords.vcpuCall(c, ioctl, payload));
      }
      case Recorded.VmCall c ->
          call(
              heard,
              c.vm(),
              payload.ioctl() == null ? "ioctl" : payload.ioctl().uapiName(),
              new Result(c.ret(), c.errno()),
              List.of(),
              CallWords.vmCall(payload));
      case Recorded.VmCreation c ->
          call(
              heard,
              payload.object(),
              Ioctl.CREATE_VM.uapiName(),
              new Result(c.ret(), c.errno()),
              List.of(),
              "");
      case Recorded.HostQuestion q ->
          call(
              heard,
              payload.object(),
              q.name(),
              new Result(q.ret(), q.errno()),
              List.of(),
              CallWords.question(payload));
      case Recorded.Unreadable u ->
          call(heard, u.lane(), u.name(), new Result(u.ret(), u.errno()), List.of(), u.why());
      case Recorded.SmramCapture s ->
          new MomentRow(
              moment,
              s.seq(),
              s.ns(),
              s.vcpu(),
              "smram",
              Sort.FACT,
              "smram",
              null,
              null,
              List.of(),
              "smbase 0x" + Long.toHexString(s.smbase()));
      case Recorded.Note n ->
          new MomentRow(
              moment, n.seq(), n.ns(), n.lane(), n.kind(), Sort.FACT, n.kind(), null, null,
              List.of(), n.text());
    };
  }

  private static MomentRow call(
      Heard heard,
      String lane,
      String name,
      @Nullable Result result,
      List<FieldChange> changes,
      String text) {
    return call(heard, lane, name, result, check(heard.predicted(), result), changes, text);
  }

  private static MomentRow call(
      Heard heard,
      String lane,
      String name,
      @Nullable Result result,
      @Nullable Check check,
      List<FieldChange> changes,
      String text) {
    Recorded fact = heard.fact();
    return new MomentRow(
        heard.moment(),
        fact.seq(),
        fact.ns(),
        lane,
        "ioctl",
        isDecided(fact) ? Sort.DECIDED : Sort.FACT,
        name,
        result,
        check,
        changes,
        text);
  }

  private static boolean isDecided(Recorded fact) {
    return (fact instanceof Recorded.VcpuCall vcpu && vcpu.decided())
        || (fact instanceof Recorded.VmCall vm && vm.decided());
  }

  /** The check that the model says failed, if the call did fail so. */
  private static @Nullable Check check(@Nullable Outcome predicted, @Nullable Result result) {
    return predicted instanceof Outcome.Refused r
            && result != null
            && result.errno() == r.errno().number()
        ? r.check()
        : null;
  }
}
