package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.ingest.LiveImport;
import dev.faultline.record.LineSink;
import dev.faultline.record.Recorder;
import dev.faultline.store.TimelineStore;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * {@code record}: runs a VMM, or attaches to one, and writes each of its KVM ioctls with payloads.
 *
 * <p><i>Errors</i>: the exit status is the VMM's own where one was started. A recording that ends
 * before its VMM costs a sentence; of one that was attached to, also the status.
 */
final class RecordVerb implements Verb {
  private final OptionSpec output =
      OptionSpec.builder("-o", "--output")
          .paramLabel("FILE")
          .type(Path.class)
          .description("Where to; NAME.jsonl.gz is found again in a folder. Overwritten.")
          .build();
  private final OptionSpec importing =
      OptionSpec.builder("--import")
          .paramLabel("NAME")
          .type(String.class)
          .description("Into the store, as a new timeline, while it is recorded.")
          .build();
  private final StoreOption store = new StoreOption();
  private final OptionSpec pid =
      OptionSpec.builder("--pid")
          .paramLabel("N")
          .type(String.class)
          .description("Attach to this process and all its threads, until it ends or Ctrl-C.")
          .build();
  private final OptionSpec seccomp =
      OptionSpec.builder("--seccomp")
          .type(boolean.class)
          .defaultValue("false")
          .description(
              "Stop only the calls that matter, by a seccomp filter: faster, but should the"
                  + " recorder be killed, the ioctls of CMD fail from then on.")
          .build();
  private final OptionSpec probe =
      OptionSpec.builder("--probe")
          .type(boolean.class)
          .defaultValue("false")
          .description(
              "After each KVM_RUN have the vCPU's thread read its nested state, events and sregs,"
                  + " and in SMM the save map.")
          .build();
  private final OptionSpec ftrace =
      OptionSpec.builder("--ftrace")
          .type(boolean.class)
          .defaultValue("false")
          .description(
              "Also write what the kernel traces of KVM, beside the recording; needs tracefs, most"
                  + " often root.")
          .build();
  private final PositionalParamSpec command =
      PositionalParamSpec.builder()
          .paramLabel("CMD")
          .arity("0..*")
          .type(List.class)
          .auxiliaryTypes(String.class)
          .description("The program and its arguments, after --.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  RecordVerb() {
    spec.addOption(output)
        .addOption(importing)
        .addOption(store.option())
        .addOption(pid)
        .addOption(seccomp)
        .addOption(probe)
        .addOption(ftrace)
        .addOption(Faultline.help())
        .addPositional(command);
    spec.usageMessage()
        .description(
            "Runs a VMM, or attaches to one, and records each KVM ioctl of every thread and child"
                + " with what goes in and comes out. Exits as CMD does.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() {
    List<String> words = command.<@Nullable List<String>>getValue();
    List<String> program = words == null ? List.of() : new ArrayList<>(words);
    int process = process();
    if (program.isEmpty() == (process == 0)) {
      throw new UsageException(
          ErrorCode.USAGE,
          "record: expected either -- CMD or --pid N, found "
              + (process == 0 ? "neither" : "both"));
    }
    boolean filtered = seccomp.getValue();
    if (filtered && process != 0) {
      throw new UsageException(
          ErrorCode.USAGE,
          "--seccomp: expected -- CMD beside it, found --pid; a running process keeps its calls as"
              + " they are");
    }
    Path file = output.<@Nullable Path>getValue();
    String timeline = importing.<@Nullable String>getValue();
    if (file == null && timeline == null) {
      throw new UsageException(
          ErrorCode.USAGE, "record: expected -o FILE, --import NAME or both, found neither");
    }
    boolean traced = ftrace.getValue();
    if (traced && (file == null || timeline != null)) {
      throw new UsageException(
          ErrorCode.USAGE,
          "--ftrace: expected -o FILE and no --import, found "
              + (timeline == null ? "no file" : "--import")
              + "; the trace lies beside the file, import both afterwards");
    }
    Recorder recorder =
        new Recorder(
            new Recorder.Order(file, program, process, filtered, probe.<Boolean>getValue(), traced),
            this::note);
    Recorder.Outcome outcome =
        timeline == null ? recorded(recorder, List.of()) : imported(recorder, timeline, file);
    return outcome.failure() != null && process != 0 ? StoreException.EXIT_CODE : outcome.status();
  }

  private void note(String note) {
    PrintWriter err = spec.commandLine().getErr();
    err.println("faultline: " + note);
    err.flush();
  }

  private Recorder.Outcome imported(Recorder recorder, String timeline, @Nullable Path file) {
    TimelineStore.demandName(timeline);
    try (TimelineStore opened = TimelineStore.open(store.location())) {
      if (opened.has(timeline)) {
        throw new UsageException(
            ErrorCode.USAGE,
            "--import: expected the name of a new timeline, found one of the store: " + timeline);
      }
      LiveImport live = new LiveImport(opened, timeline, file);
      Recorder.Outcome outcome = recorded(recorder, List.of(live::take));
      var _ = live.finish();
      opened.list();
      return outcome;
    }
  }

  private static Recorder.Outcome recorded(Recorder recorder, List<LineSink> sinks) {
    Thread stopping = Thread.ofPlatform().unstarted(recorder::stop);
    Runtime.getRuntime().addShutdownHook(stopping);
    try {
      return recorder.record(sinks);
    } finally {
      withdraw(stopping);
    }
  }

  private static void withdraw(Thread stopping) {
    try {
      Runtime.getRuntime().removeShutdownHook(stopping);
    } catch (IllegalStateException e) {
      // The JVM is ending already, and the hook does what there is to do.
      return;
    }
  }

  private int process() {
    String text = pid.<@Nullable String>getValue();
    if (text == null) {
      return 0;
    }
    try {
      int number = Integer.parseInt(text);
      if (number > 0) {
        return number;
      }
    } catch (NumberFormatException e) {
      throw wrong(text, e);
    }
    throw wrong(text, null);
  }

  private static UsageException wrong(String text, @Nullable Exception e) {
    String sentence = "--pid: expected the number of a process, found '" + text + "'";
    return e == null
        ? new UsageException(ErrorCode.USAGE, sentence)
        : new UsageException(ErrorCode.USAGE, sentence, e);
  }
}
