package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.kvm.CpuidEntry;
import dev.faultline.kvm.Errno;
import dev.faultline.kvm.Ioctl;
import dev.faultline.kvm.KvmCpuid2;
import dev.faultline.kvm.KvmExit;
import dev.faultline.kvm.KvmRegs;
import dev.faultline.kvm.KvmRun;
import dev.faultline.kvm.KvmSregs;
import dev.faultline.kvm.KvmUserspaceMemoryRegion;
import dev.faultline.trace.Observation.Call;
import dev.faultline.trace.Observation.Caller;
import dev.faultline.trace.Observation.Extras;
import dev.faultline.trace.Observation.Holding;
import dev.faultline.trace.Observation.Payload;
import dev.faultline.trace.Observation.Request;
import dev.faultline.trace.Observation.Result;
import dev.faultline.trace.Observation.Target;
import dev.faultline.trace.Observation.Traced;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** One system call as strace prints it, from its name to its result. */
final class StraceCall {
  private static final String IOCTL = "ioctl(";
  private static final List<String> DESCRIPTOR_CALLS =
      List.of(
          "openat(",
          "open(",
          "close(",
          "dup(",
          "dup2(",
          "dup3(",
          "fcntl(",
          "fcntl64(",
          "clone(",
          "clone3(",
          "fork(",
          "vfork(");
  private static final List<String> NOTICES =
      List.of(
          "+++ ", "--- ", "strace: ", "Process ", "[ Process PID=", " > ", "> ", "VCPU:", " VCPU");
  private static final int MAX_CPUID_ENTRIES = 256;
  private static final List<String> CPUID_FIELDS =
      List.of("function", "index", "flags", "eax", "ebx", "ecx", "edx");
  private static final int KVMIO = Ioctl.KVMIO;

  private final WordCache words = new WordCache();
  private final Map<String, Ioctl> ioctls = new HashMap<>();
  private final Map<String, Payload> runs = new HashMap<>();
  private String problem = "";

  /** What a line is about. */
  enum Kind {
    /** An ioctl on anything. */
    IOCTL,
    /** A call that makes, copies or closes descriptors. */
    DESCRIPTOR,
    /** Another system call. */
    OTHER,
    /** A call that writes to the standard error output. */
    MESSAGE,
    /** What strace says of itself, of signals and exits. */
    NOTICE,
    /** Nothing that strace prints. */
    NOT_A_LINE
  }

  /**
   * A parsed ioctl.
   *
   * @param ioctl null if the request is one that this version does not know
   * @param name as printed
   * @param argFrom where the argument begins, -1 if there is none
   * @param durationNs with {@code -T}, else -1
   * @param exit what {@code -e kvm=vcpu} prints behind the result of KVM_RUN, else empty
   */
  record Parsed(
      int fd,
      String label,
      int req,
      @Nullable Ioctl ioctl,
      String name,
      int argFrom,
      int argTo,
      int ret,
      int errno,
      boolean unreturned,
      long durationNs,
      String exit) {}

  /** A call that makes, copies or closes descriptors. */
  record DescriptorCall(
      String name, int fd, int ret, boolean kvm, boolean copies, boolean sharesFiles) {}

  /** What the line from {@code at} on is about. */
  static Kind kind(byte[] text, int at, int end) {
    if (Ascii.startsWith(text, at, end, IOCTL)) {
      return Kind.IOCTL;
    }
    for (String notice : NOTICES) {
      if (Ascii.startsWith(text, at, end, notice)) {
        return Kind.NOTICE;
      }
    }
    int paren = at;
    while (paren < end && isNameByte(text[paren])) {
      paren++;
    }
    if (paren == at || paren >= end || text[paren] != '(') {
      return paren > at && Ascii.startsWith(text, paren, end, " <unfinished")
          ? Kind.OTHER
          : Kind.NOT_A_LINE;
    }
    if (Ascii.startsWith(text, at, end, "write(2,")
        || Ascii.startsWith(text, at, end, "write(2<")) {
      return Kind.MESSAGE;
    }
    for (String call : DESCRIPTOR_CALLS) {
      if (Ascii.startsWith(text, at, end, call)) {
        return Kind.DESCRIPTOR;
      }
    }
    return Kind.OTHER;
  }

