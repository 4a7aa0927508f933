package dev.faultline.report;

/** How text is set off: on a terminal by colour, elsewhere not at all. */
public enum Ink {
  /** No codes. */
  PLAIN,
  /** The SGR codes of ECMA-48, which terminals understand. */
  ANSI;

  private static final String END = "\033[0m";

  /** A heading. */
  public String strong(String text) {
    return wrap("\033[1m", text);
  }

  /** What matters least, or is not certain. */
  public String faint(String text) {
    return wrap("\033[2m", text);
  }

  /** What is as it should be. */
  public String good(String text) {
    return wrap("\033[32m", text);
  }

  /** What is not. */
  public String bad(String text) {
    return wrap("\033[31m", text);
  }

  /** What the model added. */
  public String made(String text) {
    return wrap("\033[33m", text);
  }

  private String wrap(String code, String text) {
    return this == PLAIN || text.isEmpty() ? text : code + text + END;
  }
}
