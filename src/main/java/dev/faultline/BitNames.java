package dev.faultline;

import java.util.ArrayList;
import java.util.List;

/**
 * The names of the bits of one register or flags word, for printing.
 *
 * <p><i>Shape</i> of the text: set bits from high to low, {@code PG|NE|PE}; what has no name in one
 * hexadecimal number at the end, {@code PG|0x40}; {@code 0} for none.
 */
public final class BitNames {
  private final List<Name> names;

  private record Name(String text, long mask) {}

  private BitNames(List<Name> names) {
    this.names = names;
  }

  /** No names yet. */
  public static BitNames none() {
    return new BitNames(List.of());
  }

  /**
   * These names and one more, of the bits in {@code mask}; told in the order of their masks, lowest
   * first.
   */
  public BitNames and(String text, long mask) {
    List<Name> more = new ArrayList<>(names);
    more.add(new Name(text, mask));
    return new BitNames(List.copyOf(more));
  }

  /** All bits that have a name. */
  public long known() {
    long known = 0;
    for (Name name : names) {
      known |= name.mask;
    }
    return known;
  }

  /** The set bits by name. */
  public String describe(long bits) {
    List<String> parts = new ArrayList<>();
    long rest = bits;
    for (Name name : names.reversed()) {
      if ((bits & name.mask) == name.mask) {
        parts.add(name.text);
        rest &= ~name.mask;
      }
    }
    if (rest != 0 || parts.isEmpty()) {
      parts.add(bits == 0 ? "0" : "0x" + Long.toHexString(rest));
    }
    return String.join("|", parts);
  }
}
