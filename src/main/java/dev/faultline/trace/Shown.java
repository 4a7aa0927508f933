package dev.faultline.trace;

import java.io.EOFException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;

/** Foreign text as it may stand in a message: one line, short, without control characters. */
final class Shown {
  private Shown() {}

  /**
   * The beginning of the bytes {@code from} to {@code to}, at most {@code most} of them, in quotes.
   */
  static String text(byte[] bytes, int from, int to, int most) {
    int size = Math.min(to - from, most);
    String text = new String(bytes, from, size, StandardCharsets.UTF_8);
    return "'" + clean(text) + (size < to - from ? "…'" : "'");
  }

  /** The beginning of a text, at most {@code most} characters, in quotes. */
  static String text(String text, int most) {
    boolean whole = text.length() <= most;
    return "'" + clean(whole ? text : text.substring(0, most)) + (whole ? "'" : "…'");
  }

  /** The first sentence of a message, which may be long or of several lines. */
  static String sentence(String message) {
    int line = message.indexOf('\n');
    String first = line < 0 ? message : message.substring(0, line);
    return clean(first.length() > 160 ? first.substring(0, 160) + "…" : first);
  }

  /** Why a stream ended in an error, in a few words. */
  static String reason(IOException e) {
    if (e instanceof EOFException) {
      return "the end of a cut file";
    }
    String message = e.getMessage();
    return message == null || message.isBlank()
        ? "damage (" + e.getClass().getSimpleName() + ")"
        : "damage (" + sentence(message) + ")";
  }

  private static String clean(String text) {
    StringBuilder clean = new StringBuilder(text.length());
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      clean.append(Character.isISOControl(c) || Character.isSurrogate(c) ? '.' : c);
    }
    return clean.toString();
  }
}
