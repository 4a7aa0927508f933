package dev.faultline.reorder;

import java.math.BigInteger;
import java.util.Arrays;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * All orders of some calls at once. A node is the set of calls made so far and the state reached by
 * them; orders that lead to one node are counted, not walked, so that n! orders cost at most 2^n
 * times the number of states.
 *
 * <p>Sets of one size form a layer. The nodes of a layer follow from those of the layer before,
 * each set on its own, so a layer is worked on by all cores.
 */
final class Lattice {
  /** More calls than this have more sets than fit into memory. */
  static final int MAX_CALLS = 24;

  private static final int NODE_BYTES = 40;
  private static final int SET_BYTES = 160;
  private static final int SETS_PER_TASK = 64;

  /** Stands for the nodes of a set that are not found yet. */
  private static final Nodes OPEN = new Nodes(0, new long[0], new long[0], new long[0]);

  private final Packing packing;
  private final int[] calls;
  private final boolean[] pinned;
  private final PackedCall[] packed;
  private final @Nullable Nodes[] sets;
  private final Budget budget;
  private long nodeCount;

  /**
   * What the search may cost.
   *
   * @param bytes of memory for nodes, about
   * @param cancelled asked now and then; true when nobody waits for the result any more
   */
  record Budget(long bytes, BooleanSupplier cancelled) {}

  /** The search would need more memory than it may have. */
  static final class OverBudget extends RuntimeException {
    private static final long serialVersionUID = 1L;

    OverBudget() {
      super("over budget", null, false, false);
    }
  }

