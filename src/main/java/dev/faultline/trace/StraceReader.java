package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.InvariantViolation;
import dev.faultline.trace.Observation.Closed;
import dev.faultline.trace.Observation.Mark;
import dev.faultline.trace.StraceCall.Parsed;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.SequencedMap;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Reads what strace prints: the KVM ioctls among its calls, with what it decodes of them.
 *
 * <p><i>Shape</i> of a line: what {@link StraceLine} reads, then
 *
 * <pre>
 * ioctl(15&lt;anon_inode:kvm-vcpu:0&gt;, KVM_RUN, 0) = 0 (KVM_EXIT_IO) &lt;0.000015&gt;
 * ioctl(15, KVM_RUN, 0 &lt;unfinished ...&gt;
 * &lt;... ioctl resumed&gt;) = -1 EINTR (Interrupted system call)
 * </pre>
 *
 * <p>Other system calls are passed over, but for those that make, copy or close descriptors, and
 * what is written to the standard error output: that, and lines that the program itself printed
 * between those of strace, is given as {@link Mark}. What strace prints as an address is unknown,
 * not zero.
 *
 * <p><i>Order</i>: calls are given in the order in which they returned, and numbered in the order
 * in which they began.
 *
 * <p><i>Errors</i>: a damaged line costs that line, and is counted in {@link #leftOut()}; an input
 * without any KVM ioctl, or one that cannot be read on, is a {@link FormatException}.
 */
public final class StraceReader implements ObservationReader {
  /** The longest line; longer ones are damaged. */
  public static final int MAX_LINE_SIZE = 1 << 20;

  private static final int MAX_PLACES = 5;
  private static final int SHOWN = 60;
  private static final int LONGEST_MESSAGE = 512;
  private static final int MAX_UNFINISHED = 1 << 16;
  private static final String UNFINISHED = " <unfinished ...>";
  private static final String RESUMED = "<... ";

  private final String source;
  private final InputStream in;
  private final LineSource lines;
  private final StraceLine head = new StraceLine();
  private final StraceCall calls = new StraceCall();
  private final Descriptors.Names names = new Descriptors.Names();
  private final Descriptors shared = new Descriptors(names);
  private final TreeMap<Long, Descriptors> ownTables = new TreeMap<>();
  private final SequencedMap<Long, Begun> unfinished = new LinkedHashMap<>();
  private final List<String> places = new ArrayList<>();

  private @Nullable Observation ahead;
  private boolean ended;
  private long given;
  private long seq;
  private long damaged;
  private long unreturned;

  /** The first part of a call that another thread's line came into. */
  private record Begun(Bytes text, long line, long ns, long seq) {}

  /**
   * A reader of {@code in}, which it closes.
   *
   * @param source the name by which errors tell the input
   */
  public StraceReader(String source, InputStream in) {
    this.source = source;
    this.in = in;
    this.lines = new LineSource(in, MAX_LINE_SIZE);
  }

  @Override
  public boolean hasNext() {
    while (ahead == null && !ended) {
      if (nextLine()) {
        ahead = read();
      } else {
        ended = true;
        end();
      }
    }
    return ahead != null;
  }

  @Override
  public Observation next() {
    Observation current = hasNext() ? ahead : null;
    if (current == null) {
      throw new NoSuchElementException("the trace " + source + " is at its end");
    }
    ahead = null;
    given += current instanceof Mark ? 0 : 1;
    return current;
  }

  @Override
  public InputFormat format() {
    return InputFormat.STRACE;
  }

  @Override
  public @Nullable MergeReport mergeReport() {
    return null;
  }

  @Override
  public LeftOut leftOut() {
    return new LeftOut(damaged, unreturned, places);
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
              + "; copy the file again",
          e);
    }
  }

  private void end() {
    for (Map.Entry<Long, Begun> entry : unfinished.entrySet()) {
      unreturned++;
      place(entry.getValue().line(), "begins a call whose return the trace does not hold");
    }
    unfinished.clear();
    if (given == 0) {
      throw FormatException.corrupt(
          ErrorCode.INPUT_FORMAT_UNKNOWN,
          source
              + ": expected KVM ioctls as strace prints them, found none in "
              + lines.number()
              + " lines; trace with strace -f -ttt -e trace=ioctl"
              + (places.isEmpty() ? "" : " (" + places.getFirst() + ")"));
    }
  }

  private @Nullable Observation read() {
    byte[] text = lines.array();
    int end = lines.to();
    while (end > lines.from() && (text[end - 1] == '\r' || text[end - 1] == ' ')) {
      end--;
    }
    if (end == lines.from()) {
      return null;
    }
    if (lines.overlong()) {
      damaged("is longer than " + MAX_LINE_SIZE + " bytes");
      return null;
    }
    int at = head.read(text, lines.from(), end);
    if (Ascii.startsWith(text, at, end, RESUMED)) {
      return resumed(text, at, end);
    }
    StraceCall.Kind kind = StraceCall.kind(text, at, end);
    return switch (kind) {
      case NOTICE, OTHER -> null;
      case MESSAGE -> message(written(text, at, end));
      case NOT_A_LINE -> {
        if (at == lines.from() && isMessage(text, at, end)) {
          int size = Math.min(end - at, LONGEST_MESSAGE);
          yield message(new String(text, at, size, StandardCharsets.UTF_8));
        }
        damaged("is no line of strace");
        yield null;
      }
      case IOCTL, DESCRIPTOR -> begun(text, at, end, kind);
    };
  }

  /**
   * Whether the line may be what the program printed while strace printed to the same terminal:
   * {@code qemu-system-x86_64: error: …}.
   */
  private static boolean isMessage(byte[] text, int at, int end) {
    return Character.isLetter(text[at]) && Ascii.find(text, at, end, ": ") > 0;
  }

  /** The text that a write names, as far as it is printed; empty if there is none. */
  private static String written(byte[] text, int at, int end) {
    int open = Ascii.find(text, at, end, ", \"");
    if (open < 0) {
      return "";
    }
    int from = open + 3;
    int to = from;
    while (to < end && text[to] != '"') {
      to += text[to] == '\\' ? 2 : 1;
    }
    String quoted = new String(text, from, Math.min(to, end) - from, StandardCharsets.ISO_8859_1);
    return quoted.replace("\\n", " ").replace("\\\"", "\"").strip();
  }

  private @Nullable Observation message(String said) {
    return said.isEmpty()
        ? null
        : new Mark(-1, head.ns(), head.tid(), said, source + ":" + lines.number());
  }

  private @Nullable Observation begun(byte[] text, int at, int end, StraceCall.Kind kind) {
    boolean kvm = kind == StraceCall.Kind.IOCTL;
    if (kvm && !StraceCall.mayBeKvm(text, at, end)) {
      return null;
    }
    int cut = end - UNFINISHED.length();
    if (Ascii.startsWith(text, cut, end, UNFINISHED)) {
      if (unfinished.size() < MAX_UNFINISHED) {
        Bytes part = Bytes.wrap(Arrays.copyOfRange(text, at, cut));
        Begun before =
            unfinished.put(
                head.tid(), new Begun(part, lines.number(), head.ns(), kvm ? seq++ : -1));
        lost(before);
      }
      return null;
    }
    return whole(text, at, end, kind, lines.number(), head.ns(), head.ns(), kvm ? seq++ : -1);
  }

  private void lost(@Nullable Begun before) {
    if (before != null) {
      unreturned++;
      place(before.line(), "begins a call whose return the trace does not hold");
    }
  }

  private @Nullable Observation resumed(byte[] text, int at, int end) {
    int close = Ascii.find(text, at, end, " resumed>");
    if (close < 0) {
      damaged("resumes no call");
      return null;
    }
    Begun begun = unfinished.remove(head.tid());
    if (begun == null) {
      // Of a call that is of no interest, or that began before the trace.
      return null;
    }
    int rest = close + " resumed>".length();
    while (rest < end && text[rest] == ' ') {
      rest++;
    }
    byte[] first = begun.text().toArray();
    byte[] joined = Arrays.copyOf(first, first.length + end - rest);
    System.arraycopy(text, rest, joined, first.length, end - rest);
    StraceCall.Kind kind = StraceCall.kind(joined, 0, joined.length);
    return whole(joined, 0, joined.length, kind, begun.line(), begun.ns(), head.ns(), begun.seq());
  }

  private @Nullable Observation whole(
      byte[] text,
      int at,
      int end,
      StraceCall.Kind kind,
      long line,
      long enterNs,
      long exitNs,
      long number) {
    Descriptors table = table(head.tid());
    if (kind == StraceCall.Kind.DESCRIPTOR) {
      return descriptor(text, at, end, table, line, enterNs);
    }
    if (kind != StraceCall.Kind.IOCTL) {
      throw new InvariantViolation("a call of kind " + kind + " was begun");
    }
    Parsed parsed = calls.ioctl(text, at, end);
    if (parsed == null) {
      damaged(calls.problem());
      return null;
    }
    if (parsed.unreturned()) {
      unreturned++;
      place(line, "has no return value");
      return null;
    }
    long ended = parsed.durationNs() >= 0 && enterNs >= 0 ? enterNs + parsed.durationNs() : exitNs;
    return calls.observation(
        text, parsed, table, number, head.tid(), enterNs, ended, source + ":" + line);
  }

  private @Nullable Observation descriptor(
      byte[] text, int at, int end, Descriptors table, long line, long enterNs) {
    StraceCall.DescriptorCall call = StraceCall.descriptorCall(text, at, end);
    if (call == null || call.ret() < 0) {
      return null;
    }
    switch (call.name()) {
      case "open", "openat" -> {
        if (call.kvm()) {
          table.opened(call.ret());
        }
      }
      case "dup", "dup2", "dup3", "fcntl", "fcntl64" -> {
        if (call.copies()) {
          table.duplicated(call.fd(), call.ret());
        }
      }
      case "fork", "vfork" -> ownTables.put((long) call.ret(), table.copy());
      case "clone", "clone3" -> {
        if (!call.sharesFiles()) {
          ownTables.put((long) call.ret(), table.copy());
        } else if (ownTables.containsKey(head.tid())) {
          ownTables.put((long) call.ret(), table);
        }
      }
      case "close" -> {
        Descriptors.Known known = table.closed(call.fd());
        if (known != null) {
          return new Closed(
              seq++,
              enterNs,
              head.tid(),
              call.fd(),
              known.kindWord(),
              known.obj(),
              call.ret(),
              source + ":" + line);
        }
      }
      default -> {}
    }
    return null;
  }

  /** Threads share descriptors unless a fork was seen. */
  private Descriptors table(long tid) {
    Descriptors own = ownTables.isEmpty() ? null : ownTables.get(tid);
    return own == null ? shared : own;
  }

  private void damaged(String what) {
    damaged++;
    place(lines.number(), what + ": " + Shown.text(lines.array(), lines.from(), lines.to(), SHOWN));
  }

  private void place(long line, String what) {
    if (places.size() < MAX_PLACES) {
      places.add(source + ":" + line + " " + what);
    }
  }
}
