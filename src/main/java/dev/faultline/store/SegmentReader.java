package dev.faultline.store;

import dev.faultline.store.Rows.Segment;
import org.jspecify.annotations.Nullable;

/** Reads the events of a segment, part after part. */
final class SegmentReader {
  private final ByteSource in;
  private long sequence;
  private @Nullable PartReader part;

  SegmentReader(Segment segment) {
    in = new ByteSource(segment.payload().toArray());
    sequence = segment.first();
  }

  boolean hasNext() {
    while (part == null || part.left() == 0) {
      if (in.isEmpty()) {
        return false;
      }
      int count = in.count(0);
      PartReader next = new PartReader(in.part(in.count(1)));
      if (next.left() != count) {
        throw in.damaged("a part of " + count + " events");
      }
      part = next;
    }
    return true;
  }

  StoredEvent next() {
    PartReader current = part;
    if (current == null) {
      throw in.damaged("a part");
    }
    sequence++;
    return current.next();
  }

  /** What was said besides of the event that was given last, or null. */
  @Nullable EventExtra extra() {
    return part == null ? null : part.extra();
  }

  /** The sequence number of the event that was given last. */
  long sequence() {
    return sequence - 1;
  }
}
