package dev.faultline.reorder;

import java.math.BigInteger;
import java.util.List;

/**
 * Orders that come to the same.
 *
 * @param orders how many
 * @param works whether every call is accepted, the state is the one meant, and the KVM_RUN after it
 *     is not ended by KVM
 * @param refused calls that answer worse than they can
 * @param differing names of the fields that differ from the state meant
 * @param ending what follows
 * @param witness one of the orders, as positions in the window
 * @param inversions how many pairs of calls the witness makes in another order than was recorded
 * @param fewest whether no order of the class has fewer
 * @param always pairs of calls that come in the first's order before the second in every order of
 *     the class, and not in every one that works; empty where that was not looked for
 */
public record OutcomeClass(
    BigInteger orders,
    boolean works,
    List<Deviation> refused,
    List<String> differing,
    Ending ending,
    List<Integer> witness,
    int inversions,
    boolean fewest,
    List<Pair> always) {

  /**
   * Two calls of the window.
   *
   * @param before the position of the one that comes first
   * @param after the position of the other
   */
  public record Pair(int before, int after) {}

  public OutcomeClass {
    refused = List.copyOf(refused);
    differing = List.copyOf(differing);
    witness = List.copyOf(witness);
    always = List.copyOf(always);
  }
}
