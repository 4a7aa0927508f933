package dev.faultline;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.TreeMap;

/**
 * The fields of a struct in order of offset, without overlap and without a gap: every byte belongs
 * to one field.
 *
 * <p><i>Shape</i>: bytes that the table of a struct does not name become padding fields {@code
 * pad@OFF} of 8, 4, 2 or 1 bytes. So a struct taken apart into its fields and put together again is
 * the same bytes.
 *
 * <p>Fields are known by index while the program runs; looking one up by name is for setting up.
 */
public final class StructLayout {
  private final String name;
  private final int size;
  private final List<StructField> fields;
  private final int[] offsets;
  private final byte[] widths;
  private final int count;
  private final TreeMap<String, Integer> indexes;
  private final FieldSet none;
  private final FieldSet all;
  private final FieldSet values;
  private final Bytes zero;

  private StructLayout(String name, int size, List<StructField> fields) {
    this.name = name;
    this.size = size;
    this.fields = List.copyOf(fields);
    this.count = fields.size();
    this.offsets = new int[fields.size()];
    this.widths = new byte[fields.size()];
    for (int i = 0; i < offsets.length; i++) {
      offsets[i] = this.fields.get(i).offset();
      widths[i] = (byte) this.fields.get(i).width();
    }
    this.none = FieldSet.none(count);
    this.all = FieldSet.all(count);
    this.indexes = indexed(name, this.fields);
    checkCovers();
    this.values = kindSet(StructField.Kind.VALUE);
    this.zero = Bytes.zero(size);
  }

  private static TreeMap<String, Integer> indexed(String name, List<StructField> fields) {
    TreeMap<String, Integer> indexes = new TreeMap<>();
    for (int i = 0; i < fields.size(); i++) {
      if (indexes.put(fields.get(i).name(), i) != null) {
        throw new InvariantViolation(name + " names " + fields.get(i).name() + " twice");
      }
    }
    return indexes;
  }

  private void checkCovers() {
    int at = 0;
    for (StructField field : fields) {
      if (field.offset() != at) {
        throw new InvariantViolation(
            "%s: %s is at %d, expected %d".formatted(name, field.name(), field.offset(), at));
      }
      at = field.end();
    }
    if (at != size) {
      throw new InvariantViolation(
          "%s: fields end at %d, the struct at %d".formatted(name, at, size));
    }
  }

  /** A builder of the layout of struct {@code name}, {@code size} bytes. */
  public static Builder builder(String name, int size) {
    return new Builder(name, size);
  }

  /** The struct's name in the uapi, {@code kvm_sregs}. */
  public String name() {
    return name;
  }

  /** The struct's size in bytes. */
  public int size() {
    return size;
  }

  /** All fields, in order of offset. */
  public List<StructField> fields() {
    return fields;
  }

  /** How many fields. */
  public int count() {
    return count;
  }

  /** The field of that index. */
  public StructField field(int index) {
    return fields.get(index);
  }

  /** The field of that name; a name that is not there is a bug. */
  public StructField field(String fieldName) {
    return fields.get(indexOf(fieldName));
  }

  /** The index of the field of that name; a name that is not there is a bug. */
  public int indexOf(String fieldName) {
    Integer index = indexes.get(fieldName);
    if (index == null) {
      throw new InvariantViolation(name + " has no field " + fieldName);
    }
    return index;
  }

  /** True if there is a field of that name. */
  public boolean has(String fieldName) {
    return indexes.containsKey(fieldName);
  }

  /** The offset of the field of that index. */
  public int offset(int index) {
    return offsets[index];
  }

  /** The width of the field of that index, in bytes. */
  public int width(int index) {
    return widths[index];
  }

  /** A struct of this layout, all zero. */
  public Bytes zero() {
    return zero;
  }

  /** The index of the field that byte {@code offset} belongs to. */
  public int indexAt(int offset) {
    int low = 0;
    int high = fields.size() - 1;
    while (low <= high) {
      int middle = (low + high) >>> 1;
      StructField field = fields.get(middle);
      if (offset < field.offset()) {
        high = middle - 1;
      } else if (offset >= field.end()) {
        low = middle + 1;
      } else {
        return middle;
      }
    }
    throw new InvariantViolation(name + " has no byte " + offset);
  }

  /** The value of the field of that index, zero-extended, in a struct at byte 0 of {@code raw}. */
  public long get(Bytes raw, int index) {
    return raw.uint(offsets[index], widths[index]);
  }

  /** No field of this layout. */
  public FieldSet none() {
    return none;
  }

  /** All fields of this layout. */
  public FieldSet all() {
    return all;
  }

  /** The fields that mean something. */
  public FieldSet values() {
    return values;
  }

