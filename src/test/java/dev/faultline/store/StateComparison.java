package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.FieldSet;
import dev.faultline.StructLayout;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.MomentIndex;
import dev.faultline.timeline.TimelineListener;
import java.lang.reflect.Array;
import java.util.ArrayList;
import java.util.Collection;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** Compares two states field by field, whatever they are made of and share inside themselves. */
@SuppressWarnings("ReferenceEquality") // What is the same object needs no comparison.
public final class StateComparison {
  private final IdentityHashMap<Object, Object> met = new IdentityHashMap<>();
  private final List<String> path = new ArrayList<>();

  private StateComparison() {}

  /** Where two states are different, or an empty text. */
  public static String difference(Object one, Object other) {
    StateComparison comparison = new StateComparison();
    return comparison.isSame(one, other) ? "" : String.join(".", comparison.path);
  }

  private boolean isSame(@Nullable Object a, @Nullable Object b) {
    if (a == b || a == null || b == null) {
      return a == b;
    }
    if (met.get(a) == b) {
      return true;
    }
    met.put(a, b);
    return switch (a) {
      case Number _, Boolean _, String _, Enum<?> _, Bytes _, FieldSet _ -> a.equals(b);
      case StructLayout _ -> false;
      case TimelineListener _ -> b instanceof TimelineListener;
      case ClosedVms _ -> b instanceof ClosedVms;
      case MomentIndex index -> b instanceof MomentIndex other && index.size() == other.size();
      case Collection<?> all -> b instanceof Collection<?> others && isSameList(all, others);
      case Map<?, ?> map ->
          b instanceof Map<?, ?> other
              && isSameList(map.keySet(), other.keySet())
              && isSameList(map.values(), other.values());
      default -> a.getClass() == b.getClass() && isSameInside(a, b);
    };
  }

  private boolean isSameList(Collection<?> all, Collection<?> others) {
    List<Object> one = new ArrayList<>(all);
    List<Object> other = new ArrayList<>(others);
    boolean same = one.size() == other.size();
    for (int i = 0; same && i < one.size(); i++) {
      same = isSameAt("[" + i + "]", one.get(i), other.get(i));
    }
    return same;
  }

  private boolean isSameInside(Object a, Object b) {
    if (a.getClass().isArray()) {
      boolean same = Array.getLength(a) == Array.getLength(b);
      for (int i = 0; same && i < Array.getLength(a); i++) {
        same = isSameAt("[" + i + "]", Array.get(a, i), Array.get(b, i));
      }
      return same;
    }
    Shape shape = GraphWriter.SHAPES.get(a.getClass());
    boolean same = true;
    for (int i = 0; same && i < shape.fields().size(); i++) {
      Object own = shape.get(a, i);
      Object theirs = shape.get(b, i);
      same =
          shape.fields().get(i).getType().isPrimitive()
              ? Objects.equals(own, theirs)
              : isSameAt(shape.fields().get(i).getName(), own, theirs);
      if (!same && shape.fields().get(i).getType().isPrimitive()) {
        path.add(shape.fields().get(i).getName());
      }
    }
    return same;
  }

  /** What is on the path when it ends is where they differ. */
  private boolean isSameAt(String name, @Nullable Object a, @Nullable Object b) {
    if (a == b) {
      return true;
    }
    path.add(name);
    boolean same = isSame(a, b);
    if (same) {
      path.removeLast();
    }
    return same;
  }
}
