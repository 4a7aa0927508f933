package dev.faultline.report;

import dev.faultline.kvm.KvmSregs;
import dev.faultline.timeline.MomentIndex;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import dev.faultline.vmx.GuestStateCheck;
import dev.faultline.vmx.VmcsField;
import dev.faultline.x86.SegmentRegister;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.TreeMap;
import java.util.function.Predicate;

/**
 * What {@code state} shows, as text: bits by name, a segment a line, and behind a field who wrote
 * it last where that is not who wrote its group last.
 */
public final class StateText {
  private static final int COLUMN_WIDTH = 24;
  private static final int WIDTH = 96;
  private static final int NAME_WIDTH = 4;

  private final PrintWriter out;
  private final Ink ink;

  /** Text for {@code out}. */
  public StateText(PrintWriter out, Ink ink) {
    this.out = out;
    this.ink = ink;
  }

  /** The state at one moment. */
  public void write(StateAt state) {
    out.println(ink.strong(state.recording()) + " after " + state.describe());
    if (state.vcpus().isEmpty()) {
      out.println();
      out.println("no vCPU was seen up to here");
    }
    for (Vcpu vcpu : state.vcpus()) {
      out.println();
      String closed = state.closed().contains(vcpu.name()) ? ", its descriptor is closed" : "";
      out.println(
          ink.strong(vcpu.name())
              + ": "
              + level(vcpu.inGuestMode())
              + ", "
              + smm(vcpu.inSmm())
              + closed);
      verdict(EntryVerdict.of(vcpu));
      for (StateGroup group : StateGroup.of(vcpu)) {
        group(vcpu, group, state.index());
      }
    }
  }

  private static String level(Answer guestMode) {
    return switch (guestMode) {
      case YES -> "L2 is active";
      case NO -> "L1 is active";
      case CANNOT_TELL -> "L1 or L2, which is not known";
    };
  }

  private static String smm(Answer smm) {
    return switch (smm) {
      case YES -> "in SMM";
      case NO -> "not in SMM";
      case CANNOT_TELL -> "in SMM or not";
    };
  }

  private void verdict(EntryVerdict verdict) {
    out.println(
        switch (verdict.valid()) {
          case YES -> ink.good("valid: yes") + ", KVM lets hardware enter this state";
          case NO -> ink.bad("valid: no") + ", KVM does not let hardware enter this state";
          case CANNOT_TELL ->
              "valid: cannot tell whether KVM lets hardware enter this state, values are missing";
        });
    for (GuestStateCheck check : verdict.failed()) {
      out.println(
          (verdict.valid().isNo() ? "  fails " : "  might fail ") + CheckWords.sentence(check));
    }
  }

  private void group(Vcpu vcpu, StateGroup group, MomentIndex index) {
    String name = ink.strong(group.name());
    if (group.known() == Knowledge.NEVER) {
      out.println(name + ": never seen");
      return;
    }
    int since = group.since();
    String by = since < 0 ? "" : ", last written by " + writer(index, since);
    out.println(name + ": " + knowledge(group) + by);
    Block block = new Block(index, since);
    switch (group.name()) {
      case "regs", "nested", "mp_state", "cpuid" -> block.all(group.fields());
      case "sregs" -> {
        segments(vcpu.registers().sregs(), block);
        block.all(group.fields().stream().filter(f -> !isOfSegment(f)).toList());
      }
      case "vmcs12" -> vmcs12(group, block);
      case "xsave" -> block.all(group.fields().stream().filter(f -> isSummary(f.name())).toList());
      default -> block.nonZero("", group.fields());
    }
  }

  private static String knowledge(StateGroup group) {
    boolean any = group.fields().stream().anyMatch(f -> f.known() == Knowledge.KNOWN);
    return switch (group.known()) {
      case KNOWN -> "known";
      case STALE -> any ? "known in part" : "stale, the values are those last seen";
      case NEVER -> "never seen";
    };
  }

  /** {@code KVM_SET_SREGS (seq 31, moment 333)}. */
  static String writer(MomentIndex index, int moment) {
    return moment < 0 || moment >= index.size()
        ? "nobody since the recording began"
        : index.name(moment) + " (seq " + index.seq(moment) + ", moment " + moment + ")";
  }

  private static boolean isOfSegment(StateField field) {
    for (SegmentRegister register : SegmentRegister.values()) {
      if (field.name().startsWith(register.uapiName() + ".")) {
        return true;
      }
    }
    return false;
  }

