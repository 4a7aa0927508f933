package dev.faultline;

/**
 * Something outside Faultline is not as it must be: a trace, a format, a store, a command line.
 *
 * <p><i>Shape</i> of the message: {@code FL-112 boot.strace:418:31: expected ')' of ioctl(, found
 * end of file; cut off? import --to-line 417}: the code, where, what was expected and found, what
 * to do.
 *
 * <p>A new kind is made only where a caller could react differently to it. A refusal by KVM is no
 * exception but a value.
 */
public abstract sealed class FaultlineException extends RuntimeException
    permits TraceSyntaxException, FormatException, StoreException, UsageException {
  private static final long serialVersionUID = 1L;

  private final ErrorCode code;
  private final String sentence;

  /** An error told by {@code sentence}, which names where and what to do. */
  protected FaultlineException(ErrorCode code, String sentence) {
    super(code.id() + " " + sentence);
    this.code = code;
    this.sentence = sentence;
  }

  /** As above, with the throwable that brought it to light. */
  protected FaultlineException(ErrorCode code, String sentence, Throwable cause) {
    super(code.id() + " " + sentence, cause);
    this.code = code;
    this.sentence = sentence;
  }

  /** The stable code of the error. */
  public final ErrorCode code() {
    return code;
  }

  /** The message without its code. */
  public final String sentence() {
    return sentence;
  }

  /** What the program exits with: 2 usage, 65 data, 74 store. */
  public abstract int exitCode();
}
