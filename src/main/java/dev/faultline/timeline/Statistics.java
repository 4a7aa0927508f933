package dev.faultline.timeline;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Counts and times of what an input holds: its ioctls, why KVM_RUN returned, and the exits of the
 * guest by the level that was running.
 *
 * <p><i>Units</i>: nanoseconds. An ioctl takes from its entry to its return. A guest exit takes, as
 * {@code perf kvm stat} has it, from the exit to the next VM-Enter of the same vCPU, userspace
 * included.
 */
public final class Statistics {
  private static final int MAX_ROWS = 1 << 14;
  private static final String BEYOND = "(others)";

  // Looked into once a call; put into order only when they are given out.
  private final Map<Key, Row> ioctls = new HashMap<>();
  private final Map<Key, Row> returns = new HashMap<>();
  private final Map<Key, Row> exits = new HashMap<>();
  private long calls;
  private long firstNs = -1;
  private long lastNs = -1;

  /** What a row counts. */
  private record Key(String lane, String level, String name) {
    static final Comparator<Key> ORDER =
        Comparator.comparing(Key::lane).thenComparing(Key::level).thenComparing(Key::name);
  }

  /**
   * One line of a table.
   *
   * @param lane the VM or vCPU, {@code kvm} for the system
   * @param level {@code L1} or {@code L2} for exits of the guest, else empty
   * @param name an ioctl, an exit reason of KVM_RUN, or one of the guest
   * @param failed how many of the ioctls returned an error
   * @param timed how many of them have a time
   */
  public record Total(
      String lane,
      String level,
      String name,
      long count,
      long failed,
      long timed,
      long totalNs,
      long minNs,
      long maxNs) {
    /** The mean time; 0 where none has one. */
    public long meanNs() {
      return timed == 0 ? 0 : totalNs / timed;
    }
  }

  /** A row while it is counted. */
  private static final class Row {
    private long count;
    private long failed;
    private long timed;
    private long totalNs;
    private long minNs = Long.MAX_VALUE;
    private long maxNs;

    private void add(boolean fails, long ns) {
      count++;
      failed += fails ? 1 : 0;
      if (ns >= 0) {
        timed++;
        totalNs += ns;
        minNs = Math.min(minNs, ns);
        maxNs = Math.max(maxNs, ns);
      }
    }

    private Total total(Key key) {
      return new Total(
          key.lane(),
          key.level(),
          key.name(),
          count,
          failed,
          timed,
          totalNs,
          timed == 0 ? 0 : minNs,
          maxNs);
    }
  }

  /**
   * Counts an ioctl.
   *
   * @param ns how long it took, or -1
   */
  public void ioctl(String lane, String name, boolean failed, long ns) {
    calls++;
    row(ioctls, lane, "", name).add(failed, ns);
  }

  /** Counts why a KVM_RUN returned. */
  public void returned(String vcpu, String why, boolean failed, long ns) {
    row(returns, vcpu, "", why).add(failed, ns);
  }

  /** Counts an exit of the guest. */
  public void exit(String vcpu, String level, String reason, long ns) {
    row(exits, vcpu, level, reason).add(false, ns);
  }

  /** Something happened between these two times. */
  public void span(long fromNs, long toNs) {
    firstNs = firstNs < 0 ? fromNs : Math.min(firstNs, fromNs);
    lastNs = Math.max(lastNs, toNs);
  }

  private static Row row(Map<Key, Row> table, String lane, String level, String name) {
    Key key = new Key(lane, level, name);
    Row row = table.get(key);
    if (row == null) {
      Key kept = table.size() < MAX_ROWS ? key : new Key(BEYOND, "", BEYOND);
      row = table.computeIfAbsent(kept, _ -> new Row());
    }
    return row;
  }

  /** How many ioctls there were. */
  public long calls() {
    return calls;
  }

  /** From the first call to the return of the last; 0 where calls have no time. */
  public long spanNs() {
    return firstNs < 0 ? 0 : lastNs - firstNs;
  }

  /** The ioctls, those that took longest first. */
  public List<Total> ioctls() {
    return sorted(ioctls);
  }

  /** Why KVM_RUN returned. */
  public List<Total> returns() {
    return sorted(returns);
  }

  /** The exits of the guest whose next VM-Enter is in the trace. */
  public List<Total> exits() {
    return sorted(exits);
  }

  private static List<Total> sorted(Map<Key, Row> table) {
    List<Total> totals = new ArrayList<>();
    table.forEach((key, row) -> totals.add(row.total(key)));
    totals.sort(
        Comparator.comparingLong(Total::totalNs)
            .thenComparingLong(Total::count)
            .reversed()
            .thenComparing(Total::lane)
            .thenComparing(Total::level)
            .thenComparing(Total::name));
    return List.copyOf(totals);
  }

  /** The same rows with all vCPUs and VMs added up. */
  public static List<Total> merged(List<Total> totals) {
    TreeMap<Key, Total> sums = new TreeMap<>(Key.ORDER);
    for (Total t : totals) {
      sums.merge(new Key("", t.level(), t.name()), t, Statistics::sum);
    }
    List<Total> merged = new ArrayList<>(sums.values());
    merged.replaceAll(t ->
        new Total(
            "",
            t.level(),
            t.name(),
            t.count(),
            t.failed(),
            t.timed(),
            t.totalNs(),
            t.minNs(),
            t.maxNs()));
    merged.sort(
        Comparator.comparingLong(Total::totalNs)
            .thenComparingLong(Total::count)
            .reversed()
            .thenComparing(Total::level)
            .thenComparing(Total::name));
    return List.copyOf(merged);
  }

  private static Total sum(Total a, Total b) {
    long min =
        a.timed() == 0 ? b.minNs() : b.timed() == 0 ? a.minNs() : Math.min(a.minNs(), b.minNs());
    return new Total(
        "",
        a.level(),
        a.name(),
        a.count() + b.count(),
        a.failed() + b.failed(),
        a.timed() + b.timed(),
        a.totalNs() + b.totalNs(),
        min,
        Math.max(a.maxNs(), b.maxNs()));
  }
}
