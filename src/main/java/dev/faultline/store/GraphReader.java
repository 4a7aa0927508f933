package dev.faultline.store;

import dev.faultline.FieldSet;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.MomentIndex;
import dev.faultline.timeline.TimelineListener;
import java.lang.reflect.Array;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/** Reads what {@link GraphWriter} wrote. */
final class GraphReader {
  private static final String OURS = "dev.faultline.";

  private final ByteSource in;
  private final MomentIndex.Earlier earlier;
  private final ClosedVms closedVms;
  private final List<@Nullable Object> met = new ArrayList<>();
  private final List<String> texts = new ArrayList<>();
  private final List<Class<?>> classes = new ArrayList<>();

  GraphReader(ByteSource in, MomentIndex.Earlier earlier, ClosedVms closedVms) {
    this.in = in;
    this.earlier = earlier;
    this.closedVms = closedVms;
  }

  @Nullable Object read() {
    int tag = in.u8();
    return switch (tag) {
      case GraphTag.NULL -> null;
      case GraphTag.AGAIN -> met.get((int) in.number());
      case GraphTag.TEXT -> text();
      case GraphTag.INT -> (int) in.signed();
      case GraphTag.LONG -> in.signed();
      case GraphTag.BOOLEAN -> in.u8() != 0;
      case GraphTag.ENUM -> type().getEnumConstants()[(int) in.number()];
      case GraphTag.LAYOUT -> Layouts.at((int) in.number());
      case GraphTag.CLOSED_VMS -> closedVms;
      case GraphTag.LISTENER -> TimelineListener.NONE;
      default -> reference(tag);
    };
  }

  private Object reference(int tag) {
    int place = met.size();
    met.add(null);
    Object value =
        switch (tag) {
          case GraphTag.BYTES -> in.bytes(in.count(1));
          case GraphTag.FIELDS -> fields();
          case GraphTag.INDEX -> MomentIndex.after((int) in.number(), earlier);
          case GraphTag.INTS -> ints();
          case GraphTag.LONGS -> longs();
          case GraphTag.BOOLEANS -> booleans();
          case GraphTag.SHORTS -> shorts();
          case GraphTag.RAW -> in.bytes(in.count(1)).toArray();
          case GraphTag.ARRAY -> array();
          case GraphTag.CHUNKS -> chunks();
          case GraphTag.FIXED_LIST -> Collections.unmodifiableList(all(new ArrayList<>()));
          case GraphTag.LIST -> all(new ArrayList<>());
          case GraphTag.LINKED_SET -> all(new LinkedHashSet<>());
          case GraphTag.SORTED_SET -> all(new TreeSet<>());
          case GraphTag.LINKED_MAP -> map(new LinkedHashMap<>());
          case GraphTag.SORTED_MAP -> map(new TreeMap<>());
          case GraphTag.OBJECT -> object(place);
          default -> throw in.damaged("a value");
        };
    met.set(place, value);
    return value;
  }

  private FieldSet fields() {
    int size = in.count(0);
    if (in.u8() != 0) {
      return FieldSet.all(size);
    }
    FieldSet set = FieldSet.none(size);
    List<Integer> indexes = new ArrayList<>();
    for (long f = in.number(); f != 0; f = in.number()) {
      indexes.add((int) f - 1);
    }
    return indexes.isEmpty()
        ? set
        : FieldSet.of(size, indexes.stream().mapToInt(Integer::intValue).toArray());
  }

  private int[] ints() {
    int[] all = new int[in.count(1)];
    for (int i = 0; i < all.length; i++) {
      all[i] = (int) in.signed();
    }
    return all;
  }

  private long[] longs() {
    long[] all = new long[in.count(1)];
    for (int i = 0; i < all.length; i++) {
      all[i] = in.signed();
    }
    return all;
  }

  private short[] shorts() {
    short[] all = new short[in.count(1)];
    for (int i = 0; i < all.length; i++) {
      all[i] = (short) in.signed();
    }
    return all;
  }

  private Object array() {
    Class<?> of = type();
    Object all = Array.newInstance(of, in.count(1));
    for (int i = 0; i < Array.getLength(all); i++) {
      Array.set(all, i, read());
    }
    return all;
  }

  private long[][] chunks() {
    long[][] all = new long[in.count(1)][];
    for (int i = 0; i < all.length; i++) {
      if (!(read() instanceof long[] chunk)) {
        throw in.damaged("numbers");
      }
      all[i] = chunk;
    }
    return all;
  }

  private boolean[] booleans() {
    boolean[] all = new boolean[in.count(1)];
    for (int i = 0; i < all.length; i++) {
      all[i] = in.u8() != 0;
    }
    return all;
  }

  private <C extends Collection<@Nullable Object>> C all(C into) {
    int count = in.count(1);
    for (int i = 0; i < count; i++) {
      into.add(read());
    }
    return into;
  }

  private <M extends Map<@Nullable Object, @Nullable Object>> M map(M into) {
    int count = in.count(2);
    for (int i = 0; i < count; i++) {
      Object key = read();
      into.put(key, read());
    }
    return into;
  }

  private Object object(int place) {
    Class<?> type = type();
    Shape shape = GraphWriter.SHAPES.get(type);
    List<Field> fields = shape.fields();
    if (shape.isRecord()) {
      @Nullable Object[] values = new @Nullable Object[fields.size()];
      for (int i = 0; i < values.length; i++) {
        values[i] = field(fields.get(i).getType());
      }
      return shape.make(values);
    }
    Object made = shape.make();
    met.set(place, made);
    for (int i = 0; i < fields.size(); i++) {
      shape.set(made, i, field(fields.get(i).getType()));
    }
    return made;
  }

  private @Nullable Object field(Class<?> declared) {
    if (declared == int.class) {
      return (int) in.signed();
    }
    if (declared == short.class) {
      return (short) in.signed();
    }
    if (declared == byte.class) {
      return (byte) in.signed();
    }
    if (declared == long.class) {
      return in.signed();
    }
    if (declared == boolean.class) {
      return in.u8() != 0;
    }
    return read();
  }

  private String text() {
    long place = in.number();
    if (place > 0) {
      return texts.get((int) place - 1);
    }
    String text = in.text();
    texts.add(text);
    return text;
  }

  private Class<?> type() {
    long place = in.number();
    if (place > 0) {
      return classes.get((int) place - 1);
    }
    String name = in.text();
    if (!name.startsWith(OURS)) {
      throw in.damaged("a class of a state");
    }
    try {
      Class<?> type = Class.forName(name);
      classes.add(type);
      return type;
    } catch (ClassNotFoundException _) {
      throw in.damaged("a class that there is");
    }
  }
}
