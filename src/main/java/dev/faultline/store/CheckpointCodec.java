package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.timeline.ClosedVms;
import dev.faultline.timeline.MomentIndex;
import java.util.zip.CRC32C;
import java.util.zip.DataFormatException;
import java.util.zip.Deflater;
import java.util.zip.Inflater;
import org.jspecify.annotations.Nullable;

/**
 * Keeps a state as bytes, whatever it is made of: records, classes of values, lists and maps, by
 * their fields.
 *
 * <p>Such bytes fit only the program that wrote them ({@link ModelStamp}), and may be thrown away
 * at any time; so there is no versioning here.
 *
 * <p><i>Shape</i>: CRC-32C of the rest, size, then the graph, deflated.
 */
final class CheckpointCodec {
  private static final int CRC_SIZE = 4;
  private static final int MAX_SIZE = 64 << 20;

  private CheckpointCodec() {}

  /** What cannot be kept, such as code that is still to be run. */
  static final class NotKept extends RuntimeException {
    private static final long serialVersionUID = 1L;

    NotKept(String what) {
      super(what);
    }
  }

  /**
   * The bytes of a state.
   *
   * @throws NotKept if something in it cannot be kept
   */
  static Bytes write(Object state) {
    ByteSink graph = new ByteSink();
    new GraphWriter(graph).write(state);
    byte[] plain = graph.toArray();
    Deflater deflater = new Deflater(Deflater.BEST_SPEED);
    ByteSink out = new ByteSink();
    out.number(plain.length);
    try {
      deflater.setInput(plain);
      deflater.finish();
      byte[] buffer = new byte[1 << 14];
      while (!deflater.finished()) {
        out.raw(buffer, 0, deflater.deflate(buffer));
      }
    } finally {
      deflater.end();
    }
    byte[] body = out.toArray();
    ByteSink whole = new ByteSink();
    int crc = crc(body, 0);
    for (int i = 0; i < CRC_SIZE; i++) {
      whole.u8(crc >>> (i * Byte.SIZE));
    }
    whole.raw(body, 0, body.length);
    return whole.toBytes();
  }

  private static int crc(byte[] bytes, int from) {
    CRC32C crc = new CRC32C();
    crc.update(bytes, from, bytes.length - from);
    return (int) crc.getValue();
  }

  /**
   * The state of these bytes, or null if they are damaged.
   *
   * @param earlier knows the moments before the state
   * @param closedVms knows the VMs that were put away before it
   */
  static @Nullable Object read(Bytes bytes, MomentIndex.Earlier earlier, ClosedVms closedVms) {
    byte[] array = bytes.toArray();
    if (array.length <= CRC_SIZE || bytes.i32(0) != crc(array, CRC_SIZE)) {
      return null;
    }
    ByteSource in = new ByteSource(array, CRC_SIZE, array.length);
    long size = in.number();
    if (size > MAX_SIZE) {
      return null;
    }
    byte[] plain = new byte[(int) size];
    Inflater inflater = new Inflater();
    try {
      inflater.setInput(array, in.at(), in.left());
      int at = 0;
      while (at < plain.length) {
        int got = inflater.inflate(plain, at, plain.length - at);
        if (got == 0) {
          return null;
        }
        at += got;
      }
    } catch (DataFormatException _) {
      return null;
    } finally {
      inflater.end();
    }
    return new GraphReader(new ByteSource(plain), earlier, closedVms).read();
  }
}
