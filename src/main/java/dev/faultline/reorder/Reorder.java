package dev.faultline.reorder;

import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vcpu;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Every order of the calls in a window, by KVM's rules.
 *
 * <p>A refused call does not end an order: the calls after it are made all the same, as the
 * programs do that such orders were recorded of. A VMM that gives up after the first refusal does
 * what the recorded kernel did up to there.
 */
public final class Reorder {
  /** More calls have more orders than anybody asks for. */
  public static final int MOST_CALLS = 48;

  /** Calls beyond which a smaller part is searched first, to have something when cancelled. */
  private static final int QUICK_CALLS = 10;

  /** Flags of nodes: bits for what they may lead to. */
  private static final int WORKS = 1;

  private static final int NO_FAULT = 2;
  private static final int FIRST_BAD = 2;
  private static final int MOST_FLAGS = 31;

  private static final Lattice.Budget FREE = new Lattice.Budget(Long.MAX_VALUE, () -> false);

  private final Window window;
  private final Lattice.Budget budget;

  private Reorder(Window window, Lattice.Budget budget) {
    this.window = window;
    this.budget = budget;
  }

  /**
   * Searches every order, or as many as the budget allows.
   *
   * @param bytes of memory for the search, about
   * @param cancelled asked now and then; once it is true, what is known so far is the result
   */
  public static Reordering of(Window window, long bytes, BooleanSupplier cancelled) {
    Lattice.Budget budget = new Lattice.Budget(bytes, cancelled);
    Reordering known = null;
    if (window.size() > QUICK_CALLS && window.pinned().isEmpty()) {
      known = new Reorder(window, FREE).covering(window.size() - QUICK_CALLS);
    }
    for (int fixed = 0; ; fixed++) {
      if (known != null && fixed >= known.fixed()) {
        return known;
      }
      try {
        boolean few = window.size() - fixed <= QUICK_CALLS;
        Lattice.Budget allowed = few ? new Lattice.Budget(Long.MAX_VALUE, cancelled) : budget;
        return new Reorder(window, allowed).covering(fixed);
      } catch (Lattice.OverBudget e) {
        if (fixed == window.size()) {
          throw e;
        }
      } catch (Lattice.Cancelled e) {
        return known == null ? recordedOnly(window) : known;
      }
    }
  }

  /**
   * An outcome that does not work although some calls come before others, the more frequent one
   * first; its witness keeps the rules.
   *
   * @param rules pairs of calls that come in this order
   * @return null if every order works that keeps the rules
   */
  public static @Nullable OutcomeClass brokenDespite(
      Window window, List<OutcomeClass.Pair> rules, long bytes) {
    Reorder reorder = new Reorder(window, new Lattice.Budget(bytes, () -> false));
    Replay recorded = Replay.of(window, IntStream.range(0, window.size()).boxed().toList());
    Search search = Search.of(window, reorder.budget);
    Outcomes outcomes = reorder.outcomes(search, recorded);
    Witnesses witnesses = new Witnesses(search, outcomes);
    Kept kept = new Kept(search, rules);
    List<Integer> sorted =
        IntStream.range(0, outcomes.kinds().size())
            .boxed()
            .sorted(ranked(outcomes, witnesses))
            .toList();
    for (int kind : sorted) {
      Outcomes.Kind each = outcomes.kinds().get(kind);
      List<Integer> order = each.works() ? null : kept.order(outcomes, kind);
      if (order != null) {
        return new OutcomeClass(
            outcomes.orders(kind),
            false,
            each.refused(),
            each.differing(),
            each.ending(),
            order,
            Witnesses.inversions(order),
            false,
            List.of());
      }
    }
    return null;
  }

  private static Reordering recordedOnly(Window window) {
    return new Reorder(window, FREE).covering(window.size());
  }

