package dev.faultline.vcpu;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import org.jspecify.annotations.Nullable;

/**
 * A uapi struct of which every field is <em>known</em>, <em>stale</em> (known once, but the guest
 * ran or a call failed since) or <em>never seen</em>, together with the moment that wrote it last.
 *
 * <p>Immutable. A whole write ({@link #replace}) shares the field sets of the layout and one writer
 * for all fields, because that is what nearly every KVM_SET_* does; later writes of single fields
 * lie above it as {@link Layer}s.
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
  private final @Nullable Layer layers;

  private Tracked(
      StructLayout layout,
      Bytes bytes,
      FieldSet known,
      FieldSet seen,
      int writer,
      int @Nullable [] writers,
      @Nullable Layer layers) {
    this.layout = layout;
    this.bytes = bytes;
    this.known = known;
    this.seen = seen;
    this.writer = writer;
    this.writers = writers;
    this.layers = layers;
  }

  /**
   * Fields that one event wrote, above all that was written before.
   *
   * @param fields the fields
   * @param moment of the event
   * @param below what was written before, back to {@link #writers} or {@link #writer}
   * @param depth how many layers there are, this one included
   */
  private record Layer(FieldSet fields, int moment, @Nullable Layer below, int depth) {
    /** With more layers than this looking a writer up would cost more than laying them flat. */
    private static final int MOST = 12;

    /** A layer on top of others; those that it hides are left out. */
    static Layer above(@Nullable Layer others, FieldSet fields, int moment) {
      Layer below = others;
      while (below != null && fields.containsAll(below.fields)) {
        below = below.below;
      }
      return new Layer(fields, moment, below, below == null ? 1 : below.depth + 1);
    }
  }

  /** The same struct with another topmost layer. */
  private Tracked written(Bytes value, FieldSet nowKnown, FieldSet nowSeen, Layer top) {
    if (top.depth <= Layer.MOST) {
      return new Tracked(layout, value, nowKnown, nowSeen, writer, writers, top);
    }
    int[] flat = new int[layout.count()];
    for (int f = 0; f < flat.length; f++) {
      flat[f] = writer(f, top);
    }
    return new Tracked(layout, value, nowKnown, nowSeen, writer, flat, null);
  }

  /** A struct of which nothing was seen yet. */
  public static Tracked neverSeen(StructLayout layout) {
    FieldSet none = layout.none();
    return new Tracked(layout, layout.zero(), none, none, NOBODY, null, null);
  }

  /** A struct all of whose fields are known to have been written at {@code moment}. */
  public static Tracked known(StructLayout layout, Bytes bytes, int moment) {
    FieldSet all = layout.all();
    return new Tracked(layout, bytes, all, all, moment, null, null);
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
    return layout.get(bytes, field);
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
    return writer(field, layers);
  }

  private int writer(int field, @Nullable Layer top) {
    for (Layer layer = top; layer != null; layer = layer.below) {
      if (layer.fields.has(field)) {
        return layer.moment;
      }
    }
    return writers == null ? writer : writers[field];
  }

  /** All fields written by one call. */
  public Tracked replace(Bytes value, int moment) {
    FieldSet all = layout.all();
    return new Tracked(layout, value, all, all, moment, null, null);
  }

  /**
   * What a recorded read shows. The fields become known; their writers stay, because reading is not
   * writing: a value that the guest wrote was written by the KVM_RUN before.
   */
  public Tracked learn(Bytes value, FieldSet fields) {
    if (fields.isAll()) {
      return new Tracked(layout, value, fields, fields, writer, writers, layers);
    }
    Bytes.Builder merged = bytes.toBuilder();
    for (int f = fields.next(0); f >= 0; f = fields.next(f + 1)) {
      merged.put(layout.offset(f), layout.width(f), layout.get(value, f));
    }
    return new Tracked(
        layout, merged.build(), known.union(fields), seen.union(fields), writer, writers, layers);
  }

  /** Knowledge of every field is lost: the guest ran, or nobody can tell what a call did. */
  public Tracked forgetAll(int moment) {
    if (known.isEmpty() && layers == null && writers == null && writer == moment) {
      return this;
    }
    return new Tracked(layout, bytes, layout.none(), seen, moment, null, null);
  }

  /** Knowledge of these fields is lost. */
  public Tracked forget(FieldSet fields, int moment) {
    if (fields.isAll()) {
      return forgetAll(moment);
    }
    return fields.isEmpty()
        ? this
        : written(bytes, known.minus(fields), seen, Layer.above(layers, fields, moment));
  }

  /** Knowledge of these fields is doubted: a recorded read contradicted it. Nobody wrote. */
  public Tracked doubt(FieldSet fields) {
    return new Tracked(layout, bytes, known.minus(fields), seen, writer, writers, layers);
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

  /** A batch of single-field changes made by one event. */
  public final class Edit {
    private final int moment;
    private final long[] changed = new long[(layout.count() + Long.SIZE - 1) / Long.SIZE];
    private FieldSet.@Nullable Builder nowKnown;
    private FieldSet.@Nullable Builder nowSeen;
    private Bytes.@Nullable Builder builder;

    /** Whether every field is known, so that a write teaches nothing. */
    private boolean complete = known.isAll() && seen.isAll();

    private Edit(int moment) {
      this.moment = moment;
    }

    /** The field is written with a known value. */
    public Edit set(int field, long value) {
      Bytes.Builder to = builder;
      if (to == null) {
        to = bytes.toBuilder();
        builder = to;
      }
      to.put(layout.offset(field), layout.width(field), value);
      if (!complete) {
        knownBuilder().add(field);
        seenBuilder().add(field);
      }
      mark(field);
      return this;
    }

    /** Fields that fill three words in a row are written with known values. */
    Edit set(FieldSet fields, int offset, long first, long second, long third) {
      Bytes.Builder to = builder;
      if (to == null) {
        to = bytes.toBuilder();
        builder = to;
      }
      to.put(offset, Long.BYTES, first);
      to.put(offset + Long.BYTES, Long.BYTES, second);
      to.put(offset + 2 * Long.BYTES, Long.BYTES, third);
      if (!complete) {
        knownBuilder().addAll(fields);
        seenBuilder().addAll(fields);
      }
      fields.addTo(changed);
      return this;
    }

    /** The field is written with a value that is known only if {@code certain}. */
    public Edit set(int field, long value, boolean certain) {
      return certain ? set(field, value) : forget(field);
    }

    /** The field is written with a value that the model cannot tell. */
    public Edit forget(int field) {
      complete = false;
      knownBuilder().remove(field);
      mark(field);
      return this;
    }

    private void mark(int field) {
      changed[field / Long.SIZE] |= 1L << field;
    }

    private FieldSet.Builder knownBuilder() {
      FieldSet.Builder builder = nowKnown;
      if (builder == null) {
        builder = known.toBuilder();
        nowKnown = builder;
      }
      return builder;
    }

    private FieldSet.Builder seenBuilder() {
      FieldSet.Builder builder = nowSeen;
      if (builder == null) {
        builder = seen.toBuilder();
        nowSeen = builder;
      }
      return builder;
    }

    /** The field is copied from another struct, with what is known there. */
    public Edit copy(int field, Tracked from, int fromField) {
      return set(field, from.value(fromField), from.knows(fromField));
    }

    public Tracked done() {
      FieldSet written = FieldSet.wrap(layout.count(), changed);
      if (written.isEmpty()) {
        return Tracked.this;
      }
      Bytes now = builder == null ? bytes : builder.build();
      FieldSet knownNow = nowKnown == null ? known : nowKnown.build();
      FieldSet seenNow = nowSeen == null ? seen : nowSeen.build();
      return written.isAll()
          ? new Tracked(layout, now, knownNow, seenNow, moment, null, null)
          : written(now, knownNow, seenNow, Layer.above(layers, written, moment));
    }
  }
}
