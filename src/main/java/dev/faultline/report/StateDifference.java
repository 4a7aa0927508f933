package dev.faultline.report;

import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Tracked;
import dev.faultline.vcpu.Vcpu;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * What is different in one vCPU between two moments.
 *
 * @param before null if the vCPU was not yet seen
 * @param after null if the vCPU was not yet seen
 */
record StateDifference(
    String vcpu, @Nullable Vcpu before, @Nullable Vcpu after, List<Changed> changes) {

  /** A field whose value, or what is known of it, differs. */
  record Changed(String group, StateField before, StateField after) {
    /** True if a value that was seen became another one that was seen. */
    boolean isValue() {
      return before.known() != Knowledge.NEVER
          && after.known() != Knowledge.NEVER
          && before.value() != after.value();
    }

    /** The later of the two writers. */
    int lastWriter() {
      return Math.max(before.writer(), after.writer());
    }
  }

  /** Of every vCPU that either moment shows. */
  static List<StateDifference> of(StateAt from, StateAt to) {
    SequencedMap<String, Vcpu> before = byName(from);
    SequencedMap<String, Vcpu> after = byName(to);
    List<String> names = new ArrayList<>(before.keySet());
    after.keySet().stream().filter(name -> !before.containsKey(name)).forEach(names::add);
    List<StateDifference> differences = new ArrayList<>();
    for (String name : names) {
      Vcpu one = before.get(name);
      Vcpu other = after.get(name);
      differences.add(new StateDifference(name, one, other, changes(one, other)));
    }
    return differences;
  }

  /** What one call changed in a vCPU. */
  static List<Changed> between(@Nullable Vcpu before, Vcpu after) {
    return changes(before, after);
  }

  private static SequencedMap<String, Vcpu> byName(StateAt state) {
    SequencedMap<String, Vcpu> vcpus = new LinkedHashMap<>();
    state.vcpus().forEach(v -> vcpus.put(v.name(), v));
    return vcpus;
  }

  private static List<Changed> changes(@Nullable Vcpu one, @Nullable Vcpu other) {
    SequencedMap<String, SequencedMap<String, StateField>> before = fields(one);
    SequencedMap<String, SequencedMap<String, StateField>> after = fields(other);
    List<Changed> changes = new ArrayList<>();
    SequencedMap<String, SequencedMap<String, StateField>> groups = one == null ? after : before;
    for (String group : groups.keySet()) {
      changes.addAll(
          changes(
              group,
              before.getOrDefault(group, new LinkedHashMap<>()),
              after.getOrDefault(group, new LinkedHashMap<>())));
    }
    return List.copyOf(changes);
  }

  private static List<Changed> changes(
      String group,
      SequencedMap<String, StateField> before,
      SequencedMap<String, StateField> after) {
    List<String> names = new ArrayList<>(before.keySet());
    after.keySet().stream().filter(name -> !before.containsKey(name)).forEach(names::add);
    List<Changed> changes = new ArrayList<>();
    for (String name : names) {
      StateField one = before.get(name);
      StateField other = after.get(name);
      if (one == null && other != null) {
        one = unseen(other);
      } else if (other == null && one != null) {
        other = unseen(one);
      }
      if (one != null && other != null && differ(one, other)) {
        changes.add(new Changed(group, one, other));
      }
    }
    return changes;
  }

  private static boolean differ(StateField one, StateField other) {
    return one.known() != other.known()
        || (one.known() != Knowledge.NEVER && one.value() != other.value());
  }

  private static StateField unseen(StateField like) {
    return new StateField(like.struct(), like.name(), 0, Knowledge.NEVER, Tracked.NOBODY);
  }

  private static SequencedMap<String, SequencedMap<String, StateField>> fields(
      @Nullable Vcpu vcpu) {
    SequencedMap<String, SequencedMap<String, StateField>> groups = new LinkedHashMap<>();
    if (vcpu != null) {
      for (StateGroup group : StateGroup.of(vcpu)) {
        SequencedMap<String, StateField> fields = new LinkedHashMap<>();
        group.fields().forEach(field -> fields.put(field.name(), field));
        groups.put(group.name(), fields);
      }
    }
    return groups;
  }

  String levelBefore() {
    return before == null ? "unknown" : StateJson.level(before);
  }

  String levelAfter() {
    return after == null ? "unknown" : StateJson.level(after);
  }

  EntryVerdict verdictBefore() {
    return verdict(before);
  }

  EntryVerdict verdictAfter() {
    return verdict(after);
  }

  static Answer smm(@Nullable Vcpu vcpu) {
    return vcpu == null ? Answer.CANNOT_TELL : vcpu.inSmm();
  }

  private static EntryVerdict verdict(@Nullable Vcpu vcpu) {
    return vcpu == null ? new EntryVerdict(Answer.CANNOT_TELL, List.of()) : EntryVerdict.of(vcpu);
  }
}