  /** All orders that begin with so many calls as recorded. */
  private Reordering covering(int fixed) {
    Window part = part(window, fixed);
    Search search = Search.of(part, budget);
    Replay recorded = Replay.of(part, IntStream.range(0, part.size()).boxed().toList());
    return result(part, fixed, search, outcomes(search, recorded), recorded);
  }

  private Outcomes outcomes(Search search, Replay recorded) {
    while (true) {
      try {
        return new Outcomes(search, recorded);
      } catch (Packing.TooNarrow e) {
        search.repeat(budget);
      }
    }
  }

  private static Window part(Window window, int fixed) {
    if (fixed == 0) {
      return window;
    }
    @Nullable String[] excused = Replay.excuses(window);
    Vcpu start = window.start();
    for (int i = 0; i < fixed; i++) {
      start = Step.of(start, window.calls().get(i), excused[i]).after();
    }
    List<Integer> pinned =
        window.pinned().stream().filter(p -> p >= fixed).map(p -> p - fixed).toList();
    List<WindowCall> rest = window.calls().subList(fixed, window.size());
    return new Window(start, rest, pinned, window.tail(), window.run());
  }

  private Reordering result(
      Window part, int fixed, Search search, Outcomes outcomes, Replay recorded) {
    Witnesses witnesses = new Witnesses(search, outcomes);
    List<Outcomes.Kind> kinds = outcomes.kinds();
    List<Integer> sorted =
        IntStream.range(0, kinds.size()).boxed().sorted(ranked(outcomes, witnesses)).toList();
    int flags = flag(search, outcomes, sorted);
    Edges edges = new Edges(search, outcomes);
    long[][] always = edges.before(flags);
    boolean some = kinds.stream().anyMatch(Outcomes.Kind::works);
    long[] working = some ? always[0] : new long[part.size()];
    List<OutcomeClass> classes = new ArrayList<>();
    int bad = FIRST_BAD;
    for (int kind : sorted) {
      boolean works = kinds.get(kind).works();
      List<OutcomeClass.Pair> pairs =
          works || bad >= flags ? List.of() : pairs(always[bad++], working, fixed);
      classes.add(outcomeClass(fixed, kind, outcomes, witnesses, pairs));
    }
    Outcomes.Kind asRecorded = outcomes.kind(recorded);
    int recordedKind = kinds.indexOf(asRecorded);
    return new Reordering(
        window,
        factorial(window.size() - window.pinned().size()),
        factorial(part.size() - part.pinned().size()),
        fixed,
        classes,
        sorted.indexOf(recordedKind),
        some ? shifted(edges.edges(always[0], WORKS), fixed) : List.of(),
        asRecorded.ending().isFault() ? noReturn(search, outcomes, fixed) : null,
        components(search, fixed),
        search.nodes(),
        disagreements(window));
  }

  /** Those that work first, then the more frequent, then the nearer to the recorded order. */
  private static Comparator<Integer> ranked(Outcomes outcomes, Witnesses witnesses) {
    return Comparator.comparing((Integer kind) -> !outcomes.kinds().get(kind).works())
        .thenComparing(outcomes::orders, Comparator.reverseOrder())
        .thenComparingInt(kind -> Witnesses.inversions(witnesses.of(kind)))
        .thenComparing(kind -> witnesses.of(kind).toString());
  }

  private static OutcomeClass outcomeClass(
      int fixed,
      int number,
      Outcomes outcomes,
      Witnesses witnesses,
      List<OutcomeClass.Pair> always) {
    Outcomes.Kind kind = outcomes.kinds().get(number);
    List<Integer> witness = witnesses.of(number);
    List<Integer> whole = new ArrayList<>(IntStream.range(0, fixed).boxed().toList());
    witness.forEach(call -> whole.add(call + fixed));
    return new OutcomeClass(
        outcomes.orders(number),
        kind.works(),
        kind.refused(),
        kind.differing(),
        kind.ending(),
        whole,
        Witnesses.inversions(witness),
        witnesses.isFewest(number),
        always);
  }

