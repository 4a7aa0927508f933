package dev.faultline;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * An immutable byte string, read little-endian, as x86 and the KVM uapi lay out their structs.
 *
 * <p><i>Shape</i>: a window of {@code size} bytes of an array that nobody writes to any more. A
 * slice shares the array of the whole, so taking one costs no copy; {@link #compact()} lets go of
 * the rest.
 *
 * <p><i>Units</i>: offsets, sizes and widths are bytes; a width is 1, 2, 4 or 8. A u64 is a {@code
 * long}, compared unsigned by whoever compares.
 *
 * <p><i>Errors</i>: an offset outside is a bug of the caller ({@link IndexOutOfBoundsException});
 * sizes of foreign payloads are checked once, where a payload becomes a struct.
 */
public final class Bytes {
  /** No bytes. */
  public static final Bytes EMPTY = new Bytes(new byte[0], 0, 0);

  private static final VarHandle U16 =
      MethodHandles.byteArrayViewVarHandle(short[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle U32 =
      MethodHandles.byteArrayViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);
  private static final VarHandle U64 =
      MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final long HASH_MULTIPLIER = 0x9E3779B97F4A7C15L;

  private final byte[] array;
  private final int start;
  private final int size;

  /**
   * The hash of the content, 0 until asked for: a benign race, as every thread computes the same.
   */
  private int hash;

  private Bytes(byte[] array, int start, int size) {
    this.array = array;
    this.start = start;
    this.size = size;
  }

  /** The given bytes, copied. */
  public static Bytes of(byte... copy) {
    return wrap(copy.clone());
  }

  /** The given array itself, uncopied: the caller gives it up and writes to it no more. */
  public static Bytes wrap(byte[] owned) {
    return owned.length == 0 ? EMPTY : new Bytes(owned, 0, owned.length);
  }

  /** {@code size} bytes of zero. */
  public static Bytes zero(int size) {
    return wrap(new byte[size]);
  }

  /**
   * The bytes that a base64 text stands for.
   *
   * @throws IllegalArgumentException if the text is not base64
   */
  public static Bytes fromBase64(String text) {
    return wrap(Base64.getDecoder().decode(text));
  }

  /**
   * The bytes that hexadecimal digits stand for, first byte first.
   *
   * @throws IllegalArgumentException if the text is not an even number of such digits
   */
  public static Bytes fromHex(String text) {
    return wrap(HexFormat.of().parseHex(text));
  }

  /** A builder of {@code size} bytes, all zero. */
  public static Builder builder(int size) {
    return new Builder(new byte[size]);
  }

  /** A builder that starts from these bytes. */
  public Builder toBuilder() {
    return new Builder(toArray());
  }

  /** How many bytes. */
  public int size() {
    return size;
  }

  /** True if there are none. */
  public boolean isEmpty() {
    return size == 0;
  }

  /** The byte at {@code off}, unsigned. */
  public int u8(int off) {
    return array[start + Objects.checkIndex(off, size)] & 0xff;
  }

  /** The two bytes at {@code off}, unsigned. */
  public int u16(int off) {
    return (short) U16.get(array, start + Objects.checkIndex(off, size - 1)) & 0xffff;
  }

  /** The four bytes at {@code off}, as the 32 bits they are. */
  public int i32(int off) {
    return (int) U32.get(array, start + Objects.checkIndex(off, size - 3));
  }

  /** The four bytes at {@code off}, unsigned. */
  public long u32(int off) {
    return i32(off) & 0xffff_ffffL;
  }

  /** The eight bytes at {@code off}. */
  public long u64(int off) {
    return (long) U64.get(array, start + Objects.checkIndex(off, size - 7));
  }

  /** True if these are the four bytes at {@code off} and at every {@code stride} bytes after it. */
  public boolean hasI32s(int off, int stride, int[] expected) {
    int count = expected.length;
    Objects.checkFromIndexSize(off, count == 0 ? 0 : (count - 1) * stride + Integer.BYTES, size);
    byte[] from = array;
    int first = start + off;
    int different = 0;
    for (int i = 0; i < count; i++) {
      different |= (int) U32.get(from, first + i * stride) ^ expected[i];
    }
    return different == 0;
  }

  /** True if the eight bytes at each of these offsets are zero. */
  public boolean areZero(int[] offsets) {
    long any = 0;
    for (int off : offsets) {
      any |= u64(off);
    }
    return any == 0;
  }

  /** The {@code width} bytes at {@code off}, zero-extended. */
  public long uint(int off, int width) {
    return switch (width) {
      case 1 -> u8(off);
      case 2 -> u16(off);
      case 4 -> u32(off);
      case 8 -> u64(off);
      default -> throw badWidth(width);
    };
  }

  /** The {@code len} bytes from {@code off} on; shares this string's array. */
  public Bytes slice(int off, int len) {
    Objects.checkFromIndexSize(off, len, size);
    if (len == size) {
      return this;
    }
    return len == 0 ? EMPTY : new Bytes(array, start + off, len);
  }

  /** These bytes with the {@code width} low bytes of {@code value} at {@code off}. */
  public Bytes with(int off, int width, long value) {
    return toBuilder().put(off, width, value).build();
  }

  /** These bytes in an array of their own: the same value, without what a slice was cut from. */
  public Bytes compact() {
    return array.length == size ? this : wrap(toArray());
  }

  /** Copies {@code len} bytes from {@code off} on into {@code to}, from {@code toOff} on. */
  public void copyTo(int off, byte[] to, int toOff, int len) {
    Objects.checkFromIndexSize(off, len, size);
    System.arraycopy(array, start + off, to, toOff, len);
  }

  /** A copy of the bytes. */
  public byte[] toArray() {
    return Arrays.copyOfRange(array, start, start + size);
  }

  /** The bytes as base64, padded. */
  public String toBase64() {
    return Base64.getEncoder().encodeToString(toArray());
  }

  /** The bytes as lower-case hexadecimal digits, first byte first. */
  public String toHex() {
    return HexFormat.of().formatHex(array, start, start + size);
  }

  /**
   * True if {@code len} bytes from {@code off} on equal those of {@code other} from {@code
   * otherOff} on.
   */
  public boolean regionEquals(int off, Bytes other, int otherOff, int len) {
    Objects.checkFromIndexSize(off, len, size);
    Objects.checkFromIndexSize(otherOff, len, other.size);
    int from = start + off;
    int otherFrom = other.start + otherOff;
    return Arrays.equals(array, from, from + len, other.array, otherFrom, otherFrom + len);
  }

  /** True if {@code len} bytes from {@code off} on are all zero. */
  public boolean isZero(int off, int len) {
    Objects.checkFromIndexSize(off, len, size);
    int at = start + off;
    int end = at + len;
    for (; at + Long.BYTES <= end; at += Long.BYTES) {
      if ((long) U64.get(array, at) != 0) {
        return false;
      }
    }
    for (; at < end; at++) {
      if (array[at] != 0) {
        return false;
      }
    }
    return true;
  }

  @Override
  public boolean equals(@Nullable Object o) {
    return this == o
        || (o instanceof Bytes other && size == other.size && regionEquals(0, other, 0, size));
  }

  /** Depends on the content alone, so it is the same in every run. */
  @Override
  public int hashCode() {
    int h = hash;
    if (h == 0 && size > 0) {
      h = contentHash();
      hash = h;
    }
    return h;
  }

  private int contentHash() {
    long h = size;
    int at = start;
    int end = start + size;
    for (; at + Long.BYTES <= end; at += Long.BYTES) {
      h = (h ^ (long) U64.get(array, at)) * HASH_MULTIPLIER;
      h ^= h >>> 32;
    }
    for (; at < end; at++) {
      h = (h ^ array[at]) * HASH_MULTIPLIER;
    }
    return Long.hashCode(h);
  }

  /** The size and, of a short string, the bytes. */
  @Override
  public String toString() {
    int shown = Math.min(size, 32);
    String hex = HexFormat.of().formatHex(array, start, start + shown);
    return size + " bytes " + hex + (shown < size ? "…" : "");
  }

  private static InvariantViolation badWidth(int width) {
    return new InvariantViolation("a width is 1, 2, 4 or 8 bytes, not " + width);
  }

  /** Bytes being written; {@link #build()} ends it. */
  public static final class Builder {
    private byte @Nullable [] array;

    private Builder(byte[] array) {
      this.array = array;
    }

    /** How many bytes are being built. */
    public int size() {
      return open().length;
    }

    /** Writes the {@code width} low bytes of {@code value} at {@code off}. */
    public Builder put(int off, int width, long value) {
      byte[] to = open();
      switch (width) {
        case 1 -> to[off] = (byte) value;
        case 2 -> U16.set(to, off, (short) value);
        case 4 -> U32.set(to, off, (int) value);
        case 8 -> U64.set(to, off, value);
        default -> throw badWidth(width);
      }
      return this;
    }

    /** Writes {@code len} bytes of {@code src} from {@code srcOff} on, at {@code off}. */
    public Builder putBytes(int off, Bytes src, int srcOff, int len) {
      Objects.checkFromIndexSize(srcOff, len, src.size);
      System.arraycopy(src.array, src.start + srcOff, open(), off, len);
      return this;
    }

    /** Writes all of {@code src} at {@code off}. */
    public Builder putBytes(int off, Bytes src) {
      return putBytes(off, src, 0, src.size);
    }

    /** The bytes written; the builder is of no use afterwards. */
    public Bytes build() {
      byte[] done = open();
      array = null;
      return wrap(done);
    }

    private byte[] open() {
      byte[] open = array;
      if (open == null) {
        throw new InvariantViolation("a Bytes.Builder was used after build()");
      }
      return open;
    }
  }
}
