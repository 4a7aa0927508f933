package dev.faultline.reorder;

/**
 * Where the number of each part, and of each call's answer, lies in a few machine words. A call
 * that was not yet made has answer 0.
 */
final class Packing {
  private final int words;
  private final int[] word;
  private final int[] shift;
  private final int[] width;

  /** A number does not fit into its field: there are more values than room was made for. */
  static final class TooNarrow extends RuntimeException {
    private static final long serialVersionUID = 1L;

    TooNarrow() {
      super("a field is too narrow", null, false, false);
    }
  }

  /** Room for so many values of each part and so many answers of each call. */
  Packing(int[] counts) {
    word = new int[counts.length];
    shift = new int[counts.length];
    width = new int[counts.length];
    int at = 0;
    int used = 0;
    for (int i = 0; i < counts.length; i++) {
      int bits = Integer.SIZE - Integer.numberOfLeadingZeros(Math.max(0, counts[i] - 1));
      if (used + bits > Long.SIZE) {
        at++;
        used = 0;
      }
      word[i] = at;
      shift[i] = used;
      width[i] = bits;
      used += bits;
    }
    words = at + 1;
  }

  int words() {
    return words;
  }

  static int answerField(int call) {
    return Cell.COUNT + call;
  }

  int get(long[] node, int from, int field) {
    int bits = width[field];
    return bits == 0 ? 0 : (int) ((node[from + word[field]] >>> shift[field]) & ((1L << bits) - 1));
  }

  void set(long[] node, int field, int number) {
    long most = (1L << width[field]) - 1;
    if (number > most) {
      throw new TooNarrow();
    }
    node[word[field]] =
        (node[word[field]] & ~(most << shift[field])) | ((long) number << shift[field]);
  }

  /** All bits of a field. */
  void cover(long[] mask, int field) {
    mask[word[field]] |= ((1L << width[field]) - 1) << shift[field];
  }

  /** The numbers of all parts. */
  int[] numbers(long[] node, int from) {
    int[] numbers = new int[Cell.COUNT];
    for (int i = 0; i < numbers.length; i++) {
      numbers[i] = get(node, from, i);
    }
    return numbers;
  }
}
