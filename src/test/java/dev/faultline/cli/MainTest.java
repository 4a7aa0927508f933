package dev.faultline.cli;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.InvariantViolation;
import dev.faultline.StoreException;
import dev.faultline.TraceSyntaxException;
import dev.faultline.UsageException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** What the program prints and exits with, for each way in which a verb can end. */
final class MainTest {
  private record Ended(int status, String out, String err) {}

  /** A verb whose call does what a test says. */
  private static final class TryVerb implements Verb {
    private final Callable<Integer> body;
    private final OptionSpec count =
        OptionSpec.builder("--count").type(Integer.class).defaultValue("0").build();
    private final CommandSpec spec = CommandSpec.wrapWithoutInspection(this);

    TryVerb(Callable<Integer> body) {
      this.body = body;
      spec.addOption(Faultline.help()).addOption(count);
    }

    @Override
    public CommandSpec spec() {
      return spec;
    }

    @Override
    public Integer call() throws Exception {
      return body.call() + count.<Integer>getValue();
    }
  }

  private static Ended run(Callable<Integer> body, String... args) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    List<Verbs.Named> verbs =
        List.of(
            new Verbs.Named("try", () -> new TryVerb(body)),
            new Verbs.Named(
                "other",
                () -> {
                  throw new InvariantViolation("made although not asked for");
                }));
    int status = Main.run(verbs, args, new PrintWriter(out), new PrintWriter(err));
    return new Ended(status, out.toString(), err.toString());
  }

  private static Ended runThrowing(Exception thrown) {
    return run(
        () -> {
          throw thrown;
        },
        "try");
  }

  @Test
  void version_names_the_program_and_the_java_it_runs_on() {
    StringWriter out = new StringWriter();
    int status =
        Main.run(List.of(), new String[] {"--version"}, new PrintWriter(out), new PrintWriter(out));
    assertThat(status).isZero();
    assertThat(out.toString()).matches("faultline \\S+ \\(Java 2[5-9].*\\)\\R");
  }

  @Test
  void a_call_gives_the_exit_status() {
    assertThat(run(() -> 0, "try")).isEqualTo(new Ended(0, "", ""));
    assertThat(run(() -> 1, "try")).isEqualTo(new Ended(1, "", ""));
  }

  @Test
  void an_option_reaches_the_call() {
    assertThat(run(() -> 1, "try", "--count", "4").status()).isEqualTo(5);
  }

  @Test
  void help_of_a_verb_names_its_options_and_makes_no_other_verb() {
    Ended ended = run(() -> 1, "try", "--help");
    assertThat(ended.status()).isZero();
    assertThat(ended.out()).contains("Usage: faultline try").contains("--count");
    assertThat(ended.err()).isEmpty();
  }

  @Test
  void a_wrong_option_is_told_in_one_sentence_and_exits_2() {
    Ended ended = run(() -> 0, "try", "--cuont", "3");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.out()).isEmpty();
    assertThat(ended.err()).startsWith("faultline: Unknown option").contains("'--cuont'");
  }

  @Test
  void an_unknown_verb_exits_2_with_the_verb_that_was_probably_meant() {
    StringWriter err = new StringWriter();
    int status =
        Main.run(
            List.of(new Verbs.Named("try", () -> new TryVerb(() -> 0))),
            new String[] {"tr"},
            new PrintWriter(new StringWriter()),
            new PrintWriter(err));
    assertThat(status).isEqualTo(2);
    assertThat(err.toString()).contains("'tr'").contains("faultline try");
  }

  @Test
  void a_value_that_is_no_number_exits_2_and_names_the_option_and_the_help() {
    Ended ended = run(() -> 0, "try", "--count", "many");
    assertThat(ended.status()).isEqualTo(2);
    assertThat(ended.err()).contains("--count").contains("many").contains("faultline try --help");
  }

  @Test
  void no_verb_prints_the_usage_and_exits_2() {
    StringWriter err = new StringWriter();
    int status =
        Main.run(
            List.of(new Verbs.Named("try", () -> new TryVerb(() -> 0))),
            new String[] {},
            new PrintWriter(new StringWriter()),
            new PrintWriter(err));
    assertThat(status).isEqualTo(2);
    assertThat(err.toString()).contains("Usage: faultline").contains("try");
  }

  @Test
  void an_error_of_the_user_exits_2_with_its_message_alone() {
    assertThat(runThrowing(new UsageException(ErrorCode.MOMENT_UNKNOWN, "no moment 31")))
        .isEqualTo(new Ended(2, "", "faultline: FL-402 no moment 31" + System.lineSeparator()));
  }

  @Test
  void a_wrong_format_and_a_wrong_line_exit_65() {
    Ended format = runThrowing(FormatException.corrupt(ErrorCode.RECORDING_CORRUPT, "cut off"));
    assertThat(format.status()).isEqualTo(65);
    assertThat(format.err()).isEqualTo("faultline: FL-210 cut off" + System.lineSeparator());
    Ended line = runThrowing(new TraceSyntaxException(ErrorCode.TRACE_SYNTAX, "boot:418: what?"));
    assertThat(line.status()).isEqualTo(65);
    assertThat(line.err()).contains("boot:418");
  }

  @Test
  void a_store_that_cannot_be_reached_exits_74() {
    assertThat(runThrowing(new StoreException(ErrorCode.STORE_LOCKED, "in use")).status())
        .isEqualTo(74);
  }

  @Test
  void any_other_exception_is_called_a_bug_and_exits_70() {
    Ended ended = runThrowing(new IllegalStateException("odd"));
    assertThat(ended.status()).isEqualTo(70);
    assertThat(ended.err()).contains("this is a bug in Faultline").contains("odd").contains("at ");
  }

  @Test
  void an_invariant_violation_is_called_a_bug_and_exits_70() {
    Ended ended =
        run(
            () -> {
              throw new InvariantViolation("cannot be");
            },
            "try");
    assertThat(ended.status()).isEqualTo(70);
    assertThat(ended.err()).contains("this is a bug in Faultline").contains("cannot be");
  }
}
