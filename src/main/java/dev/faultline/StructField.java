package dev.faultline;

/**
 * One field of a struct: a little-endian number at an offset.
 *
 * <p>Fields wider than eight bytes are held as pieces of at most eight, with indexed names ({@code
 * xmm[3].hi}).
 *
 * @param name the name as findings print it: {@code cs.selector}, {@code exception.pending}, {@code
 *     vmx.smm.flags}
 * @param offset bytes from the start of the struct
 * @param width 1, 2, 4 or 8 bytes
 * @param kind whether it means anything
 */
public record StructField(String name, int offset, int width, Kind kind) {
  /** What the bytes of a field are for. */
  public enum Kind {
    /** They mean something. */
    VALUE,
    /** The uapi leaves them unnamed or calls them padding; what they hold has no meaning. */
    PADDING,
    /** The uapi keeps them for later; what they hold may one day have a meaning. */
    RESERVED
  }

  /** A field that {@link Bytes#uint} can read. */
  public StructField {
    if (name.isBlank() || offset < 0) {
      throw new InvariantViolation("field '" + name + "' at offset " + offset);
    }
    if (width != 1 && width != 2 && width != 4 && width != 8) {
      throw new InvariantViolation("field " + name + " is 1, 2, 4 or 8 bytes wide, not " + width);
    }
  }

  /** The offset of the first byte after the field. */
  public int end() {
    return offset + width;
  }

  /** The value of the field in a struct that starts at byte 0 of {@code raw}. */
  public long get(Bytes raw) {
    return raw.uint(offset, width);
  }

  /** True if the bytes mean something. */
  public boolean isValue() {
    return kind == Kind.VALUE;
  }
}
