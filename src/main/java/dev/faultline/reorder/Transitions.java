package dev.faultline.reorder;

import dev.faultline.InvariantViolation;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.vcpu.Answer;
import dev.faultline.vcpu.Outcome;
import dev.faultline.vcpu.Vcpu;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What each call of a window does, by number: every value that a part of the vCPU ever takes gets a
 * number, and so does every answer of a call.
 *
 * <p>A call is carried out by the model once for each combination of values of those parts that it
 * reads. Which these are is found by taking parts away (see {@link Cell}): the call is carried out
 * on a vCPU that has only the parts it is known to read; should it reach for another one, that part
 * joins its footprint. So a footprint holds for every state that was asked for, by proof and not by
 * a table.
 *
 * <p>Numbers are given in the order of the questions and mean nothing outside.
 */
final class Transitions {
  private static final Cell.Tables EMPTY_TABLES =
      new Cell.Tables(KvmCpuid2.of(List.of()), Answer.YES);

  private final Vcpu frame;
  private final List<WindowCall> calls;
  private final @Nullable String[] excused;
  private final List<Numbers<CellValue>> values = new ArrayList<>();
  private final List<Numbers<Outcome>> answers = new ArrayList<>();
  private final List<Map<Reading, Effect>> memo = new ArrayList<>();
  private final long[] reads;
  private final long[] writes;
  private long evaluations;

  /** The value of a part, equal by what a call can do with it. */
  private record CellValue(@Nullable Object value) {
    @Override
    public boolean equals(@Nullable Object o) {
      return o instanceof CellValue other && Cell.same(value, other.value);
    }

    @Override
    public int hashCode() {
      return Cell.hash(value);
    }
  }

  /** The numbers of the values that a call reads. */
  private record Reading(List<Integer> numbers) {}

  /**
   * What a call does in some states.
   *
   * @param answer the number of its answer
   * @param written the parts that get other values
   * @param to the numbers of these values, by part
   */
  @SuppressWarnings("ArrayRecordComponent") // Compared nowhere, and copied nowhere.
  record Effect(int answer, long written, int[] to) {}

  private static final class Numbers<T> {
    private final Map<T, Integer> numbers = new HashMap<>();
    private final List<T> all = new ArrayList<>();

    int of(T value) {
      Integer known = numbers.get(value);
      if (known != null) {
        return known;
      }
      numbers.put(value, all.size());
      all.add(value);
      return all.size() - 1;
    }
  }

  /**
   * Of these calls, on vCPUs that differ from {@code frame} in their parts only.
   *
   * @param excused for each call what the model misses where it was recorded, or null
   */
  Transitions(Vcpu frame, List<WindowCall> calls, @Nullable String[] excused) {
    this.frame = frame;
    this.calls = calls;
    this.excused = excused;
    this.reads = new long[calls.size()];
    this.writes = new long[calls.size()];
    for (int i = 0; i < Cell.COUNT; i++) {
      values.add(new Numbers<>());
    }
    for (int i = 0; i < calls.size(); i++) {
      answers.add(new Numbers<>());
      memo.add(new HashMap<>());
    }
  }

  int callCount() {
    return calls.size();
  }

