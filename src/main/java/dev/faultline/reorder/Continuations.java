package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Predicate;

/** Where the recorded order can still end after its first calls, if the rest is reordered. */
final class Continuations {
  private final List<boolean[]> ends;

  private Continuations(List<boolean[]> ends) {
    this.ends = ends;
  }

  /** After so many calls of the recorded order. */
  static Continuations of(Search search, int made) {
    List<boolean[]> ends = new ArrayList<>();
    for (Lattice lattice : search.lattices()) {
      int set = 0;
      int node = 0;
      for (int place = 0; place < lattice.calls().length; place++) {
        if (lattice.calls()[place] < made) {
          node = Paths.next(lattice, set, node, place);
          set |= 1 << place;
        }
      }
      ends.add(reached(lattice, set, node));
    }
    return new Continuations(ends);
  }

  /** The last nodes that a node leads to. */
  private static boolean[] reached(Lattice lattice, int from, int node) {
    int all = (1 << lattice.calls().length) - 1;
    boolean[][] marked = new boolean[all + 1][];
    marked[from] = new boolean[Paths.nodes(lattice, from).count];
    marked[from][node] = true;
    for (int set = from; set < all; set++) {
      boolean[] here = marked[set];
      for (int i = 0; here != null && i < here.length; i++) {
        for (int place = 0; here[i] && place < lattice.calls().length; place++) {
          int next = Paths.next(lattice, set, i, place);
          if (next < 0) {
            continue;
          }
          int to = set | 1 << place;
          if (marked[to] == null) {
            marked[to] = new boolean[Paths.nodes(lattice, to).count];
          }
          marked[to][next] = true;
        }
      }
    }
    return marked[all];
  }

  /** Whether some continuation ends as wanted. */
  boolean anyEnds(Outcomes outcomes, Predicate<Outcomes.Kind> wanted) {
    List<boolean[]> parts = new ArrayList<>();
    for (int l = 0; l < ends.size(); l++) {
      Finals finals = outcomes.finalNodes().get(l);
      boolean[] reached = new boolean[finals.parts().size()];
      for (int node = 0; node < ends.get(l).length; node++) {
        reached[finals.partOf()[node]] |= ends.get(l)[node];
      }
      parts.add(reached);
    }
    for (int combination = 0; combination < outcomes.combinations(); combination++) {
      int[] each = outcomes.parts(combination);
      boolean possible = true;
      for (int l = 0; l < each.length && possible; l++) {
        possible = parts.get(l)[each[l]];
      }
      if (possible && wanted.test(outcomes.kinds().get(outcomes.kind(each)))) {
        return true;
      }
    }
    return false;
  }
}
