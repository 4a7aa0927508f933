package dev.faultline.trace;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.InvariantViolation;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Reads the text of tracefs' {@code trace} file, one event at a time.
 *
 * <p><i>Shape</i> of a line, and of the lines that are no events:
 *
 * <pre>
 * # entries-in-buffer/entries-written: 23209/23209   #P:1
 *      CPU 0/KVM-12345   [003] d..1.     7.938810: kvm_entry: vcpu 0, rip 0x401a50
 *      comm      tid      cpu  flags    s.us     name       text
 * CPU:3 [LOST 123 EVENTS]
 * ##### CPU 3 buffer started ####
 * # not traced by this host: kvm_entry kvm_exit
 * </pre>
 *
 * <p>The comm may hold blanks, slashes and dashes; the flags are four characters before 5.16 and
 * five since, and may be missing ({@code trace-cmd report}).
 *
 * <p><i>Errors</i>: a damaged line costs that line, and is counted in the {@link #report()}; a
 * stream that ends in an error (a cut compressed file) is a {@link FormatException}.
 */
public final class FtraceReader implements AutoCloseable {
  /** The longest line read; the kernel prints at most a page for one event. */
  public static final int MAX_LINE_SIZE = 1 << 16;

  private static final int MAX_PLACES = 5;
  private static final int SHOWN = 60;
  private static final String ENTRIES = "entries-in-buffer/entries-written:";
  private static final String UNTRACED = "# not traced by this host: kvm_";
  private static final int NS_DIGITS = 9;
  private static final int MAX_SECONDS_DIGITS = 10;

  /** What {@link #advance()} came to. */
  public enum Step {
    /** An event: {@link #event()}. */
    EVENT,
    /** A place where the kernel lost events, or where a damaged line may have been one. */
    GAP,
    /** The end of the trace. */
    END
  }

  private final String source;
  private final InputStream in;
  private final LineSource lines;
  private final WordCache words = new WordCache();
  private final EventText texts = new EventText(words);
  private final List<String> places = new ArrayList<>();

  private long events;
  private long damaged;
  private long unread;
  private long lost;
  private long gaps;
  private boolean overwritten;
  private boolean untracedRuns;
  private int cpus = 1;
  private int buffersStarted = 1;

  private @Nullable TraceEvent event;
  private long tid;
  private long tgid = -1;
  private int cpu;
  private long precisionNs;

  /** The position in the line being read. */
  private byte[] text = new byte[0];

  private int at;
  private int end;

  /**
   * A reader of {@code in}, which it closes.
   *
   * @param source the name by which errors tell the input
   */
  public FtraceReader(String source, InputStream in) {
    this.source = source;
    this.in = in;
    this.lines = new LineSource(in, MAX_LINE_SIZE);
  }

  /**
   * Goes to the next event or gap.
   *
   * @throws FormatException if the stream cannot be read on
   */
  public Step advance() {
    event = null;
    while (nextLine()) {
      text = lines.array();
      at = lines.from();
      end = lines.to();
      boolean beginsTraceCmd = lines.number() == 1 && startsWith("cpus=");
      if (at == end || beginsTraceCmd) {
        continue;
      }
      if (text[at] == '#') {
        if (comment()) {
          gaps++;
          return Step.GAP;
        }
      } else if (text[at] == 'C' && gapLine()) {
        gaps++;
        return Step.GAP;
      } else if (!lines.overlong() && lines.terminated() && eventLine()) {
        events++;
        return Step.EVENT;
      } else {
        damaged();
        return Step.GAP;
      }
    }
    return Step.END;
  }

  private boolean nextLine() {
    try {
      return lines.next();
    } catch (IOException e) {
      throw new FormatException(
          FormatException.Kind.CORRUPT,
          ErrorCode.INPUT_COMPRESSION,
          source
              + ":"
              + (lines.number() + 1)
              + ": expected more of the trace, found "
              + Shown.reason(e)
              + "; copy the file again, or move it away to read the recording without its trace",
          e);
    }
  }

  /** The event that {@link #advance()} came to. */
  public TraceEvent event() {
    TraceEvent current = event;
    if (current == null) {
      throw new InvariantViolation("FtraceReader.event() asked for where there is none");
    }
    return current;
  }

  /** The thread that the event happened in. */
  public long tid() {
    return tid;
  }

  /** The process of that thread; -1 if the trace does not tell. */
  public long tgid() {
    return tgid;
  }

  /** The CPU that the event happened on. */
  public int cpu() {
    return cpu;
  }

  /** The line that the event was read from, from 1. */
  public long line() {
    return lines.number();
  }

  /** How far from the printed time the event may have happened, to either side. */
  public long precisionNs() {
    return precisionNs;
  }

  /**
   * True if every CPU's buffer reaches back to here. Of several CPUs that overwrote their oldest
   * events, each goes back to a time of its own.
   */
  public boolean allBuffersStarted() {
    return !overwritten || buffersStarted >= cpus;
  }

  /** True if the header says that the oldest events were overwritten; false until it is read. */
  public boolean overwritten() {
    return overwritten;
  }

  /**
   * True if the recorder found out that this host's KVM does not trace when a guest runs: what it
   * traces of a KVM_RUN is not all that happened.
   */
  public boolean untracedRuns() {
    return untracedRuns;
  }

  /** What was read up to now. */
  public FtraceReport report() {
    return new FtraceReport(
        lines.number(), events, damaged, unread, lost, gaps, overwritten, places);
  }

  @Override
  public void close() {
    try {
      in.close();
    } catch (IOException e) {
      // Everything wanted of the stream was read; nothing is left that closing it could lose.
      return;
    }
  }

  /** Reads a line that begins with #; true if it tells of a gap. */
  private boolean comment() {
    if (startsWith("##### CPU ")) {
      // The buffer of this CPU was overwritten up to here, while those of others go back further.
      buffersStarted++;
      return true;
    }
    untracedRuns |= startsWith(UNTRACED);
    if (startsWith("# " + ENTRIES)) {
      String line = new String(text, at, end - at, StandardCharsets.UTF_8);
      String[] words = line.substring(2 + ENTRIES.length()).strip().split("[/ ]+", 3);
      overwritten |= words.length >= 2 && !words[0].equals(words[1]);
      int cpusAt = line.indexOf("#P:");
      if (cpusAt >= 0) {
        at += cpusAt + "#P:".length();
        cpus = Math.clamp(number(4), 1, 8192);
      }
    }
    return false;
  }

  /**
   * Reads {@code CPU:3 [LOST 123 EVENTS]}, or {@code CPU:3 [123 EVENTS DROPPED]} as trace-cmd has
   * it; false if it is another line.
   */
  private boolean gapLine() {
    if (!startsWith("CPU:")) {
      return false;
    }
    int start = at;
    at += "CPU:".length();
    boolean numbered = number(5) >= 0;
    if (numbered && startsWith(" [LOST ")) {
      at += " [LOST ".length();
      lost += Math.max(0, number(18));
      return true;
    }
    if (numbered && startsWith(" [")) {
      at += " [".length();
      long dropped = number(18);
      if (dropped >= 0 && startsWith(" EVENTS DROPPED]")) {
        lost += dropped;
        return true;
      }
    }
    at = start;
    return false;
  }

  private boolean eventLine() {
    int bracket = cpuBracket();
    if (bracket < 0 || !task(bracket)) {
      return false;
    }
    at = bracket + 1;
    cpu = (int) number(5);
    at++;
    skipBlanks();
    if (at < end && !timeAhead()) {
      skipWord();
      skipBlanks();
    }
    long ns = time();
    if (ns < 0) {
      return false;
    }
    skipBlanks();
    int nameAt = at;
    while (at < end && isNameByte(text[at])) {
      at++;
    }
    if (at == nameAt || at == end) {
      return false;
    }
    if (text[at] == ':' && at + 1 < end && isNameByte(text[at + 1])) {
      // perf prints the event's group before its name.
      at++;
      nameAt = at;
      while (at < end && isNameByte(text[at])) {
        at++;
      }
    }
    if (at == end || (text[at] != ':' && !isSystemCall())) {
      return false;
    }
    String name = words.of(text, nameAt, at);
    if (text[at] == ':') {
      at++;
      skipBlanks();
    }
    TraceEvent read = texts.read(name, text, at, end, ns);
    if (texts.unread()) {
      unread++;
      place("has a text of " + name + " that is not known");
    }
    event = read;
    return true;
  }

  /** Whether the name is one of a system call, which tracefs prints as {@code sys_ioctl(...)}. */
  private boolean isSystemCall() {
    return text[at] == '(' || Ascii.startsWith(text, at, end, " -> ");
  }

  /**
   * Where the bracket of {@code [003]} is, -1 if nowhere; a comm may hold brackets too, but not
   * these.
   */
  private int cpuBracket() {
    for (int i = at + 1; i < end; i++) {
      if (text[i] == '[' && text[i - 1] == ' ') {
        int digit = i + 1;
        while (digit < end && isDigit(text[digit])) {
          digit++;
        }
        if (digit > i + 1 && digit < i + 7 && digit < end && text[digit] == ']') {
          return i;
        }
      }
    }
    return -1;
  }

  /**
   * Reads the thread of {@code comm-123} before the bracket, where {@code ( 45)} may stand between.
   */
  private boolean task(int bracket) {
    int last = beforeBlanks(bracket - 1);
    tgid = -1;
    if (last >= at && text[last] == ')') {
      while (last >= at && text[last] != '(') {
        last--;
      }
      int start = at;
      at = Math.max(last + 1, at);
      skipBlanks();
      tgid = number(10);
      at = start;
      last = beforeBlanks(last - 1);
    }
    int digitsEnd = last + 1;
    while (last >= at && isDigit(text[last])) {
      last--;
    }
    int digits = digitsEnd - last - 1;
    if (digits == 0 || digits > 10 || last < at || (text[last] != '-' && text[last] != ' ')) {
      return false;
    }
    int start = at;
    at = last + 1;
    tid = number(10);
    at = start;
    return true;
  }

  private int beforeBlanks(int from) {
    int last = from;
    while (last >= at && text[last] == ' ') {
      last--;
    }
    return last;
  }

  private boolean timeAhead() {
    for (int i = at; i < end; i++) {
      if (!isDigit(text[i])) {
        return i > at && text[i] == '.';
      }
    }
    return false;
  }

  /** Reads {@code 7.938810:} as nanoseconds; -1 if it is not here. */
  private long time() {
    long seconds = number(MAX_SECONDS_DIGITS);
    if (seconds < 0 || at >= end || text[at] != '.') {
      return -1;
    }
    at++;
    int fractionAt = at;
    long fraction = number(NS_DIGITS);
    int digits = at - fractionAt;
    if (fraction < 0 || at >= end || text[at] != ':') {
      return -1;
    }
    at++;
    long unit = 1;
    for (int i = digits; i < NS_DIGITS; i++) {
      unit *= 10;
    }
    precisionNs = unit / 2;
    return seconds * 1_000_000_000L + fraction * unit;
  }

  /**
   * The decimal number here, of at most {@code maxDigits} digits, and moves past it; -1 if there is
   * none.
   */
  private long number(int maxDigits) {
    int from = at;
    long value = 0;
    while (at < end && isDigit(text[at])) {
      if (at - from == maxDigits) {
        return -1;
      }
      value = value * 10 + (text[at] - '0');
      at++;
    }
    return at == from ? -1 : value;
  }

  private void skipBlanks() {
    while (at < end && text[at] == ' ') {
      at++;
    }
  }

  private void skipWord() {
    while (at < end && text[at] != ' ') {
      at++;
    }
  }

  private boolean startsWith(String literal) {
    if (end - at < literal.length()) {
      return false;
    }
    for (int i = 0; i < literal.length(); i++) {
      if (text[at + i] != literal.charAt(i)) {
        return false;
      }
    }
    return true;
  }

  private static boolean isDigit(byte c) {
    return c >= '0' && c <= '9';
  }

  private static boolean isNameByte(byte c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || isDigit(c);
  }

  private void damaged() {
    damaged++;
    if (lines.overlong()) {
      place("is longer than " + MAX_LINE_SIZE + " bytes");
    } else if (!lines.terminated()) {
      place("ends without a newline, so its end may be missing");
    } else {
      place("is no line of a trace");
    }
  }

  private void place(String what) {
    if (places.size() < MAX_PLACES) {
      places.add(
          source
              + ":"
              + lines.number()
              + " "
              + what
              + ": "
              + Shown.text(lines.array(), lines.from(), lines.to(), SHOWN));
    }
  }
}
