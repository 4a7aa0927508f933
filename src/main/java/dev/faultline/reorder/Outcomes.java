package dev.faultline.reorder;

import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vcpu;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The outcomes of all orders of a searched window, put together from those of its lattices. */
final class Outcomes {
  private static final int MOST_COMBINATIONS = 1 << 20;

  private final Search search;
  private final Replay recorded;
  private final int[] best;
  private final int[] meant;
  private final Replay reference;
  private final List<Finals> finals;
  private final Map<Kind, Integer> numbers = new LinkedHashMap<>();
  private final List<Kind> kinds = new ArrayList<>();
  private final List<BigInteger> orders = new ArrayList<>();
  private final int[] kindOf;
  private final Map<List<Integer>, Ending> endings = new LinkedHashMap<>();

  /** What is told of an order. */
  record Kind(List<Deviation> refused, List<String> differing, Ending ending) {
    boolean works() {
      return refused.isEmpty()
          && differing.isEmpty()
          && ending.refused().isEmpty()
          && ending.isFine();
    }

    /** Every call is accepted and the guest runs, whatever the state. */
    boolean runs() {
      return refused.isEmpty() && ending.refused().isEmpty() && ending.isFine();
    }
  }

  Outcomes(Search search, Replay recorded) {
    this.search = search;
    this.recorded = recorded;
    this.best = bestAnswers(search);
    int[] asRecorded = search.transitions().numbers(recorded.reached());
    Outcomes first = null;
    Vcpu meantState = recorded.reached();
    if (!recordedWorks()) {
      first = new Outcomes(search, recorded, best, asRecorded, recorded);
      Vcpu other = first.mostFrequentlyRunning();
      meantState = other == null ? meantState : other;
    }
    this.meant = first == null ? asRecorded : search.transitions().numbers(meantState);
    this.reference = recorded;
    this.finals = finals();
    this.kindOf = combine();
  }

  private Outcomes(Search search, Replay recorded, int[] best, int[] meant, Replay reference) {
    this.search = search;
    this.recorded = recorded;
    this.best = best;
    this.meant = meant;
    this.reference = reference;
    this.finals = finals();
    this.kindOf = combine();
  }

  List<Finals> finalNodes() {
    return finals;
  }

  List<Kind> kinds() {
    return kinds;
  }

  BigInteger orders(int kind) {
    return orders.get(kind);
  }

  /** The best answer that each call gives in any order. */
  int[] best() {
    return best;
  }

  /** The kind of a combination of parts, one of each lattice. */
  int kind(int[] parts) {
    return kindOf[index(parts)];
  }

  int combinations() {
    return kindOf.length;
  }

  /** The parts of a combination. */
  int[] parts(int combination) {
    int[] parts = new int[finals.size()];
    int rest = combination;
    for (int l = finals.size() - 1; l >= 0; l--) {
      int count = finals.get(l).parts().size();
      parts[l] = rest % count;
      rest /= count;
    }
    return parts;
  }

  private int index(int[] parts) {
    int index = 0;
    for (int l = 0; l < parts.length; l++) {
      index = index * finals.get(l).parts().size() + parts[l];
    }
    return index;
  }

  /** What is told of one order that was carried out. */
  Kind kind(Replay replay) {
    List<Deviation> refused = new ArrayList<>();
    for (int call = 0; call < best.length; call++) {
      Outcome answer = replay.answerOf(call);
      if (!answer.equals(search.transitions().answer(call, best[call]))) {
        refused.add(new Deviation(search.window().calls().get(call), answer));
      }
    }
    List<String> differing = new ArrayList<>();
    for (Cell cell : Cell.ALL) {
      differing.addAll(
          FieldDifferences.of(
              cell,
              search.transitions().value(cell, meant[cell.ordinal()]),
              cell.of(replay.reached())));
    }
    return new Kind(List.copyOf(refused), inOrder(differing), replay.ending(tail(replay)));
  }

  private List<Deviation> tail(Replay replay) {
    return tail(replay.tail());
  }

  private List<Deviation> tail(List<Outcome> answers) {
    List<Deviation> refused = new ArrayList<>();
    for (int i = 0; i < answers.size(); i++) {
      if (!answers.get(i).equals(reference.tail().get(i))) {
        refused.add(new Deviation(search.window().tail().get(i), answers.get(i)));
      }
    }
    return refused;
  }

  private boolean recordedWorks() {
    for (int call = 0; call < best.length; call++) {
      if (!recorded.answerOf(call).equals(search.transitions().answer(call, best[call]))) {
        return false;
      }
    }
    return recorded.ending(List.of()).isFine();
  }

  /** The state that most orders with accepted calls and a running guest come to. */
  private @Nullable Vcpu mostFrequentlyRunning() {
    int found = -1;
    for (int kind = 0; kind < kinds.size(); kind++) {
      if (kinds.get(kind).runs() && (found < 0 || isMeantRather(kind, found))) {
        found = kind;
      }
    }
    if (found < 0) {
      return null;
    }
    for (int combination = 0; combination < kindOf.length; combination++) {
      if (kindOf[combination] == found) {
        return search.transitions().vcpu(numbers(parts(combination)));
      }
    }
    return null;
  }

