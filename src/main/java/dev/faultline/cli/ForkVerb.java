package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.store.TimelineStore;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code fork}: a timeline that shares another up to a moment. */
final class ForkVerb implements Verb {
  private final StoreVerbOptions options = new StoreVerbOptions();
  private final PositionalParamSpec name =
      PositionalParamSpec.builder()
          .paramLabel("NAME")
          .arity("1")
          .required(true)
          .type(String.class)
          .description("A timeline of the store.")
          .build();
  private final OptionSpec at =
      OptionSpec.builder("--at")
          .paramLabel("M")
          .type(String.class)
          .required(true)
          .description("The last moment that is shared: the last one of a call, or seq:N.")
          .build();
  private final OptionSpec as =
      OptionSpec.builder("--as")
          .paramLabel("NAME2")
          .type(String.class)
          .required(true)
          .description("What to call the fork.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  ForkVerb() {
    spec.addPositional(name).addOption(at).addOption(as);
    options.addTo(spec);
    spec.usageMessage()
        .description(
            "Begins a timeline that shares another up to a moment, that one included, and keeps"
                + " only what follows.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() {
    options.isJson();
    String timeline = name.getValue();
    AskedMoment asked = AskedMoment.parse("--at", at.<String>getValue());
    try (TimelineStore store = options.openExisting()) {
      long moment =
          asked.isSeq() ? store.lastMomentOfSeq(timeline, asked.number()) : asked.number();
      if (moment < 0 || moment > Integer.MAX_VALUE) {
        throw new UsageException(
            ErrorCode.MOMENT_UNKNOWN,
            "--at: expected a moment of " + timeline + ", found " + asked);
      }
      store.fork(timeline, (int) moment, as.<String>getValue());
    }
    return 0;
  }
}
