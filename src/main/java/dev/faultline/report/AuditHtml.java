package dev.faultline.report;

import dev.faultline.audit.AuditResult;
import dev.faultline.audit.Doubt;
import dev.faultline.audit.Evidence;
import dev.faultline.audit.Finding;
import dev.faultline.audit.Rule;
import dev.faultline.audit.Severity;
import dev.faultline.vcpu.Vcpu;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * What {@code audit} found, as one page that needs nothing else: no script, no style sheet, no
 * picture from elsewhere.
 *
 * <p><i>Shape</i>: a strip of the timeline with a mark a finding, then the findings, each with its
 * calls, what the call at fault changed, and the state after it.
 */
public final class AuditHtml implements AuditReport {
  private static final int MAX_FINDINGS = 500;
  private static final int STRIP_WIDTH = 1000;
  private static final int LANE_HEIGHT = 18;
  private static final int MAX_LANES = 32;
  private static final int NAME_WIDTH = 110;

  private final PrintWriter out;
  private final StringWriter body = new StringWriter();
  private int next;

  public AuditHtml(PrintWriter out) {
    this.out = out;
  }

  @Override
  public void add(Audited audited) {
    AuditResult result = audited.result();
    line("<section>");
    line("<h2>" + escape(result.recording()) + "</h2>");
    line(
        "<p class=kernel>"
            + escape(KernelWords.describe(result.kernel(), audited.kernelAsked()))
            + "</p>");
    line("<p>" + counts(result) + "</p>");
    List<Finding> shown =
        result.findings().subList(0, Math.min(MAX_FINDINGS, result.findings().size()));
    int first = next;
    strip(result, shown, first);
    for (Finding finding : shown) {
      finding(finding, next++);
    }
    if (result.total() > shown.size()) {
      line("<p>" + (result.total() - shown.size()) + " more: --format json.</p>");
    }
    if (!result.doubts().isEmpty()) {
      line("<h3>Cannot tell</h3><ul>");
      for (Doubt doubt : result.doubts()) {
        line("<li><b>" + doubt.rule().id() + "</b> " + escape(doubt.why()) + "</li>");
      }
      line("</ul>");
    }
    line("</section>");
  }

  private static String counts(AuditResult result) {
    List<String> words = new ArrayList<>();
    for (Severity severity : Severity.values()) {
      long count = result.findings().stream().filter(f -> f.severity() == severity).count();
      if (count > 0) {
        words.add(
            "<span class="
                + severity.word()
                + ">"
                + count
                + " "
                + AuditText.plural(severity, count)
                + "</span>");
      }
    }
    return words.isEmpty() ? "<span class=clean>no finding</span>" : String.join(", ", words);
  }

  /** A lane for each vCPU and VM with findings; calls of the evidence are ticks. */
  private void strip(AuditResult result, List<Finding> findings, int first) {
    if (findings.isEmpty()) {
      return;
    }
    List<String> lanes = new ArrayList<>();
    for (Finding finding : findings) {
      for (Evidence evidence : finding.evidence()) {
        if (!lanes.contains(evidence.lane()) && lanes.size() < MAX_LANES) {
          lanes.add(evidence.lane());
        }
      }
    }
    int height = lanes.size() * LANE_HEIGHT;
    line(
        "<svg class=strip role=img aria-label=timeline viewBox=\"0 0 "
            + (NAME_WIDTH + STRIP_WIDTH)
            + " "
            + (height + LANE_HEIGHT)
            + "\">");
    for (int i = 0; i < lanes.size(); i++) {
      int y = i * LANE_HEIGHT + LANE_HEIGHT / 2;
      line("<text x=0 y=" + (y + 4) + ">" + escape(lanes.get(i)) + "</text>");
      line(
          "<line class=lane x1="
              + NAME_WIDTH
              + " x2="
              + (NAME_WIDTH + STRIP_WIDTH)
              + " y1="
              + y
              + " y2="
              + y
              + " />");
    }
    for (int i = 0; i < findings.size(); i++) {
      marks(result, findings.get(i), first + i, lanes);
    }
    line(
        "<text x="
            + NAME_WIDTH
            + " y="
            + (height + LANE_HEIGHT - 4)
            + ">moment 0 to "
            + (result.moments() - 1)
            + "</text>");
    line("</svg>");
  }

  private void marks(AuditResult result, Finding finding, int number, List<String> lanes) {
    for (Evidence evidence : finding.evidence()) {
      int lane = lanes.indexOf(evidence.lane());
      if (lane < 0) {
        continue;
      }
      String x = x(evidence.moment(), result.moments());
      int y = lane * LANE_HEIGHT + LANE_HEIGHT / 2;
      boolean at = evidence.moment() == finding.moment();
      String title =
          "<title>"
              + escape(
                  finding.rule().id() + ": " + evidence.call() + " (seq " + evidence.seq() + ")")
              + "</title>";
      if (at) {
        line(
            "<a href=\"#f"
                + number
                + "\"><circle class="
                + finding.severity().word()
                + " cx="
                + x
                + " cy="
                + y
                + " r=6>"
                + title
                + "</circle></a>");
      } else {
        line(
            "<rect class=evidence x="
                + x
                + " y="
                + (y - 5)
                + " width=2 height=10>"
                + title
                + "</rect>");
      }
    }
  }

  private static String x(int moment, int moments) {
    double part = moments <= 1 ? 0 : (double) moment / (moments - 1);
    return String.format(Locale.ROOT, "%.1f", NAME_WIDTH + 6 + part * (STRIP_WIDTH - 12));
  }