  private static boolean isNameByte(byte c) {
    return (c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9');
  }

  /** Whether the request may be one of KVM's; cheap, and true too often. */
  static boolean mayBeKvm(byte[] text, int at, int end) {
    int comma = requestAt(text, at, end);
    return comma >= 0
        && (Ascii.startsWith(text, comma, end, "KVM_")
            || Ascii.startsWith(text, comma, end, "_IOC(")
            || Ascii.startsWith(text, comma, end, "0x")
            || Ascii.find(text, comma, Math.min(end, comma + 96), "KVM_") >= 0);
  }

  private static int requestAt(byte[] text, int at, int end) {
    int i = at + IOCTL.length();
    int depth = 0;
    while (i < end && (text[i] != ',' || depth > 0)) {
      depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
      i++;
    }
    return i + 2 < end ? i + 2 : -1;
  }

  /** Why the last ioctl could not be read. */
  String problem() {
    return problem;
  }

  /** Reads an ioctl; null if it is damaged, or none of KVM's ({@link #problem} tells). */
  @Nullable Parsed ioctl(byte[] text, int at, int end) {
    int i = at + IOCTL.length();
    int fdAt = i;
    while (i < end && text[i] >= '0' && text[i] <= '9') {
      i++;
    }
    if (i == fdAt || i - fdAt > 9) {
      return fail("names no descriptor");
    }
    int fd = decimal(text, fdAt, i);
    String label = "";
    if (i < end && text[i] == '<') {
      int close = angles(text, i, end);
      label = words.of(text, i + 1, Math.max(i + 1, close - 1));
      i = close;
    }
    if (!Ascii.startsWith(text, i, end, ", ")) {
      return fail("ends before its request");
    }
    i += 2;
    int requestEnd = argumentEnd(text, i, end);
    if (requestEnd < 0) {
      return fail("ends in its request");
    }
    int argFrom = -1;
    int argTo = requestEnd;
    int close = requestEnd;
    if (text[requestEnd] == ',') {
      argFrom = requestEnd + 1;
      while (argFrom < end && text[argFrom] == ' ') {
        argFrom++;
      }
      argTo = argumentEnd(text, argFrom, end);
      if (argTo < 0) {
        return fail("ends in its argument");
      }
      close = argTo;
      while (close >= 0 && close < end && text[close] == ',') {
        close = argumentEnd(text, close + 1, end);
      }
      if (close < 0) {
        return fail("ends in its argument");
      }
    }
    return result(text, close + 1, end, fd, label, i, requestEnd, argFrom, argTo);
  }

  private @Nullable Parsed fail(String what) {
    problem = what;
    return null;
  }

  private @Nullable Parsed result(
      byte[] text,
      int from,
      int end,
      int fd,
      String label,
      int reqFrom,
      int reqTo,
      int argFrom,
      int argTo) {
    int i = from;
    while (i < end && text[i] == ' ') {
      i++;
    }
    if (i >= end || text[i] != '=') {
      return fail("ends before its result");
    }
    i++;
    while (i < end && text[i] == ' ') {
      i++;
    }
    int wordEnd = i;
    while (wordEnd < end && text[wordEnd] != ' ' && text[wordEnd] != '<') {
      wordEnd++;
    }
    boolean unreturned = i < end && text[i] == '?';
    Long ret = unreturned ? Long.valueOf(-1) : PrintedValue.number(text, i, wordEnd);
    if (ret == null) {
      return fail("has a result that is no number");
    }
    if (Ascii.find(text, wordEnd, end, "(INJECTED)") >= 0) {
      unreturned = true;
    }
    int errno = 0;
    if (ret == -1 && !unreturned) {
      int nameFrom = Math.min(wordEnd + 1, end);
      int nameTo = nameFrom;
      while (nameTo < end && text[nameTo] != ' ') {
        nameTo++;
      }
      Errno known = Errno.ofName(words.of(text, nameFrom, nameTo));
      errno = known == null ? 0 : known.number();
    }
    Ioctl ioctl = named(text, reqFrom, reqTo);
    int req = ioctl != null ? ioctl.number() : requestNumber(text, reqFrom, reqTo);
    String name =
        ioctl != null ? ioctl.uapiName() : words.of(text, reqFrom, Math.min(reqTo, reqFrom + 64));
    return new Parsed(
        fd,
        label,
        req,
        ioctl,
        name,
        argFrom,
        argTo,
        ret.intValue(),
        errno,
        unreturned,
        duration(text, wordEnd, end),
        exit(text, wordEnd, end));
  }

  /** The ioctl of {@code KVM_A}, {@code KVM_A or KVM_B}, {@code 0xae80 /* KVM_RUN *}{@code /}. */
  private @Nullable Ioctl named(byte[] text, int from, int to) {
    int at = Ascii.find(text, from, to, "KVM_");
    while (at >= 0) {
      int wordTo = at;
      while (wordTo < to && (isNameByte((byte) (text[wordTo] | ' ')) || text[wordTo] == '_')) {
        wordTo++;
      }
      Ioctl ioctl = ofName(words.of(text, at, wordTo));
      if (ioctl != null) {
        return ioctl;
      }
      at = Ascii.find(text, Math.max(wordTo, at + 1), to, "KVM_");
    }
    return Ioctl.of(requestNumber(text, from, to));
  }

  /** The number of {@code 0xae80} or {@code _IOC(_IOC_READ|_IOC_WRITE, 0xae, 0x5, 0x8)}; else 0. */
  private static int requestNumber(byte[] text, int from, int to) {
    if (!Ascii.startsWith(text, from, to, "_IOC(")) {
      Long number = PrintedValue.number(text, from, to);
      return number == null ? 0 : number.intValue();
    }
    int direction =
        (Ascii.find(text, from, to, "_IOC_WRITE") >= 0 ? 1 : 0)
            | (Ascii.find(text, from, to, "_IOC_READ") >= 0 ? 2 : 0);
    int[] parts = new int[3];
    int at = from;
    for (int i = 0; i < parts.length; i++) {
      at = Ascii.find(text, at + 1, to, ",");
      if (at < 0) {
        return 0;
      }
      int valueFrom = at + 1;
      while (valueFrom < to && text[valueFrom] == ' ') {
        valueFrom++;
      }
      Long part = PrintedValue.number(text, valueFrom, to);
      parts[i] = part == null ? 0 : part.intValue();
    }
    return direction << 30 | (parts[2] & 0x3fff) << 16 | (parts[0] & 0xff) << 8 | (parts[1] & 0xff);
  }

  /** Whether the request is one of KVM's. */
  static boolean isKvm(Parsed parsed) {
    return parsed.ioctl() != null
        || parsed.name().startsWith("KVM_")
        || (parsed.req() >>> 8 & 0xff) == KVMIO;
  }

  /** The ioctl as an observation; null if it is none of KVM's. */
  @Nullable Observation observation(
      byte[] text,
      Parsed parsed,
      Descriptors table,
      long seq,
      long tid,
      long enterNs,
      long exitNs,
      String where) {
    if (!isKvm(parsed)) {
      return null;
    }
    Ioctl ioctl = parsed.ioctl();
    Descriptors.Known on =
        ioctl == null
            ? table.of(parsed.fd(), parsed.label(), Ioctl.SET_DEVICE_ATTR)
            : table.of(parsed.fd(), parsed.label(), ioctl);
    Long printed =
        parsed.argFrom() < 0
            ? Long.valueOf(0)
            : PrintedValue.number(text, parsed.argFrom(), parsed.argTo());
    long arg = printed == null ? 0 : printed;
    if (ioctl != null && parsed.ret() >= 0) {
      table.made(ioctl, on, arg, parsed.ret());
    }
    return new Call(
        seq,
        enterNs,
        exitNs,
        new Caller(tid, tid),
        new Target(parsed.fd(), on.kindWord(), on.obj()),
        new Request(parsed.req(), parsed.name(), arg),
        new Result(parsed.ret(), parsed.errno()),
        ioctl == null ? Payload.UNSEEN : payload(text, ioctl, parsed),
        Traced.ABSENT,
        where);
  }

  private Payload payload(byte[] text, Ioctl ioctl, Parsed parsed) {
    if (ioctl == Ioctl.RUN) {
      return run(parsed);
    }
    if (ioctl.direction() == Ioctl.Direction.NONE) {
      return Payload.NONE;
    }
    PrintedValue printed = PrintedValue.struct(text, parsed.argFrom(), parsed.argTo());
    if (printed == null) {
      return Payload.UNSEEN;
    }
    return switch (ioctl) {
      case SET_REGS -> struct(printed, KvmRegs.LAYOUT, true);
      case GET_REGS -> struct(printed, KvmRegs.LAYOUT, false);
      case SET_SREGS -> struct(printed, KvmSregs.LAYOUT, true);
      case GET_SREGS -> struct(printed, KvmSregs.LAYOUT, false);
      case SET_USER_MEMORY_REGION -> struct(printed, KvmUserspaceMemoryRegion.LAYOUT, true);
      case SET_CPUID2 -> cpuid(printed, true);
      case GET_CPUID2, GET_SUPPORTED_CPUID, GET_EMULATED_CPUID -> cpuid(printed, false);
      default -> Payload.UNSEEN;
    };
  }

  /** One payload for all KVM_RUNs that returned alike, since a trace holds millions of them. */
  private Payload run(Parsed parsed) {
    Payload known = runs.get(parsed.exit());
    if (known != null) {
      return known;
    }
    for (KvmExit exit : KvmExit.values()) {
      if (exit.name().equals(parsed.exit())) {
        Bytes page = KvmRun.zero().withExitReason(exit.number()).raw();
        Payload payload =
            new Payload(
                Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, page, Extras.NONE, Holding.EXIT_REASON);
        runs.put(parsed.exit(), payload);
        return payload;
      }
    }
    return Payload.UNSEEN;
  }

  /** The ioctl of that name; looked for among all only once. */
  private @Nullable Ioctl ofName(String name) {
    Ioctl known = ioctls.get(name);
    if (known == null) {
      known = Ioctl.ofName(name);
      if (known != null) {
        ioctls.put(name, known);
      }
    }
    return known;
  }

  private static Payload struct(PrintedValue printed, StructLayout layout, boolean written) {
    FieldSet shown = printed.shown(layout);
    if (shown.isEmpty()) {
      return Payload.UNSEEN;
    }
    Bytes bytes = printed.bytes(layout);
    Holding holding = shown.isAll() ? Holding.WHOLE : Holding.of(shown);
    return written
        ? new Payload(bytes, Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Extras.NONE, holding)
        : new Payload(Bytes.EMPTY, bytes, Bytes.EMPTY, Bytes.EMPTY, Extras.NONE, holding);
  }

  private static Payload cpuid(PrintedValue printed, boolean written) {
    Long count = printed.field("nent");
    if (count == null || printed.elided() || count > MAX_CPUID_ENTRIES) {
      return Payload.UNSEEN;
    }
    List<CpuidEntry> entries = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      String at = "entries[" + i + "].";
      int[] values = new int[CPUID_FIELDS.size()];
      for (int f = 0; f < values.length; f++) {
        Long value = printed.field(at + CPUID_FIELDS.get(f));
        if (value == null) {
          return Payload.UNSEEN;
        }
        values[f] = value.intValue();
      }
      entries.add(
          new CpuidEntry(
              values[0], values[1], values[2], values[3], values[4], values[5], values[6]));
    }
    Bytes table = KvmCpuid2.of(entries).raw();
    return written
        ? new Payload(table, Bytes.EMPTY, Bytes.EMPTY, Bytes.EMPTY, Extras.NONE)
        : new Payload(table, table, Bytes.EMPTY, Bytes.EMPTY, Extras.NONE);
  }

