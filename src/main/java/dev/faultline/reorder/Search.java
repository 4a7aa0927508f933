package dev.faultline.reorder;

import dev.faultline.vcpu.Outcome;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The lattices of a window: one for each set of calls that influence each other.
 *
 * <p>Two calls influence each other when one writes what the other reads or writes. Footprints are
 * those of every state that was reached ({@link Transitions}); should the search meet a state in
 * which a call reads more, the calls are split anew and the search begins again.
 */
final class Search {
  private static final int SAMPLES = 48;
  private static final int MOST_ATTEMPTS = 40;
  private static final long LCG_FACTOR = 6364136223846793005L;
  private static final long LCG_STEP = 1442695040888963407L;

  private final Window window;
  private final List<WindowCall> all;
  private final Transitions transitions;
  private final int[] startNumbers;
  private Packing packing;
  private long[] start;
  private List<Lattice> lattices;
  private int attempts;

  private Search(Window window) {
    this.window = window;
    this.all = Replay.all(window);
    this.transitions = new Transitions(window.start(), all, Replay.excuses(window));
    this.startNumbers = transitions.numbers(window.start());
    this.packing = new Packing(new int[0]);
    this.start = new long[0];
    this.lattices = List.of();
  }

  /** Searches every order of the window. */
  static Search of(Window window, Lattice.Budget budget) {
    Search search = new Search(window);
    search.sample();
    search.repeat(budget);
    return search;
  }

  /** Searches again, with what is known by now of footprints and values. */
  void repeat(Lattice.Budget budget) {
    while (true) {
      if (++attempts > MOST_ATTEMPTS) {
        throw new Lattice.OverBudget();
      }
      List<int[]> components = components();
      try {
        attempt(components, budget);
      } catch (Packing.TooNarrow e) {
        continue;
      }
      if (same(components, components())) {
        return;
      }
    }
  }

  Window window() {
    return window;
  }

  Transitions transitions() {
    return transitions;
  }

  Packing packing() {
    return packing;
  }

  List<Lattice> lattices() {
    return lattices;
  }

  long[] start() {
    return start.clone();
  }

  long nodes() {
    long sum = 0;
    for (Lattice lattice : lattices) {
      sum += lattice.nodeCount();
    }
    return sum;
  }

  /** All bits that the calls of a lattice may write, their answers included. */
  long[] mask(Lattice lattice) {
    long[] mask = new long[packing.words()];
    for (int call : lattice.calls()) {
      packing.cover(mask, Packing.answerField(call));
      for (Cell cell : Cell.ALL) {
        if ((transitions.writes(call) & cell.bit()) != 0) {
          packing.cover(mask, cell.ordinal());
        }
      }
    }
    return mask;
  }

  /** The parts that the tail and the KVM_RUN read, and those that tell where the vCPU is. */
  long endingReads() {
    long reads = Cell.MODE.bit() | Cell.EVENTS.bit();
    for (int i = window.size(); i < all.size(); i++) {
      reads |= transitions.reads(i);
    }
    return reads;
  }

  /** What follows a state: answers of the tail and of the KVM_RUN. */
  Ended ended(int[] numbers) {
    int[] now = numbers.clone();
    List<Outcome> answers = new ArrayList<>();
    for (int i = window.size(); i < all.size(); i++) {
      if (isRun(i)) {
        Outcome run = transitions.answer(i, transitions.effect(i, now).answer());
        return new Ended(answers, run, now);
      }
      answers.add(step(i, now));
    }
    return new Ended(answers, null, now);
  }

  /**
   * What follows.
   *
   * @param tail answers of the calls after the window
   * @param run the beginning of the KVM_RUN, or null when there is none
   * @param entered the numbers of the vCPU's parts at it
   */
  @SuppressWarnings("ArrayRecordComponent") // Compared nowhere.
  record Ended(List<Outcome> tail, @Nullable Outcome run, int[] entered) {}

  /** Whether it is the KVM_RUN, which is the last one where there is any. */
  private boolean isRun(int call) {
    return window.run() != null && call == all.size() - 1;
  }

