package dev.faultline.cli;

import java.util.concurrent.Callable;
import picocli.CommandLine.Model.CommandSpec;

/**
 * A verb of the command line; the call answers it and gives the exit status.
 *
 * <p>A verb describes its options in code and not by picocli's annotations: to read annotations the
 * JVM generates classes, which takes more time than everything else that a short command does. So
 * options are fields of the type {@code OptionSpec}, and their values are read from these.
 */
interface Verb extends Callable<Integer> {
  /** What the verb takes and what help says about it; the spec's user object is this verb. */
  CommandSpec spec();
}
