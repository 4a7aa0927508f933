package dev.faultline.trace;

import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * Gives equal short words as one String object, so that a recording of a million calls holds {@code
 * KVM_RUN} once.
 *
 * <p>A direct-mapped cache of fixed size: a word that falls on another's place takes it over, so
 * foreign input can make it slow to no worse than no cache, and can never fill the heap.
 */
final class WordCache {
  private static final int SLOTS = 2048;
  private static final int HASH_MULTIPLIER = 31;

  private final @Nullable String[] slots = new @Nullable String[SLOTS];

  /** The word of the bytes {@code from} to {@code to}, which are UTF-8. */
  String of(byte[] text, int from, int to) {
    int hash = 0;
    for (int i = from; i < to; i++) {
      hash = hash * HASH_MULTIPLIER + text[i];
    }
    int slot = slot(hash);
    String known = slots[slot];
    if (known != null && same(known, text, from, to)) {
      return known;
    }
    String word = new String(text, from, to - from, StandardCharsets.UTF_8);
    slots[slot] = word;
    return word;
  }

  /** The word of {@code length} characters from {@code from} on. */
  String of(char[] text, int from, int length) {
    int hash = 0;
    for (int i = from; i < from + length; i++) {
      hash = hash * HASH_MULTIPLIER + text[i];
    }
    int slot = slot(hash);
    String known = slots[slot];
    if (known != null && same(known, text, from, length)) {
      return known;
    }
    String word = new String(text, from, length);
    slots[slot] = word;
    return word;
  }

  private static int slot(int hash) {
    return (hash ^ (hash >>> 11) ^ (hash >>> 22)) & (SLOTS - 1);
  }

  private static boolean same(String word, byte[] text, int from, int to) {
    if (word.length() != to - from) {
      return false;
    }
    for (int i = 0; i < word.length(); i++) {
      // A byte above 127 is negative and equals no char, so only ASCII words are found again.
      if (word.charAt(i) != text[from + i]) {
        return false;
      }
    }
    return true;
  }

  private static boolean same(String word, char[] text, int from, int length) {
    if (word.length() != length) {
      return false;
    }
    for (int i = 0; i < length; i++) {
      if (word.charAt(i) != text[from + i]) {
        return false;
      }
    }
    return true;
  }
}
