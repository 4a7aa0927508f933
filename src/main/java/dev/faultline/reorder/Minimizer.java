package dev.faultline.reorder;

import java.util.ArrayList;
import java.util.List;
import java.util.function.BooleanSupplier;
import java.util.function.Predicate;

/**
 * Delta debugging: leaves out of a list what can be left out while a property holds, in order.
 *
 * <p>The result has the property, and loses it if any single element is taken out as well, unless
 * the work was cancelled before that was found out.
 *
 * <p><i>Source</i>: Andreas Zeller, Ralf Hildebrandt, "Simplifying and Isolating Failure-Inducing
 * Input", IEEE Transactions on Software Engineering 28(2), 2002: the complements of ever finer
 * parts.
 */
public final class Minimizer<T> {
  private final Predicate<List<T>> holds;
  private final BooleanSupplier cancelled;
  private long tests;

  /**
   * For this property.
   *
   * @param cancelled asked before each test; once it is true, the smallest list so far is the
   *     result
   */
  public Minimizer(Predicate<List<T>> holds, BooleanSupplier cancelled) {
    this.holds = holds;
    this.cancelled = cancelled;
  }

  /** How often the property was tested. */
  public long tests() {
    return tests;
  }

  /** A smallest part of the list that still has the property, which the whole must have. */
  public List<T> minimize(List<T> whole) {
    List<T> list = List.copyOf(whole);
    int size = Math.max(1, list.size() / 2);
    while (!cancelled.getAsBoolean()) {
      List<T> shorter = withoutParts(list, size);
      boolean shrank = shorter.size() < list.size();
      list = shorter;
      if (size == 1 && !shrank) {
        break;
      }
      size = Math.max(1, Math.min(size / 2, list.size() / 2));
    }
    return list;
  }

  /** Tries to take out each part of a size, from the end, where what matters least often stands. */
  private List<T> withoutParts(List<T> whole, int size) {
    List<T> list = whole;
    int end = list.size();
    while (end > 0 && !cancelled.getAsBoolean()) {
      int from = Math.max(0, end - size);
      List<T> shorter = new ArrayList<>(list.subList(0, from));
      shorter.addAll(list.subList(end, list.size()));
      tests++;
      if (!shorter.isEmpty() && holds.test(shorter)) {
        list = shorter;
      }
      end = from;
    }
    return list;
  }
}
