package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.record.Recorder;
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
          .required(true)
          .description("Where to; NAME.jsonl.gz is found again in a folder. Overwritten.")
          .build();
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
        .addOption(pid)
        .addOption(seccomp)
        .addOption(probe)
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
    PrintWriter err = spec.commandLine().getErr();
    Recorder recorder =
        new Recorder(
            new Recorder.Order(
                output.<Path>getValue(), program, process, filtered, probe.<Boolean>getValue()),
            note -> {
              err.println("faultline: " + note);
              err.flush();
            });
    Thread stopping = Thread.ofPlatform().unstarted(recorder::stop);
    Runtime.getRuntime().addShutdownHook(stopping);
    Recorder.Outcome outcome;
    try {
      outcome = recorder.record();
    } finally {
      withdraw(stopping);
    }
    return outcome.failure() != null && process != 0 ? StoreException.EXIT_CODE : outcome.status();
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
