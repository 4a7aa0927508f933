package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.MomentIndex;
import dev.faultline.timeline.TimelineListener;
import java.lang.reflect.Field;
import java.util.Collection;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.NavigableSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Writes a graph of objects; what is met again is only named. */
final class GraphWriter {
  static final ClassValue<Shape> SHAPES =
      new ClassValue<>() {
        @Override
        protected Shape computeValue(Class<?> type) {
          return new Shape(type);
        }
      };

  private static final String OURS = "dev.faultline.";

  private final ByteSink out;
  private final IdentityHashMap<Object, Integer> met = new IdentityHashMap<>();
  private final Map<String, Integer> texts = new HashMap<>();
  private final Map<Class<?>, Integer> classes = new HashMap<>();
  private int count;

  GraphWriter(ByteSink out) {
    this.out = out;
  }

  void write(@Nullable Object value) {
    switch (value) {
      case null -> out.u8(GraphTag.NULL);
      case Integer n -> {
        out.u8(GraphTag.INT);
        out.signed(n);
      }
      case Long n -> {
        out.u8(GraphTag.LONG);
        out.signed(n);
      }
      case Boolean b -> {
        out.u8(GraphTag.BOOLEAN);
        out.u8(b ? 1 : 0);
      }
      case String text -> {
        out.u8(GraphTag.TEXT);
        text(text);
      }
      case Enum<?> e -> {
        out.u8(GraphTag.ENUM);
        type(e.getDeclaringClass());
        out.number(e.ordinal());
      }
      case StructLayout layout -> {
        int place = Layouts.place(layout);
        if (place < 0) {
          throw new CheckpointCodec.NotKept("layout " + layout.name());
        }
        out.u8(GraphTag.LAYOUT);
        out.number(place);
      }
      case ClosedVms _ -> out.u8(GraphTag.CLOSED_VMS);
      case TimelineListener _ -> out.u8(GraphTag.LISTENER);
      default -> reference(value);
    }
  }

  private void reference(Object value) {
    Integer before = met.get(value);
    if (before != null) {
      out.u8(GraphTag.AGAIN);
      out.number(before);
      return;
    }
    met.put(value, count++);
    switch (value) {
      case Bytes bytes -> {
        out.u8(GraphTag.BYTES);
        out.number(bytes.size());
        out.raw(bytes, 0, bytes.size());
      }
      case FieldSet set -> fields(set);
      case MomentIndex index -> {
        out.u8(GraphTag.INDEX);
        out.number(index.size());
      }
      case int[] all -> {
        out.u8(GraphTag.INTS);
        out.number(all.length);
        for (int each : all) {
          out.signed(each);
        }
      }
      case long[] all -> {
        out.u8(GraphTag.LONGS);
        out.number(all.length);
        for (long each : all) {
          out.signed(each);
        }
      }
      case short[] all -> {
        out.u8(GraphTag.SHORTS);
        out.number(all.length);
        for (short each : all) {
          out.signed(each);
        }
      }
      case byte[] all -> {
        out.u8(GraphTag.RAW);
        out.number(all.length);
        out.raw(all, 0, all.length);
      }
      case long[][] all -> {
        out.u8(GraphTag.CHUNKS);
        out.number(all.length);
        for (long[] each : all) {
          write(each);
        }
      }
      case Object[] all -> array(all);
      case boolean[] all -> {
        out.u8(GraphTag.BOOLEANS);
        out.number(all.length);
        for (boolean each : all) {
          out.u8(each ? 1 : 0);
        }
      }
      case List<?> list -> all(isGrowing(list) ? GraphTag.LIST : GraphTag.FIXED_LIST, list);
      case NavigableSet<?> set -> all(GraphTag.SORTED_SET, set);
      case Set<?> set -> all(GraphTag.LINKED_SET, set);
      case NavigableMap<?, ?> map -> map(GraphTag.SORTED_MAP, map);
      case Map<?, ?> map -> map(GraphTag.LINKED_MAP, map);
      default -> object(value);
    }
  }

  private void array(Object[] all) {
    Class<?> of = all.getClass().getComponentType();
    if (!of.getName().startsWith(OURS)) {
      throw new CheckpointCodec.NotKept(all.getClass().getName());
    }
    out.u8(GraphTag.ARRAY);
    type(of);
    out.number(all.length);
    for (Object each : all) {
      write(each);
    }
  }

  private static boolean isGrowing(List<?> list) {
    return list instanceof java.util.ArrayList;
  }

  private void fields(FieldSet set) {
    out.u8(GraphTag.FIELDS);
    out.number(set.size());
    out.u8(set.isAll() ? 1 : 0);
    if (!set.isAll()) {
      for (int f = set.next(0); f >= 0; f = set.next(f + 1)) {
        out.number(f + 1L);
      }
      out.number(0);
    }
  }

  private void all(int tag, Collection<?> values) {
    out.u8(tag);
    out.number(values.size());
    values.forEach(this::write);
  }

  private void map(int tag, Map<?, ?> map) {
    out.u8(tag);
    out.number(map.size());
    map.forEach((key, value) -> {
      write(key);
      write(value);
    });
  }

  private void object(Object value) {
    Class<?> type = value.getClass();
    if (type.isHidden() || type.isArray() || !type.getName().startsWith(OURS)) {
      throw new CheckpointCodec.NotKept(type.getName());
    }
    out.u8(GraphTag.OBJECT);
    type(type);
    Shape shape = SHAPES.get(type);
    List<Field> fields = shape.fields();
    for (int i = 0; i < fields.size(); i++) {
      Object field = shape.get(value, i);
      Class<?> declared = fields.get(i).getType();
      if (!declared.isPrimitive() || field == null) {
        write(field);
      } else {
        primitive(field);
      }
    }
  }

  private void primitive(Object value) {
    switch (value) {
      case Integer n -> out.signed(n);
      case Long n -> out.signed(n);
      case Boolean b -> out.u8(b ? 1 : 0);
      case Short n -> out.signed(n);
      case Byte n -> out.signed(n);
      default -> throw new CheckpointCodec.NotKept(value.getClass().getName());
    }
  }

  private void text(String text) {
    Integer place = texts.get(text);
    if (place != null) {
      out.number(place + 1L);
    } else {
      texts.put(text, texts.size());
      out.number(0);
      out.text(text);
    }
  }

  private void type(Class<?> type) {
    Integer place = classes.get(type);
    if (place != null) {
      out.number(place + 1L);
    } else {
      classes.put(type, classes.size());
      out.number(0);
      out.text(type.getName());
    }
  }
}
