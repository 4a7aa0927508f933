package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.reorder.Reorder;
import dev.faultline.reorder.Reordering;
import dev.faultline.reorder.Window;
import dev.faultline.report.OrdersJson;
import dev.faultline.report.OrdersPicture;
import dev.faultline.report.OrdersText;
import dev.faultline.trace.KernelFacts;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code reorder}: every order of the calls in a window. */
final class ReorderVerb implements Verb {
  private static final long MIB = 1 << 20;
  private static final String RUN = "run";

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
          .required(true)
          .description("The first call, an index or seq:N.")
          .build();
  private final OptionSpec to =
      OptionSpec.builder("--to")
          .paramLabel("M")
          .type(String.class)
          .description("The last call; by default the one before the next KVM_RUN.")
          .build();
  private final OptionSpec until =
      OptionSpec.builder("--until")
          .paramLabel(RUN)
          .type(String.class)
          .description("run: up to the next KVM_RUN, as without --to.")
          .build();
  private final OptionSpec pin =
      OptionSpec.builder("--pin")
          .paramLabel("seq:N")
          .type(List.class)
          .auxiliaryTypes(String.class)
          .description("A call that stays in its place; may be given several times.")
          .build();
  private final OptionSpec dot =
      OptionSpec.builder("--dot")
          .paramLabel("FILE")
          .type(Path.class)
          .description("Write which call must come before which, in the language of Graphviz.")
          .build();
  private final OptionSpec svg =
      OptionSpec.builder("--svg")
          .paramLabel("FILE")
          .type(Path.class)
          .description("The same as a picture.")
          .build();
  private final OptionSpec memory =
      OptionSpec.builder("--memory")
          .paramLabel("MIB")
          .type(String.class)
          .description("How much memory the search may take; half of what Java has by default.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  ReorderVerb() {
    spec.addPositional(input).addOption(from).addOption(to).addOption(until).addOption(pin);
    spec.addOption(dot).addOption(svg).addOption(memory);
    common.addTo(spec);
    spec.usageMessage()
        .description(
            "Puts the calls of a vCPU in a window into every order and tells what comes of each:"
                + " how many orders end in which state, which calls KVM refuses then, and how the"
                + " next KVM_RUN begins; and which call must come before which. KVM_RUN itself is"
                + " never moved. Ctrl-C prints what is known so far.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() throws IOException {
    try (InputFinder inputs = common.inputs()) {
      return reorder(StateVerb.one(inputs, input.<Path>getValue()));
    }
  }

  private int reorder(RecordingSource source) throws IOException {
    CommonOptions.Format format = common.format();
    long bytes = bytes();
    Window window =
        WindowSeek.find(source, common.kernel(KernelFacts.model(source.readFacts())), asked());
    PrintWriter out = spec.commandLine().getOut();
    Reordering result;
    try (Interruption interruption = new Interruption()) {
      result = Reorder.of(window, bytes, interruption::isAsked);
      switch (format) {
        case TEXT -> new OrdersText(out, common.ink()).write(source.name(), result);
        case JSON -> OrdersJson.write(out, source.name(), result);
      }
      out.flush();
    }
    write(dot.<@Nullable Path>getValue(), OrdersPicture.dot(result));
    Path picture = svg.<@Nullable Path>getValue();
    if (picture != null) {
      write(picture, OrdersPicture.svg(result));
    }
    return result.classes().get(result.recorded()).works() ? 0 : 1;
  }

  private WindowSeek.Asked asked() {
    String last = to.<@Nullable String>getValue();
    String end = until.<@Nullable String>getValue();
    if (end != null && !end.equals(RUN)) {
      throw new UsageException(ErrorCode.USAGE, "--until: expected run, found '" + end + "'");
    }
    if (end != null && last != null) {
      throw new UsageException(
          ErrorCode.USAGE, "--until: expected it without --to, found both; leave one out");
    }
    List<Long> pins = new ArrayList<>();
    List<String> pinned = pin.<@Nullable List<String>>getValue();
    for (String text : pinned == null ? List.<String>of() : pinned) {
      AskedMoment moment = AskedMoment.parse("--pin", text);
      if (!moment.isSeq()) {
        throw new UsageException(
            ErrorCode.USAGE, "--pin: expected the number of a call as in seq:31, found " + text);
      }
      pins.add(moment.number());
    }
    return new WindowSeek.Asked(
        AskedMoment.parse("--from", from.<String>getValue()),
        last == null ? null : AskedMoment.parse("--to", last),
        List.copyOf(pins),
        common.vcpus());
  }

  private long bytes() {
    String asked = memory.<@Nullable String>getValue();
    if (asked == null) {
      return Runtime.getRuntime().maxMemory() / 2;
    }
    if (!asked.matches("[0-9]{1,7}")) {
      throw new UsageException(
          ErrorCode.USAGE, "--memory: expected a number of MiB, found '" + asked + "'");
    }
    return Long.parseLong(asked) * MIB;
  }

  private static void write(@Nullable Path file, String text) {
    if (file == null) {
      return;
    }
    try {
      Files.writeString(file, text, StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new StoreException(
          ErrorCode.FILE_UNWRITABLE,
          file + ": expected a file that can be written, found " + e.getMessage(),
          e);
    }
  }
}
