package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.List;

/** Orders through a lattice. */
final class Paths {
  private Paths() {}

  /** An order that leads to a node: backwards, always the call that was recorded last. */
  static List<Integer> to(Lattice lattice, int set, int node) {
    List<Integer> order = new ArrayList<>();
    int at = set;
    int state = node;
    while (at != 0) {
      int[] step = before(lattice, at, state);
      order.addFirst(lattice.calls()[step[0]]);
      at &= ~(1 << step[0]);
      state = step[1];
    }
    return order;
  }

  /** A call by which a node is reached, by place, and the node before it. */
  private static int[] before(Lattice lattice, int set, int node) {
    Lattice.Nodes to = nodes(lattice, set);
    int words = to.states.length / to.count;
    long[] state = new long[words];
    for (int c = lattice.calls().length - 1; c >= 0; c--) {
      int earlier = set & ~(1 << c);
      Lattice.Nodes from = lattice.nodes(earlier);
      if (earlier == set || from == null || !lattice.mayComeAt(c, earlier)) {
        continue;
      }
      for (int i = 0; i < from.count; i++) {
        lattice.apply(c, from.states, i * words, state);
        if (lattice.find(to, state) == node && lattice.isAt(to, node, state)) {
          return new int[] {c, i};
        }
      }
    }
    throw new IllegalStateException("a node that no order leads to");
  }

  /** An order from a node to the end that keeps to nodes with a flag, as recorded where it can. */
  static List<Integer> from(Lattice lattice, int set, int node, int flag) {
    List<Integer> order = new ArrayList<>();
    int at = set;
    int state = node;
    int all = (1 << lattice.calls().length) - 1;
    while (at != all) {
      int[] step = after(lattice, at, state, flag);
      order.add(lattice.calls()[step[0]]);
      at |= 1 << step[0];
      state = step[1];
    }
    return order;
  }

  private static int[] after(Lattice lattice, int set, int node, int flag) {
    for (int c = 0; c < lattice.calls().length; c++) {
      int next = next(lattice, set, node, c);
      if (next >= 0 && (nodes(lattice, set | 1 << c).flags[next] & flag) != 0) {
        return new int[] {c, next};
      }
    }
    throw new IllegalStateException("a flagged node that leads nowhere");
  }

  /** The node after one more call, or -1 when the call may not come here. */
  static int next(Lattice lattice, int set, int node, int place) {
    if ((set >>> place & 1) != 0 || !lattice.mayComeAt(place, set)) {
      return -1;
    }
    Lattice.Nodes from = nodes(lattice, set);
    Lattice.Nodes to = lattice.nodes(set | 1 << place);
    if (to == null) {
      return -1;
    }
    int words = from.states.length / from.count;
    long[] state = new long[words];
    lattice.apply(place, from.states, node * words, state);
    return lattice.find(to, state);
  }

  static Lattice.Nodes nodes(Lattice lattice, int set) {
    Lattice.Nodes nodes = lattice.nodes(set);
    if (nodes == null) {
      throw new IllegalStateException("a set that no order comes by");
    }
    return nodes;
  }
}
