package dev.faultline.ingest;

import com.fasterxml.jackson.databind.JsonNode;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.StructLayout;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmDebugregs;
import dev.faultline.kvm.KvmLapicState;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmSregs2;
import dev.faultline.kvm.KvmVcpuEvents;
import dev.faultline.migration.MsrSet;
import dev.faultline.migration.Plan;
import dev.faultline.migration.RestoreStep;
import dev.faultline.migration.RestoreStep.Condition;
import dev.faultline.migration.RestoreStep.OnRefusal;
import dev.faultline.migration.SaveStep;
import dev.faultline.x86.Msr;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Takes the tree of a plan's file apart; a message names the place in it. */
final class PlanReader {
  private static final int MAX_STEPS = 256;
  private static final int MAX_RANGE = 1024;
  private static final Pattern NAME = Pattern.compile("[a-z0-9][a-z0-9-]{0,62}");
  private static final Pattern RANGE =
      Pattern.compile("0x([0-9a-f]{1,8})(?:\\.\\.0x([0-9a-f]{1,8}))?");
  private static final List<String> SAVE_KEYS = List.of("call", "msrs", "because", "source");
  private static final List<String> RESTORE_KEYS =
      List.of(
          "call",
          "msrs",
          "one-by-one",
          "only-changed",
          "clears",
          "keeps",
          "when",
          "refused",
          "because",
          "source");

  private static final Map<Ioctl, StructLayout> STRUCTS = structs();

  private static Map<Ioctl, StructLayout> structs() {
    Map<Ioctl, StructLayout> structs = new EnumMap<>(Ioctl.class);
    structs.put(Ioctl.SET_REGS, KvmRegs.LAYOUT);
    structs.put(Ioctl.SET_SREGS, KvmSregs.LAYOUT);
    structs.put(Ioctl.SET_SREGS2, KvmSregs2.LAYOUT);
    structs.put(Ioctl.SET_VCPU_EVENTS, KvmVcpuEvents.LAYOUT);
    structs.put(Ioctl.SET_DEBUGREGS, KvmDebugregs.LAYOUT);
    structs.put(Ioctl.SET_LAPIC, KvmLapicState.LAYOUT);
    return structs;
  }

  private static final Set<Ioctl> READS =
      EnumSet.of(
          Ioctl.RUN,
          Ioctl.GET_REGS,
          Ioctl.GET_SREGS,
          Ioctl.GET_SREGS2,
          Ioctl.GET_VCPU_EVENTS,
          Ioctl.GET_NESTED_STATE,
          Ioctl.GET_MP_STATE,
          Ioctl.GET_DEBUGREGS,
          Ioctl.GET_XCRS,
          Ioctl.GET_XSAVE,
          Ioctl.GET_XSAVE2,
          Ioctl.GET_FPU,
          Ioctl.GET_LAPIC,
          Ioctl.GET_MSRS,
          Ioctl.GET_CPUID2,
          Ioctl.GET_TSC_KHZ,
          Ioctl.GET_DEVICE_ATTR,
          Ioctl.GET_CLOCK,
          Ioctl.GET_IRQCHIP,
          Ioctl.GET_PIT2);
  private static final Set<Ioctl> WRITES =
      EnumSet.of(
          Ioctl.SET_REGS,
          Ioctl.SET_SREGS,
          Ioctl.SET_SREGS2,
          Ioctl.SET_VCPU_EVENTS,
          Ioctl.SET_NESTED_STATE,
          Ioctl.SET_MP_STATE,
          Ioctl.SET_DEBUGREGS,
          Ioctl.SET_XCRS,
          Ioctl.SET_XSAVE,
          Ioctl.SET_FPU,
          Ioctl.SET_LAPIC,
          Ioctl.SET_MSRS,
          Ioctl.SET_CPUID2,
          Ioctl.SET_TSC_KHZ,
          Ioctl.SET_DEVICE_ATTR,
          Ioctl.SET_CLOCK,
          Ioctl.SET_IRQCHIP,
          Ioctl.SET_PIT2,
          Ioctl.KVMCLOCK_CTRL);

  private final String label;

  PlanReader(String label) {
    this.label = label;
  }

