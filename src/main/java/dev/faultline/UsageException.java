package dev.faultline;

/**
 * The user asked for something that there is not: a verb, an option, a file, a timeline, a moment.
 */
public final class UsageException extends FaultlineException {
  private static final long serialVersionUID = 1L;

  /** The usual exit status of a wrong command line. */
  public static final int EXIT_CODE = 2;

  /** A usage error, told by {@code sentence}. */
  public UsageException(ErrorCode code, String sentence) {
    super(code, sentence);
  }

  /** As above, with the throwable that brought it to light. */
  public UsageException(ErrorCode code, String sentence, Throwable cause) {
    super(code, sentence, cause);
  }

  @Override
  public int exitCode() {
    return EXIT_CODE;
  }
}
