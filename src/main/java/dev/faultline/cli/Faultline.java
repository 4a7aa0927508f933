package dev.faultline.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/**
 * The command without a verb: answers {@code --version} and {@code --help}, and else asks for a
 * verb.
 */
final class Faultline implements Verb {
  private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this).name("faultline");

  Faultline() {
    spec.addOption(help());
    spec.addOption(
        OptionSpec.builder("-V", "--version")
            .versionHelp(true)
            .description("Print the version and exit.")
            .build());
    spec.versionProvider(new Version());
    spec.usageMessage()
        .description("A flight recorder and a what-if machine for KVM vCPUs.")
        .synopsisSubcommandLabel("VERB")
        .commandListHeading("%nVerbs:%n")
        .exitCodeListHeading("%nExit status:%n")
        .exitCodeList(exitStatuses());
  }

  /** The option that every verb has. */
  static OptionSpec help() {
    return OptionSpec.builder("-h", "--help")
        .usageHelp(true)
        .description("Print this help and exit.")
        .build();
  }

  @Override
  public CommandSpec spec() {
    return spec;
  }

  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getErr());
    return spec.exitCodeOnInvalidInput();
  }

  private static Map<String, String> exitStatuses() {
    Map<String, String> statuses = new LinkedHashMap<>();
    statuses.put(" 0", "clean");
    statuses.put(" 1", "findings");
    statuses.put(" 2", "the command line is wrong");
    statuses.put("65", "an input is wrong");
    statuses.put("69", "there is no JDK, or the build failed");
    statuses.put("70", "a bug of Faultline");
    statuses.put("74", "the store is wrong, or cannot be reached");
    return statuses;
  }
}