  /** {@code (KVM_EXIT_IO)} behind the result. */
  private String exit(byte[] text, int from, int end) {
    int at = Ascii.find(text, from, end, "(KVM_EXIT_");
    if (at < 0) {
      return "";
    }
    int to = at + 1;
    while (to < end && text[to] != ')') {
      to++;
    }
    return words.of(text, at + 1, to);
  }

  /** {@code <0.000015>} at the end of the line, in ns; else -1. */
  private static long duration(byte[] text, int from, int end) {
    if (end - from < 3 || text[end - 1] != '>') {
      return -1;
    }
    int open = end - 2;
    while (open > from && text[open] != '<') {
      open--;
    }
    long value = 0;
    int decimals = -1;
    for (int i = open + 1; i < end - 1; i++) {
      if (text[i] == '.' && decimals < 0) {
        decimals = 0;
      } else if (text[i] >= '0' && text[i] <= '9' && decimals < 9) {
        value = value * 10 + (text[i] - '0');
        decimals += decimals < 0 ? 0 : 1;
      } else {
        return -1;
      }
    }
    for (int i = Math.max(decimals, 0); i < 9; i++) {
      value *= 10;
    }
    return decimals < 0 ? -1 : value;
  }

  /** Where the argument that begins at {@code from} ends, at a comma or the closing parenthesis. */
  private static int argumentEnd(byte[] text, int from, int end) {
    int depth = 0;
    for (int i = from; i < end; i++) {
      switch (text[i]) {
        case '(', '[', '{' -> depth++;
        case ')' -> {
          if (depth == 0) {
            return i;
          }
          depth--;
        }
        case ']', '}' -> depth--;
        case ',' -> {
          if (depth == 0) {
            return i;
          }
        }
        case '"' -> {
          i++;
          while (i < end && text[i] != '"') {
            i += text[i] == '\\' ? 2 : 1;
          }
        }
        case '<' -> i = angles(text, i, end) - 1;
        default -> {}
      }
    }
    return -1;
  }