  private Outcome step(int call, int[] numbers) {
    Transitions.Effect effect = transitions.effect(call, numbers);
    for (int cell = 0; cell < numbers.length; cell++) {
      if ((effect.written() & 1L << cell) != 0) {
        numbers[cell] = effect.to()[cell];
      }
    }
    return transitions.answer(call, effect.answer());
  }

  /** Learns footprints and values from some orders, the same ones in every run. */
  private void sample() {
    int n = window.size();
    int[] order = new int[n];
    for (int i = 0; i < n; i++) {
      order[i] = i;
    }
    walk(order);
    for (int i = 0; i < n; i++) {
      walk(moved(n, i, 0));
      walk(moved(n, i, n - 1));
    }
    long seed = n;
    for (int sample = 0; sample < SAMPLES; sample++) {
      for (int i = n - 1; i > 0; i--) {
        seed = seed * LCG_FACTOR + LCG_STEP;
        int other = (int) Long.remainderUnsigned(seed >>> 33, i + 1L);
        int kept = order[i];
        order[i] = order[other];
        order[other] = kept;
      }
      walk(order);
    }
  }

  private static int[] moved(int n, int call, int to) {
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < n; i++) {
      order.add(i);
    }
    order.remove(Integer.valueOf(call));
    order.add(to, call);
    return order.stream().mapToInt(Integer::intValue).toArray();
  }

  private void walk(int[] order) {
    int[] numbers = startNumbers.clone();
    for (int call : order) {
      step(call, numbers);
    }
    ended(numbers);
  }

  private void attempt(List<int[]> components, Lattice.Budget budget) {
    int n = window.size();
    int[] counts = new int[Cell.COUNT + n];
    int spare = attempts == 1 ? 1 : 2;
    for (Cell cell : Cell.ALL) {
      boolean written = false;
      for (int call = 0; call < n; call++) {
        written |= (transitions.writes(call) & cell.bit()) != 0;
      }
      int known = transitions.valueCount(cell);
      counts[cell.ordinal()] = written ? known * spare : 1;
    }
    for (int call = 0; call < n; call++) {
      int known = transitions.answerCount(call);
      counts[Packing.answerField(call)] = known > 1 || attempts > 1 ? known * spare : 1;
    }
    packing = new Packing(counts);
    start = new long[packing.words()];
    for (int cell = 0; cell < Cell.COUNT; cell++) {
      packing.set(start, cell, startNumbers[cell]);
    }
    List<Lattice> built = new ArrayList<>();
    for (int[] calls : components) {
      boolean[] pinned = new boolean[calls.length];
      for (int i = 0; i < calls.length; i++) {
        pinned[i] = window.pinned().contains(calls[i]);
      }
      Lattice lattice = new Lattice(transitions, packing, calls, pinned, budget);
      lattice.search(start);
      built.add(lattice);
    }
    lattices = List.copyOf(built);
  }

  /** Calls that influence each other, directly or through others; all, if some must stay. */
  private List<int[]> components() {
    int n = window.size();
    int[] root = new int[n];
    for (int i = 0; i < n; i++) {
      root[i] = i;
    }
    for (int a = 0; a < n; a++) {
      for (int b = 0; b < a; b++) {
        if (!window.pinned().isEmpty() || interfere(a, b)) {
          int from = root[a];
          int to = root[b];
          for (int i = 0; i < n; i++) {
            root[i] = root[i] == from ? to : root[i];
          }
        }
      }
    }
    List<int[]> found = new ArrayList<>();
    for (int r = 0; r < n; r++) {
      int of = r;
      int[] members = java.util.stream.IntStream.range(0, n).filter(i -> root[i] == of).toArray();
      if (members.length > 0) {
        found.add(members);
      }
    }
    found.sort((a, b) -> Integer.compare(a[0], b[0]));
    return found;
  }

  private boolean interfere(int a, int b) {
    long writesA = transitions.writes(a);
    long writesB = transitions.writes(b);
    return (writesA & (transitions.reads(b) | writesB)) != 0
        || (writesB & transitions.reads(a)) != 0;
  }

  private static boolean same(List<int[]> a, List<int[]> b) {
    if (a.size() != b.size()) {
      return false;
    }
    for (int i = 0; i < a.size(); i++) {
      if (!java.util.Arrays.equals(a.get(i), b.get(i))) {
        return false;
      }
    }
    return true;
  }
}