  /** Flags all nodes with what they may lead to; the number of flags. */
  private static int flag(Search search, Outcomes outcomes, List<Integer> sorted) {
    int[] flagOf = new int[sorted.size()];
    int flags = FIRST_BAD;
    for (int kind : sorted) {
      Outcomes.Kind each = outcomes.kinds().get(kind);
      flagOf[kind] = each.ending().isFault() ? 0 : NO_FAULT;
      if (each.works()) {
        flagOf[kind] |= WORKS;
      } else if (flags < MOST_FLAGS) {
        flagOf[kind] |= 1 << flags++;
      }
    }
    int[][] partFlags = new int[search.lattices().size()][];
    for (int l = 0; l < partFlags.length; l++) {
      partFlags[l] = new int[outcomes.finalNodes().get(l).parts().size()];
    }
    for (int combination = 0; combination < outcomes.combinations(); combination++) {
      int[] parts = outcomes.parts(combination);
      for (int l = 0; l < parts.length; l++) {
        partFlags[l][parts[l]] |= flagOf[outcomes.kind(parts)];
      }
    }
    for (int l = 0; l < partFlags.length; l++) {
      int[] partOf = outcomes.finalNodes().get(l).partOf();
      int[] last = new int[partOf.length];
      for (int node = 0; node < last.length; node++) {
        last[node] = partFlags[l][partOf[node]];
      }
      search.lattices().get(l).flagBackwards(last);
    }
    return flags;
  }

  /** What holds in all orders of a class and not in all that work. */
  private static List<OutcomeClass.Pair> pairs(long[] always, long[] working, int fixed) {
    List<OutcomeClass.Pair> found = new ArrayList<>();
    for (int a = 0; a < always.length; a++) {
      for (int b = 0; b < always.length; b++) {
        if (((always[a] & ~working[a]) >>> b & 1) != 0) {
          found.add(new OutcomeClass.Pair(a + fixed, b + fixed));
        }
      }
    }
    return found;
  }

  private static List<Edge> shifted(List<Edge> edges, int fixed) {
    return edges.stream()
        .map(e -> new Edge(e.before() + fixed, e.after() + fixed, e.direct(), e.reason()))
        .toList();
  }

  private static List<List<Integer>> components(Search search, int fixed) {
    List<List<Integer>> found = new ArrayList<>();
    for (Lattice lattice : search.lattices()) {
      found.add(IntStream.of(lattice.calls()).map(call -> call + fixed).boxed().toList());
    }
    return found;
  }

  /** After how many calls of the recorded order nothing but faults can follow. */
  private static int noReturn(Search search, Outcomes outcomes, int fixed) {
    int low = 0;
    int high = search.window().size();
    while (low < high) {
      int middle = (low + high) >>> 1;
      if (Continuations.of(search, middle).anyEnds(outcomes, kind -> !kind.ending().isFault())) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low + fixed;
  }

  /** Recorded answers that contradict the model. */
  static List<Integer> disagreements(Window window) {
    Replay recorded = Replay.of(window, IntStream.range(0, window.size()).boxed().toList());
    List<Integer> found = new ArrayList<>();
    for (int i = 0; i < window.size(); i++) {
      if (!agrees(recorded.answerOf(i), window.calls().get(i))) {
        found.add(i);
      }
    }
    return found;
  }

  static boolean agrees(Outcome predicted, WindowCall call) {
    return switch (predicted) {
      case Outcome.Returns r -> call.ret() == r.value();
      case Outcome.Succeeds _ -> call.ret() >= 0;
      case Outcome.Refused r -> call.ret() < 0 && call.errno() == r.errno().number();
      case Outcome.Exits _, Outcome.Runs _, Outcome.Undecided _ -> true;
    };
  }

  static BigInteger factorial(int n) {
    BigInteger product = BigInteger.ONE;
    for (int i = 2; i <= n; i++) {
      product = product.multiply(BigInteger.valueOf(i));
    }
    return product;
  }
}
