package dev.faultline.store;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.store.Rows.Segment;
import dev.faultline.store.Rows.Stream;
import dev.faultline.store.Rows.Timeline;
import org.jspecify.annotations.Nullable;

/** What a fork has in common with its parent. */
final class Forks {
  private Forks() {}

  /**
   * The timeline that another is a fork of; null if it is none.
   *
   * @throws StoreException if it is gone, or no timeline that was there before
   */
  static @Nullable Timeline parentOf(Rows rows, Timeline timeline) {
    if (timeline.parent() == Rows.NOBODY) {
      return null;
    }
    Timeline parent = rows.timeline(timeline.parent());
    if (parent == null || parent.id() >= timeline.id()) {
      throw new StoreException(
          ErrorCode.STORE_DAMAGED,
          timeline.name()
              + ": expected the timeline that it is a fork of, found "
              + (parent == null ? "that it is gone" : "a later one"));
    }
    return parent;
  }

  /** How many events of a stream are before a moment. */
  static long shared(Rows rows, Stream stream, int before) {
    Segment last = rows.lastSegment(stream.id(), before - 1);
    if (last == null) {
      return stream.base();
    }
    SegmentReader reader = new SegmentReader(last);
    long count = last.first();
    while (reader.hasNext() && reader.next().moment() < before) {
      count++;
    }
    return count;
  }
}
