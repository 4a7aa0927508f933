package dev.faultline.store;

import dev.faultline.Bytes;

/**
 * A payload as what is different from an earlier one. Structs of KVM are mostly zero, and those of
 * the same ioctl mostly alike.
 *
 * <p><i>Shape</i>: {@code size << 1 | equal}; unless equal, pairs of words that are as in the base
 * and words that follow literally, until the size is reached; the last bytes that fill no word
 * follow literally. A base that is shorter goes on with zeros.
 */
final class PayloadPatch {
  private static final int MAX_SIZE = 1 << 24;

  private PayloadPatch() {}

  static void write(ByteSink out, Bytes base, Bytes value) {
    int size = value.size();
    if (value.equals(base)) {
      out.number((long) size << 1 | 1);
      return;
    }
    out.number((long) size << 1);
    int words = size / Long.BYTES;
    int at = 0;
    while (at < words) {
      int same = at;
      while (same < words && isSame(base, value, same)) {
        same++;
      }
      int other = same;
      while (other < words && !isSame(base, value, other)) {
        other++;
      }
      out.number(same - at);
      out.number(other - same);
      out.raw(value, same * Long.BYTES, (other - same) * Long.BYTES);
      at = other;
    }
    out.raw(value, words * Long.BYTES, size - words * Long.BYTES);
  }

  private static boolean isSame(Bytes base, Bytes value, int word) {
    int off = word * Long.BYTES;
    long expected =
        off + Long.BYTES <= base.size() ? base.u64(off) : off >= base.size() ? 0 : tail(base, off);
    return value.u64(off) == expected;
  }

  /** The last bytes of a base that fill no word, and zeros. */
  private static long tail(Bytes base, int off) {
    long word = 0;
    for (int i = base.size() - 1; i >= off; i--) {
      word = word << Byte.SIZE | base.u8(i);
    }
    return word;
  }

  static Bytes read(ByteSource in, Bytes base) {
    long head = in.number();
    long wide = head >>> 1;
    if (wide > MAX_SIZE) {
      throw in.damaged("a payload of at most " + MAX_SIZE + " bytes");
    }
    int size = (int) wide;
    if ((head & 1) != 0) {
      if (size != base.size()) {
        throw in.damaged("a payload of " + base.size() + " bytes as before");
      }
      return base;
    }
    if (size == 0) {
      return Bytes.EMPTY;
    }
    byte[] value = new byte[size];
    int words = size / Long.BYTES;
    int at = 0;
    while (at < words) {
      int same = in.count(0);
      if (same > words - at) {
        throw in.damaged("no more than the words of the payload");
      }
      copy(base, value, at * Long.BYTES, same * Long.BYTES);
      at += same;
      int other = in.count(Long.BYTES);
      if (other > words - at || (other == 0 && at < words)) {
        throw in.damaged("words of the payload");
      }
      in.raw(value, at * Long.BYTES, other * Long.BYTES);
      at += other;
    }
    in.raw(value, words * Long.BYTES, size - words * Long.BYTES);
    return Bytes.wrap(value);
  }

  private static void copy(Bytes base, byte[] value, int off, int size) {
    int there = Math.min(size, base.size() - off);
    if (there > 0) {
      base.copyTo(off, value, off, there);
    }
  }
}
