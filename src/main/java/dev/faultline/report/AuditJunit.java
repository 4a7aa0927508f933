package dev.faultline.report;

import dev.faultline.audit.AuditResult;
import dev.faultline.audit.Doubt;
import dev.faultline.audit.Evidence;
import dev.faultline.audit.Finding;
import dev.faultline.audit.Rule;
import dev.faultline.audit.RuleCatalog;
import dev.faultline.audit.Severity;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;

/**
 * What {@code audit} found, as JUnit XML: a suite a recording, a test a rule. A rule with an error
 * or a warning is a failure, one that cannot be told is skipped.
 */
public final class AuditJunit implements AuditReport {
  private static final int IN_FULL = 20;

  private final PrintWriter out;
  private final StringWriter suites = new StringWriter();
  private int tests;
  private int failures;
  private int skipped;

  public AuditJunit(PrintWriter out) {
    this.out = out;
  }

  @Override
  public void add(Audited audited) {
    AuditResult result = audited.result();
    StringBuilder cases = new StringBuilder();
    int suiteFailures = 0;
    int suiteSkipped = 0;
    for (Rule rule : RuleCatalog.rules()) {
      List<Finding> found = result.findings().stream().filter(f -> f.rule().equals(rule)).toList();
      List<Finding> bad = found.stream().filter(f -> f.severity() != Severity.INFORMATION).toList();
      List<Doubt> doubts = result.doubts().stream().filter(d -> d.rule().equals(rule)).toList();
      cases
          .append("    <testcase classname=\"")
          .append(escape(result.recording()))
          .append("\" name=\"")
          .append(escape(rule.id() + " " + rule.sentence()))
          .append("\" time=\"0\"");
      if (!bad.isEmpty()) {
        suiteFailures++;
        Finding first = bad.getFirst();
        cases
            .append(">\n      <failure type=\"")
            .append(escape(rule.id() + "." + first.severity().word()))
            .append("\" message=\"")
            .append(escape(first.message()))
            .append("\">")
            .append(escape(words(bad, result.found().getOrDefault(rule.id(), bad.size()))))
            .append("</failure>\n    </testcase>\n");
      } else if (!doubts.isEmpty()) {
        suiteSkipped++;
        List<String> whys = new ArrayList<>();
        doubts.forEach(d -> whys.add(d.why()));
        cases
            .append(">\n      <skipped message=\"cannot tell: ")
            .append(escape(String.join("; ", whys)))
            .append("\"/>\n    </testcase>\n");
      } else {
        cases.append("/>\n");
      }
    }
    int count = RuleCatalog.rules().size();
    suites
        .append("  <testsuite name=\"")
        .append(escape(result.recording()))
        .append("\" tests=\"" + count + "\" failures=\"" + suiteFailures + "\" errors=\"0\"")
        .append(" skipped=\"" + suiteSkipped + "\" time=\"0\">\n")
        .append(cases)
        .append("  </testsuite>\n");
    tests += count;
    failures += suiteFailures;
    skipped += suiteSkipped;
  }

  private static String words(List<Finding> findings, int total) {
    StringBuilder text = new StringBuilder();
    for (Finding finding : findings.subList(0, Math.min(IN_FULL, findings.size()))) {
      text.append('\n')
          .append(finding.at().where())
          .append(": ")
          .append(finding.severity().word())
          .append(" on ")
          .append(finding.lane())
          .append(": ")
          .append(finding.message());
      for (Evidence evidence : finding.evidence()) {
        text.append("\n  seq ")
            .append(evidence.seq())
            .append(' ')
            .append(evidence.lane())
            .append(' ')
            .append(evidence.call())
            .append(": ")
            .append(evidence.note());
      }
    }
    if (total > IN_FULL) {
      text.append("\n").append(total).append(" in all");
    }
    return text.append("\nfix: ").append(findings.getFirst().rule().fix()).append('\n').toString();
  }

  /** Text for an attribute or an element, without what XML 1.0 cannot hold. */
  static String escape(String text) {
    StringBuilder escaped = new StringBuilder();
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      switch (c) {
        case '&' -> escaped.append("&amp;");
        case '<' -> escaped.append("&lt;");
        case '>' -> escaped.append("&gt;");
        case '"' -> escaped.append("&quot;");
        case '\n', '\t' -> escaped.append(c);
        default -> escaped.append(c < ' ' || c >= 0xfffe || Character.isSurrogate(c) ? '?' : c);
      }
    }
    return escaped.toString();
  }

  @Override
  public void end() {
    out.println("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
    out.println(
        "<testsuites name=\"faultline audit\" tests=\""
            + tests
            + "\" failures=\""
            + failures
            + "\" errors=\"0\" skipped=\""
            + skipped
            + "\" time=\"0\">");
    out.print(suites);
    out.println("</testsuites>");
    out.flush();
  }
}
