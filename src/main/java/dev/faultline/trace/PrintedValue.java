package dev.faultline.trace;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import dev.faultline.kvm.KvmCap;
import dev.faultline.kvm.KvmExit;
import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import org.jspecify.annotations.Nullable;

/**
 * A struct as strace prints it.
 *
 * <p><i>Shape</i>:
 *
 * <pre>
 * {cs={base=0, limit=4294967295, ...}, cr0=0x80050033, interrupt_bitmap=[0, 0x8, 0, 0]}
 * {nent=1, entries=[{function=0x1, index=0, flags=KVM_CPUID_FLAG_SIGNIFCANT_INDEX, eax=0x306c3}]}
 * </pre>
 *
 * <p>What it leaves out ({@code ...}) is not there; nor is a value that is neither a number nor a
 * known name.
 */
final class PrintedValue {
  private static final int MAX_DEPTH = 8;
  private static final int MAX_FIELDS = 1 << 16;

  /** Those of 64 bits, written in decimal. */
  private static final int MAX_DIGITS = 20;

  private final byte[] text;
  private final int end;
  private final SequencedMap<String, Long> fields = new LinkedHashMap<>();
  private int at;
  private boolean elided;
  private boolean failed;

  private PrintedValue(byte[] text, int from, int to) {
    this.text = text;
    this.at = from;
    this.end = to;
  }

  /** The struct at {@code from}; null if there is none, or it is of no known shape. */
  static @Nullable PrintedValue struct(byte[] text, int from, int to) {
    if (from < 0 || from >= to || text[from] != '{') {
      return null;
    }
    PrintedValue value = new PrintedValue(text, from, to);
    value.value("", 0);
    return value.failed || value.fields.isEmpty() ? null : value;
  }

  /**
   * A number, or a name that stands for one, at {@code from}, with a comment behind it or not.
   *
   * @return null if it is neither
   */
  static @Nullable Long number(byte[] text, int from, int to) {
    // Nearly all are plain numbers; for those nothing has to be made ready.
    Long plain = plain(text, from, to);
    if (plain != null) {
      return plain;
    }
    PrintedValue value = new PrintedValue(text, from, to);
    Long number = value.scalar();
    return value.failed ? null : number;
  }

  /** Whether something was left out. */
  boolean elided() {
    return elided;
  }

  /** The number of that field; null if it is not shown. */
  @Nullable Long field(String name) {
    return fields.get(name);
  }

  /** The fields of a layout that are shown. */
  FieldSet shown(StructLayout layout) {
    FieldSet shown = layout.none();
    for (String name : fields.keySet()) {
      if (layout.has(name)) {
        shown = shown.with(layout.indexOf(name));
      }
    }
    return shown;
  }

  /** The struct with the fields that are shown; the others are zero. */
  Bytes bytes(StructLayout layout) {
    Bytes.Builder bytes = Bytes.zero(layout.size()).toBuilder();
    for (Map.Entry<String, Long> entry : fields.entrySet()) {
      if (layout.has(entry.getKey())) {
        StructField field = layout.field(entry.getKey());
        bytes.put(field.offset(), field.width(), entry.getValue());
      }
    }
    return bytes.build();
  }

  private void value(String name, int depth) {
    if (failed || depth > MAX_DEPTH || at >= end) {
      failed = true;
      return;
    }
    switch (text[at]) {
      case '{' -> struct(name, depth);
      case '[' -> list(name, depth);
      default -> {
        Long number = scalar();
        if (number != null && !name.isEmpty() && fields.size() < MAX_FIELDS) {
          fields.put(name, number);
        }
      }
    }
  }

  private void struct(String name, int depth) {
    at++;
    while (!failed) {
      blanks();
      if (closes('}')) {
        return;
      }
      if (ellipsis()) {
        continue;
      }
      int from = at;
      while (at < end && text[at] != '=' && text[at] != '}' && text[at] != ',') {
        at++;
      }
      if (at >= end || text[at] != '=') {
        failed = true;
        return;
      }
      String field = new String(text, from, at - from, StandardCharsets.US_ASCII);
      at++;
      value(name.isEmpty() ? field : name + "." + field, depth + 1);
      separator();
    }
  }

  private void list(String name, int depth) {
    at++;
    int index = 0;
    while (!failed) {
      blanks();
      if (closes(']')) {
        return;
      }
      if (ellipsis()) {
        continue;
      }
      value(name + "[" + index + "]", depth + 1);
      index++;
      separator();
    }
  }

