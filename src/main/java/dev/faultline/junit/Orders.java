package dev.faultline.junit;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.kvm.Ioctl;
import dev.faultline.reorder.OutcomeClass;
import dev.faultline.reorder.Reorder;
import dev.faultline.reorder.Reordering;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowCall;
import dev.faultline.report.Ink;
import dev.faultline.report.OrdersText;
import dev.faultline.trace.KernelFacts;
import dev.faultline.vcpu.KernelModel;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/**
 * What becomes of a restore in every order of its calls. Assertions return this, so that one can
 * follow another; one that fails tells the outcomes that are bad with an order for each, the calls
 * that must come before others, and why.
 */
public final class Orders {
  private static final long BYTES = Runtime.getRuntime().maxMemory() / 2;

  private final String name;
  private final Reordering result;

  private Orders(String name, Reordering result) {
    this.name = name;
    this.result = result;
  }

  /**
   * One call before another, by what they call.
   *
   * @param before the call that comes first
   * @param after the call that comes later
   */
  public record Rule(Ioctl before, Ioctl after) {}

  /** A rule for {@link #areSafeWith}. */
  public static Rule first(Ioctl before, Ioctl after) {
    return new Rule(before, after);
  }

  /**
   * The orders of recorded calls.
   *
   * @param recording a file, or the folder of one recording
   * @param from the recording's number of the first call
   * @param to that of the last, or a negative number for the call before the next KVM_RUN
   * @param kernel the kernel by whose rules they are judged, or empty for the recorded one
   */
  public static Orders of(String recording, long from, long to, String kernel) {
    RecordingSource source = RecordedMigration.one(recording);
    KernelModel told = KernelFacts.model(source.readFacts());
    KernelModel model = kernel.isEmpty() ? told : told.withVersion(Kernels.of(kernel));
    return of(source.name(), RecordedWindow.of(source, model, from, to));
  }

  static Orders of(String name, Window window) {
    Reordering result = Reorder.of(window, BYTES, () -> false);
    if (!result.isWhole()) {
      throw new UsageException(
          ErrorCode.WINDOW_TOO_LARGE,
          name
              + ": expected calls whose orders can all be looked at in "
              + (BYTES >> 20)
              + " MiB, found more; give Java more memory, or name fewer calls");
    }
    return new Orders(name, result);
  }

  /** All that is known of the orders. */
  public Reordering result() {
    return result;
  }

  /** Every order works: all calls are accepted, the state is one, and the guest runs. */
  public Orders areSafe() {
    return demand(result.working().equals(result.orders()), "that every order works");
  }

  /**
   * Every order works in which these calls come first: the restore needs no rule but these.
   *
   * <p>A rule that no order needs is an error too, so that the list stays a specification.
   */
  public Orders areSafeWith(Rule... rules) {
    for (Rule rule : rules) {
      demand(
          result.edges().stream().anyMatch(edge -> is(rule, edge.before(), edge.after())),
          "that " + words(rule) + " in every order that works");
    }
    List<OutcomeClass.Pair> pairs = new ArrayList<>();
    int size = result.window().size();
    for (int a = 0; a < size; a++) {
      for (int b = 0; b < size; b++) {
        int before = a;
        int after = b;
        if (a != b && Arrays.stream(rules).anyMatch(rule -> is(rule, before, after))) {
          pairs.add(new OutcomeClass.Pair(a, b));
        }
      }
    }
    OutcomeClass bad = Reorder.brokenDespite(result.window(), pairs, BYTES);
    String expected =
        Arrays.stream(rules).map(Orders::words).collect(Collectors.joining(" and ", "", ""));
    return bad == null
        ? this
        : fail(
            "that every order works in which " + expected,
            OrdersText.outcome(result.window(), bad));
  }

  private boolean is(Rule rule, int before, int after) {
    List<WindowCall> calls = result.window().calls();
    return calls.get(before).ioctl() == rule.before() && calls.get(after).ioctl() == rule.after();
  }

  private static String words(Rule rule) {
    return rule.before().uapiName() + " comes before " + rule.after().uapiName();
  }

  private Orders demand(boolean is, String expected) {
    return is
        ? this
        : fail(
            expected,
            result.orders().subtract(result.working())
                + " of "
                + result.orders()
                + " that do not work");
  }

  private Orders fail(String expected, String found) {
    StringWriter text = new StringWriter();
    new OrdersText(new PrintWriter(text), Ink.PLAIN).write(name, result);
    throw new AssertionError(name + ": expected " + expected + ", found " + found + "\n" + text);
  }
}
