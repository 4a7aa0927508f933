package dev.faultline.cli;

import java.time.Duration;
import java.util.Locale;
import me.tongfei.progressbar.ProgressBarRenderer;
import me.tongfei.progressbar.ProgressState;

/**
 * Draws how far an import is: share, bar, lines, rate and the time that is left.
 *
 * <p><i>Shape</i>: {@code 42% [=======> ] 30,100 of 71,520 lines, 4,200/s, 9 s left}.
 */
final class ImportBar implements ProgressBarRenderer {
  private static final int LEAST_BAR = 8;
  private static final long NS_A_SECOND = 1_000_000_000L;
  private static final long RATE_KNOWN_NS = NS_A_SECOND / 2;
  private static final int MINUTE_S = 60;
  private static final int HOUR_S = 3600;

  @Override
  public String render(ProgressState state, int maxLength) {
    String message = state.getExtraMessage();
    return line(
        state.getCurrent(),
        state.getMax(),
        state.getElapsedAfterStart(),
        message == null ? "" : message,
        maxLength);
  }

  /**
   * The line at a time, padded to its width.
   *
   * @param message stands in the place of rate and time, if it is not empty
   */
  static String line(long done, long all, Duration elapsed, String message, int width) {
    long of = Math.max(all, done);
    int percent = of == 0 ? 0 : (int) (done * 100 / of);
    String right =
        String.format(Locale.ROOT, "] %,d of %,d lines", done, of)
            + (message.isEmpty() ? rate(done, of, elapsed.toNanos()) : ", " + message);
    String left = String.format(Locale.ROOT, "%3d%% [", percent);
    int room = width - left.length() - right.length();
    if (room < LEAST_BAR) {
      String bare = left.substring(0, left.indexOf('[')) + right.substring(2);
      return pad(bare, width);
    }
    int full = of == 0 ? 0 : (int) (room * done / of);
    String bar = "=".repeat(full) + (full < room ? ">" : "");
    return left + bar + " ".repeat(room - bar.length()) + right;
  }

  private static String rate(long done, long of, long ns) {
    if (ns < RATE_KNOWN_NS || done == 0) {
      return "";
    }
    double perSecond = (double) done * NS_A_SECOND / ns;
    String rate = String.format(Locale.ROOT, ", %,d/s", Math.round(perSecond));
    return done == of ? rate : rate + ", " + time((long) Math.ceil((of - done) / perSecond));
  }

  private static String time(long seconds) {
    if (seconds < 2 * MINUTE_S) {
      return seconds + " s left";
    }
    return seconds < 2 * HOUR_S
        ? seconds / MINUTE_S + " min left"
        : seconds / HOUR_S + " h " + seconds % HOUR_S / MINUTE_S + " min left";
  }

  private static String pad(String text, int width) {
    return text.length() >= width
        ? text.substring(0, width)
        : text + " ".repeat(width - text.length());
  }
}