  /** The position behind the bracket that closes the one at {@code from}. */
  private static int angles(byte[] text, int from, int end) {
    int depth = 0;
    for (int i = from; i < end; i++) {
      if (text[i] == '<') {
        depth++;
      } else if (text[i] == '>') {
        depth--;
        if (depth == 0) {
          return i + 1;
        }
      }
    }
    return end;
  }

  private static int decimal(byte[] text, int from, int to) {
    int value = 0;
    for (int i = from; i < to; i++) {
      value = value * 10 + (text[i] - '0');
    }
    return value;
  }

  /** Reads a call that makes, copies or closes descriptors; null if it is not whole. */
  static @Nullable DescriptorCall descriptorCall(byte[] text, int at, int end) {
    int paren = at;
    while (paren < end && text[paren] != '(') {
      paren++;
    }
    String name = new String(text, at, paren - at, StandardCharsets.US_ASCII);
    int result = lastResult(text, paren, end);
    if (result < 0) {
      return null;
    }
    int wordEnd = result;
    while (wordEnd < end && text[wordEnd] != ' ' && text[wordEnd] != '<') {
      wordEnd++;
    }
    Long ret = PrintedValue.number(text, result, wordEnd);
    int fdTo = paren + 1;
    while (fdTo < end && text[fdTo] >= '0' && text[fdTo] <= '9' && fdTo - paren <= 9) {
      fdTo++;
    }
    return new DescriptorCall(
        name,
        decimal(text, Math.min(paren + 1, end), fdTo),
        ret == null ? -1 : ret.intValue(),
        Ascii.find(text, paren, end, "\"/dev/kvm\"") >= 0,
        !name.startsWith("fcntl") || Ascii.find(text, paren, end, "F_DUPFD") >= 0,
        Ascii.find(text, paren, end, "CLONE_FILES") >= 0);
  }

  /** Where the result begins, behind the last {@code ) = }. */
  private static int lastResult(byte[] text, int from, int end) {
    for (int i = end - 3; i > from; i--) {
      if (text[i] == '=' && text[i - 1] == ' ' && text[i + 1] == ' ') {
        return i + 2;
      }
    }
    return -1;
  }
}
