package dev.faultline.store;

import dev.faultline.Bytes;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Bytes being written, with numbers of as many bytes as they need. */
final class ByteSink {
  private static final int LOW_7 = 0x7f;
  private static final int MORE = 0x80;

  private byte[] array;
  private int size;

  ByteSink() {
    this(1 << 12);
  }

  /** With room for so many bytes. */
  ByteSink(int room) {
    array = new byte[room];
  }

  int size() {
    return size;
  }

  void clear() {
    size = 0;
  }

  byte[] toArray() {
    return Arrays.copyOf(array, size);
  }

  Bytes toBytes() {
    return Bytes.wrap(toArray());
  }

  void u8(int value) {
    ensure(1);
    array[size++] = (byte) value;
  }

  /** An unsigned number, seven bits a byte, low bits first. */
  void number(long value) {
    if ((value & ~LOW_7) == 0) {
      u8((int) value);
      return;
    }
    ensure(10);
    long rest = value;
    while ((rest & ~LOW_7) != 0) {
      array[size++] = (byte) (rest | MORE);
      rest >>>= 7;
    }
    array[size++] = (byte) rest;
  }

  /** A number of either sign that is mostly small. */
  void signed(long value) {
    number(value << 1 ^ value >> 63);
  }

  void text(String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    number(utf8.length);
    raw(utf8, 0, utf8.length);
  }

  void raw(byte[] from, int start, int length) {
    ensure(length);
    System.arraycopy(from, start, array, size, length);
    size += length;
  }

  void raw(ByteSink from) {
    raw(from.array, 0, from.size);
  }

  /** These bytes and those of another. */
  byte[] followedBy(ByteSink other) {
    return followedBy(other.array, other.size);
  }

  byte[] followedBy(byte[] other, int otherSize) {
    byte[] both = Arrays.copyOf(array, size + otherSize);
    System.arraycopy(other, 0, both, size, otherSize);
    return both;
  }

  void raw(Bytes from, int start, int length) {
    ensure(length);
    from.copyTo(start, array, size, length);
    size += length;
  }

  private void ensure(int more) {
    if (array.length - size < more) {
      array = Arrays.copyOf(array, Math.max(array.length * 2, size + more));
    }
  }
}