  /** What stands between two values, or ends them. */
  private void separator() {
    blanks();
    if (at < end && text[at] == ',') {
      at++;
    } else if (at >= end || (text[at] != '}' && text[at] != ']')) {
      failed = true;
    }
  }

  private boolean closes(char bracket) {
    if (at >= end) {
      failed = true;
      return true;
    }
    if (text[at] != bracket) {
      return false;
    }
    at++;
    return true;
  }

  private boolean ellipsis() {
    if (end - at < 3 || text[at] != '.' || text[at + 1] != '.' || text[at + 2] != '.') {
      return false;
    }
    at += 3;
    elided = true;
    blanks();
    if (at < end && text[at] == ',') {
      at++;
    }
    return true;
  }

  /** A number, flags joined by bars, or a text; moves past it. */
  private @Nullable Long scalar() {
    long sum = 0;
    boolean known = true;
    boolean any = false;
    while (at < end) {
      blanks();
      int from = at;
      if (at < end && text[at] == '"') {
        quoted();
        known = false;
      } else {
        while (at < end && isWord(text[at])) {
          at++;
        }
        Long part = at == from ? null : part(from, at);
        if (at == from) {
          break;
        }
        known &= part != null;
        sum |= part == null ? 0 : part;
      }
      any = true;
      blanks();
      if (at >= end || text[at] != '|') {
        break;
      }
      at++;
    }
    if (!any) {
      failed = true;
    }
    return known && any ? sum : null;
  }

  private @Nullable Long part(int from, int to) {
    Long number = plain(text, from, to);
    if (number != null) {
      return number;
    }
    String name = new String(text, from, to - from, StandardCharsets.US_ASCII);
    return switch (name) {
      case "KVM_CPUID_FLAG_SIGNIFCANT_INDEX", "KVM_MEM_LOG_DIRTY_PAGES" -> 1L;
      case "KVM_CPUID_FLAG_STATEFUL_FUNC", "KVM_MEM_READONLY" -> 2L;
      case "KVM_CPUID_FLAG_STATE_READ_NEXT", "KVM_MEM_GUEST_MEMFD" -> 4L;
      default -> constant(name);
    };
  }

  /** A number and nothing else, decimal or {@code 0x…}, its sign before it; else null. */
  private static @Nullable Long plain(byte[] text, int from, int to) {
    boolean negative = from < to && text[from] == '-';
    int first = negative ? from + 1 : from;
    boolean hex = to - first > 2 && text[first] == '0' && (text[first + 1] | ' ') == 'x';
    first += hex ? 2 : 0;
    if (first >= to || to - first > MAX_DIGITS) {
      return null;
    }
    long number = 0;
    for (int i = first; i < to; i++) {
      int digit = hex ? hexDigit(text[i]) : text[i] - '0';
      if (digit < 0 || (!hex && digit > 9)) {
        return null;
      }
      number = hex ? number << 4 | digit : number * 10 + digit;
    }
    return negative ? -number : number;
  }

  private static int hexDigit(byte c) {
    int lower = c | ' ';
    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  }

  private static @Nullable Long constant(String name) {
    try {
      if (name.startsWith("KVM_CAP_")) {
        return Integer.toUnsignedLong(KvmCap.valueOf(name).number());
      }
      if (name.startsWith("KVM_EXIT_")) {
        return Integer.toUnsignedLong(KvmExit.valueOf(name).number());
      }
    } catch (IllegalArgumentException _) {
      // A name that is newer than this version.
      return null;
    }
    return null;
  }

  private void quoted() {
    at++;
    while (at < end && text[at] != '"') {
      at += text[at] == '\\' ? 2 : 1;
    }
    at = Math.min(at + 1, end);
  }

  /** Skips blanks and comments. */
  private void blanks() {
    while (at < end) {
      if (text[at] == ' ') {
        at++;
      } else if (text[at] == '/' && at + 1 < end && text[at + 1] == '*') {
        at += 2;
        while (at + 1 < end && !(text[at] == '*' && text[at + 1] == '/')) {
          at++;
        }
        at = Math.min(at + 2, end);
      } else {
        return;
      }
    }
  }

  private static boolean isWord(byte c) {
    return (c >= '0' && c <= '9')
        || (c >= 'a' && c <= 'z')
        || (c >= 'A' && c <= 'Z')
        || c == '_'
        || c == '-'
        || c == '?'
        || c == '~';
  }
}
