package dev.faultline;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * An immutable set of the fields of one {@link StructLayout}, by index: which are known, which
 * differ, which were written.
 *
 * <p>Two sets meet only if they range over the same number of fields. Sets that equal one of their
 * operands are that operand, so the usual case (nothing changes) allocates nothing.
 */
public final class FieldSet {
  /** Up to this many fields, the empty and the full set are made once. */
  private static final int SHARED = 640;

  private static final FieldSet[] NONE = new FieldSet[SHARED + 1];
  private static final FieldSet[] ALL = new FieldSet[SHARED + 1];

  static {
    for (int size = 0; size <= SHARED; size++) {
      NONE[size] = new FieldSet(size, new long[wordCount(size)]);
      ALL[size] = new FieldSet(size, fullWords(size));
    }
  }

  private final int size;
  private final long[] words;
  private final int count;

  private FieldSet(int size, long[] words) {
    this.size = size;
    this.words = words;
    int counted = 0;
    for (long word : words) {
      counted += Long.bitCount(word);
    }
    this.count = counted;
  }

  /** No field of {@code size}. */
  public static FieldSet none(int size) {
    return size <= SHARED ? NONE[size] : new FieldSet(size, new long[wordCount(size)]);
  }

  /** All of {@code size} fields. */
  public static FieldSet all(int size) {
    return size <= SHARED ? ALL[size] : new FieldSet(size, fullWords(size));
  }

  /** The fields of the given indexes, out of {@code size}. */
  public static FieldSet of(int size, int... indexes) {
    long[] words = new long[wordCount(size)];
    for (int index : indexes) {
      checkIndex(index, size);
      words[index >> 6] |= 1L << index;
    }
    return shared(size, words);
  }

  /**
   * The fields whose bits are set, the first being bit 0 of the first word.
   *
   * @param words as many as {@code size} bits take, no other bit set; given away
   */
  public static FieldSet wrap(int size, long[] words) {
    if (words.length != wordCount(size)) {
      throw new InvariantViolation(words.length + " words for " + size + " fields");
    }
    return shared(size, words);
  }

  /** How many fields the set could hold. */
  public int size() {
    return size;
  }

  /** True if the field of that index is in the set. */
  public boolean has(int index) {
    checkIndex(index, size);
    return (words[index >> 6] & 1L << index) != 0;
  }

  /** This set and the field of that index. */
  public FieldSet with(int index) {
    if (has(index)) {
      return this;
    }
    long[] changed = words.clone();
    changed[index >> 6] |= 1L << index;
    return shared(size, changed);
  }

  /** This set without the field of that index. */
  public FieldSet without(int index) {
    if (!has(index)) {
      return this;
    }
    long[] changed = words.clone();
    changed[index >> 6] &= ~(1L << index);
    return shared(size, changed);
  }

  /** The fields in either set. */
  public FieldSet union(FieldSet other) {
    checkSame(other);
    if (containsAll(other)) {
      return this;
    }
    if (other.containsAll(this)) {
      return other;
    }
    long[] words = this.words.clone();
    for (int i = 0; i < words.length; i++) {
      words[i] |= other.words[i];
    }
    return shared(size, words);
  }

  /** The fields in both sets. */
  public FieldSet intersect(FieldSet other) {
    checkSame(other);
    if (other.containsAll(this)) {
      return this;
    }
    if (containsAll(other)) {
      return other;
    }
    long[] words = this.words.clone();
    for (int i = 0; i < words.length; i++) {
      words[i] &= other.words[i];
    }
    return shared(size, words);
  }

  /** The fields of this set that are not in {@code other}. */
  public FieldSet minus(FieldSet other) {
    checkSame(other);
    if (!meets(other)) {
      return this;
    }
    long[] words = this.words.clone();
    for (int i = 0; i < words.length; i++) {
      words[i] &= ~other.words[i];
    }
    return shared(size, words);
  }

  /** True if every field of {@code other} is in this set. */
  public boolean containsAll(FieldSet other) {
    checkSame(other);
    if (count == size) {
      return true;
    }
    for (int i = 0; i < words.length; i++) {
      if ((other.words[i] & ~words[i]) != 0) {
        return false;
      }
    }
    return true;
  }

