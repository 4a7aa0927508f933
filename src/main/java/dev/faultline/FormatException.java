package dev.faultline;

/**
 * Bytes are not in the format that they must be in: damaged, of a version no longer read, or of one
 * not yet known.
 */
public final class FormatException extends FaultlineException {
  private static final long serialVersionUID = 1L;

  /** EX_DATAERR of sysexits.h. */
  public static final int EXIT_CODE = 65;

  /** What is wrong; a caller reacts differently to each. */
  public enum Kind {
    /** Damaged, or never was of this format. */
    CORRUPT,
    /** Of a version that is read no more. */
    TOO_OLD,
    /** Of a version that a later Faultline writes. */
    TOO_NEW
  }

  private final Kind kind;

  /** A format error of the given kind. */
  public FormatException(Kind kind, ErrorCode code, String sentence) {
    super(code, sentence);
    this.kind = kind;
  }

  /** As above, with the throwable that brought it to light. */
  public FormatException(Kind kind, ErrorCode code, String sentence, Throwable cause) {
    super(code, sentence, cause);
    this.kind = kind;
  }

  /** A damaged input. */
  public static FormatException corrupt(ErrorCode code, String sentence) {
    return new FormatException(Kind.CORRUPT, code, sentence);
  }

  /** A payload that is not of its struct's size. */
  public static FormatException structSize(String struct, String expected, int foundSize) {
    return corrupt(
        ErrorCode.STRUCT_SIZE, struct + " is " + expected + " bytes, found " + foundSize);
  }

  /** The same about the payload of a call that a recording holds. */
  public FormatException inPayload(String where, String ioctl) {
    return new FormatException(
        kind,
        code(),
        where
            + ": the payload of "
            + ioctl
            + " does not fit: "
            + sentence()
            + "; record again, or take the line out",
        this);
  }

  /** What is wrong. */
  public Kind kind() {
    return kind;
  }

  @Override
  public int exitCode() {
    return EXIT_CODE;
  }
}