  private void finding(Finding finding, int number) {
    Rule rule = finding.rule();
    line("<article id=f" + number + " class=" + finding.severity().word() + ">");
    line(
        "<h3><span class=tag>"
            + rule.id()
            + " "
            + finding.severity().word()
            + (finding.silent() ? ", silent" : "")
            + "</span> "
            + escape(finding.message())
            + "</h3>");
    line(
        "<p class=where>"
            + escape(finding.lane())
            + ", moment "
            + finding.moment()
            + ", "
            + escape(finding.at().where())
            + "</p>");
    line("<table class=calls>");
    for (Evidence evidence : finding.evidence()) {
      line(
          "<tr"
              + (evidence.moment() == finding.moment() ? " class=at" : "")
              + "><td>seq "
              + evidence.seq()
              + "<td>"
              + escape(evidence.lane())
              + "<td><code>"
              + escape(evidence.call())
              + "</code><td>"
              + escape(evidence.note())
              + "</tr>");
    }
    line("</table>");
    line("<p><b>Rule.</b> " + escape(rule.sentence()) + ".</p>");
    line("<p><b>Why.</b> " + escape(rule.because()) + "</p>");
    line("<p><b>Fix.</b> " + escape(rule.fix()) + "</p>");
    Finding.States states = finding.states();
    if (states != null) {
      changes(states);
      state(states.after());
    }
    line("</article>");
  }

  private void changes(Finding.States states) {
    List<StateDifference.Changed> changes =
        StateDifference.between(states.before(), states.after());
    line("<details><summary>What the call changed: " + changes.size() + " fields</summary>");
    line("<table class=state>");
    for (StateDifference.Changed changed : changes) {
      line(
          "<tr><td>"
              + escape(changed.group())
              + "<td>"
              + escape(changed.after().name())
              + "<td><code>"
              + value(changed.before())
              + "</code><td>→<td><code>"
              + value(changed.after())
              + "</code></tr>");
    }
    line("</table></details>");
  }

  private void state(Vcpu vcpu) {
    EntryVerdict verdict = EntryVerdict.of(vcpu);
    line(
        "<details><summary>State after it: "
            + StateJson.level(vcpu)
            + ", in SMM: "
            + vcpu.inSmm().word()
            + ", hardware can run it: "
            + verdict.valid().word()
            + "</summary><table class=state>");
    for (StateGroup group : StateGroup.of(vcpu)) {
      for (StateField field : group.fields()) {
        boolean dull = field.value() == 0 && field.isKnown();
        if (field.isSeen() && !dull) {
          line(
              "<tr><td>"
                  + escape(group.name())
                  + "<td>"
                  + escape(field.name())
                  + "<td><code>"
                  + value(field)
                  + "</code></tr>");
        }
      }
    }
    line("</table><p>Fields that are known to be zero, or were never seen, are left out.</p>");
    line("</details>");
  }

  private static String value(StateField field) {
    return switch (field.known()) {
      case KNOWN -> "0x" + Long.toHexString(field.value());
      case STALE -> "0x" + Long.toHexString(field.value()) + "?";
      case NEVER -> "never seen";
    };
  }

  private void line(String text) {
    body.append(text).append('\n');
  }

  static String escape(String text) {
    return AuditJunit.escape(text);
  }

  @Override
  public void end() {
    out.println("<!DOCTYPE html>");
    out.println("<html lang=en><head><meta charset=utf-8>");
    out.println("<meta name=viewport content=\"width=device-width, initial-scale=1\">");
    out.println(
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src"
            + " 'unsafe-inline'\">");
    out.println("<title>Faultline audit</title>");
    out.println("<style>" + STYLE + "</style></head><body>");
    out.println("<h1>Faultline audit</h1>");
    out.print(body);
    out.println("</body></html>");
    out.flush();
  }

  private static final String STYLE =
      """
      body{font:15px/1.45 system-ui,sans-serif;max-width:72rem;margin:1rem auto;padding:0 1rem;
      color:#1d2329;background:#fff}
      h1{font-size:1.4rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem;margin:.2rem 0}
      code,.where,.kernel{font-family:ui-monospace,monospace;font-size:.9em}
      .where,.kernel{color:#59636e;margin:.1rem 0}
      article{border-left:4px solid #888;padding:.4rem .9rem;margin:1rem 0;background:#f6f8fa}
      article.error{border-color:#c62828}article.warning{border-color:#b26a00}
      article.information{border-color:#1565c0}
      .tag{font-family:ui-monospace,monospace}
      span.error,.error .tag{color:#c62828}span.warning,.warning .tag{color:#8a5200}
      span.information,.information .tag{color:#1565c0}.clean{color:#1b7f3b}
      table{border-collapse:collapse;margin:.4rem 0}td{padding:.1rem .7rem .1rem 0;
      vertical-align:top}tr.at{font-weight:600}
      .strip{width:100%;height:auto;border:1px solid #d5dbe1;background:#fbfcfd;margin:.5rem 0}
      .strip text{font:11px ui-monospace,monospace;fill:#59636e}.lane{stroke:#d5dbe1}
      circle.error{fill:#c62828}circle.warning{fill:#b26a00}circle.information{fill:#1565c0}
      .evidence{fill:#59636e}summary{cursor:pointer;color:#31506e}
      @media (prefers-color-scheme:dark){body{background:#14181d;color:#dfe5ea}
      article{background:#1c2229}.strip{background:#191e24;border-color:#36404a}
      .lane{stroke:#36404a}summary{color:#8fb6dc}span.error,.error .tag{color:#ff8a80}
      span.warning,.warning .tag{color:#ffb74d}.where,.kernel,.strip text{color:#9aa6b2;
      fill:#9aa6b2}}
      """
          .replace("\n", "");
}
