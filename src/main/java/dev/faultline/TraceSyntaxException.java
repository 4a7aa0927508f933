package dev.faultline;

/** A line of a trace or a recording cannot be read as what it should be. */
public final class TraceSyntaxException extends FaultlineException {
  private static final long serialVersionUID = 1L;

  /** EX_DATAERR of sysexits.h. */
  public static final int EXIT_CODE = 65;

  /** A line told by {@code sentence}, which begins with {@code file:line}. */
  public TraceSyntaxException(ErrorCode code, String sentence) {
    super(code, sentence);
  }

  /** As above, with the throwable that brought it to light. */
  public TraceSyntaxException(ErrorCode code, String sentence, Throwable cause) {
    super(code, sentence, cause);
  }

  @Override
  public int exitCode() {
    return EXIT_CODE;
  }
}
