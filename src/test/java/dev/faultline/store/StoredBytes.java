package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.timeline.MomentIndex;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The codecs of stored bytes, for tests of other packages. */
public final class StoredBytes {
  private static final MomentIndex.Earlier NOTHING_EARLIER =
      new MomentIndex.Earlier() {
        @Override
        public long seq(int moment) {
          return -1;
        }

        @Override
        public String name(int moment) {
          return "";
        }
      };

  private StoredBytes() {}

  /** Reads a part to its end; how many events there were. */
  public static int readPart(byte[] bytes) {
    PartReader reader = new PartReader(new ByteSource(bytes));
    int events = 0;
    while (reader.left() > 0) {
      reader.next();
      events++;
    }
    return events;
  }

  /** A part with an event of every kind. */
  public static byte[] part() {
    PartWriter writer = new PartWriter();
    Samples.ofEveryType().forEach(event -> writer.add(event, null));
    return writer.finish();
  }

  /** Reads a checkpoint; null if it is damaged. */
  public static @Nullable Object readCheckpoint(byte[] bytes) {
    return CheckpointCodec.read(
        Bytes.wrap(bytes), NOTHING_EARLIER, dev.faultline.timeline.ClosedVms.NONE);
  }

  /** A small checkpoint. */
  public static byte[] checkpoint() {
    return CheckpointCodec.write(List.of("a state", 7, List.of(true, 9L))).toArray();
  }
}
