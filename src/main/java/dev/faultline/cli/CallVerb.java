package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.CallDraft;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.ingest.Replays;
import dev.faultline.ingest.StoredTimeline;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.FdKind;
import dev.faultline.kvm.Ioctl;
import dev.faultline.report.DecidedCall;
import dev.faultline.store.TimelineStore;
import dev.faultline.store.WhatIf;
import dev.faultline.store.WhatIf.Answered;
import dev.faultline.store.WhatIf.Supposed;
import dev.faultline.timeline.Reexecution;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import dev.faultline.vcpu.Vcpu;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code call}: goes on with a fork by a call that nobody made. */
final class CallVerb implements Verb {
  private final StoreVerbOptions options = new StoreVerbOptions();
  private final PositionalParamSpec name = positional("NAME", "0", "A fork in the store.");
  private final PositionalParamSpec lane =
      positional("LANE", "1", "The vCPU or VM that is called, as in vm1/vcpu0 or vm1.");
  private final PositionalParamSpec ioctl =
      positional("IOCTL", "2", "The ioctl, as in KVM_SET_SREGS.");
  private final PositionalParamSpec fields =
      PositionalParamSpec.builder()
          .paramLabel("FIELD=VALUE")
          .index("3..*")
          .arity("0..*")
          .type(List.class)
          .auxiliaryTypes(String.class)
          .description(
              "A field of the payload, as in tr.unusable=1; an MSR by its name or number; arg=N."
                  + " What a KVM_SET does not name is as it is now.")
          .build();
  private final OptionSpec like =
      OptionSpec.builder("--like")
          .paramLabel("seq:N")
          .type(String.class)
          .description("Take the payload of this recorded call.")
          .build();
  private final OptionSpec of =
      OptionSpec.builder("--of")
          .paramLabel("INPUT")
          .type(Path.class)
          .description("Where --like finds the call; by default in NAME.")
          .build();
  private final OptionSpec answer =
      OptionSpec.builder("--answer")
          .paramLabel("N|ERRNO")
          .type(String.class)
          .description("What to suppose that KVM returns, where its rules cannot tell.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  CallVerb() {
    spec.addPositional(name).addPositional(lane).addPositional(ioctl).addPositional(fields);
    spec.addOption(like).addOption(of).addOption(answer);
    options.addTo(spec);
    spec.usageMessage()
        .description(
            "Makes a call in a fork that nobody made: KVM's rules decide what it returns and does,"
                + " and the fork goes on with it. All verbs show and judge it, marked as decided.");
  }

  private static PositionalParamSpec positional(String label, String index, String text) {
    return PositionalParamSpec.builder()
        .paramLabel(label)
        .index(index)
        .arity("1")
        .required(true)
        .type(String.class)
        .description(text)
        .build();
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    boolean json = options.isJson();
    String timeline = name.getValue();
    String called = lane.getValue();
    Supposed supposed = supposed();
    try (TimelineStore store = options.openExisting()) {
      WhatIf whatIf = store.whatIf(Replays::toEnd);
      Reexecution end = Replays.toEnd(store, timeline);
      boolean onVcpu = called.indexOf('/') >= 0;
      Ioctl asked = asked(onVcpu ? FdKind.VCPU : FdKind.VM);
      Vcpu vcpu = onVcpu ? whatIf.vcpu(end, called) : null;
      if (onVcpu ? vcpu == null : end.vm(called) == null) {
        throw new UsageException(
            ErrorCode.VCPU_UNKNOWN,
            timeline + ": expected a vCPU or VM of the timeline, found '" + called + "'");
      }
      List<String> words = fields.<@Nullable List<String>>getValue();
      CallDraft.Drafted draft =
          CallDraft.of(asked, vcpu, words == null ? List.of() : words, recorded(store, timeline));
      Answered answered =
          whatIf.call(
              timeline,
              called,
              end.nextMoment(),
              new WhatIf.Call(asked, draft.arg(), draft.in(), supposed));
      store.list();
      DecidedCall call =
          new DecidedCall(
              timeline,
              called,
              asked,
              answered.moment(),
              answered.seq(),
              answered.outcome(),
              answered.ret(),
              answered.errno());
      PrintWriter out = spec.commandLine().getOut();
      if (json) {
        call.json(out);
      } else {
        call.text(out);
      }
    }
    return 0;
  }

  private Ioctl asked(FdKind kind) {
    String text = ioctl.getValue();
    Ioctl known = Ioctl.ofName(text);
    if (known == null || !known.takenBy(kind)) {
      throw new UsageException(
          ErrorCode.USAGE,
          "expected an ioctl of a "
              + (kind == FdKind.VM ? "VM" : "vCPU")
              + " as in KVM_SET_SREGS, found '"
              + text
              + "'");
    }
    return known;
  }

  private @Nullable Supposed supposed() {
    String text = answer.<@Nullable String>getValue();
    if (text == null) {
      return null;
    }
    for (Errno errno : Errno.values()) {
      if (errno.name().equals(text)) {
        return new Supposed(-1, errno.number());
      }
    }
    if (!text.matches("[0-9]{1,9}")) {
      throw new UsageException(
          ErrorCode.USAGE, "--answer: expected a number or an errno, found '" + text + "'");
    }
    return new Supposed(Integer.parseInt(text), 0);
  }

  private Observation.@Nullable Call recorded(TimelineStore store, String timeline) {
    String text = like.<@Nullable String>getValue();
    if (text == null) {
      return null;
    }
    AskedMoment moment = AskedMoment.parse("--like", text);
    Path place = of.<@Nullable Path>getValue();
    RecordingSource source =
        place == null || store.has(place.toString())
            ? RecordingSource.of(
                new StoredTimeline(store, place == null ? timeline : place.toString()))
            : StateVerb.one(new InputFinder(options.location()), place);
    if (moment.isSeq()) {
      try (ObservationReader reader = source.open()) {
        while (reader.hasNext()) {
          if (reader.next() instanceof Observation.Call found && found.seq() == moment.number()) {
            return found;
          }
        }
      }
    }
    throw new UsageException(
        ErrorCode.MOMENT_UNKNOWN,
        "--like: expected the number of a call of "
            + source.name()
            + " as in seq:31, found "
            + text);
  }
}
