package dev.faultline.trace;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * What is different between two pages of the same size.
 *
 * <p><i>Shape</i>: pieces, each a u16 offset, a u16 size and so many bytes, little-endian; pieces
 * ascend and do not overlap.
 */
public final class PageDelta {
  private static final byte[] NONE = {};

  private static final int PIECE_HEADER = 4;
  private static final int LARGEST = 1 << 16;

  private PageDelta() {}

  /** What makes {@code after} of {@code before}. */
  public static byte[] between(byte[] before, byte[] after) {
    if (before.length != after.length || after.length >= LARGEST) {
      throw new IllegalArgumentException(
          "pages of " + before.length + " and " + after.length + " bytes");
    }
    byte[] delta = NONE;
    int size = 0;
    int at = 0;
    while (true) {
      int step = Arrays.mismatch(before, at, before.length, after, at, after.length);
      if (step < 0) {
        return size == delta.length ? delta : Arrays.copyOf(delta, size);
      }
      int from = at + step;
      int to = endOf(before, after, from);
      int piece = PIECE_HEADER + to - from;
      if (delta.length - size < piece) {
        delta = Arrays.copyOf(delta, Math.max(size + piece, 2 * delta.length));
      }
      delta[size] = (byte) from;
      delta[size + 1] = (byte) (from >>> 8);
      delta[size + 2] = (byte) (to - from);
      delta[size + 3] = (byte) ((to - from) >>> 8);
      System.arraycopy(after, from, delta, size + PIECE_HEADER, to - from);
      size += piece;
      at = to;
    }
  }

  /** Where as many bytes are equal as a new piece would cost. */
  private static int endOf(byte[] before, byte[] after, int from) {
    int to = from + 1;
    int equal = 0;
    for (int i = to; i < after.length && equal <= PIECE_HEADER; i++) {
      if (before[i] == after[i]) {
        equal++;
      } else {
        equal = 0;
        to = i + 1;
      }
    }
    return to;
  }

  /** The page that the delta makes of {@code before}; null if it is no delta of such a page. */
  static byte @Nullable [] apply(byte[] before, byte[] delta) {
    byte[] after = before.clone();
    int at = 0;
    while (at < delta.length) {
      if (delta.length - at < PIECE_HEADER) {
        return null;
      }
      int from = (delta[at] & 0xff) | (delta[at + 1] & 0xff) << 8;
      int size = (delta[at + 2] & 0xff) | (delta[at + 3] & 0xff) << 8;
      at += PIECE_HEADER;
      if (size > delta.length - at || from + size > after.length) {
        return null;
      }
      System.arraycopy(delta, at, after, from, size);
      at += size;
    }
    return after;
  }
}
