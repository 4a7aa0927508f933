package dev.faultline.report;

import dev.faultline.kvm.Ioctl;
import dev.faultline.timeline.Coverage;
import dev.faultline.timeline.Divergence;
import dev.faultline.timeline.Divergence.What;
import dev.faultline.timeline.Synthesized;
import dev.faultline.timeline.Verification;
import dev.faultline.timeline.Verification.Tally;
import dev.faultline.vcpu.FaultCause;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** What {@code verify} found, as text for people who know KVM. */
public final class VerificationText implements VerificationReport {
  /** How many divergences, and how many synthesized faults, are told of one recording. */
  public static final int MOST = 50;

  private static final String REST = " more (--format json shows all)";
  private static final double WHOLE = 100.0;
  private static final double ALMOST = 99.9;

  private final PrintWriter out;
  private final Ink ink;
  private final boolean several;
  private @Nullable Coverage coverage;
  private Total total = Total.NONE;

  /** A report of one recording, or of several. */
  public VerificationText(PrintWriter out, Ink ink, boolean several) {
    this.out = out;
    this.ink = ink;
    this.several = several;
  }

  @Override
  public void add(Verified verified) {
    Verification v = verified.verification();
    if (several && total.recordings() > 0) {
      out.println();
    }
    total = total.plus(verified);
    out.println(
        ink.strong(v.recording())
            + ": "
            + KernelWords.describe(v.kernel(), verified.kernelAsked()));
    tallies(v.calls(), v.runs(), v.fields());
    if (v.unread() > 0) {
      out.println("  " + count(v.unread(), "call or line", "calls or lines") + " not understood");
    }
    if (!verified.traceNote().isEmpty()) {
      out.println("  " + verified.traceNote());
    }
    synthesized(v.synthesized());
    divergences(v.divergences(), verified.divergencesFound());
  }

  @Override
  public void coverage(Coverage told) {
    coverage = told;
  }

  @Override
  public void end() {
    if (coverage != null) {
      new CoverageText(out, ink).print(coverage);
    }
    if (several) {
      sums();
    }
  }

  private void sums() {
    out.println();
    out.println(ink.strong(count(total.recordings(), "recording", "recordings") + " verified"));
    tallies(total.calls(), total.runs(), total.fields());
    String found = count(total.divergences(), "divergence", "divergences");
    out.println(
        "  "
            + count(total.synthesized(), "synthesized exit", "synthesized exits")
            + ", "
            + (total.divergences() == 0 ? ink.good("no divergence") : ink.bad(found)));
  }

  private void tallies(Tally calls, Tally runs, Tally fields) {
    out.println(ink.faint("          recorded       compared         as predicted"));
    tally("calls", calls);
    tally("runs", runs);
    tally("fields", fields);
  }

  private void tally(String name, Tally tally) {
    String line =
        String.format(
            Locale.ROOT,
            "  %-6s %9d %9d %6s %9d %6s",
            name,
            tally.total(),
            tally.compared(),
            percent(tally.compared(), tally.total()),
            tally.agree(),
            percent(tally.agree(), tally.compared()));
    out.println(tally.agree() == tally.compared() ? line : ink.bad(line));
  }

  /** A share that reads 100% only if nothing is missing. */
  private static String percent(long part, long whole) {
    if (whole == 0) {
      return "-";
    }
    if (part == whole) {
      return "100%";
    }
    double share = Math.floor(WHOLE * 10 * part / whole) / 10;
    return String.format(Locale.ROOT, "%.1f%%", Math.min(share, ALMOST));
  }

  private void synthesized(List<Synthesized> all) {
    for (Synthesized s : all.subList(0, Math.min(MOST, all.size()))) {
      out.println();
      story(s);
    }
    if (all.size() > MOST) {
      out.println();
      out.println("… and " + (all.size() - MOST) + REST);
    }
  }

  private void story(Synthesized s) {
    out.println(
        ink.made("* " + s.kind())
            + " synthesized by KVM at moment "
            + s.moment()
            + ", in "
            + Ioctl.RUN.uapiName()
            + " (seq "
            + s.seq()
            + ") of "
            + s.vcpu());
    out.println("  " + cause(s));
    out.println("  " + writer(s));
    out.println(
        "  "
            + switch (s.confirmed()) {
              case YES -> ink.good("confirmed by the tracepoint kvm_nested_vmexit_inject");
              case NO -> ink.bad("not in the trace, though the trace tells: see the divergence");
              case CANNOT_TELL -> "there is no trace of this call to confirm it";
            });
  }