  Plan plan(@Nullable JsonNode root) {
    if (root == null || !root.isObject()) {
      throw bad("", "a mapping with plan, about, from, save and restore", kind(root));
    }
    keys("", root, List.of("plan", "about", "from", "save", "restore"));
    String name = text("", root, "plan");
    if (!NAME.matcher(name).matches()) {
      throw bad("plan", "a name of small letters, digits and hyphens", "'" + name + "'");
    }
    JsonNode from = root.path("from");
    if (!from.isObject()) {
      throw bad("from", "a mapping with project and version", kind(from));
    }
    keys("from", from, List.of("project", "version"));
    List<SaveStep> saves = new ArrayList<>();
    for (int i = 0; i < steps(root, "save"); i++) {
      saves.add(save("save[" + i + "]", root.path("save").path(i)));
    }
    List<RestoreStep> restores = new ArrayList<>();
    for (int i = 0; i < steps(root, "restore"); i++) {
      restores.add(restore("restore[" + i + "]", root.path("restore").path(i)));
    }
    return new Plan(
        name,
        text("", root, "about"),
        text("from", from, "project"),
        text("from", from, "version"),
        saves,
        restores);
  }

  private int steps(JsonNode root, String key) {
    JsonNode list = root.path(key);
    if (!list.isArray() || list.isEmpty() || list.size() > MAX_STEPS) {
      throw bad(
          key,
          "a list of 1 to " + MAX_STEPS + " steps",
          list.isArray() ? list.size() + " of them" : kind(list));
    }
    return list.size();
  }

  private SaveStep save(String at, JsonNode step) {
    mapping(at, step);
    keys(at, step, SAVE_KEYS);
    Ioctl ioctl = call(at, step, READS);
    return new SaveStep(
        ioctl, msrs(at, step, ioctl), text(at, step, "source"), optional(at, step, "because"));
  }

  private RestoreStep restore(String at, JsonNode step) {
    mapping(at, step);
    keys(at, step, RESTORE_KEYS);
    Ioctl ioctl = call(at, step, WRITES);
    return new RestoreStep(
        ioctl,
        msrs(at, step, ioctl),
        how(at, step, ioctl),
        choice(at, step, "when", Condition.class, Condition.SAVED),
        choice(at, step, "refused", OnRefusal.class, OnRefusal.ABORT),
        text(at, step, "source"),
        optional(at, step, "because"));
  }

  private Ioctl call(String at, JsonNode step, Set<Ioctl> allowed) {
    String name = text(at, step, "call");
    Ioctl ioctl = Ioctl.ofName(name);
    if (ioctl == null || !allowed.contains(ioctl)) {
      String list = allowed.stream().map(Ioctl::uapiName).collect(Collectors.joining(", "));
      throw bad(at + ".call", "one of " + list, "'" + name + "'");
    }
    return ioctl;
  }

  private MsrSet msrs(String at, JsonNode step, Ioctl ioctl) {
    JsonNode set = step.path("msrs");
    boolean takes = ioctl == Ioctl.GET_MSRS || ioctl == Ioctl.SET_MSRS;
    if (set.isMissingNode()) {
      return takes ? MsrSet.ALL : MsrSet.NONE;
    }
    if (!takes) {
      throw bad(at + ".msrs", "none, for " + ioctl.uapiName() + " takes no MSRs", kind(set));
    }
    mapping(at + ".msrs", set);
    keys(at + ".msrs", set, List.of("listed", "named", "except"));
    return new MsrSet(
        flag(at + ".msrs", set, "listed", false),
        indexes(at + ".msrs.named", set.path("named")),
        indexes(at + ".msrs.except", set.path("except")));
  }

  private RestoreStep.How how(String at, JsonNode step, Ioctl ioctl) {
    boolean oneByOne = flag(at, step, "one-by-one", false);
    boolean onlyChanged = flag(at, step, "only-changed", false);
    return new RestoreStep.How(
        oneByOne || onlyChanged,
        onlyChanged,
        fields(at + ".clears", step.path("clears"), ioctl),
        fields(at + ".keeps", step.path("keeps"), ioctl));
  }

