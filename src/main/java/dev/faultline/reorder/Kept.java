package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The orders of a searched window in which some calls come before others.
 *
 * <p>A rule over calls that do not influence each other is heeded in witnesses where it can be, and
 * forbids no outcome.
 */
final class Kept {
  private static final int NONE = -1;

  private final Search search;
  private final List<OutcomeClass.Pair> rules;
  private final List<Walk> walks = new ArrayList<>();

  Kept(Search search, List<OutcomeClass.Pair> rules) {
    this.search = search;
    this.rules = rules;
    search.lattices().forEach(lattice -> walks.add(new Walk(lattice)));
  }

  /** The nodes of one lattice that orders lead to which keep the rules. */
  private final class Walk {
    private final Lattice lattice;
    private final int[] needs;
    private final int[] @Nullable [] by;

    Walk(Lattice lattice) {
      this.lattice = lattice;
      this.needs = new int[lattice.calls().length];
      for (int place = 0; place < needs.length; place++) {
        for (int other = 0; other < needs.length; other++) {
          if (rules.contains(
              new OutcomeClass.Pair(lattice.calls()[other], lattice.calls()[place]))) {
            needs[place] |= 1 << other;
          }
        }
      }
      this.by = new int[1 << needs.length][];
      by[0] = new int[] {0};
      for (int set = 0; set < by.length; set++) {
        step(set);
      }
    }

    /** Which place led to each node of the sets after this one; any will do. */
    private void step(int set) {
      int[] here = by[set];
      for (int node = 0; here != null && node < here.length; node++) {
        for (int place = 0; here[node] != NONE && place < needs.length; place++) {
          int next = (needs[place] & ~set) == 0 ? Paths.next(lattice, set, node, place) : NONE;
          if (next < 0) {
            continue;
          }
          int to = set | 1 << place;
          int[] there = by[to];
          if (there == null) {
            there = new int[Paths.nodes(lattice, to).count];
            Arrays.fill(there, NONE);
            by[to] = there;
          }
          there[next] = place;
        }
      }
    }

    boolean reaches(int node) {
      int[] last = by[by.length - 1];
      return last != null && last[node] != NONE;
    }

    /** One order that leads to a last node, as positions in the window. */
    List<Integer> order(int last) {
      List<Integer> order = new ArrayList<>();
      int set = by.length - 1;
      int node = last;
      while (set != 0) {
        int[] here = by[set];
        int place = here == null ? NONE : here[node];
        order.addFirst(lattice.calls()[place]);
        int before = set & ~(1 << place);
        node = before(before, place, node);
        set = before;
      }
      return order;
    }

    /** A node from which a call leads to this one. */
    private int before(int set, int place, int to) {
      int[] nodes = by[set];
      for (int node = 0; nodes != null && node < nodes.length; node++) {
        if (nodes[node] != NONE && Paths.next(lattice, set, node, place) == to) {
          return node;
        }
      }
      throw new IllegalStateException("no way leads to a node that was reached");
    }
  }

  /** One order that keeps the rules and ends in this kind, or null when none does. */
  @Nullable List<Integer> order(Outcomes outcomes, int kind) {
    for (int combination = 0; combination < outcomes.combinations(); combination++) {
      int[] parts = outcomes.parts(combination);
      if (outcomes.kind(parts) == kind) {
        List<List<Integer>> orders = orders(outcomes, parts);
        if (orders != null) {
          return together(orders);
        }
      }
    }
    return null;
  }

  private @Nullable List<List<Integer>> orders(Outcomes outcomes, int[] parts) {
    List<List<Integer>> orders = new ArrayList<>();
    for (int l = 0; l < parts.length; l++) {
      int[] partOf = outcomes.finalNodes().get(l).partOf();
      int found = NONE;
      for (int node = 0; node < partOf.length && found == NONE; node++) {
        found = partOf[node] == parts[l] && walks.get(l).reaches(node) ? node : NONE;
      }
      if (found == NONE) {
        return null;
      }
      orders.add(walks.get(l).order(found));
    }
    return orders;
  }

  /** One order of all calls out of those of the lattices. */
  private List<Integer> together(List<List<Integer>> orders) {
    List<Integer> whole = new ArrayList<>();
    int size = search.window().size();
    while (whole.size() < size) {
      List<Integer> from = null;
      for (List<Integer> each : orders) {
        if (!each.isEmpty() && (from == null || mayCome(each.getFirst(), whole))) {
          from = each;
          if (mayCome(each.getFirst(), whole)) {
            break;
          }
        }
      }
      if (from == null) {
        throw new IllegalStateException("calls are in no lattice");
      }
      whole.add(from.removeFirst());
    }
    return whole;
  }

  private boolean mayCome(int call, List<Integer> made) {
    return rules.stream().allMatch(r -> r.after() != call || made.contains(r.before()));
  }
}
