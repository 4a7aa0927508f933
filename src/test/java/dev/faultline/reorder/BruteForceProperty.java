package dev.faultline.reorder;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.RecordedWindows;
import dev.faultline.ingest.RecordingSource;
import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Splitting into components, footprints and merged states change no count: against every order
 * carried out by the model, one after the other.
 *
 * <p>{@code -Dfaultline.orders.calls=8} and {@code -Dfaultline.orders.windows=1000} walk more and
 * longer windows than every build does.
 */
final class BruteForceProperty {
  private static final int CALLS = Integer.getInteger("faultline.orders.calls", 6);
  private static final int WINDOWS = Integer.getInteger("faultline.orders.windows", 4);
  private static final long SEED = 20261127;
  private static final Lattice.Budget FREE = new Lattice.Budget(1L << 30, () -> false);

  /** The calls of a window without those that are cut off at either end. */
  private static Window cut(Window window, int from, int to) {
    var start = window.start();
    for (WindowCall call : window.calls().subList(0, from)) {
      start = Step.of(start, call, null).after();
    }
    List<WindowCall> tail = new ArrayList<>(window.calls().subList(to, window.size()));
    tail.addAll(window.tail());
    return new Window(start, window.calls().subList(from, to), List.of(), tail, window.run());
  }

  private static List<RecordingSource> recordings(String regex) {
    return RecordedWindows.recordings(regex);
  }

  @ParameterizedTest
  @CsvSource({
    "vmx_invalid_nested_guest_state",
    "vmx/scn_c",
    "vmx/scn_e",
    "vmx/scn_f",
    "vmx-5.10/scn_a",
    "svm/scn_f",
    "qemu/qemu_dst",
    "fuzz/Z5-01"
  })
  void counts_equal_those_of_every_order_of_a_recorded_restore(String recordings) {
    Set<List<String>> seen = new HashSet<>();
    for (RecordingSource source : recordings(recordings)) {
      RecordedWindows.each(
          source,
          ioctl -> ioctl.uapiName().startsWith("KVM_SET_"),
          (window, _) -> {
            int from = Math.max(0, window.size() - CALLS);
            Window last = cut(window, from, window.size());
            if (seen.size() < WINDOWS && seen.add(names(last)) && window.size() > 1) {
              compare(last, source.name());
              compare(cut(window, 0, Math.min(CALLS, window.size())), source.name());
            }
          });
    }
  }

  @Test
  void counts_equal_those_of_every_order_of_seeded_windows() {
    Random random = new Random(SEED);
    for (RecordingSource source : recordings("fuzz/Z5-00|vmx/scn_f|svm/scn_f|qemu/qemu_dst")) {
      RecordedWindows.each(
          source,
          ioctl -> ioctl.uapiName().startsWith("KVM_"),
          (window, _) -> {
            if (window.size() > 1 && random.nextInt(150) == 0) {
              compare(shuffled(window, random), source.name() + " seed " + SEED);
            }
          });
    }
  }

  /** Some of the calls, in any order. */
  private static Window shuffled(Window window, Random random) {
    List<WindowCall> calls = new ArrayList<>(window.calls());
    Collections.shuffle(calls, random);
    int size = Math.min(2 + random.nextInt(CALLS - 1), calls.size());
    return new Window(
        window.start(), calls.subList(0, size), List.of(), window.tail(), window.run());
  }

  private static List<String> names(Window window) {
    return window.calls().stream().map(c -> c.ioctl().name()).toList();
  }

  private static void compare(Window window, String where) {
    List<Integer> recorded = IntStream.range(0, window.size()).boxed().toList();
    Search search = Search.of(window, FREE);
    Outcomes outcomes = new Outcomes(search, Replay.of(window, recorded));
    Map<Outcomes.Kind, BigInteger> walked = new LinkedHashMap<>();
    Map<Outcomes.Kind, Integer> nearest = new HashMap<>();
    walk(
        window.size(),
        new ArrayList<>(),
        order -> {
          Outcomes.Kind kind = outcomes.kind(Replay.of(window, order));
          walked.merge(kind, BigInteger.ONE, BigInteger::add);
          nearest.merge(kind, Witnesses.inversions(order), Math::min);
        });
    Map<Outcomes.Kind, BigInteger> counted = new LinkedHashMap<>();
    for (int kind = 0; kind < outcomes.kinds().size(); kind++) {
      counted.put(outcomes.kinds().get(kind), outcomes.orders(kind));
    }
    String what = where + ": " + window.calls().stream().map(WindowCall::name).toList();
    assertThat(counted).as(what).isEqualTo(walked);
    Witnesses witnesses = new Witnesses(search, outcomes);
    for (int kind = 0; kind < outcomes.kinds().size(); kind++) {
      List<Integer> witness = witnesses.of(kind);
      assertThat(outcomes.kind(Replay.of(window, witness)))
          .as(what)
          .isEqualTo(outcomes.kinds().get(kind));
      assertThat(Witnesses.inversions(witness))
          .as(what)
          .isEqualTo(nearest.get(outcomes.kinds().get(kind)));
    }
  }

  private interface Visitor {
    void order(List<Integer> order);
  }

  private static void walk(int n, List<Integer> order, Visitor visitor) {
    if (order.size() == n) {
      visitor.order(List.copyOf(order));
      return;
    }
    for (int call = 0; call < n; call++) {
      if (!order.contains(call)) {
        order.add(call);
        walk(n, order, visitor);
        order.removeLast();
      }
    }
  }
}
