package dev.faultline.store;

/** What stands before a value in the bytes of a state. */
final class GraphTag {
  static final int NULL = 0;
  static final int AGAIN = 1;
  static final int TEXT = 2;
  static final int INT = 3;
  static final int LONG = 4;
  static final int BOOLEAN = 5;
  static final int BYTES = 6;
  static final int ENUM = 7;
  static final int LAYOUT = 8;
  static final int INTS = 9;
  static final int LONGS = 10;
  static final int BOOLEANS = 11;
  static final int FIXED_LIST = 12;
  static final int LIST = 13;
  static final int LINKED_MAP = 14;
  static final int SORTED_MAP = 15;
  static final int OBJECT = 16;
  static final int INDEX = 17;
  static final int LISTENER = 18;
  static final int LINKED_SET = 19;
  static final int SORTED_SET = 20;
  static final int FIELDS = 21;
  static final int SHORTS = 22;
  static final int RAW = 23;
  static final int ARRAY = 24;
  static final int CLOSED_VMS = 25;
  static final int CHUNKS = 26;

  private GraphTag() {}
}
