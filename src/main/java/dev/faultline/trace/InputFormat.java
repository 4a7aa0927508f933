package dev.faultline.trace;

/** The formats that an input may be in, told by its content and not by its name. */
public enum InputFormat {
  /** Faultline's own: a JSON object a line. */
  RECORDING("a recording (JSON lines)"),
  /** What strace prints. */
  STRACE("text of strace"),
  /** What tracefs, {@code trace-cmd report} and {@code perf script} print. */
  KERNEL_TRACE("text of ftrace, trace-cmd or perf"),
  /** None of them. */
  UNKNOWN("unknown");

  /** How much of an input is looked at, in bytes. */
  public static final int HEAD_SIZE = 1 << 16;

  private static final int MAX_LINES = 200;

  private final String words;

  InputFormat(String words) {
    this.words = words;
  }

  /** What it is, in a few words. */
  public String words() {
    return words;
  }

  /**
   * The format of the input that begins with these bytes: that of the first line that can be of one
   * format only.
   */
  public static InputFormat of(byte[] head, int size) {
    int from = 0;
    for (int line = 0; line < MAX_LINES && from < size; line++) {
      int to = from;
      while (to < size && head[to] != '\n') {
        to++;
      }
      InputFormat format = ofLine(head, from, to);
      if (format != UNKNOWN) {
        return format;
      }
      from = to + 1;
    }
    return UNKNOWN;
  }

  private static InputFormat ofLine(byte[] text, int from, int to) {
    int at = from;
    while (at < to && (text[at] == ' ' || text[at] == '\t')) {
      at++;
    }
    if (at == to) {
      return UNKNOWN;
    }
    if (text[at] == '{') {
      return RECORDING;
    }
    if (Ascii.startsWith(text, at, to, "# tracer:")
        || Ascii.startsWith(text, at, to, "# entries-in-buffer")
        || Ascii.startsWith(text, at, to, "cpus=")
        || hasCpuAndTime(text, at, to)) {
      return KERNEL_TRACE;
    }
    return isStrace(text, at, to) ? STRACE : UNKNOWN;
  }

  /** {@code [003]}, then within the line {@code 1234.567890:}. */
  private static boolean hasCpuAndTime(byte[] text, int from, int to) {
    int bracket = Ascii.find(text, from, to, " [");
    while (bracket >= 0) {
      int digit = bracket + 2;
      while (digit < to && isDigit(text[digit])) {
        digit++;
      }
      if (digit > bracket + 3 && digit < to && text[digit] == ']') {
        return hasTime(text, digit + 1, to);
      }
      bracket = Ascii.find(text, bracket + 1, to, " [");
    }
    return false;
  }

  private static boolean hasTime(byte[] text, int from, int to) {
    for (int i = from + 1; i < to - 1; i++) {
      if (text[i] == '.' && isDigit(text[i - 1]) && isDigit(text[i + 1])) {
        int end = i + 1;
        while (end < to && isDigit(text[end])) {
          end++;
        }
        return end < to && text[end] == ':';
      }
    }
    return false;
  }

  private static boolean isStrace(byte[] text, int from, int to) {
    int at = new StraceLine().read(text, from, to);
    if (Ascii.startsWith(text, at, to, "<... ") && Ascii.find(text, at, to, " resumed>") >= 0) {
      return true;
    }
    return switch (StraceCall.kind(text, at, to)) {
      case IOCTL, DESCRIPTOR, MESSAGE, OTHER ->
          Ascii.find(text, at, to, ") = ") >= 0
              || Ascii.find(text, at, to, ") ") >= 0
              || Ascii.find(text, at, to, "<unfinished ...>") >= 0;
      case NOTICE ->
          Ascii.startsWith(text, at, to, "+++ exited")
              || Ascii.startsWith(text, at, to, "+++ killed")
              || Ascii.startsWith(text, at, to, "--- SIG")
              || Ascii.startsWith(text, at, to, "strace: ");
      case NOT_A_LINE -> false;
    };
  }

  private static boolean isDigit(byte c) {
    return c >= '0' && c <= '9';
  }
}
