package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * For each kind of outcome the order with the fewest inversions: pairs of calls in another order
 * than was recorded.
 *
 * <p>All calls are searched at once, nodes with few inversions first, until every kind was met. Of
 * orders with equally few the one is taken that was found first, which is the same one in every
 * run. Kinds that are too far away get some order; it is said that it may not be the nearest.
 */
final class Witnesses {
  private static final int MOST_NODES = 200_000;

  private final Search search;
  private final Outcomes outcomes;
  private final Map<Integer, List<Integer>> found = new HashMap<>();
  private final boolean[] fewest;

  Witnesses(Search search, Outcomes outcomes) {
    this.search = search;
    this.outcomes = outcomes;
    this.fewest = new boolean[outcomes.kinds().size()];
    Sweep sweep = new Sweep(search, inert(), MOST_NODES);
    sweep.run(fewest.length, node -> met(sweep, node) ? 1 : 0);
    complete();
  }

  /** Calls that end in the same way in every order. */
  private boolean[] inert() {
    boolean[] inert = new boolean[search.window().size()];
    for (Finals finals : outcomes.finalNodes()) {
      for (int call : finals.lattice().calls()) {
        inert[call] = finals.parts().size() == 1 && search.window().pinned().isEmpty();
      }
    }
    return inert;
  }

  /** The order found for a kind. */
  List<Integer> of(int kind) {
    List<Integer> order = found.get(kind);
    if (order == null) {
      throw new IllegalStateException("no order of kind " + kind);
    }
    return order;
  }

  /** Whether no order of the kind has fewer inversions. */
  boolean isFewest(int kind) {
    return fewest[kind];
  }

  /** Notes a complete order; true if it is the first of its kind. */
  private boolean met(Sweep sweep, int node) {
    long[] state = sweep.state(node);
    int[] parts = new int[search.lattices().size()];
    for (int l = 0; l < parts.length; l++) {
      Lattice lattice = search.lattices().get(l);
      long[] mask = search.mask(lattice);
      long[] own = search.start();
      for (int w = 0; w < own.length; w++) {
        own[w] = (own[w] & ~mask[w]) | (state[w] & mask[w]);
      }
      parts[l] = outcomes.finalNodes().get(l).partOf()[lattice.find(lattice.last(), own)];
    }
    int kind = outcomes.kind(parts);
    if (found.putIfAbsent(kind, sweep.order(node)) != null) {
      return false;
    }
    fewest[kind] = true;
    return true;
  }

  /** Some order for each kind that is still without one. */
  private void complete() {
    for (int combination = 0; combination < outcomes.combinations(); combination++) {
      int[] parts = outcomes.parts(combination);
      int kind = outcomes.kind(parts);
      if (fewest[kind]) {
        continue;
      }
      List<Integer> order = merged(parts);
      List<Integer> known = found.get(kind);
      if (known == null || isNearer(order, known)) {
        found.put(kind, order);
      }
    }
  }

  private static boolean isNearer(List<Integer> order, List<Integer> than) {
    int a = inversions(order);
    int b = inversions(than);
    return a < b || (a == b && order.toString().compareTo(than.toString()) < 0);
  }

  /** How many pairs are in another order than was recorded. */
  static int inversions(List<Integer> order) {
    int count = 0;
    for (int i = 0; i < order.size(); i++) {
      for (int j = i + 1; j < order.size(); j++) {
        count += order.get(i) > order.get(j) ? 1 : 0;
      }
    }
    return count;
  }

  private List<Integer> merged(int[] parts) {
    List<List<Integer>> each = new ArrayList<>();
    for (int l = 0; l < parts.length; l++) {
      Lattice lattice = search.lattices().get(l);
      int[] partOf = outcomes.finalNodes().get(l).partOf();
      int node = 0;
      while (partOf[node] != parts[l]) {
        node++;
      }
      each.add(new ArrayList<>(Paths.to(lattice, (1 << lattice.calls().length) - 1, node)));
    }
    return merge(each);
  }

  /** The sequences in one, each time with the call that was recorded first. */
  static List<Integer> merge(List<List<Integer>> sequences) {
    List<List<Integer>> rest = new ArrayList<>();
    sequences.forEach(each -> rest.add(new ArrayList<>(each)));
    List<Integer> order = new ArrayList<>();
    while (true) {
      List<Integer> next = null;
      for (List<Integer> each : rest) {
        if (!each.isEmpty() && (next == null || each.getFirst() < next.getFirst())) {
          next = each;
        }
      }
      if (next == null) {
        return List.copyOf(order);
      }
      order.add(next.removeFirst());
    }
  }
}
