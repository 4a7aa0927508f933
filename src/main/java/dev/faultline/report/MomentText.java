package dev.faultline.report;

import dev.faultline.kvm.Errno;
import dev.faultline.x86.SegmentRegister;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What {@code show} lists, as text, one line a moment.
 *
 * <p><i>Shape</i>: a star for what the model added and a bang for a divergence; moment; sequence
 * number; seconds since the first line of the recording; lane; what happened, and indented below a
 * KVM_RUN what happened in it.
 */
public final class MomentText implements MomentReport {
  private static final int MOST_CHANGES = 6;
  private static final int LEAST_OF_SEGMENT = 4;
  private static final int NS_PER_US = 1000;
  private static final int US_PER_S = 1_000_000;

  private final PrintWriter out;
  private final Ink ink;
  private final long startNs;

  /**
   * Writes to {@code out}.
   *
   * @param startNs CLOCK_MONOTONIC of the first line, from which times count
   */
  public MomentText(PrintWriter out, Ink ink, long startNs) {
    this.out = out;
    this.ink = ink;
    this.startNs = startNs;
  }

  @Override
  public void add(MomentRow row) {
    String place =
        String.format(
            Locale.ROOT,
            "%6d %6s %10s  %-10s",
            row.moment(),
            row.seq() < 0 ? "-" : Long.toString(row.seq()),
            time(row.ns()),
            row.lane());
    out.println(
        switch (row.sort()) {
          case DECIDED -> "? " + place + " " + words(row);
          case FACT -> "  " + place + " " + words(row);
          case INSIDE -> ink.faint("  " + place + "   " + words(row));
          case SYNTHESIZED -> ink.made("* " + place + "   " + words(row));
          case DIVERGENCE -> ink.bad("! " + place + "   differs from the rules: " + words(row));
        });
  }

  @Override
  public void end() {
    out.flush();
  }

  private String time(long ns) {
    if (ns < 0 || startNs < 0) {
      return "";
    }
    long us = (ns - startNs) / NS_PER_US;
    return String.format(Locale.ROOT, "%d.%06d", us / US_PER_S, us % US_PER_S);
  }

  private static String words(MomentRow row) {
    StringBuilder text = new StringBuilder(row.name());
    MomentRow.Result result = row.result();
    boolean returned = row.kind().equals("run-returned");
    if (!returned) {
      append(text, " ", row.text());
    }
    if (result != null) {
      text.append(" = ").append(result(result));
    }
    if (returned) {
      append(text, " ", row.text());
    }
    if (row.check() != null) {
      text.append("  ").append(CheckWords.sentence(row.check()));
    }
    append(text, "  ", changes(row.changes()));
    return text.toString();
  }

  private static void append(StringBuilder text, String before, String more) {
    if (!more.isEmpty()) {
      text.append(before).append(more);
    }
  }

  private static String result(MomentRow.Result result) {
    if (result.ret() >= 0) {
      return Integer.toString(result.ret());
    }
    @Nullable Errno errno = Errno.of(result.errno());
    return result.ret() + " " + (errno == null ? "errno " + result.errno() : errno.name());
  }

  /** The first changes; many of one segment register are told as one. */
  private static String changes(List<FieldChange> changes) {
    List<String> segments = new ArrayList<>();
    List<FieldChange> rest = new ArrayList<>(changes);
    for (SegmentRegister register : SegmentRegister.values()) {
      String prefix = register.uapiName() + ".";
      long count = changes.stream().filter(c -> isOf(c, prefix)).count();
      if (count >= LEAST_OF_SEGMENT) {
        segments.add(count + " fields of " + register.uapiName());
        rest.removeIf(c -> isOf(c, prefix));
      }
    }
    List<String> parts = new ArrayList<>();
    rest.stream().limit(MOST_CHANGES).map(FieldChange::words).forEach(parts::add);
    parts.addAll(segments);
    if (rest.size() > MOST_CHANGES) {
      parts.add("… " + (rest.size() - MOST_CHANGES) + " more");
    }
    return String.join(", ", parts);
  }

  private static boolean isOf(FieldChange change, String prefix) {
    return change.struct().equals("kvm_sregs") && change.field().startsWith(prefix);
  }
}