  /** Nobody waits for the result any more. */
  static final class Cancelled extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Cancelled() {
      super("cancelled", null, false, false);
    }
  }

  /** The nodes of one set, in the order of their states as unsigned words. */
  static final class Nodes {
    final int count;
    final long[] states;
    final long[] low;
    final long[] high;
    final int[] flags;

    Nodes(int count, long[] states, long[] low, long[] high) {
      this.count = count;
      this.states = states;
      this.low = low;
      this.high = high;
      this.flags = new int[count];
    }

    /** How many orders lead to the node. */
    BigInteger orders(int node) {
      BigInteger lowPart = new BigInteger(Long.toUnsignedString(low[node]));
      return BigInteger.valueOf(high[node]).shiftLeft(Long.SIZE).add(lowPart);
    }
  }

  /**
   * Of these calls.
   *
   * @param calls positions in the window, ascending
   * @param pinned by place in {@code calls}, whether the call must stay there
   */
  Lattice(Transitions transitions, Packing packing, int[] calls, boolean[] pinned, Budget budget) {
    if (calls.length > MAX_CALLS) {
      throw new OverBudget();
    }
    this.packing = packing;
    this.calls = calls;
    this.pinned = pinned;
    this.budget = budget;
    this.sets = new Nodes[1 << calls.length];
    this.packed = new PackedCall[calls.length];
    for (int i = 0; i < calls.length; i++) {
      packed[i] = new PackedCall(transitions, packing, calls[i]);
    }
  }

  int[] calls() {
    return calls;
  }

  /** A call as a function on packed states. */
  PackedCall packed(int place) {
    return packed[place];
  }

  /** How many nodes there are. */
  long nodeCount() {
    return nodeCount;
  }

  /** The nodes of a set, or null when no order comes by it. */
  @Nullable Nodes nodes(int set) {
    return sets[set];
  }

  /** The nodes after all calls. */
  Nodes last() {
    Nodes last = sets[sets.length - 1];
    if (last == null) {
      throw new IllegalStateException("not searched");
    }
    return last;
  }

  /** Finds all nodes. */
  void search(long[] start) {
    sets[0] = new Nodes(1, start.clone(), new long[] {1}, new long[] {0});
    nodeCount = 1;
    long bytes = (long) sets.length * Integer.BYTES;
    for (int size = 1; size <= calls.length; size++) {
      int[] layer = layer(size);
      if (budget.cancelled().getAsBoolean()) {
        throw new Cancelled();
      }
      long most = budget.bytes() - bytes;
      fill(layer, most);
      for (int set : layer) {
        Nodes built = sets[set];
        if (built != null) {
          nodeCount += built.count;
          bytes += SET_BYTES + (long) built.count * (NODE_BYTES + packing.words() * Long.BYTES);
        }
      }
      if (bytes > budget.bytes()) {
        throw new OverBudget();
      }
    }
  }

  /**
   * The nodes of a layer. All cores work on what is known; what the model must be asked for is
   * asked by one, in the order of the sets, so that the same question gets the same number in every
   * run.
   */
  private void fill(int[] layer, long most) {
    int[] open = layer;
    for (int asked = 1; open.length > 0; asked *= 2) {
      forEachTask(open, (scratch, set) -> sets[set] = build(scratch, set, most, false));
      open = Arrays.stream(open).filter(set -> sets[set] == OPEN).toArray();
      int[] alone = Arrays.copyOf(open, Math.min(asked, open.length));
      Scratch scratch = new Scratch(packing.words());
      for (int set : alone) {
        sets[set] = build(scratch, set, most, true);
      }
      open = Arrays.copyOfRange(open, alone.length, open.length);
    }
  }

  /** Marks each node with the flags of all last nodes that it leads to. */
  void flagBackwards(int[] lastFlags) {
    Nodes last = last();
    System.arraycopy(lastFlags, 0, last.flags, 0, last.count);
    for (int size = calls.length - 1; size >= 0; size--) {
      if (budget.cancelled().getAsBoolean()) {
        throw new Cancelled();
      }
      forEachTask(layer(size), this::pullFlags);
    }
  }

  private void pullFlags(Scratch scratch, int set) {
    Nodes nodes = sets[set];
    if (nodes == null) {
      return;
    }
    int words = packing.words();
    for (int c = 0; c < calls.length; c++) {
      Nodes next = (set >>> c & 1) != 0 || !mayComeAt(c, set) ? null : sets[set | 1 << c];
      if (next == null) {
        continue;
      }
      for (int i = 0; i < nodes.count; i++) {
        packed[c].apply(nodes.states, i * words, scratch.state);
        nodes.flags[i] |= next.flags[find(next, scratch.state)];
      }
    }
  }

  /** The node of a set that has this state. */
  int find(Nodes nodes, long[] state) {
    int low = 0;
    int high = nodes.count - 1;
    int words = packing.words();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (compare(nodes.states, middle * words, state, 0) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Whether the node has this state. */
  boolean isAt(Nodes nodes, int node, long[] state) {
    return compare(nodes.states, node * packing.words(), state, 0) == 0;
  }

  private int compare(long[] a, int from, long[] b, int fromB) {
    for (int w = 0; w < packing.words(); w++) {
      int order = Long.compareUnsigned(a[from + w], b[fromB + w]);
      if (order != 0) {
        return order;
      }
    }
    return 0;
  }

  /** The state after one more call. */
  void apply(int place, long[] states, int from, long[] to) {
    packed[place].apply(states, from, to);
  }

  /** Whether the call may be the next one after a set: pinned calls have one place only. */
  boolean mayComeAt(int place, int set) {
    int next = Integer.bitCount(set);
    return pinned[next] ? place == next : !pinned[place];
  }

  /** The nodes of a set; {@link #OPEN} if the model must be asked for one and may not. */
  private @Nullable Nodes build(Scratch scratch, int set, long most, boolean asks) {
    scratch.clear();
    int words = packing.words();
    for (int c = 0; c < calls.length; c++) {
      int before = set & ~(1 << c);
      Nodes from = (set >>> c & 1) == 0 || !mayComeAt(c, before) ? null : sets[before];
      if (from == null) {
        continue;
      }
      for (int i = 0; i < from.count; i++) {
        if (asks) {
          packed[c].apply(from.states, i * words, scratch.state);
        } else if (!packed[c].applyKnown(from.states, i * words, scratch.state)) {
          return OPEN;
        }
        scratch.add(from.low[i], from.high[i]);
      }
      if ((long) scratch.count * NODE_BYTES > most) {
        throw new OverBudget();
      }
    }
    return scratch.count == 0 ? null : scratch.nodes();
  }

  private interface Work {
    void on(Scratch scratch, int set);
  }

  private void forEachTask(int[] layer, Work work) {
    int tasks = (layer.length + SETS_PER_TASK - 1) / SETS_PER_TASK;
    IntStream all = IntStream.range(0, tasks);
    (tasks > 1 ? all.parallel() : all)
        .forEach(task -> {
          if (budget.cancelled().getAsBoolean()) {
            throw new Cancelled();
          }
          Scratch scratch = new Scratch(packing.words());
          int end = Math.min(layer.length, (task + 1) * SETS_PER_TASK);
          for (int i = task * SETS_PER_TASK; i < end; i++) {
            work.on(scratch, layer[i]);
          }
        });
  }

  /** All sets of a size, ascending. */
  private int[] layer(int size) {
    if (size == 0) {
      return new int[] {0};
    }
    int[] found = new int[16];
    int count = 0;
    int limit = sets.length;
    for (int set = (1 << size) - 1; set < limit; ) {
      if (count == found.length) {
        found = Arrays.copyOf(found, count * 2);
      }
      found[count++] = set;
      int lowest = set & -set;
      int ripple = set + lowest;
      set = ripple | ((set ^ ripple) >>> 2) / lowest;
    }
    return Arrays.copyOf(found, count);
  }

  /** Nodes of one set while they are found: a table by state, open addressing. */
  private final class Scratch {
    private static final int FEW = 8;

    final long[] state;
    private final int words;
    private long[] states;
    private long[] low = new long[FEW];
    private long[] high = new long[FEW];
    private int[] table = new int[FEW * 4];
    private int count;

    Scratch(int words) {
      this.words = words;
      this.state = new long[words];
      this.states = new long[FEW * words];
    }

    void clear() {
      Arrays.fill(table, 0);
      count = 0;
    }

    /** So many more orders lead to {@link #state}. */
    void add(long moreLow, long moreHigh) {
      int at = slot(state, 0);
      int node = table[at] - 1;
      if (node < 0) {
        if (count == low.length) {
          grow();
          at = slot(state, 0);
        }
        node = count++;
        table[at] = node + 1;
        System.arraycopy(state, 0, states, node * words, words);
        low[node] = moreLow;
        high[node] = moreHigh;
        return;
      }
      long sum = low[node] + moreLow;
      high[node] += moreHigh + (Long.compareUnsigned(sum, moreLow) < 0 ? 1 : 0);
      low[node] = sum;
    }

    private int slot(long[] from, int offset) {
      long hash = 0;
      for (int w = 0; w < words; w++) {
        hash = (hash ^ from[offset + w]) * 0x9E3779B97F4A7C15L;
      }
      int mask = table.length - 1;
      int at = (int) (hash >>> 32) & mask;
      while (table[at] != 0 && compare(states, (table[at] - 1) * words, from, offset) != 0) {
        at = at + 1 & mask;
      }
      return at;
    }

    private void grow() {
      states = Arrays.copyOf(states, states.length * 2);
      low = Arrays.copyOf(low, low.length * 2);
      high = Arrays.copyOf(high, high.length * 2);
      table = new int[table.length * 2];
      for (int node = 0; node < count; node++) {
        table[slot(states, node * words)] = node + 1;
      }
    }

    Nodes nodes() {
      if (count == 1) {
        return new Nodes(
            1, Arrays.copyOf(states, words), new long[] {low[0]}, new long[] {high[0]});
      }
      List<Integer> order =
          IntStream.range(0, count)
              .boxed()
              .sorted((a, b) -> compare(states, a * words, states, b * words))
              .toList();
      long[] sorted = new long[count * words];
      long[] sortedLow = new long[count];
      long[] sortedHigh = new long[count];
      for (int i = 0; i < count; i++) {
        int node = order.get(i);
        System.arraycopy(states, node * words, sorted, i * words, words);
        sortedLow[i] = low[node];
        sortedHigh[i] = high[node];
      }
      return new Nodes(count, sorted, sortedLow, sortedHigh);
    }
  }
}