  private List<String> fields(String at, JsonNode list, Ioctl ioctl) {
    List<String> names = new ArrayList<>();
    if (list.isMissingNode()) {
      return names;
    }
    StructLayout layout = STRUCTS.get(ioctl);
    if (layout == null || !list.isArray()) {
      throw bad(at, layout == null ? "none for " + ioctl.uapiName() : "a list", kind(list));
    }
    for (JsonNode item : list) {
      if (!layout.has(item.asText())) {
        throw bad(at, "a field of struct " + layout.name(), "'" + item.asText() + "'");
      }
      names.add(item.asText());
    }
    return names;
  }

  private List<Integer> indexes(String at, JsonNode list) {
    List<Integer> indexes = new ArrayList<>();
    if (list.isMissingNode()) {
      return indexes;
    }
    if (!list.isArray()) {
      throw bad(at, "a list of MSRs", kind(list));
    }
    for (JsonNode item : list) {
      String text = item.asText();
      Matcher range = RANGE.matcher(text);
      if (range.matches()) {
        int first = Integer.parseUnsignedInt(range.group(1), 16);
        int last = range.group(2) == null ? first : Integer.parseUnsignedInt(range.group(2), 16);
        long count = Integer.toUnsignedLong(last) - Integer.toUnsignedLong(first) + 1;
        if (count < 1 || count + indexes.size() > MAX_RANGE) {
          throw bad(at, "at most " + MAX_RANGE + " MSRs, in ascending ranges", "'" + text + "'");
        }
        for (int i = 0; i < count; i++) {
          indexes.add(first + i);
        }
      } else {
        indexes.add(
            Msr.ofName(text)
                .orElseThrow(() ->
                    bad(at, "an MSR as in IA32_PAT, 0x277 or 0x200..0x20f", "'" + text + "'")));
      }
    }
    return indexes;
  }

  private <E extends Enum<E>> E choice(
      String at, JsonNode step, String key, Class<E> type, E otherwise) {
    JsonNode node = step.path(key);
    if (node.isMissingNode()) {
      return otherwise;
    }
    List<String> words = new ArrayList<>();
    for (E each : type.getEnumConstants()) {
      String word = each.name().toLowerCase(Locale.ROOT).replace('_', '-');
      if (word.equals(node.asText())) {
        return each;
      }
      words.add(word);
    }
    throw bad(at + "." + key, "one of " + String.join(", ", words), "'" + node.asText() + "'");
  }

  private boolean flag(String at, JsonNode step, String key, boolean otherwise) {
    JsonNode node = step.path(key);
    if (node.isMissingNode()) {
      return otherwise;
    }
    if (!node.isBoolean()) {
      throw bad(at + "." + key, "true or false", "'" + node.asText() + "'");
    }
    return node.booleanValue();
  }

  private String text(String at, JsonNode node, String key) {
    JsonNode value = node.path(key);
    if (!value.isValueNode() || value.asText().isBlank()) {
      throw bad(place(at, key), "a text", kind(value));
    }
    return value.asText();
  }

  private String optional(String at, JsonNode node, String key) {
    return node.has(key) ? text(at, node, key) : "";
  }

  private void mapping(String at, JsonNode node) {
    if (!node.isObject()) {
      throw bad(at, "a mapping", kind(node));
    }
  }

  private void keys(String at, JsonNode node, List<String> known) {
    node.fieldNames()
        .forEachRemaining(key -> {
          if (!known.contains(key)) {
            throw bad(at, "the keys " + String.join(", ", known), "'" + key + "'");
          }
        });
  }

  private static String place(String at, String key) {
    return at.isEmpty() ? key : at + "." + key;
  }

  private static String kind(@Nullable JsonNode node) {
    if (node == null || node.isMissingNode() || node.isNull()) {
      return "nothing";
    }
    return node.isArray() ? "a list" : node.isObject() ? "a mapping" : "'" + node.asText() + "'";
  }

  private FormatException bad(String at, String expected, String found) {
    return FormatException.corrupt(
        ErrorCode.PLAN_CORRUPT,
        label
            + (at.isEmpty() ? "" : ": " + at)
            + ": expected "
            + expected
            + ", found "
            + found
            + "; migrations/plan.schema.json says what a plan holds");
  }
}
