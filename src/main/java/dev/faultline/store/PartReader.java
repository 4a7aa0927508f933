package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * Reads what {@link PartWriter} wrote, one event after the other.
 *
 * <p><i>Errors</i>: a {@link FormatException}, corrupt or of a later version.
 */
final class PartReader {
  private static final int MAX_FIELDS = 1 << 16;

  private final ByteSource in;
  private final PartWriter.Past past = new PartWriter.Past();
  private final List<String> texts = new ArrayList<>();
  private final TreeMap<Integer, EventExtra> extras = new TreeMap<>();
  private int given;
  private int left;
  private int moment;

  /** Where in the list the last text stands. */
  private int place;

  PartReader(ByteSource in) {
    this.in = in;
    int format = in.u8();
    if (format > PartWriter.FORMAT) {
      throw tooNew("the format " + format);
    }
    if (format != PartWriter.FORMAT) {
      throw in.damaged("the format " + PartWriter.FORMAT);
    }
    left = in.count(0);
    int extraCount = in.count(1);
    for (int i = 0; i < extraCount; i++) {
      int place = in.count(0);
      extras.put(place, EventExtra.read(in));
    }
  }

  private static FormatException tooNew(String found) {
    return new FormatException(
        FormatException.Kind.TOO_NEW,
        ErrorCode.EVENT_TOO_NEW,
        "a stored run of events: expected the format "
            + PartWriter.FORMAT
            + " and the events of this version, found "
            + found
            + "; read it with the Faultline that wrote it, or a later one");
  }

  /** How many events are left. */
  int left() {
    return left;
  }

  /** What was said besides of the event that was given last, or null. */
  @Nullable EventExtra extra() {
    return extras.get(given - 1);
  }

  StoredEvent next() {
    if (left == 0) {
      throw in.damaged("no event more");
    }
    left--;
    given++;
    long code = in.number();
    EventType type = EventType.ofCode((int) Math.min(code, Integer.MAX_VALUE));
    if (type == null) {
      throw tooNew("an event of the kind " + code);
    }
    moment += (int) in.signed();
    String name = type.isByName() ? text() : "";
    PartWriter.Last last = past.last(type, type.isByName() ? place : 0);
    int textCount = type.hasManyTexts() ? count(type.textCount() - 1) : type.textCount();
    int blobCount = type.hasManyBlobs() ? count(type.blobCount() - 1) : type.blobCount();
    StoredEvent event = fields(type, last, name, textCount, blobCount);
    if (left == 0 && !in.isEmpty()) {
      throw in.damaged("the end");
    }
    return event;
  }

  private int count(int least) {
    int count = in.count(0);
    if (count < least || count > MAX_FIELDS) {
      throw in.damaged("a number of fields");
    }
    return count;
  }

  private StoredEvent fields(
      EventType type, PartWriter.Last last, String name, int textCount, int blobCount) {
    long mask = in.number();
    int bit = 0;
    long[] numbers = new long[type.numberCount()];
    for (int i = 0; i < numbers.length; i++) {
      int clock = type.clock(i);
      if (clock >= 0) {
        numbers[i] = past.clock(clock) + in.signed();
        past.clock(clock, numbers[i]);
      } else {
        if (PartWriter.isWritten(mask, bit++)) {
          last.numbers[i] += in.signed();
        }
        numbers[i] = last.numbers[i];
      }
    }
    Bytes[] blobs = new Bytes[blobCount];
    for (int i = 0; i < blobCount; i++) {
      Bytes base = last.blob(i);
      blobs[i] = PartWriter.isWritten(mask, bit++) ? PayloadPatch.read(in, base) : base;
      last.blobs.set(i, blobs[i]);
    }
    String[] own = new String[textCount];
    int first = type.isByName() ? 1 : 0;
    if (first == 1) {
      own[0] = name;
    }
    for (int i = first; i < textCount; i++) {
      String before = last.text(i);
      own[i] = PartWriter.isWritten(mask, bit++) ? text() : before;
      last.texts.set(i, own[i]);
    }
    return new StoredEvent(type, moment, numbers, own, blobs);
  }

  private String text() {
    long known = in.number();
    if (known > texts.size()) {
      throw in.damaged("a text met before");
    }
    if (known > 0) {
      place = (int) known - 1;
      return texts.get(place);
    }
    place = texts.size();
    String text = in.text();
    texts.add(text);
    return text;
  }
}
