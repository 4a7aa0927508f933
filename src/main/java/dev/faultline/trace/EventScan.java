package dev.faultline.trace;

import java.nio.charset.StandardCharsets;

/** A position in the text of an event that moves on as the text proves to be what is expected. */
abstract class EventScan {
  private final WordCache words;

  byte[] text = new byte[0];
  int at;
  int end;

  /** Whether anything was not as expected. */
  boolean failed;

  EventScan(WordCache words) {
    this.words = words;
  }

  /** Goes to the beginning of the bytes {@code from} to {@code to}, blanks at the end left out. */
  void begin(byte[] line, int from, int to) {
    text = line;
    at = from;
    end = trimmed(line, from, to);
    failed = false;
  }

  private static int trimmed(byte[] line, int from, int to) {
    int last = to;
    while (last > from && line[last - 1] == ' ') {
      last--;
    }
    return last;
  }

  long prefixedHex() {
    skip("0x");
    return hex();
  }

  /** Requires the literal here and moves past it. */
  void literal(String literal) {
    if (!skip(literal)) {
      failed = true;
    }
  }

  /** Moves past the literal if it is here. */
  boolean skip(String literal) {
    if (!startsWith(at, literal)) {
      return false;
    }
    at += literal.length();
    return true;
  }

  boolean startsWith(int from, String literal) {
    int length = literal.length();
    if (end - from < length) {
      return false;
    }
    for (int i = 0; i < length; i++) {
      if (text[from + i] != literal.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  /** True if the first is here, false if the second is; moves past it. */
  boolean either(String first, String second) {
    if (skip(first)) {
      return true;
    }
    literal(second);
    return false;
  }

  /** Where the literal is found first from here on, -1 if nowhere. */
  int find(String literal) {
    char first = literal.charAt(0);
    for (int i = at; i < end; i++) {
      if (text[i] == first && startsWith(i, literal)) {
        return i;
      }
    }
    return -1;
  }

  long hex() {
    int from = at;
    long value = 0;
    while (at < end) {
      int digit = hexDigit(text[at]);
      if (digit < 0) {
        break;
      }
      value = (value << 4) | digit;
      at++;
    }
    failed |= at == from || at - from > 16;
    return value;
  }

  static int hexDigit(byte c) {
    if (c >= '0' && c <= '9') {
      return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
  }

  long decimal() {
    int from = at;
    long value = 0;
    while (at < end && text[at] >= '0' && text[at] <= '9') {
      value = value * 10 + (text[at] - '0');
      at++;
    }
    failed |= at == from || value > 0xffff_ffffL || at - from > 10;
    return value;
  }

  String wordTo(int to) {
    String word = words.of(text, at, to);
    at = to;
    return word;
  }

  String plain(int from, int to) {
    return new String(text, from, to - from, StandardCharsets.UTF_8);
  }

  /** Requires that nothing is left. */
  void complete() {
    failed |= at != end;
  }

  /** Allows what a later kernel may have added: a blank and more, or more in brackets. */
  void newTail() {
    failed |= at != end && text[at] != ' ' && text[at] != '[';
  }
}