  private boolean isMeantRather(int kind, int other) {
    int byOrders = orders.get(kind).compareTo(orders.get(other));
    if (byOrders != 0) {
      return byOrders > 0;
    }
    return kinds.get(kind).differing().toString().compareTo(kinds.get(other).differing().toString())
        < 0;
  }

  private static int[] bestAnswers(Search search) {
    int[] best = new int[search.window().size()];
    for (Lattice lattice : search.lattices()) {
      Lattice.Nodes last = lattice.last();
      for (int call : lattice.calls()) {
        int field = Packing.answerField(call);
        best[call] = -1;
        for (int node = 0; node < last.count; node++) {
          int answer = search.packing().get(last.states, node * search.packing().words(), field);
          if (best[call] < 0
              || rank(search.transitions().answer(call, answer))
                  > rank(search.transitions().answer(call, best[call]))) {
            best[call] = answer;
          }
        }
      }
    }
    return best;
  }

  /** How good an answer is; of KVM_SET_MSRS the more entries the better. */
  private static long rank(Outcome answer) {
    return switch (answer) {
      case Outcome.Returns r -> r.value();
      case Outcome.Succeeds _, Outcome.Runs _, Outcome.Exits _ -> 0;
      case Outcome.Undecided _ -> -1;
      case Outcome.Refused _ -> -2;
    };
  }

  private List<Finals> finals() {
    List<Finals> found = new ArrayList<>();
    for (Lattice lattice : search.lattices()) {
      found.add(Finals.of(search, lattice, best, meant));
    }
    return List.copyOf(found);
  }

  private int[] combine() {
    long count = 1;
    for (Finals each : finals) {
      count *= each.parts().size();
      if (count > MOST_COMBINATIONS) {
        throw new Lattice.OverBudget();
      }
    }
    BigInteger interleavings = interleavings();
    int[] found = new int[(int) count];
    for (int combination = 0; combination < found.length; combination++) {
      int[] parts = parts(combination);
      List<Deviation> refused = new ArrayList<>();
      List<String> differing = new ArrayList<>();
      BigInteger product = interleavings;
      for (int l = 0; l < parts.length; l++) {
        Finals.Part part = finals.get(l).parts().get(parts[l]);
        refused.addAll(part.refused());
        differing.addAll(part.differing());
        product = product.multiply(part.orders());
      }
      refused.sort((a, b) -> Integer.compare(position(a), position(b)));
      Kind kind = new Kind(List.copyOf(refused), inOrder(differing), ending(numbers(parts)));
      Integer known = numbers.putIfAbsent(kind, kinds.size());
      if (known == null) {
        found[combination] = kinds.size();
        kinds.add(kind);
        orders.add(product);
      } else {
        found[combination] = known;
        orders.set(known, orders.get(known).add(product));
      }
    }
    return found;
  }

  /** Names in the order of the parts, whichever lattice wrote them. */
  private static List<String> inOrder(List<String> differing) {
    List<String> sorted = new ArrayList<>();
    for (Cell cell : Cell.ALL) {
      String prefix = cell.prefix();
      differing.stream()
          .filter(name -> (name + ".").startsWith(prefix) && !sorted.contains(name))
          .sorted()
          .forEach(sorted::add);
    }
    return List.copyOf(sorted);
  }

  private int position(Deviation deviation) {
    return search.window().calls().indexOf(deviation.call());
  }

  /** In how many ways orders of the lattices go together: a multinomial coefficient. */
  private BigInteger interleavings() {
    BigInteger product = BigInteger.ONE;
    int sum = 0;
    for (Lattice lattice : search.lattices()) {
      for (int i = 1; i <= lattice.calls().length; i++) {
        sum++;
        product = product.multiply(BigInteger.valueOf(sum)).divide(BigInteger.valueOf(i));
      }
    }
    return product;
  }

  /** The numbers of the vCPU's parts where a combination ends. */
  private int[] numbers(int[] parts) {
    long[] state = search.start();
    for (int l = 0; l < parts.length; l++) {
      long[] mask = search.mask(finals.get(l).lattice());
      long[] from = finals.get(l).parts().get(parts[l]).state();
      for (int w = 0; w < state.length; w++) {
        state[w] = (state[w] & ~mask[w]) | from[w];
      }
    }
    return search.packing().numbers(state, 0);
  }

  private Ending ending(int[] numbers) {
    List<Integer> read = new ArrayList<>();
    for (Cell cell : Cell.ALL) {
      if ((search.endingReads() & cell.bit()) != 0) {
        read.add(numbers[cell.ordinal()]);
      }
    }
    Ending known = endings.get(read);
    if (known != null) {
      return known;
    }
    long before = search.endingReads();
    Search.Ended ended = search.ended(numbers);
    if (search.endingReads() != before) {
      // Parts were put together although the KVM_RUN tells them apart.
      throw new Packing.TooNarrow();
    }
    Vcpu entered = search.transitions().vcpu(ended.entered());
    Ending found =
        new Ending(tail(ended.tail()), ended.run(), entered.inGuestMode(), entered.inSmm());
    endings.put(List.copyOf(read), found);
    return found;
  }
}
