package dev.faultline.ingest;

/**
 * A place in a recording, taken apart: lines count up, the file stays the same.
 *
 * @param file the file, or all of the text if it does not end in a line
 * @param line the line, or -1
 */
record Where(String file, long line) {
  private static final int MOST_DIGITS = 18;

  static Where of(String text) {
    int colon = text.lastIndexOf(':');
    String digits = text.substring(colon + 1);
    if (colon < 0 || digits.isEmpty() || digits.length() > MOST_DIGITS || !isNumber(digits)) {
      return new Where(text, -1);
    }
    return new Where(text.substring(0, colon), Long.parseLong(digits));
  }

  /** Digits that come out the same once they were a number. */
  private static boolean isNumber(String digits) {
    for (int i = 0; i < digits.length(); i++) {
      if (digits.charAt(i) < '0' || digits.charAt(i) > '9') {
        return false;
      }
    }
    return digits.length() == 1 || digits.charAt(0) != '0';
  }

  String text() {
    return line < 0 ? file : file + ":" + line;
  }
}
