package dev.faultline.record;

import dev.faultline.Bytes;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Puts the lines of a trace in the order of their times.
 *
 * <p>The kernel merges what its CPUs traced while they go on tracing, so that a line may come a
 * little later than one that happened after it. Lines wait until none can come any more that
 * belongs before them.
 */
final class TraceLines {
  private static final long HELD_US = 20_000;
  private static final int TIME_DIGITS = 6;

  /** A line with its end, and when it happened. */
  private record Line(long us, Bytes text) {}

  private final List<Line> held = new ArrayList<>();
  private byte[] rest = {};
  private long lastUs;
  private long newestUs;

  /** Takes so many bytes, which may end within a line. */
  void add(byte[] bytes, int size) {
    int from = 0;
    for (int i = 0; i < size; i++) {
      if (bytes[i] == '\n') {
        byte[] line = Arrays.copyOf(rest, rest.length + i + 1 - from);
        System.arraycopy(bytes, from, line, rest.length, i + 1 - from);
        rest = new byte[0];
        from = i + 1;
        line(line);
      }
    }
    if (from < size) {
      int had = rest.length;
      rest = Arrays.copyOf(rest, had + size - from);
      System.arraycopy(bytes, from, rest, had, size - from);
    }
  }

  private void line(byte[] line) {
    long us = time(line);
    // A place where events were lost has no time, and stays where it is.
    lastUs = us < 0 ? lastUs : us;
    newestUs = Math.max(newestUs, lastUs);
    held.add(new Line(lastUs, Bytes.wrap(line)));
  }

  /** The first {@code 1234.567890:} behind a blank, in microseconds; -1 if there is none. */
  private static long time(byte[] line) {
    long number = 0;
    int digits = 0;
    int after = -1;
    for (int i = 0; i < line.length; i++) {
      byte c = line[i];
      if (c >= '0' && c <= '9' && (digits > 0 || (i > 0 && line[i - 1] == ' '))) {
        number = number * 10 + (c - '0');
        digits++;
        after += after >= 0 ? 1 : 0;
      } else if (c == '.' && digits > 0 && after < 0) {
        after = 0;
      } else if (c == ':' && after == TIME_DIGITS) {
        return number;
      } else {
        number = 0;
        digits = 0;
        after = -1;
      }
    }
    return -1;
  }

  /** The lines that none can come before any more; all of them at the end. */
  byte[] take(boolean last) {
    held.sort(Comparator.comparingLong(Line::us));
    int count = 0;
    int size = 0;
    while (count < held.size() && (last || held.get(count).us() <= newestUs - HELD_US)) {
      size += held.get(count++).text().size();
    }
    byte[] taken = new byte[size];
    int at = 0;
    for (Line line : held.subList(0, count)) {
      line.text().copyTo(0, taken, at, line.text().size());
      at += line.text().size();
    }
    held.subList(0, count).clear();
    return taken;
  }
}
