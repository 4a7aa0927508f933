package dev.faultline.reorder;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.ingest.RecordedWindows;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vcpu;
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
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfSystemProperty;
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

  /** Takes an hour or more. */
  @Test
  @EnabledIfSystemProperty(named = "faultline.orders.recordings", matches = ".+")
  void counts_equal_those_of_every_order_of_all_recorded_restores() {
    Set<List<Object>> seen = new HashSet<>();
    long[] walked = new long[2];
    List<String> wrong = new ArrayList<>();
    for (RecordingSource source : recordings(System.getProperty("faultline.orders.recordings"))) {
      RecordedWindows.each(
          source,
          ioctl -> ioctl.uapiName().startsWith("KVM_SET_"),
          (window, _) -> {
            walked[0]++;
            for (Window part : parts(window)) {
              if (seen.add(content(part))) {
                walked[1]++;
                try {
                  compare(part, source.name());
                } catch (AssertionError e) {
                  wrong.add(e.getMessage());
                }
              }
            }
          });
      System.err.printf(
          "%s: %d restores so far, %d windows, %d wrong%n",
          source.name(), walked[0], walked[1], wrong.size());
    }
    assertThat(wrong).as("%d restores, %d windows", walked[0], walked[1]).isEmpty();
  }

  /** A short restore; of a long one its beginning and its end. */
  private static List<Window> parts(Window window) {
    if (window.size() < 2) {
      return List.of();
    }
    if (window.size() <= CALLS) {
      return List.of(window);
    }
    return List.of(cut(window, 0, CALLS), cut(window, window.size() - CALLS, window.size()));
  }

  /** What tells windows apart: the kernel, where they begin, and what is written. */
  private static List<Object> content(Window window) {
    List<Object> content = new ArrayList<>(List.of(window.start().kernel()));
    for (Cell cell : Cell.ALL) {
      content.add(cell.of(window.start()));
    }
    window.calls().forEach(call -> content.add(OrdersConformance.key(call.command())));
    return content;
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
    new Walk(window)
        .orders(
            window.start(),
            replay -> {
              Outcomes.Kind kind = outcomes.kind(replay);
              walked.merge(kind, BigInteger.ONE, BigInteger::add);
              nearest.merge(kind, Witnesses.inversions(replay.order()), Math::min);
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

  /** Every order, call by call; orders that begin alike share their beginning. */
  private static final class Walk {
    private final Window window;
    private final @Nullable String[] excused;
    private final List<Integer> order = new ArrayList<>();
    private final List<Outcome> answers = new ArrayList<>();

    Walk(Window window) {
      this.window = window;
      this.excused = Replay.excuses(window);
    }

    void orders(Vcpu v, Consumer<Replay> visitor) {
      if (order.size() == window.size()) {
        visitor.accept(Replay.ended(window, order, answers, v, excused));
        return;
      }
      for (int call = 0; call < window.size(); call++) {
        if (!order.contains(call)) {
          Step step = Step.of(v, window.calls().get(call), excused[call]);
          order.add(call);
          answers.add(step.outcome());
          orders(step.after(), visitor);
          order.removeLast();
          answers.removeLast();
        }
      }
    }
  }
}