  /** The numbers of the parts of a vCPU. */
  synchronized int[] numbers(Vcpu v) {
    @Nullable Object[] parts = Cell.parts(v);
    int[] numbers = new int[Cell.COUNT];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = values.get(i).of(new CellValue(parts[i]));
    }
    return numbers;
  }

  /** The vCPU of these numbers; who wrote what in it is not told truly. */
  synchronized Vcpu vcpu(int[] numbers) {
    return Cell.assemble(frame, parts(numbers, -1L));
  }

  synchronized @Nullable Object value(Cell cell, int number) {
    return values.get(cell.ordinal()).all.get(number).value();
  }

  synchronized Outcome answer(int call, int number) {
    return answers.get(call).all.get(number);
  }

  /** How many values a part took so far. */
  synchronized int valueCount(Cell cell) {
    return values.get(cell.ordinal()).all.size();
  }

  /** How many answers a call gave so far. */
  synchronized int answerCount(int call) {
    return answers.get(call).all.size();
  }

  /** The parts that the call reads in any state asked for so far. */
  synchronized long reads(int call) {
    return reads[call];
  }

  /** The parts that the call writes in any state asked for so far. */
  synchronized long writes(int call) {
    return writes[call];
  }

  /** How often the model was asked. */
  synchronized long evaluations() {
    return evaluations;
  }

  /** What the call does on the vCPU of these numbers. */
  synchronized Effect effect(int call, int[] numbers) {
    Effect known = memo.get(call).get(reading(call, numbers));
    if (known != null) {
      return known;
    }
    Effect found = evaluate(call, numbers);
    if (found == null) {
      widen(call, numbers);
      memo.get(call).clear();
      found = evaluate(call, numbers);
      if (found == null) {
        throw new InvariantViolation(
            calls.get(call).name() + " reads parts that it was found not to read");
      }
    }
    memo.get(call).put(reading(call, numbers), found);
    return found;
  }

  private Reading reading(int call, int[] numbers) {
    List<Integer> read = new ArrayList<>();
    for (int i = 0; i < Cell.COUNT; i++) {
      if ((reads[call] & 1L << i) != 0) {
        read.add(numbers[i]);
      }
    }
    return new Reading(read);
  }

  private @Nullable Object[] parts(int[] numbers, long kept) {
    @Nullable Object[] parts = new Object[Cell.COUNT];
    for (int i = 0; i < parts.length; i++) {
      if ((kept & 1L << i) != 0) {
        parts[i] = values.get(i).all.get(numbers[i]).value();
      }
    }
    return parts;
  }

  /** Adds to the footprint of a call what it reads in this state. */
  private void widen(int call, int[] numbers) {
    long all = (1L << Cell.COUNT) - 1;
    @Nullable Object[] whole = parts(numbers, all);
    Step full = step(call, whole);
    if (full == null) {
      throw new InvariantViolation(calls.get(call).name() + " cannot be carried out");
    }
    for (Cell cell : Cell.ALL) {
      if ((reads[call] & cell.bit()) == 0 && depends(call, whole, cell, full)) {
        reads[call] |= cell.bit();
      }
    }
  }

  private boolean depends(int call, @Nullable Object[] whole, Cell cell, Step full) {
    return changes(call, whole, cell, null, full)
        || (cell == Cell.CPUID && changes(call, whole, cell, EMPTY_TABLES, full));
  }

  /** Whether the call does something else when one part has another value, or is taken away. */
  private boolean changes(
      int call, @Nullable Object[] parts, Cell cell, @Nullable Object value, Step expected) {
    @Nullable Object[] changed = parts.clone();
    changed[cell.ordinal()] = value;
    Step found = step(call, changed);
    return found == null || (!cell.failsWhenAbsent() && differs(found, expected, cell));
  }

  /** Whether the results differ but for the part that was given another value. */
  private static boolean differs(Step a, Step b, Cell but) {
    if (!a.outcome().equals(b.outcome())) {
      return true;
    }
    for (Cell cell : Cell.ALL) {
      if (cell != but && !Cell.same(cell.of(a.after()), cell.of(b.after()))) {
        return true;
      }
    }
    return false;
  }

  /** The call on these parts; null when it reads one that was taken away. */
  @SuppressWarnings("NullPointerException") // How a part that was taken away shows that it is read.
  private @Nullable Step step(int call, @Nullable Object[] parts) {
    evaluations++;
    try {
      return Step.of(Cell.assemble(frame, parts), calls.get(call), excused[call]);
    } catch (NullPointerException _) {
      return null;
    }
  }

  /** Carries the call out on its footprint alone; null when that is not enough. */
  @SuppressWarnings("ReferenceEquality") // What is the very same object was not written.
  private @Nullable Effect evaluate(int call, int[] numbers) {
    long footprint = reads[call];
    @Nullable Object[] parts = parts(numbers, footprint | constants());
    Step step = step(call, parts);
    if (step == null || peeks(call, numbers, parts, step)) {
      return null;
    }
    long written = 0;
    int[] to = new int[Cell.COUNT];
    for (Cell cell : Cell.ALL) {
      int i = cell.ordinal();
      Object after = cell.of(step.after());
      if (parts[i] == after
          || (!cell.failsWhenAbsent() && after != null && Cell.same(parts[i], after))) {
        continue;
      }
      writes[call] |= cell.bit();
      to[i] = number(cell, after);
      if ((footprint & cell.bit()) == 0 || to[i] != numbers[i]) {
        written |= cell.bit();
      }
    }
    return new Effect(answers.get(call).of(step.outcome()), written, to);
  }

  /**
   * Parts that cannot be taken away and have only one value so far: whoever reads them reads
   * nothing that changes.
   */
  private long constants() {
    long constant = 0;
    for (Cell cell : Cell.ALL) {
      if (!cell.failsWhenAbsent() && valueCount(cell) == 1) {
        constant |= cell.bit();
      }
    }
    return constant;
  }

  private int number(Cell cell, @Nullable Object value) {
    boolean constant = valueCount(cell) == 1;
    int number = values.get(cell.ordinal()).of(new CellValue(value));
    if (constant && !cell.failsWhenAbsent() && valueCount(cell) > 1) {
      // What was found so far was found with the one value.
      memo.forEach(Map::clear);
    }
    return number;
  }

  /** Whether the call reads a part outside its footprint that does not fail when taken away. */
  private boolean peeks(int call, int[] numbers, @Nullable Object[] parts, Step step) {
    for (Cell cell : Cell.ALL) {
      if (cell.failsWhenAbsent()
          || (reads[call] & cell.bit()) != 0
          || parts[cell.ordinal()] != null) {
        continue;
      }
      Object actual = values.get(cell.ordinal()).all.get(numbers[cell.ordinal()]).value();
      if (changes(call, parts, cell, actual, step)
          || (cell == Cell.CPUID && changes(call, parts, cell, EMPTY_TABLES, step))) {
        return true;
      }
    }
    return false;
  }
}