  /** True if some field is in both sets. */
  public boolean meets(FieldSet other) {
    checkSame(other);
    for (int i = 0; i < words.length; i++) {
      if ((words[i] & other.words[i]) != 0) {
        return true;
      }
    }
    return false;
  }

  /** Sets a bit for each field in the set, the first field's being bit 0 of the first word. */
  public void addTo(long[] bits) {
    for (int i = 0; i < words.length; i++) {
      bits[i] |= words[i];
    }
  }

  /** True if no field is in the set. */
  public boolean isEmpty() {
    return count == 0;
  }

  /** True if every field is in the set. */
  public boolean isAll() {
    return count == size;
  }

  /** How many fields are in the set. */
  public int count() {
    return count;
  }

  /** The least index in the set that is {@code from} or more; -1 if there is none. */
  public int next(int from) {
    if (from >= size) {
      return -1;
    }
    int at = from >> 6;
    long word = words[at] & -1L << from;
    while (word == 0) {
      at++;
      if (at == words.length) {
        return -1;
      }
      word = words[at];
    }
    return (at << 6) + Long.numberOfTrailingZeros(word);
  }

  /** A builder that starts from this set. */
  public Builder toBuilder() {
    return new Builder(this);
  }

  /** A set being changed field by field; {@link #build()} can be asked for more than once. */
  public static final class Builder {
    private FieldSet set;
    private long @Nullable [] changed;

    private Builder(FieldSet set) {
      this.set = set;
    }

    /** Puts the field of that index into the set. */
    public Builder add(int index) {
      checkIndex(index, set.size);
      long[] words = changed == null ? set.words : changed;
      if ((words[index >> 6] & 1L << index) == 0) {
        open()[index >> 6] |= 1L << index;
      }
      return this;
    }

    /** Puts the fields of another set into the set. */
    public Builder addAll(FieldSet fields) {
      if (!set.isAll() || changed != null) {
        fields.addTo(open());
      }
      return this;
    }

    /** Takes the field of that index out of the set. */
    public Builder remove(int index) {
      checkIndex(index, set.size);
      long[] words = changed == null ? set.words : changed;
      if ((words[index >> 6] & 1L << index) != 0) {
        open()[index >> 6] &= ~(1L << index);
      }
      return this;
    }

    /** The set as it is now. */
    public FieldSet build() {
      long[] words = changed;
      if (words != null) {
        set = shared(set.size, words);
        changed = null;
      }
      return set;
    }

    private long[] open() {
      long[] words = changed;
      if (words == null) {
        words = set.words.clone();
        changed = words;
      }
      return words;
    }
  }

  @Override
  public boolean equals(@Nullable Object o) {
    return this == o
        || (o instanceof FieldSet other && size == other.size && Arrays.equals(words, other.words));
  }

  @Override
  public int hashCode() {
    return 31 * size + Arrays.hashCode(words);
  }

  /** The indexes, {@code {0, 3, 17} of 64}. */
  @Override
  public String toString() {
    StringBuilder text = new StringBuilder("{");
    for (int i = next(0); i >= 0; i = next(i + 1)) {
      text.append(text.length() > 1 ? ", " : "").append(i);
    }
    return text.append("} of ").append(size).toString();
  }

  private static FieldSet shared(int size, long[] words) {
    FieldSet set = new FieldSet(size, words);
    if (set.isEmpty()) {
      return none(size);
    }
    return set.isAll() ? all(size) : set;
  }

  private static int wordCount(int size) {
    return (size + 63) >> 6;
  }

  private static long[] fullWords(int size) {
    long[] words = new long[wordCount(size)];
    Arrays.fill(words, -1L);
    if (size % 64 != 0) {
      words[words.length - 1] = (1L << size) - 1;
    }
    return words;
  }

  private static void checkIndex(int index, int size) {
    if (index < 0 || index >= size) {
      throw new InvariantViolation("field " + index + " of " + size);
    }
  }

  private void checkSame(FieldSet other) {
    if (size != other.size) {
      throw new InvariantViolation("sets over " + size + " and " + other.size + " fields");
    }
  }
}
