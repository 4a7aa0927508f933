package dev.faultline.report;

import dev.faultline.Check;
import dev.faultline.kvm.Ioctl;
import dev.faultline.migration.Difference;
import dev.faultline.migration.MigrationOutcome;
import dev.faultline.migration.MigrationOutcome.Fault;
import dev.faultline.migration.MigrationOutcome.Kind;
import dev.faultline.migration.MigrationOutcome.Refusal;
import dev.faultline.migration.MomentOutcome;
import dev.faultline.migration.Notices;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What {@code migrate} found, as text: adjacent moments with one outcome are one entry. */
public final class MigrationText implements MigrationReport {
  /** How many entries are told, of those that show a failure or a loss and of the others. */
  public static final int MOST = 200;

  private static final int MOST_FIELDS = 4;
  private static final int WIDTH = 100;

  private final PrintWriter out;
  private final Ink ink;
  private @Nullable Subject begun;
  private final SequencedMap<String, Group> open = new LinkedHashMap<>();
  private final List<Group> done = new ArrayList<>();
  private long bad;
  private long untold;

  public MigrationText(PrintWriter out, Ink ink) {
    this.out = out;
    this.ink = ink;
  }

  /** Moments of one vCPU, one after the other, with the same outcome. */
  private static final class Group {
    private final MomentOutcome first;
    private final String key;
    private long lastSeq;
    private long count;

    Group(MomentOutcome first, String key) {
      this.first = first;
      this.key = key;
    }
  }

  @Override
  public void begin(Subject subject) {
    begun = subject;
    out.println(
        ink.strong(subject.recording())
            + ": "
            + KernelWords.describe(subject.from(), subject.kernelAsked()));
    String to =
        subject.to().version() == subject.from().version()
            ? "to the same kernel"
            : "to " + KernelWords.describe(subject.to(), true);
    out.println("migrated as " + subject.plan().project() + verb(subject) + to);
    policy(out, subject);
    out.println();
  }

  private static String verb(Subject subject) {
    return subject.plan().project().endsWith("tests") ? " do, " : " does, ";
  }

  /** Which policy rules, if one does. */
  static void policy(PrintWriter out, Subject subject) {
    if (subject.policy() != null) {
      out.println("policy " + subject.policy().label() + ": " + subject.policy().rule());
    }
  }

  @Override
  public void add(MomentOutcome m) {
    String key = key(m.outcome());
    Group group = open.get(m.vcpu());
    if (group == null || !group.key.equals(key)) {
      if (group != null) {
        close(group);
      }
      group = new Group(m, key);
      open.put(m.vcpu(), group);
    }
    group.lastSeq = m.seq();
    group.count++;
  }

  private void close(Group group) {
    boolean isBad =
        switch (group.first.outcome().kind()) {
          case REFUSED, FAULT, LOST -> true;
          case CANNOT_TELL, FAITHFUL -> false;
        };
    if ((isBad ? bad : done.size() - bad) >= MOST) {
      untold++;
      return;
    }
    done.add(group);
    bad += isBad ? 1 : 0;
  }

  private static String key(MigrationOutcome o) {
    StringBuilder key = new StringBuilder(o.kind().word());
    o.lost().forEach(d -> key.append(' ').append(d.field()));
    key.append('|');
    if (o.kind() == Kind.CANNOT_TELL) {
      o.open().stream().map(d -> coarse(d.field())).distinct().forEach(key::append);
    }
    return key.append(o.refused())
        .append(o.fault())
        .append(o.second())
        .append(o.undecided())
        .toString();
  }

  @Override
  public void end(Counts counts) {
    open.values().forEach(this::close);
    done.sort((a, b) -> Integer.compare(a.first.moment(), b.first.moment()));
    done.forEach(this::entry);
    if (untold > 0) {
      out.println("  and " + untold + " more; --format json tells all, --at M one of them");
    }
    out.println();
    vms(counts);
    StringBuilder line = new StringBuilder();
    line.append(count(counts.total(), "migration")).append(": ");
    List<String> parts = new ArrayList<>();
    for (Kind kind : Kind.values()) {
      if (counts.of(kind) > 0) {
        parts.add(counts.of(kind) + " " + kind.word().replace('-', ' '));
      }
    }
    out.println(line + String.join(", ", parts));
    if (counts.assumed() > 0) {
      out.println(
          count(counts.assumed(), "of them rests", "of them rest")
              + " on values that the recording does not show: KVM takes back what it gave");
    }
    if (counts.second() > 0) {
      out.println(
          count(counts.second(), "of them loses", "of them lose")
              + " something again when the migrated vCPU is migrated once more");
    }
    out.flush();
  }

  /** What becomes of VMs with several vCPUs that migrate at once. */
  private void vms(Counts counts) {
    Subject subject = begun;
    if (subject == null || !subject.atOnce()) {
      return;
    }
    counts
        .byVm()
        .forEach((vm, outcomes) -> {
          if (outcomes.size() > 1) {
            String calls =
                subject.plan().vmWrites().stream()
                    .map(Ioctl::uapiName)
                    .collect(Collectors.joining(", "));
            out.println(
                vm
                    + ", "
                    + count(outcomes.size(), "vCPU")
                    + " at once: "
                    + Counts.worst(outcomes).word().replace('-', ' ')
                    + (calls.isEmpty() ? "" : "; once for the VM: " + calls));
          }
        });
  }

  private static String count(long count, String what) {
    return count(count, what, what + "s");
  }

  private static String count(long count, String one, String many) {
    return String.format(Locale.ROOT, "%,d %s", count, count == 1 ? one : many);
  }

