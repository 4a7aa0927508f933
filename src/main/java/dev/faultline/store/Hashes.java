package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.InvariantViolation;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.List;

/**
 * The running hashes by which alterations show.
 *
 * <p><i>Shape</i>: SHA-256; the first of a stream is over a word of this version, the lane and the
 * first sequence number; each next one over the one before, the sequence number and the number of
 * the events, and their bytes.
 */
final class Hashes {
  private static final String VERSION = "faultline stream 1";

  private Hashes() {}

  static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new InvariantViolation("every JDK has SHA-256, this one says: " + e.getMessage());
    }
  }

  /** The hash of a stream that holds nothing of its own yet. */
  static Bytes first(String lane, long base) {
    MessageDigest digest = sha256();
    text(digest, VERSION);
    text(digest, lane);
    number(digest, base);
    return Bytes.wrap(digest.digest());
  }

  /** The hash behind another part. */
  static Bytes next(Bytes before, long first, int events, byte[] array, int from, int size) {
    MessageDigest digest = sha256();
    digest.update(before.toArray());
    number(digest, first);
    number(digest, events);
    digest.update(array, from, size);
    return Bytes.wrap(digest.digest());
  }

  /** The hash of a row. */
  static Bytes seal(String text, List<Long> numbers) {
    MessageDigest digest = sha256();
    text(digest, text);
    numbers.forEach(value -> number(digest, value));
    return Bytes.wrap(digest.digest());
  }

  /** The hash over all streams, given in order of their lanes. */
  static Bytes head(Bytes before, List<Rows.Stream> streams) {
    MessageDigest digest = sha256();
    digest.update(before.toArray());
    for (Rows.Stream stream : streams) {
      text(digest, stream.lane());
      number(digest, stream.next());
      digest.update(stream.hash().toArray());
    }
    return Bytes.wrap(digest.digest());
  }

  private static void text(MessageDigest digest, String text) {
    byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
    number(digest, utf8.length);
    digest.update(utf8);
  }

  private static void number(MessageDigest digest, long value) {
    for (int shift = 0; shift < Long.SIZE; shift += Byte.SIZE) {
      digest.update((byte) (value >>> shift));
    }
  }
}
