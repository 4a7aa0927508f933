package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.timeline.MomentIndex;
import java.util.HashMap;
import java.util.Map;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;

/**
 * Which call each moment of a page belongs to.
 *
 * <p><i>Shape</i>: CRC-32C of the rest, then runs of moments of the same call: their number, the
 * difference of the sequence number, the name.
 */
final class StoredCalls {
  private static final int CRC_SIZE = 4;
  private static final int MAX_MOMENTS = 1 << 24;

  private final long[] seqs;
  private final String[] names;

  private StoredCalls(int size) {
    seqs = new long[size];
    names = new String[size];
  }

  long seq(int at) {
    return at < seqs.length ? seqs[at] : -1;
  }

  String name(int at) {
    return at < names.length ? names[at] : "";
  }

  /** The calls of the moments from {@code from} to before {@code to}. */
  static Bytes write(MomentIndex index, int from, int to) {
    ByteSink out = new ByteSink();
    Map<String, Integer> texts = new HashMap<>();
    out.number(to - from);
    long before = 0;
    int at = from;
    while (at < to) {
      long seq = index.seq(at);
      String name = index.name(at);
      int end = at + 1;
      while (end < to && index.seq(end) == seq && index.name(end).equals(name)) {
        end++;
      }
      out.number(end - at);
      out.signed(seq - before);
      Integer place = texts.get(name);
      if (place != null) {
        out.number(place + 1L);
      } else {
        texts.put(name, texts.size());
        out.number(0);
        out.text(name);
      }
      before = seq;
      at = end;
    }
    byte[] body = out.toArray();
    ByteSink whole = new ByteSink();
    int crc = crc(body, 0);
    for (int i = 0; i < CRC_SIZE; i++) {
      whole.u8(crc >>> (i * Byte.SIZE));
    }
    whole.raw(body, 0, body.length);
    return whole.toBytes();
  }

  private static int crc(byte[] bytes, int from) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, bytes.length - from);
    return (int) crc.getValue();
  }

  /** What {@link #write} wrote, or null if it is damaged. */
  static @Nullable StoredCalls read(Bytes bytes) {
    byte[] array = bytes.toArray();
    if (array.length <= CRC_SIZE || bytes.i32(0) != crc(array, CRC_SIZE)) {
      return null;
    }
    ByteSource in = new ByteSource(array, CRC_SIZE, array.length);
    int size = (int) Math.min(in.number(), MAX_MOMENTS);
    StoredCalls calls = new StoredCalls(size);
    Map<Integer, String> texts = new HashMap<>();
    long seq = 0;
    int at = 0;
    while (at < size) {
      int end = at + (int) Math.min(in.number(), size - at);
      seq += in.signed();
      long place = in.number();
      String name = place == 0 ? in.text() : texts.getOrDefault((int) place - 1, "");
      if (place == 0) {
        texts.put(texts.size(), name);
      }
      for (; at < end; at++) {
        calls.seqs[at] = seq;
        calls.names[at] = name;
      }
    }
    return calls;
  }
}
