package dev.faultline.cli;

import dev.faultline.FaultlineException;
import dev.faultline.InvariantViolation;
import dev.faultline.UsageException;
import java.io.BufferedWriter;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.OutputStreamWriter;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.List;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * The program: finds the verb, runs it, and turns whatever it throws into a sentence and an exit
 * status.
 *
 * <p><i>Errors</i>: a {@link FaultlineException} has its own status (2, 65, 74) and its message is
 * for the user as it is. Anything else that is thrown is a bug of Faultline: it says so, with the
 * stack trace, and exits 70.
 */
public final class Main {
  private Main() {}

  /**
   * Runs the command line and ends the process with its exit status.
   *
   * <p>Success just returns: {@code System.exit} first loads the classes of the JDK's logging, a
   * few milliseconds in a short command.
   */
  public static void main(String[] args) {
    int status = run(Verbs.ALL, args, utf8(FileDescriptor.out), utf8(FileDescriptor.err));
    if (status != 0) {
      System.exit(status);
    }
  }

  /** Runs the command line with these verbs and gives its exit status; both writers are flushed. */
  static int run(List<Verbs.Named> verbs, String[] args, PrintWriter out, PrintWriter err) {
    try {
      return commandLine(verbs, args).setOut(out).setErr(err).execute(args);
    } catch (Throwable bug) {
      return bug(bug, err);
    } finally {
      out.flush();
      err.flush();
    }
  }

  /**
   * With the verb that {@code args} begin with, or with all of them for help and for suggestions.
   */
  private static CommandLine commandLine(List<Verbs.Named> verbs, String[] args) {
    List<Verbs.Named> asked =
        args.length == 0
            ? List.of()
            : verbs.stream().filter(verb -> verb.name().equals(args[0])).toList();
    CommandLine line = new CommandLine(new Faultline().spec());
    for (Verbs.Named verb : asked.isEmpty() ? verbs : asked) {
      line.addSubcommand(verb.name(), verb.verb().get().spec());
    }
    return line.setParameterExceptionHandler((wrong, _) -> usage(wrong))
        .setExecutionExceptionHandler((thrown, at, _) -> thrown(thrown, at.getErr()));
  }

  private static int usage(ParameterException wrong) {
    CommandLine at = wrong.getCommandLine();
    PrintWriter err = at.getErr();
    err.println("faultline: " + wrong.getMessage());
    if (!UnmatchedArgumentException.printSuggestions(wrong, err)) {
      err.println("Try '" + at.getCommandSpec().qualifiedName() + " --help'.");
    }
    return UsageException.EXIT_CODE;
  }

  private static int thrown(Exception thrown, PrintWriter err) {
    if (thrown instanceof FaultlineException told) {
      err.println("faultline: " + told.getMessage());
      return told.exitCode();
    }
    return bug(thrown, err);
  }

  private static int bug(Throwable bug, PrintWriter err) {
    err.println(
        "faultline: this is a bug in Faultline, not in your input; please report it with the"
            + " command line and what follows.");
    bug.printStackTrace(err);
    return InvariantViolation.EXIT_CODE;
  }

  /** UTF-8 whatever the locale, since reports and JSON are; nothing is written before a flush. */
  private static PrintWriter utf8(FileDescriptor to) {
    return new PrintWriter(
        new BufferedWriter(
            new OutputStreamWriter(new FileOutputStream(to), StandardCharsets.UTF_8)));
  }
}
