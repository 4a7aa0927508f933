package dev.faultline.store;

import java.time.Instant;
import java.util.Collections;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * What was said of an event besides: when it was stored, and metadata. Events of an import have
 * none; their time is that of the recording.
 */
record EventExtra(Instant time, SortedMap<String, String> metadata) {
  private static final long NANOS_PER_SECOND = 1_000_000_000L;

  EventExtra {
    metadata = Collections.unmodifiableSortedMap(new TreeMap<>(metadata));
  }

  void write(ByteSink out) {
    out.signed(time.getEpochSecond());
    out.number(time.getNano());
    out.number(metadata.size());
    for (Map.Entry<String, String> entry : metadata.entrySet()) {
      out.text(entry.getKey());
      out.text(entry.getValue());
    }
  }

  static EventExtra read(ByteSource in) {
    long seconds = in.signed();
    long nanos = in.number();
    if (seconds < Instant.MIN.getEpochSecond()
        || seconds > Instant.MAX.getEpochSecond()
        || nanos < 0
        || nanos >= NANOS_PER_SECOND) {
      throw in.damaged("a time");
    }
    int count = in.count(2);
    TreeMap<String, String> metadata = new TreeMap<>();
    for (int i = 0; i < count; i++) {
      String key = in.text();
      metadata.put(key, in.text());
    }
    return new EventExtra(Instant.ofEpochSecond(seconds, nanos), metadata);
  }

  /** The time of an event of which nothing is said. */
  static Instant timeOf(StoredEvent event) {
    return Instant.ofEpochSecond(0, event.ns());
  }
}
