package dev.faultline.trace;

/** Literals looked for in the bytes of a line. */
final class Ascii {
  private Ascii() {}

  /** Whether the bytes from {@code at} on, before {@code end}, begin with the literal. */
  static boolean startsWith(byte[] text, int at, int end, String literal) {
    if (at < 0 || end - at < literal.length()) {
      return false;
    }
    for (int i = 0; i < literal.length(); i++) {
      if (text[at + i] != literal.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  /**
   * Where the literal is found first from {@code at} on; -1 if it ends nowhere before {@code end}.
   */
  static int find(byte[] text, int at, int end, String literal) {
    byte first = (byte) literal.charAt(0);
    for (int i = at; i <= end - literal.length(); i++) {
      if (text[i] == first && startsWith(text, i, end, literal)) {
        return i;
      }
    }
    return -1;
  }
}
