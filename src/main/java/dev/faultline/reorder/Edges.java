package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Which call comes before which in all orders of some outcomes, read off a lattice whose nodes are
 * flagged with the outcomes that they lead to.
 */
final class Edges {
  private final Search search;
  private final Outcomes outcomes;
  private final int n;

  Edges(Search search, Outcomes outcomes) {
    this.search = search;
    this.outcomes = outcomes;
    this.n = search.window().size();
  }

  /**
   * For each flag, which call comes before which in every order that has the flag: {@code
   * [flag][before]} holds the set of those after it. Calls of different lattices have no order.
   */
  long[][] before(int flags) {
    long[][] always = new long[flags][n];
    for (Lattice lattice : search.lattices()) {
      int size = lattice.calls().length;
      int[][] later = new int[flags][size];
      for (int set = 0; set < 1 << size; set++) {
        Lattice.Nodes nodes = lattice.nodes(set);
        int all = 0;
        for (int node = 0; nodes != null && node < nodes.count; node++) {
          all |= nodes.flags[node];
        }
        for (int flag = 0; flag < flags; flag++) {
          if ((all >>> flag & 1) != 0) {
            for (int place = 0; place < size; place++) {
              later[flag][place] |= (set >>> place & 1) != 0 ? ~set : 0;
            }
          }
        }
      }
      for (int flag = 0; flag < flags; flag++) {
        always(lattice, later[flag], always[flag]);
      }
    }
    return always;
  }

  /** A call comes always first if it never comes after the other. */
  private static void always(Lattice lattice, int[] later, long[] always) {
    int size = lattice.calls().length;
    for (int a = 0; a < size; a++) {
      for (int b = 0; b < size; b++) {
        if (a != b && (later[b] >>> a & 1) == 0) {
          always[lattice.calls()[a]] |= 1L << lattice.calls()[b];
        }
      }
    }
  }

  /** The edges of a relation, with what happens when neighbours change places. */
  List<Edge> edges(long[] always, int flag) {
    List<Edge> found = new ArrayList<>();
    for (int a = 0; a < n; a++) {
      for (int b = 0; b < n; b++) {
        if ((always[a] >>> b & 1) == 0) {
          continue;
        }
        boolean direct = true;
        for (int c = 0; c < n; c++) {
          direct &= (always[a] >>> c & 1) == 0 || (always[c] >>> b & 1) == 0;
        }
        found.add(new Edge(a, b, direct, direct ? reason(a, b, flag) : null));
      }
    }
    return found;
  }

  private Edge.@Nullable Reason reason(int a, int b, int flag) {
    for (Lattice lattice : search.lattices()) {
      int placeA = java.util.Arrays.binarySearch(lattice.calls(), a);
      int placeB = java.util.Arrays.binarySearch(lattice.calls(), b);
      if (placeA >= 0 && placeB >= 0) {
        return reason(lattice, placeA, placeB, flag);
      }
    }
    return null;
  }

  /** The exchange is made in the first set that it can be made in, early in the order. */
  private Edge.@Nullable Reason reason(Lattice lattice, int a, int b, int flag) {
    int both = 1 << a | 1 << b;
    for (int set = 0; set < 1 << lattice.calls().length; set++) {
      Lattice.Nodes nodes = (set & both) != 0 ? null : lattice.nodes(set);
      if (nodes == null || lattice.nodes(set | both) == null) {
        continue;
      }
      for (int node = 0; node < nodes.count; node++) {
        int afterA = Paths.next(lattice, set, node, a);
        int afterB = afterA < 0 ? -1 : Paths.next(lattice, set | 1 << a, afterA, b);
        if (afterB >= 0 && (Paths.nodes(lattice, set | both).flags[afterB] & flag) != 0) {
          return exchanged(lattice, set, node, new int[] {a, b, afterB}, flag);
        }
      }
    }
    return null;
  }

  private Edge.@Nullable Reason exchanged(
      Lattice lattice, int set, int node, int[] pair, int flag) {
    int callA = lattice.calls()[pair[0]];
    int callB = lattice.calls()[pair[1]];
    List<Integer> own = new ArrayList<>(Paths.to(lattice, set, node));
    own.add(callB);
    own.add(callA);
    int both = 1 << pair[0] | 1 << pair[1];
    own.addAll(Paths.from(lattice, set | both, pair[2], flag));
    List<List<Integer>> all = new ArrayList<>();
    all.add(own);
    for (Lattice other : search.lattices()) {
      if (other != lattice) {
        all.add(Paths.from(other, 0, 0, flag));
      }
    }
    Outcomes.Kind kind = outcomes.kind(Replay.of(search.window(), Witnesses.merge(all)));
    return kind.works() ? null : new Edge.Reason(kind.refused(), kind.differing(), kind.ending());
  }
}
