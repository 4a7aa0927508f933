package dev.faultline.report;

import dev.faultline.reorder.Edge;
import dev.faultline.reorder.OutcomeClass;
import dev.faultline.reorder.Reordering;
import dev.faultline.reorder.Window;
import dev.faultline.reorder.WindowCall;
import java.io.PrintWriter;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.util.List;
import java.util.Locale;

/** What {@code reorder} found, as text. */
public final class OrdersText {
  private static final int MOST_CLASSES = 12;
  private static final int MOST_EXPLAINED = 4;
  private static final int HUNDRED = 100;
  private static final int DIGITS = 3;

  private final PrintWriter out;
  private final Ink ink;

  public OrdersText(PrintWriter out, Ink ink) {
    this.out = out;
    this.ink = ink;
  }

  /** Writes everything that is told of one window. */
  public void write(String recording, Reordering result) {
    Window window = result.window();
    out.println(
        ink.strong(recording)
            + ": "
            + VerificationText.count(window.size(), "call", "calls")
            + " of "
            + window.start().name()
            + ", "
            + number(result.orders())
            + (result.orders().equals(BigInteger.ONE) ? " order" : " orders"));
    calls(result);
    coverage(result);
    out.println();
    classes(result);
    edges(result);
    noReturn(result);
    explanations(result);
    out.flush();
  }

  /** An outcome of one order in words. */
  public static String outcome(Window window, OutcomeClass each) {
    return OrderWords.witness(window, each.witness()) + ": " + OrderWords.outcome(window, each);
  }

  private void calls(Reordering result) {
    Window window = result.window();
    for (int i = 0; i < window.size(); i++) {
      WindowCall call = window.calls().get(i);
      String note = window.pinned().contains(i) ? "  stays" : "";
      if (result.disagreements().contains(i)) {
        note += "  recorded otherwise than the rules say";
      }
      out.printf(Locale.ROOT, "  %6d %s%s%n", call.seq(), call.ioctl().uapiName(), note);
    }
    WindowCall run = window.run();
    out.println(run == null ? "         no KVM_RUN follows" : "  then   " + run.name());
  }

  private void coverage(Reordering result) {
    if (!result.isWhole()) {
      out.println(
          ink.bad(
              "only "
                  + number(result.covered())
                  + " orders were looked at, those that begin with the first "
                  + VerificationText.count(result.fixed(), "call", "calls")
                  + " as recorded; --memory allows more, --pin asks for less"));
    }
  }

  private void classes(Reordering result) {
    List<OutcomeClass> classes = result.classes();
    BigInteger shown = BigInteger.ZERO;
    for (int i = 0; i < classes.size() && i < MOST_CLASSES; i++) {
      OutcomeClass each = classes.get(i);
      shown = shown.add(each.orders());
      String words = OrderWords.outcome(result.window(), each);
      out.printf(
          Locale.ROOT,
          "%s %s %6s  %s%n",
          i == result.recorded() ? "*" : " ",
          pad(result, each.orders()),
          percent(each.orders(), result.covered()),
          each.works() ? ink.good(words) : words);
      if (i != result.recorded()) {
        out.println(
            ink.faint(
                " ".repeat(pad(result, each.orders()).length() + 11)
                    + (each.fewest() ? "nearest: " : "for one: ")
                    + OrderWords.witness(result.window(), each.witness())));
      }
    }
    if (classes.size() > MOST_CLASSES) {
      out.println(
          "  "
              + number(result.covered().subtract(shown))
              + " orders have "
              + (classes.size() - MOST_CLASSES)
              + " further outcomes; --format json lists them");
    }
    out.println(ink.faint("* what was recorded"));
  }

  private String pad(Reordering result, BigInteger orders) {
    int width = result.covered().toString().length();
    return " ".repeat(Math.max(0, width - orders.toString().length())) + orders;
  }

  private void edges(Reordering result) {
    List<Edge> direct = result.edges().stream().filter(Edge::direct).toList();
    out.println();
    if (result.working().signum() == 0) {
      out.println("No order works.");
    } else if (direct.isEmpty()) {
      out.println("No call must come before another one.");
    } else {
      out.println("In every order that works:");
      for (Edge edge : direct) {
        Window window = result.window();
        out.println(
            "  "
                + ink.strong(
                    OrderWords.name(window, window.calls().get(edge.before()))
                        + " before "
                        + OrderWords.name(window, window.calls().get(edge.after()))));
        out.println("    " + OrderWords.because(window, edge));
      }
    }
  }

  private void noReturn(Reordering result) {
    Integer made = result.noReturn();
    if (made == null) {
      return;
    }
    out.println();
    out.println(
        made == 0
            ? "Every order of these calls ends in a fault; the point of no return lies before them."
            : "Point of no return: after "
                + result.window().calls().get(made - 1).name()
                + " every continuation ends in a fault.");
  }

  private void explanations(Reordering result) {
    int told = 0;
    for (OutcomeClass each : result.classes()) {
      if (!each.works() && told++ < MOST_EXPLAINED) {
        out.println();
        out.println(
            ink.bad(percent(each.orders(), result.covered()))
                + " "
                + OrderWords.explanation(result, each));
      }
    }
  }

  /** {@code 25.0%}; at least a thousandth where there is any. */
  private static String percent(BigInteger part, BigInteger whole) {
    BigDecimal share =
        new BigDecimal(part)
            .multiply(BigDecimal.valueOf(HUNDRED))
            .divide(new BigDecimal(whole), new MathContext(DIGITS, RoundingMode.DOWN));
    return (share.compareTo(new BigDecimal("0.001")) < 0
            ? "<0.001"
            : share
                .setScale(share.compareTo(BigDecimal.ONE) < 0 ? DIGITS : 1, RoundingMode.DOWN)
                .toPlainString())
        + "%";
  }

  private static String number(BigInteger number) {
    return String.format(Locale.ROOT, "%,d", number);
  }
}
