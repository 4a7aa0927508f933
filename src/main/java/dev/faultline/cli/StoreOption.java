package dev.faultline.cli;

import dev.faultline.store.StoreLocation;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Model.OptionSpec;

/** The option {@code --store}. */
final class StoreOption {
  private final OptionSpec option =
      OptionSpec.builder("--store")
          .paramLabel("PATH|URL")
          .type(String.class)
          .description(
              "Where timelines are kept: a folder, or jdbc:postgresql://HOST/DATABASE. By default"
                  + " $XDG_DATA_HOME/faultline, or ~/.local/share/faultline.")
          .build();

  OptionSpec option() {
    return option;
  }

  /** The store that the user chose, or the usual one. */
  StoreLocation location() {
    String asked = option.<@Nullable String>getValue();
    return asked == null ? StoreLocation.byDefault() : StoreLocation.of(asked);
  }

  /** Whether the user chose one. */
  boolean isAsked() {
    return option.getValue() != null;
  }
}
