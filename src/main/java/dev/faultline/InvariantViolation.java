package dev.faultline;

/**
 * A bug of Faultline itself: something that cannot be was seen. Always on, never caught but by
 * main, which ends the program with {@link #EXIT_CODE}.
 */
public final class InvariantViolation extends Error {
  private static final long serialVersionUID = 1L;

  /** What the program exits with after a bug: EX_SOFTWARE of sysexits.h. */
  public static final int EXIT_CODE = 70;

  /** A bug, told in one sentence. */
  public InvariantViolation(String message) {
    super(message);
  }

  /** A bug, told in one sentence, that showed itself through another throwable. */
  public InvariantViolation(String message, Throwable cause) {
    super(message, cause);
  }
}
