package dev.faultline.cli;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.Ioctl;
import dev.faultline.report.CallPayload;
import dev.faultline.report.MomentJson;
import dev.faultline.report.MomentLog;
import dev.faultline.report.MomentReport;
import dev.faultline.report.MomentRow;
import dev.faultline.report.MomentText;
import dev.faultline.trace.KernelFacts;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code show}: a timeline, one line a moment. */
final class ShowVerb implements Verb {
  private static final int ASKED_EVERY = 1 << 9;
  private static final int FOLLOW_EVERY_MS = 100;

  private final CommonOptions common = new CommonOptions();
  private final PositionalParamSpec input =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("A recording, or a timeline of the store.")
          .build();
  private final OptionSpec from =
      OptionSpec.builder("--from")
          .paramLabel("M")
          .type(String.class)
          .description("The first moment, an index or seq:N; the beginning by default.")
          .build();
  private final OptionSpec to =
      OptionSpec.builder("--to")
          .paramLabel("M")
          .type(String.class)
          .description("The last moment, an index or seq:N; the end by default.")
          .build();
  private final OptionSpec follow =
      OptionSpec.builder("--follow")
          .type(boolean.class)
          .defaultValue("false")
          .description("Wait for more while the recording is being made.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  ShowVerb() {
    spec.addPositional(input).addOption(from).addOption(to).addOption(follow);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Lists a timeline: each call with what it returned and what it changed, inside each"
                + " KVM_RUN what the trace tells, what KVM added by its own rules (*), and where"
                + " the recording differs from these rules (!).");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    try (InputFinder inputs = common.inputs()) {
      return show(StateVerb.one(inputs, input.<Path>getValue()));
    }
  }

  private int show(RecordingSource source) throws IOException {
    CommonOptions.Format format = common.format();
    Range range = new Range(moment("--from", from), moment("--to", to));
    VcpuFilter vcpus = common.vcpus();
    MomentLog log = new MomentLog();
    try (Playback playback = playback(source, log)) {
      Rows rows = new Rows(format, range, vcpus);
      try {
        while (!range.ended && !rows.isUnread() && playback.advance()) {
          rows.add(playback, log);
        }
        rows.rest(log);
      } finally {
        // What was played before damage was met is shown.
        rows.end();
      }
      if (rows.isUnread()) {
        return 0;
      }
      range.demand(playback);
      vcpus.demand(playback.reexecution().vcpus().keySet(), "this recording up to that moment");
    }
    return 0;
  }

  private Playback playback(RecordingSource source, MomentLog log) {
    boolean follows = follow.getValue();
    ObservationReader reader = follows ? source.follow(this::isMoreAwaited) : source.open();
    if (follows) {
      // Of a recording that has only begun, the facts are there once its first line is.
      var _ = reader.hasNext();
    }
    return new Playback(
        reader, source.name(), common.kernel(KernelFacts.model(source.readFacts())), log);
  }

  /** Shows what there is, and waits a little. */
  private boolean isMoreAwaited() {
    PrintWriter out = spec.commandLine().getOut();
    out.flush();
    try {
      Thread.sleep(FOLLOW_EVERY_MS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      return false;
    }
    return !out.checkError();
  }

  private static @Nullable AskedMoment moment(String name, OptionSpec option) {
    String text = option.<@Nullable String>getValue();
    return text == null ? null : AskedMoment.parse(name, text);
  }

  private static CallPayload payload(Observation observation) {
    if (!(observation instanceof Observation.Call call)) {
      return CallPayload.NONE;
    }
    // Of a struct that is shown in part, the rest would look like zeros.
    boolean part = call.payload().holding().fields() != null;
    return new CallPayload(
        Ioctl.of(call.req()),
        call.obj(),
        call.arg(),
        part ? Bytes.EMPTY : call.in(),
        part ? Bytes.EMPTY : call.out());
  }

  /** Writes the rows that are asked for. */
  private final class Rows {
    private final CommonOptions.Format format;
    private final Range range;
    private final VcpuFilter vcpus;
    private @Nullable MomentReport report;
    private long asked;
    private boolean unread;

    Rows(CommonOptions.Format format, Range range, VcpuFilter vcpus) {
      this.format = format;
      this.range = range;
      this.vcpus = vcpus;
    }

    /** The playback advanced by one fact. */
    void add(Playback playback, MomentLog log) throws IOException {
      MomentReport to = report != null ? report : begin(playback.observation().enterNs());
      report = to;
      range.see(playback);
      show(log.drain(playback.before(), payload(playback.observation())), to);
    }

    /** What showed only when nothing followed. */
    void rest(MomentLog log) throws IOException {
      if (report != null) {
        show(log.drain(null, CallPayload.NONE), report);
      }
    }

    private void show(List<MomentRow> rows, MomentReport to) throws IOException {
      for (MomentRow row : rows) {
        if (range.has(row.moment()) && (vcpus.isAll() || vcpus.takes(row.lane()))) {
          to.add(row);
        }
      }
    }

    /** True once nobody reads any more, as behind {@code | head}; asked now and then. */
    boolean isUnread() {
      if (++asked % ASKED_EVERY == 0) {
        unread |= spec.commandLine().getOut().checkError();
      }
      return unread;
    }

    private MomentReport begin(long startNs) throws IOException {
      PrintWriter out = spec.commandLine().getOut();
      return switch (format) {
        case TEXT -> new MomentText(out, common.ink(), startNs);
        case JSON -> new MomentJson(out);
      };
    }

    void end() throws IOException {
      if (report != null) {
        report.end();
      }
    }
  }

  /** The moments to show, found while playing. */
  private static final class Range {
    private final @Nullable AskedMoment from;
    private final @Nullable AskedMoment to;
    private int first = Integer.MAX_VALUE;
    private int last = Integer.MAX_VALUE;
    private long firstSeq = Long.MAX_VALUE;
    private long lastSeq = -1;
    private boolean ended;

    Range(@Nullable AskedMoment from, @Nullable AskedMoment to) {
      this.from = from;
      this.to = to;
      if (from == null) {
        first = 0;
      } else if (to != null && from.isSeq() == to.isSeq() && from.number() > to.number()) {
        throw new UsageException(
            ErrorCode.MOMENT_UNKNOWN,
            "--to: expected a moment not before --from " + from + ", found " + to);
      }
    }

    /** The playback advanced by one fact. */
    void see(Playback playback) {
      long seq = playback.fact().seq();
      if (seq >= 0) {
        firstSeq = Math.min(firstSeq, seq);
        lastSeq = Math.max(lastSeq, seq);
      }
      if (from != null && first == Integer.MAX_VALUE && from.isAt(playback)) {
        first = from.isSeq() ? playback.first() : from.index(playback);
      }
      if (to != null && to.isAt(playback)) {
        last = to.index(playback);
        ended = true;
      }
    }

    boolean has(int moment) {
      return first <= moment && moment <= last;
    }

    /** Demands that both moments were met. */
    void demand(Playback playback) {
      if (from != null && first == Integer.MAX_VALUE) {
        throw from.unknown("--from", playback, firstSeq, lastSeq);
      }
      if (to != null && !ended) {
        throw to.unknown("--to", playback, firstSeq, lastSeq);
      }
    }
  }
}
