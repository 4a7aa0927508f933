package dev.faultline.cli;

import com.fasterxml.jackson.core.JsonGenerator;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.report.Json;
import dev.faultline.report.StatJson;
import dev.faultline.report.StatText;
import dev.faultline.timeline.Statistics;
import dev.faultline.trace.Observation;
import dev.faultline.trace.ObservationReader;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code stat}: counts and times by ioctl, exit reason, level and vCPU. */
final class StatVerb implements Verb {
  private static final int JSON_DEPTH = 2;

  private final CommonOptions common = new CommonOptions();
  private final PositionalParamSpec input =
      PositionalParamSpec.builder()
          .paramLabel("INPUT")
          .arity("1")
          .required(true)
          .type(Path.class)
          .description("A recording, a trace, a folder of them, or a timeline of the store.")
          .build();
  private final OptionSpec byVcpu =
      OptionSpec.builder("--by-vcpu")
          .type(boolean.class)
          .defaultValue("false")
          .description("Tell VMs and vCPUs apart; JSON always does.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  StatVerb() {
    spec.addPositional(input).addOption(byVcpu);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Counts ioctls, why KVM_RUN returned, and exits of the guest by the level that was"
                + " running, with their times: an ioctl from entry to return, an exit until the"
                + " next VM-Enter of its vCPU.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    try (InputFinder inputs = common.inputs()) {
      return stat(inputs.open(input.<Path>getValue()));
    }
  }

  private int stat(List<RecordingSource> sources) throws IOException {
    PrintWriter out = spec.commandLine().getOut();
    boolean json = common.format() == CommonOptions.Format.JSON;
    StatText text = new StatText(out, common.ink(), byVcpu.<Boolean>getValue());
    try (JsonGenerator generator = json ? Json.document(out, JSON_DEPTH) : null) {
      if (generator != null && sources.size() > 1) {
        generator.writeStartArray();
      }
      boolean first = true;
      for (RecordingSource source : sources) {
        Statistics statistics = count(source, sources.size() == 1);
        if (generator != null) {
          StatJson.write(generator, source.name(), statistics);
        } else {
          if (!first) {
            out.println();
          }
          text.print(source.name(), statistics);
        }
        first = false;
      }
      if (generator != null && sources.size() > 1) {
        generator.writeEndArray();
      }
    }
    if (json) {
      out.println();
    }
    return 0;
  }

  private Statistics count(RecordingSource source, boolean only) {
    Statistics statistics = new Statistics();
    VcpuFilter vcpus = common.vcpus();
    StatFeed feed = new StatFeed(statistics, vcpus);
    Set<String> lanes = new LinkedHashSet<>();
    try (ObservationReader reader = source.open()) {
      while (reader.hasNext()) {
        Observation observation = reader.next();
        feed.accept(observation);
        if (observation instanceof Observation.Call call && call.obj().contains("/")) {
          lanes.add(call.obj());
        }
      }
    }
    if (only) {
      vcpus.demand(lanes, "this recording");
    }
    return statistics;
  }
}
