package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.InvariantViolation;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One event of a stored timeline; immutable.
 *
 * <p>It knows the moment of the timeline's total order at which it happened. What one call brings
 * about shares its lane; events without a moment of their own share that of the event before.
 */
public final class StoredEvent {
  private static final String[] NO_TEXTS = {};
  private static final Bytes[] NO_BLOBS = {};

  private final EventType type;
  private final int moment;
  private final long[] numbers;
  private final String[] texts;
  private final Bytes[] blobs;

  /** Takes the arrays as they are; the caller writes to them no more. */
  StoredEvent(EventType type, int moment, long[] numbers, String[] texts, Bytes[] blobs) {
    this.type = type;
    this.moment = moment;
    this.numbers = numbers;
    this.texts = texts;
    this.blobs = blobs;
  }

  private StoredEvent checked() {
    boolean wrong =
        numbers.length != type.numberCount()
            || wrong(texts.length, type.textCount(), type.hasManyTexts())
            || wrong(blobs.length, type.blobCount(), type.hasManyBlobs());
    if (wrong) {
      throw new InvariantViolation("a " + type.storedName() + " has the fields " + type.fields());
    }
    return this;
  }

  private static boolean wrong(int found, int named, boolean many) {
    return many ? found < named - 1 : found != named;
  }

  /** An event of numbers, to which {@link #texts} adds what else its kind has. */
  public static StoredEvent of(EventType type, int moment, long... numbers) {
    return new StoredEvent(type, moment, numbers.clone(), NO_TEXTS, NO_BLOBS);
  }

  /** The same event with these texts. */
  public StoredEvent texts(String... added) {
    return new StoredEvent(type, moment, numbers, added.clone(), blobs).checked();
  }

  /** An event of all kinds of fields. */
  public static StoredEvent of(
      EventType type, int moment, List<Long> numbers, List<String> texts, List<Bytes> blobs) {
    return new StoredEvent(
            type,
            moment,
            numbers.stream().mapToLong(Long::longValue).toArray(),
            texts.toArray(NO_TEXTS),
            blobs.toArray(NO_BLOBS))
        .checked();
  }

  public EventType type() {
    return type;
  }

  /** The position in the timeline. */
  public int moment() {
    return moment;
  }

  /** The number at that place. */
  public long number(int index) {
    return numbers[index];
  }

  /** The number of that name; a name that is not there is a bug. */
  public long number(String name) {
    return numbers[type.numberAt(name)];
  }

  /** The text at that place. */
  public String text(int index) {
    return texts[index];
  }

  /** How many texts. */
  public int textCount() {
    return texts.length;
  }

  /** The texts from that place on. */
  public List<String> textsFrom(int index) {
    return List.of(Arrays.copyOfRange(texts, index, texts.length));
  }

  /** The bytes at that place. */
  public Bytes bytes(int index) {
    return blobs[index];
  }

  /** How many byte strings. */
  public int bytesCount() {
    return blobs.length;
  }

  /** The byte strings from that place on. */
  public List<Bytes> bytesFrom(int index) {
    return List.of(Arrays.copyOfRange(blobs, index, blobs.length));
  }

  /** When it happened, or -1 where the event does not tell. */
  public long ns() {
    for (int i = 0; i < numbers.length; i++) {
      if (type.clock(i) == 1) {
        return numbers[i];
      }
    }
    return -1;
  }

  /** Bytes that it takes in memory, roughly. */
  int weight() {
    int weight = 64 + numbers.length * Long.BYTES;
    for (Bytes blob : blobs) {
      weight += blob.size();
    }
    return weight;
  }

  @Override
  public boolean equals(@Nullable Object o) {
    return this == o
        || (o instanceof StoredEvent other
            && type == other.type
            && moment == other.moment
            && Arrays.equals(numbers, other.numbers)
            && Arrays.equals(texts, other.texts)
            && Arrays.equals(blobs, other.blobs));
  }

  @Override
  public int hashCode() {
    return 31 * (31 * type.code() + moment) + Arrays.hashCode(numbers);
  }

  @Override
  public String toString() {
    StringBuilder all = new StringBuilder(64);
    all.append(moment).append(' ').append(type.storedName());
    List<String> names = type.fields();
    int at = 0;
    for (long number : numbers) {
      all.append(' ').append(names.get(at++)).append('=').append(number);
    }
    for (String text : texts) {
      all.append(' ').append(names.get(Math.min(at++, numbers.length + type.textCount() - 1)));
      all.append("='").append(text).append('\'');
    }
    for (int i = 0; i < blobs.length; i++) {
      int name = numbers.length + type.textCount() + Math.min(i, type.blobCount() - 1);
      all.append(' ').append(names.get(name)).append('=').append(blobs[i].toHex());
    }
    return all.toString();
  }

  long[] numbers() {
    return numbers;
  }

  String[] texts() {
    return texts;
  }

  Bytes[] blobs() {
    return blobs;
  }
}
