package dev.faultline.cli;

import dev.faultline.ingest.Merging;
import dev.faultline.ingest.RecordingSource;
import java.util.List;
import picocli.CommandLine.Model.OptionSpec;

/** The option {@code --merge}. */
final class MergeOption {
  private static final String NAME = "merged";

  private final OptionSpec option =
      OptionSpec.builder("--merge")
          .type(boolean.class)
          .defaultValue("false")
          .description(
              "Take all inputs as one timeline, merged by the clock that they have in common.")
          .build();

  OptionSpec option() {
    return option;
  }

  /** The inputs, or the one that they are together. */
  List<RecordingSource> apply(List<RecordingSource> sources) {
    boolean asked = option.<Boolean>getValue();
    return asked && sources.size() > 1 ? List.of(Merging.of(NAME, sources)) : sources;
  }
}
