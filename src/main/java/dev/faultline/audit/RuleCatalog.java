package dev.faultline.audit;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Every rule that there is. */
public final class RuleCatalog {
  private static final List<Rule> RULES = collect();

  private RuleCatalog() {}

  /** New judges, for one timeline. */
  static List<RuleFamily> families() {
    return List.of(
        new CreationRules(),
        new SaveRules(),
        new CompletenessRules(),
        new RestoreRules(),
        new NestedRestoreRules(),
        new EventsRules(),
        new ClockRules(),
        new MachineRules(),
        new Arm64Rules(),
        new EntryRules(),
        new DestinationRules());
  }

  private static List<Rule> collect() {
    List<Rule> rules = new ArrayList<>();
    families().forEach(family -> rules.addAll(family.rules()));
    rules.sort(Comparator.comparing(Rule::id));
    return List.copyOf(rules);
  }

  /** All rules, by number. */
  public static List<Rule> rules() {
    return RULES;
  }

  /** The rule of a number, {@code R36} or {@code r36}; null if there is none. */
  public static @Nullable Rule find(String id) {
    String wanted = id.toUpperCase(Locale.ROOT);
    return RULES.stream().filter(r -> r.id().equals(wanted)).findFirst().orElse(null);
  }
}