  /** The fields named; a name that is not there is a bug. */
  public FieldSet of(String... fieldNames) {
    FieldSet set = none();
    for (String fieldName : fieldNames) {
      set = set.with(indexOf(fieldName));
    }
    return set;
  }

  /** The fields, padding too, in which two structs of this layout differ. */
  public FieldSet differing(Bytes a, Bytes b) {
    if (a.regionEquals(0, b, 0, size)) {
      return none();
    }
    FieldSet.Builder different = none().toBuilder();
    for (int i = 0; i < fields.size(); i++) {
      if (!a.regionEquals(offsets[i], b, offsets[i], widths[i])) {
        different.add(i);
      }
    }
    return different.build();
  }

  /** {@code into} with the fields of {@code set} taken from {@code from}. */
  public Bytes merge(Bytes into, Bytes from, FieldSet set) {
    Bytes.Builder merged = into.toBuilder();
    for (int i = set.next(0); i >= 0; i = set.next(i + 1)) {
      StructField field = fields.get(i);
      merged.putBytes(field.offset(), from, field.offset(), field.width());
    }
    return merged.build();
  }

  private FieldSet kindSet(StructField.Kind kind) {
    int[] chosen = new int[fields.size()];
    int count = 0;
    for (int i = 0; i < fields.size(); i++) {
      if (fields.get(i).kind() == kind) {
        chosen[count] = i;
        count++;
      }
    }
    return FieldSet.of(fields.size(), Arrays.copyOf(chosen, count));
  }

  @Override
  public String toString() {
    return name + " (" + size + " bytes, " + fields.size() + " fields)";
  }

  /** Collects the table of a struct; the order of the calls does not matter. */
  public static final class Builder {
    private final String name;
    private final int size;
    private final List<StructField> named = new ArrayList<>();

    private Builder(String name, int size) {
      this.name = name;
      this.size = size;
    }

    /** A field that means something. */
    public Builder value(String fieldName, int offset, int width) {
      return add(fieldName, offset, width, StructField.Kind.VALUE);
    }

    /** {@code count} fields in a row, {@code fieldName[0]} to {@code fieldName[count - 1]}. */
    public Builder values(String fieldName, int offset, int width, int count) {
      for (int i = 0; i < count; i++) {
        value(fieldName + "[" + i + "]", offset + i * width, width);
      }
      return this;
    }

    /**
     * Bytes of a value without inner structure: pieces named by their offset, {@code
     * fieldName[OFF]}.
     */
    public Builder opaque(String fieldName, int offset, int length) {
      return pieces(fieldName + "[", "]", offset, length, StructField.Kind.VALUE);
    }

    /** Bytes that the uapi calls padding. */
    public Builder padding(int offset, int length) {
      return pieces("pad@", "", offset, length, StructField.Kind.PADDING);
    }

    /** Bytes that the uapi calls reserved. */
    public Builder reserved(int offset, int length) {
      return pieces("reserved@", "", offset, length, StructField.Kind.RESERVED);
    }

    /**
     * All fields of {@code other}, which lies at {@code offset}, with {@code prefix} before their
     * names.
     */
    public Builder include(String prefix, int offset, StructLayout other) {
      for (StructField field : other.fields()) {
        if (field.kind() == StructField.Kind.VALUE) {
          value(prefix + field.name(), offset + field.offset(), field.width());
        } else if (field.kind() == StructField.Kind.RESERVED) {
          reserved(offset + field.offset(), field.width());
        } else {
          padding(offset + field.offset(), field.width());
        }
      }
      return this;
    }

    /** The layout, with padding where nothing was named. */
    public StructLayout build() {
      List<StructField> sorted = new ArrayList<>(named);
      sorted.sort(Comparator.comparingInt(StructField::offset));
      int at = 0;
      for (StructField field : sorted) {
        if (field.offset() < at) {
          throw new InvariantViolation(
              "%s: %s at %d overlaps what ends at %d"
                  .formatted(name, field.name(), field.offset(), at));
        }
        padding(at, field.offset() - at);
        at = field.end();
      }
      padding(at, size - at);
      named.sort(Comparator.comparingInt(StructField::offset));
      return new StructLayout(name, size, named);
    }

    private Builder pieces(
        String before, String after, int offset, int length, StructField.Kind kind) {
      int at = offset;
      int end = offset + length;
      while (at < end) {
        int width = Long.BYTES;
        while (at % width != 0 || at + width > end) {
          width /= 2;
        }
        add(before + at + after, at, width, kind);
        at += width;
      }
      return this;
    }

    private Builder add(String fieldName, int offset, int width, StructField.Kind kind) {
      named.add(new StructField(fieldName, offset, width, kind));
      return this;
    }
  }
}
