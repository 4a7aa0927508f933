package dev.faultline.trace;

/**
 * What stands before the call in a line of strace: who called, and when.
 *
 * <p><i>Shape</i>: {@code [pid 4711] } or {@code 4711 } with {@code -f}, the thread's comm in angle
 * brackets behind the number with {@code --decode-pids}; then one of
 *
 * <pre>
 * 1700000000.123456   -ttt, or --absolute-timestamps=format:unix
 * 12:34:56.789012     -tt
 * 12:34:56            -t
 *      0.000123       -r, counted from the line before
 * </pre>
 *
 * <p>{@code -r} beside another of them is printed in parentheses, and is of no use then. {@code -i}
 * and {@code -n} print a number in square brackets.
 */
final class StraceLine {
  private static final long NS_PER_SECOND = 1_000_000_000L;
  private static final long SECONDS_PER_DAY = 86_400;
  private static final long NS_PER_DAY = SECONDS_PER_DAY * NS_PER_SECOND;
  private static final long OLDEST_EPOCH_SECONDS = 100_000_000L;
  private static final int MAX_DIGITS = 12;

  private byte[] text = new byte[0];
  private int at;
  private int end;
  private long tid;
  private long ns = -1;
  private long dayNs;
  private long lastOfDayNs = -1;
  private long relativeNs;

  /** Reads the beginning of the line, and gives the position behind it. */
  int read(byte[] line, int from, int to) {
    text = line;
    at = from;
    end = to;
    ns = -1;
    tid = 0;
    thread();
    time();
    brackets();
    return at;
  }

  /** The thread; 0 when the line names none. */
  long tid() {
    return tid;
  }

  /** When the line was printed, in ns of strace's clock; -1 when it does not tell. */
  long ns() {
    return ns;
  }

  private void thread() {
    int start = at;
    boolean bracket = starts("[pid ");
    if (bracket) {
      at += "[pid ".length();
      blanks();
    }
    long number = digits();
    if (number >= 0 && at < end && text[at] == '<') {
      skipAngles();
    }
    char closing = bracket ? ']' : ' ';
    if (number < 0 || at >= end || text[at] != closing) {
      at = start;
      return;
    }
    tid = number;
    at++;
    blanks();
  }

  private void skipAngles() {
    while (at < end && text[at] != '>') {
      at++;
    }
    at = Math.min(at + 1, end);
  }

  private void time() {
    int start = at;
    blanks();
    long first = digits();
    if (first < 0 || at >= end) {
      at = start;
      return;
    }
    if (text[at] == ':') {
      timeOfDay(first, start);
    } else if (text[at] == '.') {
      long fraction = fraction();
      if (fraction < 0 || !blankOrEnd()) {
        at = start;
        return;
      }
      long total = first * NS_PER_SECOND + fraction;
      if (first >= OLDEST_EPOCH_SECONDS) {
        ns = total;
      } else {
        relativeNs += total;
        ns = relativeNs;
      }
    } else if (first >= OLDEST_EPOCH_SECONDS && blankOrEnd()) {
      ns = first * NS_PER_SECOND;
    } else {
      at = start;
      return;
    }
    blanks();
    if (starts("(+")) {
      while (at < end && text[at] != ')') {
        at++;
      }
      at = Math.min(at + 1, end);
      blanks();
    }
  }

  private void timeOfDay(long hours, int start) {
    at++;
    long minutes = digits();
    if (minutes < 0 || minutes > 59 || hours > 23 || at >= end || text[at] != ':') {
      at = start;
      return;
    }
    at++;
    long seconds = digits();
    long fraction = at < end && text[at] == '.' ? fraction() : 0;
    if (seconds < 0 || fraction < 0 || !blankOrEnd()) {
      at = start;
      return;
    }
    long ofDay = ((hours * 60 + minutes) * 60 + seconds) * NS_PER_SECOND + fraction;
    if (lastOfDayNs - ofDay > NS_PER_DAY / 2) {
      // Midnight passed; a little back are only lines of several threads.
      dayNs += NS_PER_DAY;
    }
    lastOfDayNs = ofDay;
    ns = dayNs + ofDay;
  }

  private boolean blankOrEnd() {
    return at >= end || text[at] == ' ';
  }

  /** Of {@code -i} and {@code -n}. */
  private void brackets() {
    while (at < end && text[at] == '[') {
      int close = at + 1;
      while (close < end
          && (Character.digit(text[close], 16) >= 0 || text[close] == ' ' || text[close] == '?')) {
        close++;
      }
      if (close >= end || text[close] != ']') {
        return;
      }
      at = close + 1;
      blanks();
    }
  }

  private long fraction() {
    at++;
    int from = at;
    long value = digits();
    int width = at - from;
    if (value < 0 || width > 9) {
      return -1;
    }
    for (int i = width; i < 9; i++) {
      value *= 10;
    }
    return value;
  }

  private long digits() {
    int from = at;
    long value = 0;
    while (at < end && text[at] >= '0' && text[at] <= '9') {
      if (at - from == MAX_DIGITS) {
        return -1;
      }
      value = value * 10 + (text[at] - '0');
      at++;
    }
    return at == from ? -1 : value;
  }

  private void blanks() {
    while (at < end && text[at] == ' ') {
      at++;
    }
  }

  private boolean starts(String literal) {
    return Ascii.startsWith(text, at, end, literal);
  }
}
