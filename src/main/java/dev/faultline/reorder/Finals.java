package dev.faultline.reorder;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the orders of one lattice end: nodes with all its calls made, put together where they make
 * no difference for anything that is told.
 *
 * @param lattice the lattice
 * @param parts the groups
 * @param partOf for each last node the number of its group
 */
@SuppressWarnings("ArrayRecordComponent") // Compared nowhere.
record Finals(Lattice lattice, List<Part> parts, int[] partOf) {

  /**
   * Last nodes that are told apart by nothing.
   *
   * @param orders how many orders of the lattice's calls end here
   * @param state one of the states, bits of other lattices cleared
   * @param refused calls that answer worse than they can
   * @param differing fields that differ from the state meant
   */
  record Part(BigInteger orders, long[] state, List<Deviation> refused, List<String> differing) {}

  private record Key(List<Deviation> refused, List<String> differing, List<Long> seen) {}

  /**
   * Each last node on its own, or those with equal deviations and differences together.
   *
   * @param meant numbers of the parts of the state meant, by cell
   */
  static Finals of(Search search, Lattice lattice, int[] best, int[] meant) {
    Packing packing = search.packing();
    long[] mask = search.mask(lattice);
    long[] seen = new long[packing.words()];
    for (Cell cell : Cell.ALL) {
      if ((search.endingReads() & cell.bit()) != 0) {
        packing.cover(seen, cell.ordinal());
      }
    }
    Lattice.Nodes last = lattice.last();
    int words = packing.words();
    int[] partOf = new int[last.count];
    Map<Key, Integer> numbers = new LinkedHashMap<>();
    List<Part> parts = new ArrayList<>();
    for (int node = 0; node < last.count; node++) {
      long[] state = Arrays.copyOfRange(last.states, node * words, (node + 1) * words);
      List<Long> read = new ArrayList<>();
      for (int w = 0; w < words; w++) {
        state[w] &= mask[w];
        read.add(state[w] & seen[w]);
      }
      List<Deviation> refused = deviations(search, lattice, state, best);
      List<String> differing = differing(search, lattice, state, meant);
      Integer known = numbers.putIfAbsent(new Key(refused, differing, read), parts.size());
      if (known == null) {
        partOf[node] = parts.size();
        parts.add(new Part(last.orders(node), state, refused, differing));
      } else {
        partOf[node] = known;
        Part old = parts.get(known);
        parts.set(
            known, new Part(old.orders().add(last.orders(node)), old.state(), refused, differing));
      }
    }
    return new Finals(lattice, List.copyOf(parts), partOf);
  }

  private static List<Deviation> deviations(
      Search search, Lattice lattice, long[] state, int[] best) {
    List<Deviation> found = new ArrayList<>();
    for (int call : lattice.calls()) {
      int answer = search.packing().get(state, 0, Packing.answerField(call));
      if (answer != best[call]) {
        found.add(
            new Deviation(
                search.window().calls().get(call), search.transitions().answer(call, answer)));
      }
    }
    return List.copyOf(found);
  }

  private static List<String> differing(Search search, Lattice lattice, long[] state, int[] meant) {
    long written = 0;
    for (int call : lattice.calls()) {
      written |= search.transitions().writes(call);
    }
    List<String> names = new ArrayList<>();
    for (Cell cell : Cell.ALL) {
      int number = search.packing().get(state, 0, cell.ordinal());
      if ((written & cell.bit()) != 0 && number != meant[cell.ordinal()]) {
        names.addAll(
            FieldDifferences.of(
                cell,
                search.transitions().value(cell, meant[cell.ordinal()]),
                search.transitions().value(cell, number)));
      }
    }
    return List.copyOf(names);
  }
}