  private void entry(Group group) {
    MomentOutcome m = group.first;
    MigrationOutcome o = m.outcome();
    String seqs = "seq " + m.seq() + (group.lastSeq == m.seq() ? "" : " to " + group.lastSeq);
    String word = o.kind().word().replace('-', ' ');
    String shown =
        switch (o.kind()) {
          case REFUSED, FAULT, LOST -> ink.bad(word);
          case CANNOT_TELL -> ink.faint(word);
          case FAITHFUL -> ink.good(word);
        };
    out.println(
        String.format(
            Locale.ROOT,
            "  %-20s %-10s %,6d  %s%s",
            seqs,
            m.vcpu(),
            group.count,
            shown,
            group.count == 1 ? "  after " + m.call() : ""));
    Refusal refused = o.refused();
    if (refused != null) {
      refusal(refused);
    }
    Fault fault = o.fault();
    if (fault != null) {
      Check check = fault.check();
      line(
          "the next KVM_RUN ends in "
              + fault.ending()
              + (check == null ? "" : "  " + CheckWords.sentence(check)));
    }
    lost(o.lost());
    open(o);
    o.later().forEach(this::line);
    second(o);
  }

  private void refusal(Refusal r) {
    Check check = r.check();
    String because = check == null ? "" : "  " + CheckWords.sentence(check);
    String end =
        r.processed() >= 0
            ? "stops at entry " + r.processed() + ", " + r.msr()
            : r.errno() == null ? "is refused" : "fails with " + r.errno().name();
    line(
        r.ioctl().uapiName()
            + ", step "
            + r.step()
            + " of the "
            + (r.saving() ? "save" : "restore")
            + ", "
            + end
            + (r.fatal() ? "" : ", and the VMM goes on")
            + because);
  }

  private void lost(List<Difference> lost) {
    SequencedMap<String, List<Difference>> byNotice = new LinkedHashMap<>();
    for (Difference d : lost) {
      byNotice.computeIfAbsent(Notices.of(d.field()), _ -> new ArrayList<>()).add(d);
    }
    for (Map.Entry<String, List<Difference>> entry : byNotice.entrySet()) {
      List<Difference> fields = entry.getValue();
      StringBuilder text = new StringBuilder();
      for (int i = 0; i < Math.min(MOST_FIELDS, fields.size()); i++) {
        text.append(text.isEmpty() ? "" : ", ").append(words(fields.get(i)));
      }
      if (fields.size() > MOST_FIELDS) {
        text.append(" and ").append(fields.size() - MOST_FIELDS).append(" more");
      }
      line(text + ": " + entry.getKey());
    }
  }

  private static String words(Difference d) {
    if (!d.stayed().known() || !d.arrived().known()) {
      return d.field();
    }
    return d.field() + " " + hex(d.stayed().bits()) + " → " + hex(d.arrived().bits());
  }

  private static String hex(long value) {
    return value >= 0 && value < 10 ? Long.toString(value) : "0x" + Long.toHexString(value);
  }

  private void open(MigrationOutcome o) {
    for (String undecided : o.undecided()) {
      line("not known, so nobody can tell what becomes of " + undecided);
    }
    if (o.open().isEmpty()) {
      return;
    }
    SequencedMap<String, Integer> groups = new LinkedHashMap<>();
    SequencedMap<String, Integer> carried = new LinkedHashMap<>();
    for (Difference d : o.open()) {
      (d.stayed().known() ? carried : groups).merge(coarse(d.field()), 1, Integer::sum);
    }
    if (!groups.isEmpty()) {
      line("not carried, and not known: " + words(groups));
    }
    if (!carried.isEmpty()) {
      line("known, but not what becomes of them: " + words(carried));
    }
  }

  private static String words(SequencedMap<String, Integer> groups) {
    List<String> parts = new ArrayList<>();
    groups.forEach((name, count) -> parts.add(count == 1 ? name : name + " (" + count + ")"));
    return String.join(", ", parts);
  }

  /** The struct that a field belongs to. */
  private static String coarse(String field) {
    int dot = field.indexOf('.');
    return dot < 0 ? field : field.substring(0, dot).replace("msr", "MSRs");
  }

  /** The group that a field belongs to; an MSR is one of its own but in the large families. */
  static String group(String field) {
    if (field.startsWith("msr.")) {
      for (String family : FAMILIES) {
        if (field.startsWith(family)) {
          return family + "*";
        }
      }
      return field;
    }
    int dot = field.indexOf('.');
    return dot < 0 ? field : field.substring(0, dot);
  }

  private static final List<String> FAMILIES =
      List.of(
          "msr.IA32_MTRR_", "msr.IA32_MC", "msr.IA32_VMX_", "msr.HV_", "msr.KVM_", "msr.MSR 0x");

  private void second(MigrationOutcome o) {
    switch (o.second().kind()) {
      case REFUSED -> line("migrated once more, it is refused");
      case LOST ->
          line("migrated once more, it loses " + String.join(", ", first(o.second().lost())));
      case FAULT, CANNOT_TELL, FAITHFUL -> {}
    }
  }

  private static List<String> first(List<String> fields) {
    if (fields.size() <= MOST_FIELDS) {
      return fields;
    }
    List<String> some = new ArrayList<>(fields.subList(0, MOST_FIELDS));
    some.add("and " + (fields.size() - MOST_FIELDS) + " more");
    return some;
  }

  private void line(String text) {
    String rest = text;
    String indent = "      ";
    while (rest.length() + indent.length() > WIDTH) {
      int cut = rest.lastIndexOf(' ', WIDTH - indent.length());
      if (cut <= 0) {
        break;
      }
      out.println(indent + rest.substring(0, cut));
      rest = rest.substring(cut + 1);
      indent = "        ";
    }
    out.println(indent + rest);
  }
}
