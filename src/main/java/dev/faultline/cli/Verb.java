package dev.faultline.cli;

import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Supplier;

/**
 * A verb of the command line: its name, and how to make the one class that answers it.
 *
 * <p>The class is made only when its verb is the one asked for, so that a start does not pay for
 * all the others.
 *
 * @param name as the user types it, and as the class's {@code @Command} says
 * @param command makes the class that picocli fills from the arguments and calls; the call gives
 *     the exit status
 */
record Verb(String name, Supplier<Callable<Integer>> command) {
  /** Every verb, in the order in which help lists them: from recording to looking to judging. */
  static final List<Verb> ALL = List.of();
}