  private static boolean isSummary(String xsaveField) {
    return switch (xsaveField) {
      case "fcw", "fsw", "mxcsr", "xstate_bv" -> true;
      default -> false;
    };
  }

  private void segments(Tracked sregs, Block block) {
    KvmSregs values = new KvmSregs(sregs.bytes());
    for (SegmentRegister register : SegmentRegister.values()) {
      int base = sregs.layout().indexOf(register.uapiName() + ".base");
      boolean known = EntryVerdict.knows(sregs, register);
      if (!known && !sregs.seen().has(base)) {
        block.line(register.uapiName() + " never seen", Tracked.NOBODY);
        continue;
      }
      int writer = Tracked.NOBODY;
      for (int f = base; f < sregs.layout().count(); f++) {
        if (sregs.layout().field(f).name().startsWith(register.uapiName() + ".")) {
          writer = Math.max(writer, sregs.writer(f));
        }
      }
      String name = (register.uapiName() + "   ").substring(0, NAME_WIDTH);
      String text = name + SegmentWords.describe(values.segment(register));
      block.line(unsure(text, Knowledge.of(known, true)), writer);
    }
  }

  private void vmcs12(StateGroup group, Block block) {
    SequencedMap<String, List<StateField>> areas = new LinkedHashMap<>();
    for (StateField field : group.fields()) {
      VmcsField known = VmcsField.ofName(field.name());
      String area =
          known == null
              ? "header"
              : switch (known.area()) {
                case CONTROL -> "controls";
                case EXIT_INFORMATION -> "exit information";
                case GUEST -> "guest";
                case HOST -> "host";
              };
      areas.computeIfAbsent(area, _ -> new ArrayList<>()).add(field);
    }
    areas.forEach(block::nonZero);
  }

  /** The fields of one group, those that somebody else wrote last after the others. */
  private final class Block {
    private final MomentIndex index;
    private final int since;
    private final StringBuilder row = new StringBuilder();

    Block(MomentIndex index, int since) {
      this.index = index;
      this.since = since;
    }

    /** All fields that were seen. */
    void all(List<StateField> fields) {
      show("  ", fields.stream().filter(f -> f.known() != Knowledge.NEVER).toList());
      rest("  ", fields, _ -> false);
    }

    /** Only fields that are not zero, and how many are left out. */
    void nonZero(String title, List<StateField> fields) {
      boolean seen = fields.stream().anyMatch(f -> f.known() != Knowledge.NEVER);
      if (!title.isEmpty()) {
        out.println("  " + title + (seen ? "" : ": never seen"));
      }
      if (seen) {
        String indent = title.isEmpty() ? "  " : "    ";
        show(indent, fields.stream().filter(f -> f.isSeen() && f.value() != 0).toList());
        rest(indent, fields, f -> f.value() == 0);
      }
    }

    private void show(String indent, List<StateField> fields) {
      TreeMap<Integer, List<StateField>> byWriter = new TreeMap<>(Comparator.reverseOrder());
      for (StateField field : fields) {
        int writer = isOthers(field.writer()) ? field.writer() : since;
        byWriter.computeIfAbsent(writer, _ -> new ArrayList<>()).add(field);
      }
      byWriter.forEach((writer, written) -> {
        if (isOthers(writer)) {
          out.println(indent + ink.faint("by " + writer(index, writer)));
        }
        written.forEach(field -> add(indent, field));
        flush(indent);
      });
    }

    private void add(String indent, StateField field) {
      String number = field.name() + " " + FieldWords.number(field.value());
      String words = FieldWords.describe(field.struct(), field.name(), field.value());
      String text = unsure(number, field.known()) + (words == null ? "" : " " + words);
      if (words != null || row.length() + text.length() > WIDTH) {
        flush(indent);
      }
      row.append(text);
      if (words != null) {
        flush(indent);
      } else {
        row.repeat(' ', COLUMN_WIDTH - row.length() % COLUMN_WIDTH);
      }
    }

    private void flush(String indent) {
      String text = row.toString().stripTrailing();
      if (!text.isEmpty()) {
        out.println(indent + text);
      }
      row.setLength(0);
    }

