package dev.faultline.trace;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.UsageException;
import dev.faultline.trace.Observation.Call;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.PriorityQueue;
import org.jspecify.annotations.Nullable;

/**
 * Reads several inputs of one machine as one, by the clock that they have in common.
 *
 * <p>Calls come in the order in which they returned. An input without its own number for a line
 * keeps none; all others are numbered anew, and VMs are numbered anew in the order in which they
 * appear, since every input begins with {@code vm1}.
 *
 * <p><i>Order</i>: within an input the order stays. Between two, tracers look at the clock a little
 * before or after the kernel does, so neighbours may have returned in the other order; {@link
 * #merged()} tells how near is too near.
 *
 * <p><i>Errors</i>: clocks that differ or are missing are a {@link UsageException} when the reader
 * is made; a thread that calls in two inputs, so that these are of two machines or tell the same
 * twice, is a {@link FormatException}.
 */
public final class MergedReader implements ObservationReader {
  /** A tracer may look at the clock as much later, where another thread runs in between. */
  static final long TRACER_NS = 2_000_000;

  private static final long SECOND_NS = 1_000_000_000;
  private static final long US_NS = 1000;

  /** Times from here on count from 1970, and not from a boot or midnight. */
  private static final long EPOCH_NS = 100_000_000L * SECOND_NS;

  private final List<Input> inputs = new ArrayList<>();
  private final PriorityQueue<Input> next =
      new PriorityQueue<>((a, b) -> {
        int byTime = Long.compare(a.ns, b.ns);
        return byTime != 0 ? byTime : Integer.compare(a.number, b.number);
      });
  private final Map<String, String> vms = new HashMap<>();
  private final Map<Long, Input> threads = new HashMap<>();
  private final String clock;
  private long seq;
  private long near;
  private @Nullable Input last;
  private long lastNs;

  /** One input, at its next line. */
  private static final class Input {
    private final int number;
    private final String name;
    private final ObservationReader reader;
    private @Nullable Observation ahead;
    private long ns;
    private boolean fine;

    Input(int number, String name, ObservationReader reader) {
      this.number = number;
      this.name = name;
      this.reader = reader;
    }

    /** Goes to the next line; false if there is none. A time never goes back within an input. */
    boolean advance() {
      ahead = reader.hasNext() ? reader.next() : null;
      if (ahead != null) {
        long at = ahead instanceof Call call ? call.exitNs() : ahead.enterNs();
        fine |= at % SECOND_NS != 0;
        ns = Math.max(ns, at);
      }
      return ahead != null;
    }
  }

  /**
   * A reader of these, which it closes.
   *
   * @param names what messages call them
   */
  public MergedReader(List<String> names, List<ObservationReader> readers) {
    for (int i = 0; i < readers.size(); i++) {
      Input input = new Input(i, names.get(i), readers.get(i));
      inputs.add(input);
      if (input.advance()) {
        next.add(input);
      }
    }
    this.clock = clock();
  }

  /** The clock of all inputs. */
  private String clock() {
    String common = null;
    String of = "";
    for (Input input : inputs) {
      if (input.ahead == null) {
        continue;
      }
      String own = clock(input);
      if (common != null && !common.equals(own)) {
        throw unmergeable("one clock", common + " in " + of + " and " + own + " in " + input.name);
      }
      common = own;
      of = input.name;
    }
    return common == null ? "nothing" : common;
  }

  private static String clock(Input input) {
    Observation first = input.ahead;
    long ns = first == null ? -1 : first.enterNs();
    if (ns < 0) {
      throw unmergeable("times", input.name + ", which tells none (strace -ttt does)");
    }
    return switch (input.reader.format()) {
      case STRACE -> ns >= EPOCH_NS ? "the time of day with its date" : "the time of day";
      case KERNEL_TRACE -> "the kernel trace's clock";
      case RECORDING, UNKNOWN -> "CLOCK_MONOTONIC";
    };
  }

  private static UsageException unmergeable(String expected, String found) {
    return new UsageException(
        ErrorCode.INPUTS_UNMERGEABLE,
        "expected inputs of one machine with "
            + expected
            + ", found "
            + found
            + "; import them one by one");
  }

  @Override
  public boolean hasNext() {
    return !next.isEmpty();
  }

  @Override
  public Observation next() {
    Input input = next.poll();
    Observation line = input == null ? null : input.ahead;
    if (input == null || line == null) {
      throw new NoSuchElementException("all inputs are at their end");
    }
    long ns = input.ns;
    if (last != null && last != input && ns - lastNs <= uncertaintyNs()) {
      near++;
    }
    last = input;
    lastNs = ns;
    if (line instanceof Call call) {
      demandOwn(input, call);
    }
    if (input.advance()) {
      next.add(input);
    }
    return Renumbered.of(line, line.seq() < 0 ? -1 : seq++, obj -> renamed(input, obj));
  }

  private void demandOwn(Input input, Call call) {
    if (call.tid() <= 0) {
      return;
    }
    Input other = threads.putIfAbsent(call.tid(), input);
    if (other != null && other != input) {
      throw FormatException.corrupt(
          ErrorCode.INPUTS_UNMERGEABLE,
          call.where()
              + ": expected inputs of different programs on one machine, found that thread "
              + call.tid()
              + " calls in "
              + other.name
              + ", too: they tell the same twice, or are of two machines; import them one by one");
    }
  }

  /** {@code vm1/vcpu0} of an input with the number that its VM has in all of them. */
  private String renamed(Input input, String obj) {
    int end = 2;
    while (end < obj.length() && Character.isDigit(obj.charAt(end))) {
      end++;
    }
    if (!obj.startsWith("vm") || end == 2) {
      return obj;
    }
    String vm =
        vms.computeIfAbsent(
            input.number + ":" + obj.substring(0, end), _ -> "vm" + (vms.size() + 1));
    return vm + obj.substring(end);
  }

  private long uncertaintyNs() {
    long precision = 1;
    for (Input input : inputs) {
      long own =
          switch (input.reader.format()) {
            case STRACE -> input.fine ? US_NS : SECOND_NS;
            case KERNEL_TRACE -> US_NS;
            case RECORDING, UNKNOWN -> 1;
          };
      precision = Math.max(precision, own);
    }
    return TRACER_NS + precision;
  }

  /** What the inputs have in common. */
  @Override
  public Merged merged() {
    return new Merged(
        clock, uncertaintyNs(), near, inputs.stream().map(input -> input.name).toList());
  }

  /** Of the first input that has a trace. */
  @Override
  public @Nullable MergeReport mergeReport() {
    for (Input input : inputs) {
      if (input.reader.mergeReport() != null) {
        return input.reader.mergeReport();
      }
    }
    return null;
  }

  @Override
  public InputFormat format() {
    return inputs.getFirst().reader.format();
  }

  @Override
  public LeftOut leftOut() {
    long damaged = 0;
    long unreturned = 0;
    List<String> places = new ArrayList<>();
    for (Input input : inputs) {
      LeftOut own = input.reader.leftOut();
      damaged += own.damaged();
      unreturned += own.unreturned();
      places.addAll(own.places());
    }
    return new LeftOut(damaged, unreturned, places);
  }

  @Override
  public void close() {
    inputs.forEach(input -> input.reader.close());
  }
}
