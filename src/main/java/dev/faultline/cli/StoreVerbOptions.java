package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.store.StoreLocation;
import dev.faultline.store.TimelineStore;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** The options of verbs over the store itself. */
final class StoreVerbOptions {
  private final StoreOption store = new StoreOption();
  private final OptionSpec format =
      OptionSpec.builder("--format")
          .paramLabel("FORMAT")
          .type(String.class)
          .defaultValue("text")
          .description("text (the default) or json.")
          .build();

  void addTo(CommandSpec spec) {
    spec.addOption(format).addOption(store.option()).addOption(Faultline.help());
  }

  /** Whether the result is written as JSON. */
  boolean isJson() {
    String asked = format.getValue();
    return switch (asked) {
      case "text" -> false;
      case "json" -> true;
      default ->
          throw new UsageException(
              ErrorCode.USAGE, "--format: expected text or json, found '" + asked + "'");
    };
  }

  StoreLocation location() {
    return store.location();
  }

  /** The store; made where there is none yet. */
  TimelineStore open() {
    return TimelineStore.open(location());
  }

  /** The store, which must be there already. */
  TimelineStore openExisting() {
    StoreLocation location = location();
    if (!location.mayExist()) {
      throw new UsageException(
          ErrorCode.INPUT_NOT_FOUND,
          "store "
              + location.text()
              + ": expected timelines, found no store there; 'faultline import' makes one");
    }
    return TimelineStore.open(location);
  }
}