    private void rest(String indent, List<StateField> fields, Predicate<StateField> leftOut) {
      long zero = fields.stream().filter(f -> f.isKnown() && leftOut.test(f)).count();
      long stale =
          fields.stream().filter(f -> f.isSeen() && !f.isKnown() && leftOut.test(f)).count();
      long never = fields.stream().filter(f -> !f.isSeen()).count();
      List<String> parts = new ArrayList<>();
      if (zero > 0) {
        parts.add(zero + " known to be 0");
      }
      if (stale > 0) {
        parts.add(stale + " stale and last seen as 0");
      }
      if (never > 0) {
        parts.add(never + " never seen");
      }
      if (!parts.isEmpty()) {
        out.println(indent + ink.faint(String.join(", ", parts)));
      }
    }

    /** A line of its own. */
    void line(String text, int writer) {
      String by = isOthers(writer) ? ink.faint("  ← " + writer(index, writer)) : "";
      out.println("  " + text + by);
    }

    private boolean isOthers(int writer) {
      return writer >= 0 && writer != since;
    }
  }

  private String unsure(String text, Knowledge known) {
    return known == Knowledge.STALE ? text + "?" : text;
  }

  /** What is different between two moments. */
  public void write(StateAt from, StateAt to) {
    MomentIndex index = from.index().size() > to.index().size() ? from.index() : to.index();
    out.println(ink.strong(from.recording()) + " from " + from.describe() + " to " + to.describe());
    for (StateDifference difference : StateDifference.of(from, to)) {
      out.println();
      out.println(ink.strong(difference.vcpu()));
      boolean same = between("level", difference.levelBefore(), difference.levelAfter());
      same &=
          between(
              "smm",
              StateDifference.smm(difference.before()).word(),
              StateDifference.smm(difference.after()).word());
      same &= valid(difference.verdictBefore(), difference.verdictAfter());
      changes(difference.changes(), index);
      if (same && difference.changes().isEmpty()) {
        out.println("  no difference");
      }
    }
  }

  private boolean between(String name, String before, String after) {
    boolean same = before.equals(after);
    if (!same) {
      out.println("  " + name + " " + before + " → " + after);
    }
    return same;
  }

  private boolean valid(EntryVerdict before, EntryVerdict after) {
    boolean same = between("valid", before.valid().word(), after.valid().word());
    if (!before.equals(after)) {
      for (GuestStateCheck check : after.failed()) {
        out.println("    fails " + CheckWords.sentence(check));
      }
    }
    return same;
  }

  private void changes(List<StateDifference.Changed> changes, MomentIndex index) {
    SequencedMap<String, List<StateDifference.Changed>> groups = new LinkedHashMap<>();
    for (StateDifference.Changed changed : changes) {
      groups.computeIfAbsent(changed.group(), _ -> new ArrayList<>()).add(changed);
    }
    groups.forEach((group, list) -> {
      out.println("  " + ink.strong(group));
      for (StateDifference.Changed changed : list) {
        if (changed.isValue()) {
          out.println("    " + value(changed, index));
        }
      }
      knowledge(list, index);
    });
  }

  private String value(StateDifference.Changed changed, MomentIndex index) {
    StateField before = changed.before();
    StateField after = changed.after();
    String change =
        after.name()
            + " "
            + FieldWords.change(after.struct(), after.name(), before.value(), after.value());
    String text = unsure(change, after.known());
    String by = changed.lastWriter() < 0 ? "" : "  ← " + writer(index, changed.lastWriter());
    return text + ink.faint(by);
  }

  /** Fields of which more or less is known than before, counted by what became of them. */
  private void knowledge(List<StateDifference.Changed> changes, MomentIndex index) {
    SequencedMap<String, Integer> counts = new LinkedHashMap<>();
    for (StateDifference.Changed changed : changes) {
      Knowledge before = changed.before().known();
      Knowledge after = changed.after().known();
      if (before != after) {
        String by =
            after == Knowledge.STALE && changed.lastWriter() >= 0
                ? ", by " + writer(index, changed.lastWriter())
                : "";
        counts.merge(became(before, after) + by, 1, Integer::sum);
      }
    }
    counts.forEach((what, count) -> out.println("    " + count + " " + what));
  }

  private static String became(Knowledge before, Knowledge after) {
    return switch (after) {
      case KNOWN -> before == Knowledge.STALE ? "known again" : "seen for the first time";
      case STALE -> "out of date";
      case NEVER -> "not yet seen";
    };
  }
}