  private static String cause(Synthesized s) {
    if (s.failed() != null) {
      return "L2's state fails " + CheckWords.sentence(s.failed());
    }
    return s.cause() == FaultCause.REQUESTED
        ? "a triple fault of L2 was requested [vcpu_enter_guest()]"
        : "L2's state is one that hardware cannot run; which check fails is not known";
  }

  private static String writer(Synthesized s) {
    String field =
        s.field() != null
            ? s.field()
            : s.cause() == FaultCause.REQUESTED ? "triple_fault.pending" : "the state";
    return field
        + (s.writer() < 0
            ? " was not written since the recording began"
            : " was last written by "
                + s.writerIoctl()
                + " (seq "
                + s.writerSeq()
                + ", moment "
                + s.writer()
                + ")");
  }

  private void divergences(List<Divergence> all, long found) {
    out.println();
    if (found == 0) {
      out.println(ink.good("no divergence"));
      return;
    }
    out.println(ink.bad(count(found, "divergence", "divergences")));
    List<Divergence> told = all.subList(0, Math.min(MOST, all.size()));
    for (int from = 0; from < told.size(); ) {
      int to = from + 1;
      while (to < told.size() && sameRead(told.get(from), told.get(to))) {
        to++;
      }
      out.println();
      call(told.get(from));
      if (told.get(from).what() == What.FIELD) {
        fields(told.subList(from, to));
      } else {
        result(told.get(from));
      }
      from = to;
    }
    if (found > MOST) {
      out.println();
      out.println("… and " + (found - MOST) + REST);
    }
  }

  /** True for two fields of one payload. */
  private static boolean sameRead(Divergence one, Divergence other) {
    return one.what() == What.FIELD && other.what() == What.FIELD && one.moment() == other.moment();
  }

  private void call(Divergence d) {
    out.println(
        ink.bad("! " + d.ioctl())
            + " (seq "
            + d.seq()
            + ", moment "
            + d.moment()
            + ") on "
            + d.lane()
            + ", "
            + d.where());
  }

  private void result(Divergence d) {
    out.println("  recorded   " + d.recorded());
    out.println("  predicted  " + d.predicted());
    out.println("  rule       " + d.because());
  }

  private void fields(List<Divergence> divergences) {
    List<List<String>> rows = new ArrayList<>();
    rows.add(List.of("field", "recorded", "predicted", ""));
    for (Divergence d : divergences) {
      rows.add(
          List.of(
              d.field() == null ? "" : d.field(),
              value(d, d.recorded()),
              value(d, d.predicted()),
              d.because()));
    }
    int[] widths = new int[rows.getFirst().size()];
    for (List<String> row : rows) {
      for (int i = 0; i < widths.length; i++) {
        widths[i] = Math.max(widths[i], row.get(i).length());
      }
    }
    for (List<String> row : rows) {
      StringBuilder line = new StringBuilder();
      for (int i = 0; i < widths.length; i++) {
        line.append("  ").append(row.get(i)).repeat(' ', widths[i] - row.get(i).length());
      }
      String text = line.toString().stripTrailing();
      out.println(row.equals(rows.getFirst()) ? ink.faint(text) : text);
    }
  }

  /** A field's value with what it means; other texts as they are. */
  private static String value(Divergence d, String text) {
    String field = d.field();
    if (field == null || !text.startsWith("0x")) {
      return text;
    }
    long value;
    try {
      value = Long.parseUnsignedLong(text.substring(2), 16);
    } catch (NumberFormatException _) {
      return text;
    }
    String words = FieldWords.describe(struct(d.ioctl()), field, value);
    return words == null ? text : text + " " + words;
  }

  /** The struct that an ioctl's payload is, as far as fields of the same name need it. */
  private static String struct(String ioctl) {
    return switch (ioctl) {
      case "KVM_GET_SREGS", "KVM_GET_SREGS2" -> "kvm_sregs";
      case "KVM_GET_VCPU_EVENTS" -> "kvm_vcpu_events";
      case "KVM_GET_NESTED_STATE" -> "kvm_nested_state";
      default -> "";
    };
  }

  static String count(long count, String one, String many) {
    return count + " " + (count == 1 ? one : many);
  }
}
