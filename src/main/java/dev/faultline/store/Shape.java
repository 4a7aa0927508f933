package dev.faultline.store;

import dev.faultline.InvariantViolation;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;
import org.objenesis.ObjenesisStd;
import org.objenesis.instantiator.ObjectInstantiator;

/** The fields of a class of a state, and how to make another object of it. */
final class Shape {
  private final Class<?> type;
  private final List<Field> fields = new ArrayList<>();
  private final @Nullable Constructor<?> ofRecord;
  private final @Nullable ObjectInstantiator<?> instantiator;

  Shape(Class<?> type) {
    this.type = type;
    for (Class<?> at = type; at != null && at != Object.class && at != Record.class; ) {
      for (Field field : at.getDeclaredFields()) {
        // What a value only remembers, to be quicker, is transient and no part of it.
        if (!Modifier.isStatic(field.getModifiers())
            && !Modifier.isTransient(field.getModifiers())) {
          field.setAccessible(true);
          fields.add(field);
        }
      }
      at = at.getSuperclass();
    }
    ofRecord = type.isRecord() ? canonical(type) : null;
    instantiator = type.isRecord() ? null : new ObjenesisStd().getInstantiatorOf(type);
  }

  private static Constructor<?> canonical(Class<?> type) {
    RecordComponent[] components = type.getRecordComponents();
    Class<?>[] types = new Class<?>[components.length];
    for (int i = 0; i < types.length; i++) {
      types[i] = components[i].getType();
    }
    try {
      Constructor<?> constructor = type.getDeclaredConstructor(types);
      constructor.setAccessible(true);
      return constructor;
    } catch (NoSuchMethodException e) {
      throw new InvariantViolation(type + " is a record without its constructor: " + e);
    }
  }

  List<Field> fields() {
    return fields;
  }

  boolean isRecord() {
    return ofRecord != null;
  }

  @Nullable Object get(Object from, int field) {
    try {
      return fields.get(field).get(from);
    } catch (IllegalAccessException e) {
      throw new InvariantViolation(type + " does not show " + fields.get(field) + ": " + e);
    }
  }

  /** A record of these values. */
  Object make(@Nullable Object[] values) {
    Constructor<?> constructor = ofRecord;
    if (constructor == null) {
      throw new InvariantViolation(type + " is no record");
    }
    try {
      return constructor.newInstance(values);
    } catch (ReflectiveOperationException e) {
      throw new InvariantViolation(type + " cannot be made: " + e);
    }
  }

  /** An object whose fields are still to be set. */
  Object make() {
    ObjectInstantiator<?> maker = instantiator;
    if (maker == null) {
      throw new InvariantViolation(type + " is a record");
    }
    return maker.newInstance();
  }

  void set(Object to, int field, @Nullable Object value) {
    try {
      fields.get(field).set(to, value);
    } catch (IllegalAccessException e) {
      throw new InvariantViolation(type + " does not take " + fields.get(field) + ": " + e);
    }
  }
}
