package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToIntFunction;

/**
 * All calls of a window at once, nodes with few inversions first: a shortest-path search. A call
 * costs one inversion for each call recorded before it that is still to be made.
 *
 * <p>Calls of lattices that can only end in one way are taken in their recorded order: exchanging
 * two of them back never makes more inversions with others, so some nearest order has them so.
 */
final class Sweep {
  private static final int NONE = -1;

  private final Search search;
  private final int n;
  private final int words;
  private final int mostNodes;
  private final PackedCall[] calls;
  private final int[] free;
  private final boolean[] pinned;
  private int count;
  private long[] sets;
  private long[] states;
  private int[] parents;
  private short[] costs;
  private byte[] made;
  private int[] table;
  private final List<IntBucket> buckets = new ArrayList<>();

  private static final class IntBucket {
    int[] nodes = new int[16];
    int size;

    void add(int node) {
      if (size == nodes.length) {
        nodes = Arrays.copyOf(nodes, size * 2);
      }
      nodes[size++] = node;
    }
  }

  /**
   * A search over all calls.
   *
   * @param inert calls that are taken in their recorded order
   */
  Sweep(Search search, boolean[] inert, int mostNodes) {
    this.search = search;
    this.n = search.window().size();
    this.words = search.packing().words();
    this.mostNodes = mostNodes;
    this.calls = new PackedCall[n];
    this.pinned = new boolean[n + 1];
    this.free = new int[n];
    int before = NONE;
    for (int call = 0; call < n; call++) {
      pinned[call] = search.window().pinned().contains(call);
      free[call] = inert[call] ? before : NONE;
      before = inert[call] ? call : before;
      for (Lattice lattice : search.lattices()) {
        int place = Arrays.binarySearch(lattice.calls(), call);
        if (place >= 0) {
          calls[call] = lattice.packed(place);
        }
      }
    }
    int room = 1024;
    sets = new long[room];
    states = new long[room * words];
    parents = new int[room];
    costs = new short[room];
    made = new byte[room];
    table = new int[room * 4];
    for (int i = 0; i <= n * (n - 1) / 2; i++) {
      buckets.add(new IntBucket());
    }
  }

  /**
   * Shows each complete state once, those with few inversions first, until {@code missing} of them
   * were new to the visitor or the nodes run out.
   *
   * @param visitor is given a node; returns 1 if it is new to it, otherwise 0
   */
  void run(int missing, ToIntFunction<Integer> visitor) {
    long all = n == Long.SIZE ? -1 : (1L << n) - 1;
    offer(0, search.start(), NONE, NONE, 0);
    int left = missing;
    for (int cost = 0; cost < buckets.size() && left > 0; cost++) {
      IntBucket bucket = buckets.get(cost);
      // Grows while it is walked: the next call in order costs nothing.
      for (int i = 0; i < bucket.size && left > 0; i++) {
        int node = bucket.nodes[i];
        if (costs[node] != cost) {
          continue;
        }
        if (sets[node] == all) {
          left -= visitor.applyAsInt(node);
        } else if (count < mostNodes) {
          expand(node, cost);
        }
      }
      bucket.nodes = new int[0];
    }
  }

  /** The state of a node. */
  long[] state(int node) {
    return Arrays.copyOfRange(states, node * words, (node + 1) * words);
  }

  /** The calls that lead to a node. */
  List<Integer> order(int node) {
    List<Integer> order = new ArrayList<>();
    for (int at = node; parents[at] != NONE; at = parents[at]) {
      order.addFirst((int) made[at]);
    }
    return List.copyOf(order);
  }

  private void expand(int node, int cost) {
    long set = sets[node];
    int next = Long.bitCount(set);
    long[] state = new long[words];
    for (int call = 0; call < n; call++) {
      boolean here = pinned[next] ? call == next : !pinned[call];
      boolean turn = free[call] == NONE || (set >>> free[call] & 1) != 0;
      if ((set >>> call & 1) != 0 || !here || !turn) {
        continue;
      }
      calls[call].apply(states, node * words, state);
      offer(set | 1L << call, state, node, call, cost + Long.bitCount(~set & (1L << call) - 1));
    }
  }

  private void offer(long set, long[] state, int parent, int call, int cost) {
    int slot = slot(set, state, 0);
    int node = table[slot] - 1;
    if (node >= 0 && costs[node] <= cost) {
      return;
    }
    if (node < 0) {
      if (count == sets.length) {
        grow();
        slot = slot(set, state, 0);
      }
      node = count++;
      table[slot] = node + 1;
      sets[node] = set;
      System.arraycopy(state, 0, states, node * words, words);
    }
    parents[node] = parent;
    made[node] = (byte) call;
    costs[node] = (short) cost;
    buckets.get(cost).add(node);
  }

  private int slot(long set, long[] from, int offset) {
    long hash = set * 0x9E3779B97F4A7C15L;
    for (int w = 0; w < words; w++) {
      hash = (hash ^ hash >>> 29 ^ from[offset + w]) * 0xBF58476D1CE4E5B9L;
    }
    int mask = table.length - 1;
    int slot = (int) (hash >>> 33) & mask;
    while (table[slot] != 0 && !isAt(table[slot] - 1, set, from, offset)) {
      slot = slot + 1 & mask;
    }
    return slot;
  }

  private boolean isAt(int node, long set, long[] from, int offset) {
    if (sets[node] != set) {
      return false;
    }
    for (int w = 0; w < words; w++) {
      if (states[node * words + w] != from[offset + w]) {
        return false;
      }
    }
    return true;
  }

  private void grow() {
    int room = sets.length * 2;
    sets = Arrays.copyOf(sets, room);
    states = Arrays.copyOf(states, room * words);
    parents = Arrays.copyOf(parents, room);
    costs = Arrays.copyOf(costs, room);
    made = Arrays.copyOf(made, room);
    table = new int[room * 4];
    for (int node = 0; node < count; node++) {
      table[slot(sets[node], states, node * words)] = node + 1;
    }
  }
}
