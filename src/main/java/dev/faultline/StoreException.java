package dev.faultline;

/** The store cannot be reached, read or written, or holds what it never should. */
public final class StoreException extends FaultlineException {
  private static final long serialVersionUID = 1L;

  /** EX_IOERR of sysexits.h. */
  public static final int EXIT_CODE = 74;

  /** A store error, told by {@code sentence}. */
  public StoreException(ErrorCode code, String sentence) {
    super(code, sentence);
  }

  /** As above, with the throwable that brought it to light. */
  public StoreException(ErrorCode code, String sentence, Throwable cause) {
    super(code, sentence, cause);
  }

  @Override
  public int exitCode() {
    return EXIT_CODE;
  }
}
