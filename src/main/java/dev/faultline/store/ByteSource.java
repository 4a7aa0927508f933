package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import java.nio.charset.StandardCharsets;

/**
 * What {@link ByteSink} wrote, being read.
 *
 * <p><i>Errors</i>: bytes that nobody wrote are a {@link FormatException}.
 */
final class ByteSource {
  private static final int LOW_7 = 0x7f;
  private static final int MORE = 0x80;

  private final byte[] array;
  private int at;
  private final int end;

  ByteSource(byte[] array, int from, int to) {
    this.array = array;
    this.at = from;
    this.end = to;
  }

  ByteSource(byte[] array) {
    this(array, 0, array.length);
  }

  int at() {
    return at;
  }

  boolean isEmpty() {
    return at == end;
  }

  int left() {
    return end - at;
  }

  int u8() {
    if (at == end) {
      throw damaged("another byte");
    }
    return array[at++] & 0xff;
  }

  long number() {
    long value = 0;
    for (int shift = 0; shift < Long.SIZE; shift += 7) {
      int next = u8();
      value |= (long) (next & LOW_7) << shift;
      if ((next & MORE) == 0) {
        return value;
      }
    }
    throw damaged("the end of a number");
  }

  long signed() {
    long value = number();
    return value >>> 1 ^ -(value & 1);
  }

  /** A count of things each of which takes {@code least} bytes of what is left. */
  int count(int least) {
    long count = number();
    if (count < 0 || count > (least == 0 ? Integer.MAX_VALUE : left() / least)) {
      throw damaged("a count that fits the bytes left");
    }
    return (int) count;
  }

  String text() {
    int size = count(1);
    String text = new String(array, at, size, StandardCharsets.UTF_8);
    at += size;
    return text;
  }

  Bytes bytes(int size) {
    if (size > left()) {
      throw damaged(size + " bytes");
    }
    byte[] copy = new byte[size];
    raw(copy, 0, size);
    return Bytes.wrap(copy);
  }

  void raw(byte[] to, int start, int size) {
    if (size < 0 || size > left() || size > to.length - start) {
      throw damaged("fewer bytes");
    }
    System.arraycopy(array, at, to, start, size);
    at += size;
  }

  /** The next bytes, to be read on their own. */
  ByteSource part(int size) {
    if (size > left()) {
      throw damaged(size + " bytes");
    }
    ByteSource part = new ByteSource(array, at, at + size);
    at += size;
    return part;
  }

  FormatException damaged(String expected) {
    return FormatException.corrupt(
        ErrorCode.EVENT_CORRUPT,
        "a stored run of events: expected "
            + expected
            + " at byte "
            + at
            + ", found damage; run"
            + " 'faultline check' on the timeline");
  }
}
