package dev.faultline.trace;

import org.jspecify.annotations.Nullable;

/** The keys of a recording's lines, and what kind of value each has. */
enum Key {
  SEQ("seq", Type.NUMBER),
  EV("ev", Type.WORD),
  T_ENTER("t_enter", Type.NUMBER),
  T_EXIT("t_exit", Type.NUMBER),
  PID("pid", Type.NUMBER),
  TID("tid", Type.NUMBER),
  TGID("tgid", Type.NUMBER),
  FD("fd", Type.NUMBER),
  FD_KIND("fd_kind", Type.WORD),
  OBJ("obj", Type.WORD),
  REQ("req", Type.HEX),
  NAME("name", Type.WORD),
  ARG("arg", Type.HEX),
  RET("ret", Type.NUMBER),
  ERRNO("errno", Type.NUMBER),
  IN("in", Type.PAYLOAD),
  IN_LEN("in_len", Type.NUMBER),
  OUT("out", Type.PAYLOAD),
  OUT_LEN("out_len", Type.NUMBER),
  RUN_IN("run_in", Type.PAYLOAD),
  RUN_IN_LEN("run_in_len", Type.NUMBER),
  RUN_OUT("run_out", Type.PAYLOAD),
  RUN_OUT_LEN("run_out_len", Type.NUMBER),
  RUN_IN_DELTA("run_in_delta", Type.PAYLOAD),
  RUN_OUT_DELTA("run_out_delta", Type.PAYLOAD),
  BITMAP("bitmap", Type.PAYLOAD),
  BITMAP_LEN("bitmap_len", Type.NUMBER),
  ATTR_DATA("attr_data", Type.PAYLOAD),
  ATTR_DATA_LEN("attr_data_len", Type.NUMBER),
  MSR_FILTER_BITMAPS("msr_filter_bitmaps", Type.PAYLOADS),
  TEXT("text", Type.TEXT),
  ARGV("argv", Type.TEXTS),
  RECORDER("recorder", Type.TEXT),
  FORMAT("format", Type.NUMBER),
  VERSION("version", Type.NUMBER),
  LEN("len", Type.NUMBER),
  OFF("off", Type.NUMBER),
  ADDR("addr", Type.HEX),
  CODE("code", Type.NUMBER),
  SIGNAL("signal", Type.NUMBER),
  SMBASE("smbase", Type.HEX),
  MAP("map", Type.PAYLOAD),
  MAP_LEN("map_len", Type.NUMBER),
  UNSEEN("unseen", Type.NUMBER),
  DECIDED("decided", Type.NUMBER);

  /** How a value is written. */
  enum Type {
    /** A JSON integer, 64 bits signed. */
    NUMBER("an integer"),
    /** A string {@code "0x4138ae84"}, 64 bits unsigned. */
    HEX("a string of 0x and hexadecimal digits"),
    /** A short string out of few. */
    WORD("a string"),
    /** Any string. */
    TEXT("a string"),
    /** An array of any strings. */
    TEXTS("an array of strings"),
    /** Bytes as base64. */
    PAYLOAD("a base64 string"),
    /** An array of bytes as base64. */
    PAYLOADS("an array of base64 strings");

    private final String words;

    Type(String words) {
      this.words = words;
    }

    /** The type in words. */
    String words() {
      return words;
    }
  }

  private final String key;
  private final Type type;

  Key(String key, Type type) {
    this.key = key;
    this.type = type;
  }

  /** As it stands in a line. */
  String key() {
    return key;
  }

  Type type() {
    return type;
  }

  /**
   * The key's place in arrays that live no longer than the program; nothing stored depends on it.
   */
  int slot() {
    return ordinal();
  }

  /** The key's bit in a set of keys. */
  long bit() {
    return 1L << slot();
  }

  /** The key of this spelling, null for one that is not read. */
  static @Nullable Key of(String spelling) {
    return switch (spelling) {
      case "seq" -> SEQ;
      case "ev" -> EV;
      case "t_enter" -> T_ENTER;
      case "t_exit" -> T_EXIT;
      case "pid" -> PID;
      case "tid" -> TID;
      case "tgid" -> TGID;
      case "fd" -> FD;
      case "fd_kind" -> FD_KIND;
      case "obj" -> OBJ;
      case "req" -> REQ;
      case "name" -> NAME;
      case "arg" -> ARG;
      case "ret" -> RET;
      case "errno" -> ERRNO;
      case "in" -> IN;
      case "in_len" -> IN_LEN;
      case "out" -> OUT;
      case "out_len" -> OUT_LEN;
      case "run_in" -> RUN_IN;
      case "run_in_len" -> RUN_IN_LEN;
      case "run_out" -> RUN_OUT;
      case "run_out_len" -> RUN_OUT_LEN;
      case "run_in_delta" -> RUN_IN_DELTA;
      case "run_out_delta" -> RUN_OUT_DELTA;
      case "bitmap" -> BITMAP;
      case "bitmap_len" -> BITMAP_LEN;
      case "attr_data" -> ATTR_DATA;
      case "attr_data_len" -> ATTR_DATA_LEN;
      case "msr_filter_bitmaps" -> MSR_FILTER_BITMAPS;
      case "text" -> TEXT;
      case "argv" -> ARGV;
      case "recorder" -> RECORDER;
      case "format" -> FORMAT;
      case "version" -> VERSION;
      case "len" -> LEN;
      case "off" -> OFF;
      case "addr" -> ADDR;
      case "code" -> CODE;
      case "signal" -> SIGNAL;
      case "smbase" -> SMBASE;
      case "map" -> MAP;
      case "map_len" -> MAP_LEN;
      case "unseen" -> UNSEEN;
      case "decided" -> DECIDED;
      default -> null;
    };
  }
}
