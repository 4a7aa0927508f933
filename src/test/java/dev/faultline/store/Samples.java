package dev.faultline.store;

import dev.faultline.Bytes;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/** Events of every kind, the same in every run. */
final class Samples {
  private Samples() {}

  /** Events of all kinds in their order, twice, with fields that partly stay and partly change. */
  static List<StoredEvent> ofEveryType() {
    SplittableRandom random = new SplittableRandom(1);
    List<StoredEvent> all = new ArrayList<>();
    for (int round = 0; round < 2; round++) {
      for (EventType type : EventType.values()) {
        all.add(of(type, all.size(), random));
      }
    }
    return List.copyOf(all);
  }

  /** An event of that kind. */
  static StoredEvent of(EventType type, int moment, SplittableRandom random) {
    List<Long> numbers = new ArrayList<>();
    for (int i = 0; i < type.numberCount(); i++) {
      numbers.add(random.nextInt(3) == 0 ? random.nextLong() : random.nextLong(-2, 3));
    }
    List<String> texts = new ArrayList<>();
    int textCount =
        type.hasManyTexts() ? type.textCount() - 1 + random.nextInt(90) : type.textCount();
    for (int i = 0; i < textCount; i++) {
      texts.add(random.nextInt(4) == 0 ? "" : "text " + random.nextInt(4));
    }
    List<Bytes> blobs = new ArrayList<>();
    int blobCount =
        type.hasManyBlobs() ? type.blobCount() - 1 + random.nextInt(3) : type.blobCount();
    for (int i = 0; i < blobCount; i++) {
      blobs.add(bytes(random));
    }
    return StoredEvent.of(type, moment, numbers, texts, blobs);
  }

  private static Bytes bytes(SplittableRandom random) {
    byte[] bytes = new byte[random.nextInt(4) == 0 ? 0 : random.nextInt(70)];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = random.nextInt(3) == 0 ? (byte) random.nextInt() : 0;
    }
    return Bytes.wrap(bytes);
  }

  /** A line of a recording, of no importance. */
  static StoredEvent mark(int moment, String text) {
    return StoredEvent.of(EventType.MARKED, moment, moment, 1000L * moment, moment + 1, 7)
        .texts(text, "sample.jsonl");
  }
}
