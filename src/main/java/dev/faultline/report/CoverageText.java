package dev.faultline.report;

import dev.faultline.Check;
import dev.faultline.timeline.Coverage;
import dev.faultline.vcpu.NestedTransition;
import java.io.PrintWriter;
import java.util.Locale;
import java.util.Map;
import java.util.SortedMap;

/** What recordings exercise of the model, and what none of them does, as text. */
final class CoverageText {
  private final PrintWriter out;
  private final Ink ink;

  CoverageText(PrintWriter out, Ink ink) {
    this.out = out;
    this.ink = ink;
  }

  void print(Coverage coverage) {
    out.println();
    out.println(ink.strong("What these recordings exercise"));
    head("checks that decided", coverage.checks().size(), coverage.uncoveredChecks().size());
    counts(coverage.checks());
    head("checks that decided nothing", coverage.uncoveredChecks().size());
    for (Check check : coverage.uncoveredChecks()) {
      out.println("             " + check.id() + ink.faint("  " + check.rule()));
    }
    head("ends of ioctls", coverage.outcomes().size());
    counts(coverage.outcomes());
    head(
        "transitions of the nested and SMM machine",
        coverage.transitions().size(),
        coverage.uncoveredTransitions().size());
    for (NestedTransition row : NestedTransition.values()) {
      Long count = coverage.transitions().get(row.name());
      if (count != null) {
        count(count, words(row));
      }
    }
    head("transitions that none takes", coverage.uncoveredTransitions().size());
    for (NestedTransition row : coverage.uncoveredTransitions()) {
      out.println("             " + words(row));
    }
    if (!coverage.untabled().isEmpty()) {
      head("transitions that the table does not have", coverage.untabled().size());
      counts(coverage.untabled());
    }
  }

  private void head(String what, int covered, int uncovered) {
    out.println("  " + what + ink.faint(" (" + covered + " of " + (covered + uncovered) + ")"));
  }

  private void head(String what, int count) {
    out.println("  " + what + ink.faint(" (" + count + ")"));
  }

  private void counts(SortedMap<String, Long> counts) {
    for (Map.Entry<String, Long> entry : counts.entrySet()) {
      count(entry.getValue(), entry.getKey());
    }
  }

  private void count(long count, String what) {
    out.println(String.format(Locale.ROOT, "  %9d  %s", count, what));
  }

  private static String words(NestedTransition row) {
    return row.from().label() + " -> " + row.to().label() + ": " + row.trigger();
  }
}
