package dev.faultline.record;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;

/**
 * Lines of JSON, written one key after the other into one array that is used again and again: the
 * VMM waits while a line is written.
 */
final class LineBuffer {
  private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
  private static final Base64.Encoder BASE64 = Base64.getEncoder();
  private static final int FIRST_SIZE = 1 << 16;
  private static final int LONGEST_NUMBER = 20;

  private byte[] bytes = new byte[FIRST_SIZE];
  private int size;
  private boolean first;

  /** Begins a line. */
  LineBuffer begin() {
    put('{');
    first = true;
    return this;
  }

  /** Ends the line. */
  void end() {
    room(2);
    bytes[size++] = '}';
    bytes[size++] = '\n';
  }

  LineBuffer number(String key, long value) {
    key(key);
    decimal(value);
    return this;
  }

  /** The value in hexadecimal digits, at least so many. */
  LineBuffer hex(String key, long value, int digits) {
    key(key);
    room(2 + LONGEST_NUMBER);
    bytes[size++] = '"';
    bytes[size++] = '0';
    bytes[size++] = 'x';
    int count = Math.max(digits, (Long.SIZE - Long.numberOfLeadingZeros(value) + 3) / 4);
    for (int i = Math.max(count, 1) - 1; i >= 0; i--) {
      bytes[size++] = HEX[(int) (value >>> (4 * i)) & 0xf];
    }
    put('"');
    return this;
  }

  /** A text without anything that JSON escapes. */
  LineBuffer word(String key, String value) {
    key(key);
    put('"');
    ascii(value);
    put('"');
    return this;
  }

  /** Any text. */
  LineBuffer text(String key, String value) {
    key(key);
    quoted(value);
    return this;
  }

  LineBuffer texts(String key, Iterable<String> values) {
    key(key);
    char before = '[';
    for (String value : values) {
      put(before);
      quoted(value);
      before = ',';
    }
    if (before == '[') {
      put('[');
    }
    put(']');
    return this;
  }

  LineBuffer flag(String key) {
    key(key);
    ascii("true");
    return this;
  }

  /** Bytes as base64, under two keys: their size and themselves. */
  LineBuffer payload(String sizeKey, String key, byte[] array, int length) {
    number(sizeKey, length);
    return base64(key, array, 0, length);
  }

  LineBuffer base64(String key, byte[] array, int from, int length) {
    key(key);
    quotedBase64(array, from, length);
    return this;
  }

  private void quotedBase64(byte[] array, int from, int length) {
    room(2 + (length + 2) / 3 * 4);
    bytes[size++] = '"';
    ByteBuffer encoded = BASE64.encode(ByteBuffer.wrap(array, from, length));
    encoded.get(bytes, size, encoded.limit());
    size += encoded.limit();
    put('"');
  }

  /** Opens an object under a key; {@link #close} closes it. */
  LineBuffer open(String key) {
    key(key);
    put('{');
    first = true;
    return this;
  }

  LineBuffer close() {
    put('}');
    first = false;
    return this;
  }

  /** Opens an array of base64 texts; {@link #closeArray} closes it. */
  void openArray(String key) {
    key(key);
    put('[');
    first = true;
  }

  void element(byte[] array, int length) {
    if (!first) {
      put(',');
    }
    first = false;
    quotedBase64(array, 0, length);
  }

  void closeArray() {
    put(']');
    first = false;
  }

  private void key(String key) {
    if (!first) {
      put(',');
    }
    first = false;
    put('"');
    ascii(key);
    room(2);
    bytes[size++] = '"';
    bytes[size++] = ':';
  }

  private void quoted(String text) {
    put('"');
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    room(utf8.length * 6 + 2);
    for (byte b : utf8) {
      int c = b & 0xff;
      if (c == '"' || c == '\\') {
        bytes[size++] = '\\';
        bytes[size++] = b;
      } else if (c < ' ' || c == 0x7f) {
        bytes[size++] = '\\';
        bytes[size++] = 'u';
        bytes[size++] = '0';
        bytes[size++] = '0';
        bytes[size++] = HEX[c >> 4];
        bytes[size++] = HEX[c & 0xf];
      } else {
        bytes[size++] = b;
      }
    }
    put('"');
  }

  private void decimal(long value) {
    room(LONGEST_NUMBER);
    if (value < 0 || value >= 1_000_000_000_000_000_000L) {
      ascii(Long.toString(value));
      return;
    }
    int digits = 1;
    for (long rest = value; rest >= 10; rest /= 10) {
      digits++;
    }
    long rest = value;
    for (int i = size + digits - 1; i >= size; i--) {
      bytes[i] = (byte) ('0' + rest % 10);
      rest /= 10;
    }
    size += digits;
  }

  @SuppressWarnings("deprecation") // the only way to copy ASCII without an array in between
  private void ascii(String text) {
    int length = text.length();
    room(length);
    text.getBytes(0, length, bytes, size);
    size += length;
  }

  private void put(char c) {
    room(1);
    bytes[size++] = (byte) c;
  }

  private void room(int more) {
    if (bytes.length - size < more) {
      bytes = Arrays.copyOf(bytes, Math.max(2 * bytes.length, size + more));
    }
  }

  /** Bytes written since the last {@link #take}. */
  int size() {
    return size;
  }

  /** The lines written since the last take; the buffer is empty after it. */
  byte[] take() {
    byte[] taken = Arrays.copyOf(bytes, size);
    size = 0;
    return taken;
  }

  /** Takes back everything behind a mark: a line that shall not be. */
  void cutTo(int mark) {
    size = mark;
    first = false;
  }
}
