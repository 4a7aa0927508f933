package dev.faultline.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/**
 * The command without a verb: answers {@code --version} and {@code --help}, and else asks for a
 * verb.
 */
@Command(
    name = "faultline",
    description = "A flight recorder and a what-if machine for KVM vCPUs.",
    synopsisSubcommandLabel = "VERB",
    mixinStandardHelpOptions = true,
    versionProvider = Version.class,
    exitCodeListHeading = "%nExit status:%n",
    exitCodeList = {
      " 0:clean",
      " 1:findings",
      " 2:the command line is wrong",
      "65:an input is wrong",
      "69:there is no JDK, or the build failed",
      "70:a bug of Faultline",
      "74:the store is wrong, or cannot be reached"
    })
final class Faultline implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Override
  public Integer call() {
    spec.commandLine().usage(spec.commandLine().getErr());
    return spec.exitCodeOnInvalidInput();
  }
}
