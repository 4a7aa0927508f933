package dev.faultline.report;

import dev.faultline.timeline.Statistics;
import dev.faultline.timeline.Statistics.Total;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;

/** Counts and times as tables, in the columns that users of {@code perf kvm stat} know. */
public final class StatText {
  private static final double NS_PER_US = 1e3;
  private static final double NS_PER_SECOND = 1e9;
  private static final double PERCENT = 100;

  private final PrintWriter out;
  private final Ink ink;
  private final boolean byLane;

  /**
   * A report.
   *
   * @param byLane whether VMs and vCPUs are told apart
   */
  public StatText(PrintWriter out, Ink ink, boolean byLane) {
    this.out = out;
    this.ink = ink;
    this.byLane = byLane;
  }

  /** Writes the tables of one input. */
  public void print(String name, Statistics statistics) {
    out.printf(
        Locale.ROOT,
        "%s: %,d ioctls in %.6f s%n",
        ink.strong(name),
        statistics.calls(),
        statistics.spanNs() / NS_PER_SECOND);
    table("ioctl", statistics.ioctls(), true);
    table("KVM_RUN returned", statistics.returns(), false);
    table("guest exit", statistics.exits(), false);
  }

  private void table(String title, List<Total> all, boolean failures) {
    if (all.isEmpty()) {
      return;
    }
    List<Total> rows = byLane ? all : Statistics.merged(all);
    long count = rows.stream().mapToLong(Total::count).sum();
    long time = rows.stream().mapToLong(Total::totalNs).sum();
    int width =
        Math.max(
            title.length(), rows.stream().mapToInt(row -> label(row).length()).max().orElse(0));
    out.println();
    out.printf(
        Locale.ROOT,
        "  %-" + width + "s %10s %8s %8s %12s %12s %12s%s%n",
        title,
        "samples",
        "samples%",
        "time%",
        "min us",
        "mean us",
        "max us",
        failures ? "   failed" : "");
    for (Total row : rows) {
      out.printf(
          Locale.ROOT,
          "  %-" + width + "s %,10d %8.2f %8s %12s %12s %12s%s%n",
          label(row),
          row.count(),
          PERCENT * row.count() / count,
          row.timed() == 0 || time == 0
              ? "-"
              : String.format(Locale.ROOT, "%.2f", PERCENT * row.totalNs() / time),
          us(row, row.minNs()),
          us(row, row.meanNs()),
          us(row, row.maxNs()),
          failures ? String.format(Locale.ROOT, " %,8d", row.failed()) : "");
    }
  }

  private String label(Total row) {
    String level = row.level().isEmpty() ? "" : row.level() + " ";
    return byLane ? row.lane() + " " + level + row.name() : level + row.name();
  }

  private static String us(Total row, long ns) {
    return row.timed() == 0 ? "-" : String.format(Locale.ROOT, "%,.2f", ns / NS_PER_US);
  }
}
