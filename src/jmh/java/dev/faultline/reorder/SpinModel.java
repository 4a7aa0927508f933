package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The orders of a window as a Promela model: the same calls, the same footprints, the same values.
 * A call is made once; what it reads decides what it writes and answers. SPIN's verifier walks all
 * states, which tells the outcomes that there are, though not how many orders come to each.
 */
final class SpinModel {
  private SpinModel() {}

  /** A rule of one call: where these parts have these values, it does this. */
  private record Rule(String guard, String effect) {}

  static String of(Window window) {
    Search search = Search.of(window, new Lattice.Budget(1L << 30, () -> false));
    Transitions transitions = search.transitions();
    StringBuilder text = new StringBuilder();
    int[] start = transitions.numbers(window.start());
    for (Cell cell : Cell.ALL) {
      text.append("byte ").append(cell).append(" = ").append(start[cell.ordinal()]);
      text.append(";\n");
    }
    for (int call = 0; call < window.size(); call++) {
      text.append("bit done").append(call).append("; byte answer").append(call).append(";\n");
    }
    text.append("active proctype vmm() {\n  do\n");
    List<Map<String, Rule>> rules = rules(search);
    for (int call = 0; call < window.size(); call++) {
      text.append("  :: atomic { !done").append(call).append(" ->\n    if\n");
      for (Rule rule : rules.get(call).values()) {
        text.append("    :: ").append(rule.guard()).append(" -> ").append(rule.effect());
        text.append("skip\n");
      }
      text.append("    fi;\n    done").append(call).append(" = 1 }\n");
    }
    text.append("  :: ");
    for (int call = 0; call < window.size(); call++) {
      text.append(call == 0 ? "" : " && ").append("done").append(call);
    }
    return text.append(" -> break\n  od\n}\n").toString();
  }

  private static List<Map<String, Rule>> rules(Search search) {
    List<Map<String, Rule>> rules = new ArrayList<>();
    for (int call = 0; call < search.window().size(); call++) {
      rules.add(new LinkedHashMap<>());
    }
    for (Lattice lattice : search.lattices()) {
      for (int set = 0; set < 1 << lattice.calls().length; set++) {
        Lattice.Nodes nodes = lattice.nodes(set);
        for (int node = 0; nodes != null && node < nodes.count; node++) {
          int[] numbers = search.packing().numbers(nodes.states, node * search.packing().words());
          for (int place = 0; place < lattice.calls().length; place++) {
            if ((set >>> place & 1) == 0) {
              add(search.transitions(), lattice.calls()[place], numbers, rules);
            }
          }
        }
      }
    }
    return rules;
  }

  private static void add(
      Transitions transitions, int call, int[] numbers, List<Map<String, Rule>> rules) {
    Transitions.Effect effect = transitions.effect(call, numbers);
    StringBuilder guard = new StringBuilder("true");
    StringBuilder does = new StringBuilder();
    for (Cell cell : Cell.ALL) {
      int i = cell.ordinal();
      if ((transitions.reads(call) & cell.bit()) != 0 && transitions.valueCount(cell) > 1) {
        guard.append(" && ").append(cell).append(" == ").append(numbers[i]);
      }
      if ((effect.written() & cell.bit()) != 0) {
        does.append(cell).append(" = ").append(effect.to()[i]).append("; ");
      }
    }
    does.append("answer").append(call).append(" = ").append(effect.answer()).append("; ");
    rules.get(call).putIfAbsent(guard.toString(), new Rule(guard.toString(), does.toString()));
  }
}
