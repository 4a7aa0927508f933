package dev.faultline.report;

import dev.faultline.audit.AuditResult;
import dev.faultline.audit.Doubt;
import dev.faultline.audit.Evidence;
import dev.faultline.audit.Finding;
import dev.faultline.audit.Rule;
import dev.faultline.audit.Severity;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** What {@code audit} found, for people. */
public final class AuditText implements AuditReport {
  /** So many findings of one rule are told in full. */
  private static final int IN_FULL = 3;

  private static final int WIDTH = 100;

  private final PrintWriter out;
  private final Ink ink;
  private final boolean several;
  private int recordings;
  private int dirty;
  private final TreeMap<String, Integer> total = new TreeMap<>();

  /** A report of one recording, or of several. */
  public AuditText(PrintWriter out, Ink ink, boolean several) {
    this.out = out;
    this.ink = ink;
    this.several = several;
  }

  @Override
  public void add(Audited audited) {
    AuditResult result = audited.result();
    recordings++;
    if (result.isDirty()) {
      dirty++;
    }
    result.found().forEach((rule, count) -> total.merge(rule, count, Integer::sum));
    if (several && recordings > 1) {
      out.println();
    }
    out.println(
        ink.strong(result.recording())
            + ": "
            + KernelWords.describe(result.kernel(), audited.kernelAsked()));
    out.println("  " + counts(result));
    TreeMap<String, Integer> shown = new TreeMap<>();
    for (Finding finding : result.findings()) {
      int before = shown.merge(finding.rule().id(), 1, Integer::sum);
      if (before <= IN_FULL) {
        write(finding);
      }
    }
    for (Map.Entry<String, Integer> rule : result.found().entrySet()) {
      if (rule.getValue() > IN_FULL) {
        out.println();
        out.println(
            "  " + rule.getKey() + ": " + (rule.getValue() - IN_FULL) + " more (--format json)");
      }
    }
    if (!result.doubts().isEmpty()) {
      out.println();
      for (Doubt doubt : result.doubts()) {
        out.println(ink.faint("  cannot tell " + doubt.rule().id() + ": " + doubt.why()));
      }
    }
  }

  private String counts(AuditResult result) {
    if (result.total() == 0) {
      return ink.good("no finding");
    }
    List<String> words = new ArrayList<>();
    for (Severity severity : Severity.values()) {
      long count = result.findings().stream().filter(f -> f.severity() == severity).count();
      if (count > 0) {
        words.add(count + " " + plural(severity, count));
      }
    }
    return String.join(", ", words);
  }

  static String plural(Severity severity, long count) {
    return switch (severity) {
      case ERROR -> count == 1 ? "error" : "errors";
      case WARNING -> count == 1 ? "warning" : "warnings";
      case INFORMATION -> "for information";
    };
  }

  private void write(Finding finding) {
    Rule rule = finding.rule();
    String head =
        rule.id() + " " + finding.severity().word() + (finding.silent() ? ", silent" : "");
    out.println();
    out.println(
        "! "
            + (finding.severity() == Severity.ERROR ? ink.bad(head) : ink.made(head))
            + " on "
            + finding.lane()
            + ", "
            + finding.at().where());
    wrapped("  ", finding.message());
    for (Evidence evidence : finding.evidence()) {
      String mark = evidence.moment() == finding.moment() ? "→" : " ";
      out.printf(
          "  %s seq %-6d %-12s %-26s %s%n",
          mark, evidence.seq(), evidence.lane(), evidence.call(), evidence.note());
    }
    wrapped("  rule  ", rule.sentence());
    wrapped("  fix   ", rule.fix());
  }

  private void wrapped(String first, String text) {
    StringBuilder line = new StringBuilder(first);
    String indent = " ".repeat(first.length());
    for (String word : text.split(" ", -1)) {
      if (line.length() + word.length() + 1 > WIDTH && line.length() > indent.length()) {
        out.println(line.toString().stripTrailing());
        line = new StringBuilder(indent);
      }
      line.append(word).append(' ');
    }
    out.println(line.toString().stripTrailing());
  }

  /** The page of one rule. */
  public static void explain(PrintWriter out, Ink ink, Rule rule) {
    AuditText text = new AuditText(out, ink, false);
    out.println(ink.strong(rule.id() + ": " + rule.sentence()));
    out.println();
    out.println(
        "  "
            + rule.severity().word()
            + (rule.silent() ? ", silent: KVM returns success" : "")
            + "; "
            + rule.tier()
            + " ("
            + switch (rule.tier()) {
              case T0 -> "names, order and return values are enough";
              case T1 -> "needs payloads";
              case T2 -> "needs the model";
            }
            + ")");
    out.println("  on " + rule.scope() + "; kernels: " + rule.kernels());
    out.println();
    text.wrapped("  why   ", rule.because());
    text.wrapped("  fix   ", rule.fix());
    if (!rule.cases().isEmpty()) {
      text.wrapped("  seen  ", "public cases " + String.join(", ", rule.cases()));
    }
  }

  /** All rules, a line each. */
  public static void list(PrintWriter out, List<Rule> rules) {
    for (Rule rule : rules) {
      out.printf(
          "%-4s %-11s %s %-6s %s%n",
          rule.id(),
          rule.severity().word(),
          rule.tier(),
          rule.silent() ? "silent" : "",
          rule.sentence());
    }
  }

  @Override
  public void end() {
    if (several) {
      out.println();
      out.println(
          ink.strong(recordings + " recordings")
              + ", "
              + dirty
              + " with findings"
              + (total.isEmpty() ? "" : ": " + total));
    }
    out.flush();
  }
}
