package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructField;
import dev.faultline.StructLayout;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * A uapi struct of which every field is <em>known</em>, <em>stale</em> (known once, but the guest
 * ran or a call failed since) or <em>never seen</em>, together with the moment that wrote it last.
 *
 * <p>Immutable. A whole write ({@link #replace}) shares the field sets of the layout and one writer
 * for all fields, because that is what nearly every KVM_SET_* does.
 */
public final class Tracked {
  /** The writer of a field that nobody wrote since the recording began. */
  public static final int NOBODY = -1;

  private final StructLayout layout;
  private final Bytes bytes;
  private final FieldSet known;
  private final FieldSet seen;
  private final int writer;
  private final int @Nullable [] writers;

  private Tracked(
      StructLayout layout,
      Bytes bytes,
      FieldSet known,
      FieldSet seen,
      int writer,
      int @Nullable [] writers) {
    this.layout = layout;
    this.bytes = bytes;
    this.known = known;
    this.seen = seen;
    this.writer = writer;
    this.writers = writers;
  }

  /** A struct of which nothing was seen yet. */
  public static Tracked neverSeen(StructLayout layout) {
    FieldSet none = FieldSet.none(layout.count());
    return new Tracked(layout, Bytes.zero(layout.size()), none, none, NOBODY, null);
  }

  /** A struct all of whose fields are known to have been written at {@code moment}. */
  public static Tracked known(StructLayout layout, Bytes bytes, int moment) {
    FieldSet all = FieldSet.all(layout.count());
    return new Tracked(layout, bytes, all, all, moment, null);
  }

  public StructLayout layout() {
    return layout;
  }

  /** The last values; only fields in {@link #known()} can be relied upon. */
  public Bytes bytes() {
    return bytes;
  }

  public FieldSet known() {
    return known;
  }

  /**
   * Fields that were known at some moment: a field in here but not in {@link #known()} is stale.
   */
  public FieldSet seen() {
    return seen;
  }

  public boolean knows(int field) {
    return known.has(field);
  }

  public boolean knowsAll(FieldSet fields) {
    return known.isAll() || fields.minus(known).isEmpty();
  }

  public boolean knowsEverything() {
    return known.isAll();
  }

  /** The unsigned value of a field, whatever is known of it. */
  public long value(int field) {
    StructField f = layout.field(field);
    return bytes.uint(f.offset(), f.width());
  }

  /** Whether the field has this value. */
  public Answer is(int field, long expected) {
    return knows(field) ? Answer.of(value(field) == expected) : Answer.CANNOT_TELL;
  }

  /** Whether any bit of {@code mask} is set in the field. */
  public Answer hasAny(int field, long mask) {
    return knows(field) ? Answer.of((value(field) & mask) != 0) : Answer.CANNOT_TELL;
  }

  /** The moment that wrote the field last, or {@link #NOBODY}. */
  public int writer(int field) {
    return writers == null ? writer : writers[field];
  }

  /** All fields written by one call. */
  public Tracked replace(Bytes value, int moment) {
    FieldSet all = FieldSet.all(layout.count());
    return new Tracked(layout, value, all, all, moment, null);
  }

  /**
   * What a recorded read shows. The fields become known; their writers stay, because reading is not
   * writing: a value that the guest wrote was written by the KVM_RUN before.
   */
  public Tracked learn(Bytes value, FieldSet fields) {
    if (fields.isAll()) {
      return new Tracked(layout, value, fields, fields, writer, writers);
    }
    Bytes.Builder merged = bytes.toBuilder();
    for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
      StructField field = layout.field(f);
      merged.putBytes(field.offset(), value, field.offset(), field.width());
    }
    return new Tracked(
        layout, merged.build(), known.union(fields), seen.union(fields), writer, writers);
  }

  /** Knowledge of every field is lost: the guest ran, or nobody can tell what a call did. */
  public Tracked forgetAll(int moment) {
    if (known.isEmpty() && writers == null && writer == moment) {
      return this;
    }
    return new Tracked(layout, bytes, FieldSet.none(layout.count()), seen, moment, null);
  }

  /** Knowledge of these fields is lost. */
  public Tracked forget(FieldSet fields, int moment) {
    if (fields.isAll()) {
      return forgetAll(moment);
    }
    int[] changed = copyWriters();
    for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
      changed[f] = moment;
    }
    return new Tracked(layout, bytes, known.minus(fields), seen, writer, changed);
  }

  /** Knowledge of these fields is doubted: a recorded read contradicted it. Nobody wrote. */
  public Tracked doubt(FieldSet fields) {
    return new Tracked(layout, bytes, known.minus(fields), seen, writer, writers);
  }

  public Edit edit(int moment) {
    return new Edit(moment);
  }

  /** Same knowledge and same known values; writers are not compared. */
  public boolean sameState(Tracked other) {
    if (!layout.equals(other.layout) || !known.equals(other.known)) {
      return false;
    }
    if (known.isAll()) {
      return bytes.equals(other.bytes);
    }
    for (int f = known.next(0); f >= 0; f = known.next(f + 1)) {
      if (value(f) != other.value(f)) {
        return false;
      }
    }
    return true;
  }

  private int[] copyWriters() {
    if (writers != null) {
      return writers.clone();
    }
    int[] copy = new int[layout.count()];
    Arrays.fill(copy, writer);
    return copy;
  }

  /** A batch of single-field changes made by one event. */
  public final class Edit {
    private final int moment;
    private final Bytes.Builder builder = bytes.toBuilder();
    private final int[] changed = copyWriters();
    private FieldSet nowKnown = known;
    private FieldSet nowSeen = seen;

    private Edit(int moment) {
      this.moment = moment;
    }

    /** The field is written with a known value. */
    public Edit set(int field, long value) {
      StructField f = layout.field(field);
      builder.put(f.offset(), f.width(), value);
      nowKnown = nowKnown.with(field);
      nowSeen = nowSeen.with(field);
      changed[field] = moment;
      return this;
    }

    /** The field is written with a value that is known only if {@code certain}. */
    public Edit set(int field, long value, boolean certain) {
      return certain ? set(field, value) : forget(field);
    }

    /** The field is written with a value that the model cannot tell. */
    public Edit forget(int field) {
      nowKnown = nowKnown.without(field);
      changed[field] = moment;
      return this;
    }

    /** The field is copied from another struct, with what is known there. */
    public Edit copy(int field, Tracked from, int fromField) {
      return set(field, from.value(fromField), from.knows(fromField));
    }

    public Tracked done() {
      return new Tracked(layout, builder.build(), nowKnown, nowSeen, moment, changed);
    }
  }
}
