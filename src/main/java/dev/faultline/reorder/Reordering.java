package dev.faultline.reorder;

import java.math.BigInteger;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What became of every order.
 *
 * @param window what was reordered
 * @param orders how many orders there are
 * @param covered how many of them were looked at: those that begin with the first {@code fixed}
 *     calls as recorded
 * @param fixed how many calls at the beginning were left in place because of the budget
 * @param classes outcomes: those that work first, then by number of orders
 * @param recorded the class of the recorded order, an index
 * @param edges which call comes before which in every order that works
 * @param noReturn after how many calls of the recorded order every continuation ends in a fault,
 *     where the recorded order does; otherwise null
 * @param components sets of calls that do not influence each other, as positions
 * @param nodes how many states after sets of calls were told apart
 * @param disagreements recorded answers that are not the ones that the model gives in the recorded
 *     order, as positions; what is told rests on the model
 */
public record Reordering(
    Window window,
    BigInteger orders,
    BigInteger covered,
    int fixed,
    List<OutcomeClass> classes,
    int recorded,
    List<Edge> edges,
    @Nullable Integer noReturn,
    List<List<Integer>> components,
    long nodes,
    List<Integer> disagreements) {
  public Reordering {
    classes = List.copyOf(classes);
    edges = List.copyOf(edges);
    components = List.copyOf(components);
    disagreements = List.copyOf(disagreements);
  }

  /** True if every order was looked at. */
  public boolean isWhole() {
    return covered.equals(orders);
  }

  /** The orders that work. */
  public BigInteger working() {
    BigInteger sum = BigInteger.ZERO;
    for (OutcomeClass each : classes) {
      if (each.works()) {
        sum = sum.add(each.orders());
      }
    }
    return sum;
  }
}
