package dev.faultline.cli;

import dev.faultline.store.TimelineStore;
import java.util.List;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/** {@code rm}: takes timelines out of the store. */
final class RmVerb implements Verb {
  private final StoreVerbOptions options = new StoreVerbOptions();
  private final PositionalParamSpec names =
      PositionalParamSpec.builder()
          .paramLabel("NAME")
          .arity("1..*")
          .required(true)
          .type(List.class)
          .auxiliaryTypes(String.class)
          .description("Timelines of the store.")
          .build();
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

  RmVerb() {
    spec.addPositional(names);
    options.addTo(spec);
    spec.usageMessage()
        .description(
            "Takes timelines out of the store. One that others are forks of can be taken away only"
                + " after them.");
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() {
    options.isJson();
    List<String> asked = names.getValue();
    try (TimelineStore store = options.openExisting()) {
      asked.forEach(store::remove);
    }
    return 0;
  }
}
