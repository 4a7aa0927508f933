package dev.faultline.trace;

import java.io.IOException;
import java.io.InputStream;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * Cuts a stream of bytes into lines without copying them: a line is a stretch of one array, good
 * until the next call of {@link #next()}.
 *
 * <p>The array grows to the longest line, and no further than the limit: of a longer line only its
 * beginning is given, and the rest is read past.
 */
final class LineSource {
  private static final int FIRST_SIZE = 1 << 16;
  private static final VarHandle WORD =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final long ONES = 0x0101_0101_0101_0101L;
  private static final long HIGHS = 0x8080_8080_8080_8080L;
  private static final byte NEWLINE = '\n';

  private final InputStream in;
  private final int limit;

  private byte[] array;

  /** The bytes of the array that were read into: [next, filled) is not yet given out. */
  private int next;

  private int filled;
  private boolean ended;
  private boolean skipping;

  private int from;
  private int to;
  private long number;
  private boolean terminated;
  private boolean overlong;

  /** Lines of {@code in}, of which one longer than {@code limit} bytes is cut off. */
  LineSource(InputStream in, int limit) {
    this.in = in;
    this.limit = limit;
    this.array = new byte[Math.min(FIRST_SIZE, limit + 2)];
  }

  /** Goes to the next line; false if there is none. */
  boolean next() throws IOException {
    if (skipping) {
      skipRest();
    }
    from = next;
    int scanned = next;
    while (true) {
      int newline = indexOf(NEWLINE, array, scanned, filled);
      if (newline >= 0) {
        return give(newline, newline + 1, true);
      }
      int length = filled - from;
      if (length > limit + 1) {
        skipping = true;
        return give(filled, filled, false);
      }
      if (!fill()) {
        return length > 0 && give(filled, filled, false);
      }
      scanned = from + length;
    }
  }

  private boolean give(int end, int following, boolean whole) {
    to = whole && end > from && array[end - 1] == '\r' ? end - 1 : end;
    next = following;
    terminated = whole;
    overlong = to - from > limit;
    if (overlong) {
      to = from + limit;
    }
    number++;
    return true;
  }

  /** Reads more, after making room for it; false at the end of the stream. */
  private boolean fill() throws IOException {
    if (ended) {
      return false;
    }
    if (from > 0 && filled == array.length) {
      System.arraycopy(array, from, array, 0, filled - from);
      filled -= from;
      from = 0;
    }
    if (filled == array.length) {
      array = Arrays.copyOf(array, (int) Math.min(2L * array.length, limit + 2L));
    }
    int read = in.read(array, filled, array.length - filled);
    if (read < 0) {
      ended = true;
      return false;
    }
    filled += read;
    return true;
  }

  private void skipRest() throws IOException {
    skipping = false;
    from = next;
    int newline = indexOf(NEWLINE, array, next, filled);
    while (newline < 0) {
      from = 0;
      next = 0;
      filled = 0;
      if (!fill()) {
        return;
      }
      newline = indexOf(NEWLINE, array, 0, filled);
    }
    next = newline + 1;
  }

  /**
   * Where the byte is found first, -1 if nowhere. Eight bytes at a time: a byte that equals the one
   * sought becomes zero, and a zero byte shows in its highest bit.
   */
  static int indexOf(byte sought, byte[] array, int from, int to) {
    long pattern = ONES * sought;
    int at = from;
    for (; at + Long.BYTES <= to; at += Long.BYTES) {
      long zeroed = (long) WORD.get(array, at) ^ pattern;
      long found = (zeroed - ONES) & ~zeroed & HIGHS;
      if (found != 0) {
        return at + (Long.numberOfTrailingZeros(found) >>> 3);
      }
    }
    for (; at < to; at++) {
      if (array[at] == sought) {
        return at;
      }
    }
    return -1;
  }

  /** The array that the line is in. */
  byte[] array() {
    return array;
  }

  /** Where the line begins. */
  int from() {
    return from;
  }

  /** Where the line ends; its newline is not part of it. */
  int to() {
    return to;
  }

  /** The line's number, from 1; 0 before the first. */
  long number() {
    return number;
  }

  /** False if the stream ended before the line's newline. */
  boolean terminated() {
    return terminated;
  }

  /** True if the line is longer than the limit; only its beginning is there. */
  boolean overlong() {
    return overlong;
  }
}
