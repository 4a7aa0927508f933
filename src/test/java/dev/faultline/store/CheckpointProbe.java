package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.timeline.MomentIndex;
import java.util.HexFormat;
import org.jspecify.annotations.Nullable;

/** Keeps states and reads them back, for tests of other packages. */
public final class CheckpointProbe {
  private CheckpointProbe() {}

  /** The state read back from its bytes; null where it cannot be kept, as inside a call. */
  public static @Nullable ReplayState keepAndReadBack(ReplayState state, MomentIndex index) {
    Bytes bytes = TimelineWriter.keep(state);
    return bytes == null
        ? null
        : (ReplayState)
            CheckpointCodec.read(
                bytes,
                new MomentIndex.Earlier() {
                  @Override
                  public long seq(int moment) {
                    return index.seq(moment);
                  }

                  @Override
                  public String name(int moment) {
                    return index.name(moment);
                  }
                });
  }

  /** A hash of everything in an object. */
  public static String plain(Object state) {
    return HexFormat.of().formatHex(Hashes.sha256().digest(CheckpointCodec.write(state).toArray()));
  }
}
