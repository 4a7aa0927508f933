package dev.faultline.store;

import dev.faultline.Bytes;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Writes a run of consecutive events of one stream as bytes.
 *
 * <p><i>Shape</i>: format version, number of events, what was said of single events besides (place,
 * time, metadata), then the events. An event is its code, the difference of its moment from that of
 * the event before, for an ioctl its name, a mask of the fields that are not as in the last event
 * of the same kind, and these fields: numbers as differences, texts as places in a list of those
 * met before, payloads as {@link PayloadPatch}.
 */
final class PartWriter {
  static final int FORMAT = 1;

  private final ByteSink body = new ByteSink();
  private final Past past = new Past();
  private final Map<String, Integer> texts = new HashMap<>();
  private final ByteSink extras = new ByteSink();
  private int extraCount;
  private int count;
  private int moment;

  /** What stood in the last event of each kind. */
  static final class Past {
    private final List<Last> kinds = new ArrayList<>();
    private final long[] clocks = new long[EventType.CLOCKS];

    long clock(int clock) {
      return clocks[clock];
    }

    void clock(int clock, long value) {
      clocks[clock] = value;
    }

    /** The last event of the kind, and for ioctls of the name that is text {@code name}. */
    Last last(EventType type, int name) {
      int at = type.isByName() ? EventType.values().length + name : type.ordinal();
      while (kinds.size() <= at) {
        kinds.add(Last.NONE);
      }
      Last last = kinds.get(at);
      if (last == Last.NONE) {
        last = new Last(type);
        kinds.set(at, last);
      }
      return last;
    }
  }

  /** The fields of the last event of a kind. */
  static final class Last {
    private static final Last NONE = new Last(EventType.RECORDING_DAMAGED);

    final long[] numbers;
    final List<String> texts = new ArrayList<>();
    final List<Bytes> blobs = new ArrayList<>();

    Last(EventType type) {
      numbers = new long[type.numberCount()];
    }

    String text(int index) {
      while (texts.size() <= index) {
        texts.add("");
      }
      return texts.get(index);
    }

    Bytes blob(int index) {
      while (blobs.size() <= index) {
        blobs.add(Bytes.EMPTY);
      }
      return blobs.get(index);
    }
  }

  int count() {
    return count;
  }

  int size() {
    return body.size();
  }

  void add(StoredEvent event, @Nullable EventExtra extra) {
    if (extra != null) {
      extraCount++;
      extras.number(count);
      extra.write(extras);
    }
    EventType type = event.type();
    body.number(type.code());
    body.signed((long) event.moment() - moment);
    moment = event.moment();
    count++;
    int name = 0;
    if (type.isByName()) {
      name = text(event.text(0));
    }
    Last last = past.last(type, name);
    String[] own = event.texts();
    Bytes[] blobs = event.blobs();
    if (type.hasManyTexts()) {
      body.number(own.length);
    }
    if (type.hasManyBlobs()) {
      body.number(blobs.length);
    }
    int first = type.isByName() ? 1 : 0;
    long mask = mask(event, last, first);
    body.number(mask);
    fields(event, last, first, mask);
  }

  private void fields(StoredEvent event, Last last, int first, long mask) {
    EventType type = event.type();
    int bit = 0;
    long[] numbers = event.numbers();
    for (int i = 0; i < numbers.length; i++) {
      int clock = type.clock(i);
      if (clock >= 0) {
        body.signed(numbers[i] - past.clock(clock));
        past.clock(clock, numbers[i]);
      } else if (isWritten(mask, bit++)) {
        body.signed(numbers[i] - last.numbers[i]);
        last.numbers[i] = numbers[i];
      }
    }
    Bytes[] blobs = event.blobs();
    for (int i = 0; i < blobs.length; i++) {
      if (isWritten(mask, bit++)) {
        PayloadPatch.write(body, last.blob(i), blobs[i]);
        last.blobs.set(i, blobs[i]);
      }
    }
    String[] own = event.texts();
    for (int i = first; i < own.length; i++) {
      if (isWritten(mask, bit++)) {
        text(own[i]);
        last.text(i);
        last.texts.set(i, own[i]);
      }
    }
  }

  /** A field beyond the mask is always written. */
  static boolean isWritten(long mask, int bit) {
    return bit >= Long.SIZE || (mask & 1L << bit) != 0;
  }

  /** A bit for each field that is not as before; clocks have none. */
  private static long mask(StoredEvent event, Last last, int first) {
    long mask = 0;
    int bit = 0;
    long[] numbers = event.numbers();
    for (int i = 0; i < numbers.length; i++) {
      if (event.type().clock(i) < 0) {
        mask |= bit(bit++, numbers[i] != last.numbers[i]);
      }
    }
    Bytes[] blobs = event.blobs();
    for (int i = 0; i < blobs.length; i++) {
      mask |= bit(bit++, !blobs[i].equals(last.blob(i)));
    }
    String[] texts = event.texts();
    for (int i = first; i < texts.length; i++) {
      mask |= bit(bit++, !texts[i].equals(last.text(i)));
    }
    return mask;
  }

  private static long bit(int bit, boolean set) {
    return set && bit < Long.SIZE ? 1L << bit : 0;
  }

  private int text(String text) {
    Integer known = texts.get(text);
    if (known != null) {
      body.number(known + 1L);
      return known;
    }
    int place = texts.size();
    texts.put(text, place);
    body.number(0);
    body.text(text);
    return place;
  }

  /** The bytes; the writer is of no use afterwards. */
  byte[] finish() {
    ByteSink head = new ByteSink(64 + extras.size());
    head.u8(FORMAT);
    head.number(count);
    head.number(extraCount);
    head.raw(extras);
    return head.followedBy(body);
  }
}
