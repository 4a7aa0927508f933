package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.report.StateAt;
import dev.faultline.report.StateJson;
import dev.faultline.report.StateText;
import dev.faultline.trace.KernelFacts;
import dev.faultline.vcpu.KernelModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code state}: the vCPUs at a moment, or what is different between two. */
final class StateVerb implements Verb {
  private final CommonOptions common = new CommonOptions();
  private final PositionalParamSpec input =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("A recording, or a timeline of the store.")
          .build();
  private final OptionSpec at =
      OptionSpec.builder("--at")
          .paramLabel("M")
          .type(String.class)
          .required(true)
          .description(
              "The moment: an index into the timeline, or seq:N for the call that the recording"
                  + " numbers N, when it has returned.")
          .build();
  private final OptionSpec diff =
      OptionSpec.builder("--diff")
          .paramLabel("M2")
          .type(String.class)
          .description("Only what is different at this moment, and who wrote it.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  StateVerb() {
    spec.addPositional(input).addOption(at).addOption(diff);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Shows registers, events, nested state and MSRs of every vCPU at a moment: what is"
                + " known of each, who wrote it last, and whether hardware can enter it.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    try (InputFinder inputs = common.inputs()) {
      return show(one(inputs, input.<Path>getValue()));
    }
  }

  private int show(RecordingSource source) throws IOException {
    List<StateSeek.Asked> asked = new ArrayList<>();
    asked.add(asked("--at", at.<String>getValue()));
    String other = diff.<@Nullable String>getValue();
    if (other != null) {
      asked.add(asked("--diff", other));
    }
    CommonOptions.Format format = common.format();
    KernelModel kernel = common.kernel(KernelFacts.model(source.readFacts()));
    List<StateAt> states =
        common.kernelAsked()
            ? StateSeek.at(source, kernel, common.vcpus(), List.copyOf(asked))
            : StateSeek.atStored(source, kernel, common.vcpus(), List.copyOf(asked));
    PrintWriter out = spec.commandLine().getOut();
    switch (format) {
      case TEXT -> {
        StateText text = new StateText(out, common.ink());
        if (states.size() == 1) {
          text.write(states.getFirst());
        } else {
          text.write(states.getFirst(), states.getLast());
        }
      }
      case JSON -> {
        if (states.size() == 1) {
          StateJson.write(out, states.getFirst());
        } else {
          StateJson.write(out, states.getFirst(), states.getLast());
        }
      }
    }
    return 0;
  }

  private static StateSeek.Asked asked(String option, String text) {
    return new StateSeek.Asked(option, AskedMoment.parse(option, text));
  }

  /** The one recording of an input, which may be a timeline of the store. */
  static RecordingSource one(InputFinder inputs, Path path) {
    return one(path, inputs.open(path));
  }

  private static RecordingSource one(Path path, List<RecordingSource> sources) {
    if (sources.size() > 1) {
      throw new UsageException(
          ErrorCode.USAGE,
          path
              + ": expected one recording, found a folder of "
              + sources.size()
              + "; name one of them, such as "
              + sources.getFirst().recording());
    }
    return sources.getFirst();
  }
}
