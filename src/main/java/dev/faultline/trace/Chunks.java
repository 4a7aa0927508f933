package dev.faultline.trace;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.zip.CRC32;
import java.util.zip.DataFormatException;
import java.util.zip.Deflater;
import java.util.zip.Inflater;
import org.jspecify.annotations.Nullable;

/**
 * A recording in chunks: a gzip file of many members, which any gunzip reads, where each member
 * tells its own size. So a file that was cut off at any byte is readable to its last whole chunk,
 * and one that still grows can be followed.
 *
 * <p><i>Shape</i> of a member, little-endian:
 *
 * <pre>
 *  0  1f 8b 08 04           gzip, deflate, with an extra field
 *  4  00 00 00 00 04 ff     no time, fastest, unknown system
 * 10  09 00                 bytes of the extra field
 * 12  'F' 'L' 05 00         the subfield
 * 16  u32                   bytes of the whole member
 * 20  u8                    1 in the last member of a recording that was ended, else 0
 * 21  deflated lines        whole lines only
 *     u32 u32               CRC-32 and size of the lines
 * </pre>
 */
public final class Chunks {
  /** How many bytes {@link #isStart} needs. */
  public static final int START_SIZE = 16;

  private static final int HEADER_SIZE = 21;
  private static final int TRAILER_SIZE = 8;
  private static final int SIZE_AT = 16;
  private static final int LAST_AT = 20;
  private static final byte[] START = {
    0x1f, (byte) 0x8b, 8, 4, 0, 0, 0, 0, 4, (byte) 0xff, 9, 0, 'F', 'L', 5, 0
  };

  /** No recorder writes larger ones. */
  private static final int LARGEST = 64 << 20;

  private Chunks() {}

  /** True for the first bytes of a file in chunks. */
  public static boolean isStart(byte[] bytes) {
    return bytes.length >= START_SIZE && mismatch(bytes) >= START_SIZE;
  }

  private static int mismatch(byte[] bytes) {
    for (int i = 0; i < START_SIZE; i++) {
      if (bytes[i] != START[i]) {
        return i;
      }
    }
    return START_SIZE;
  }

  /** Makes chunks of lines. */
  public static final class Writer {
    private final Deflater deflater = new Deflater(Deflater.BEST_SPEED, true);

    /** A chunk of these lines, which end with a newline; the last one may have none. */
    public ByteBuffer chunk(byte[] lines, boolean last) {
      CRC32 crc = new CRC32();
      crc.update(lines);
      ByteBuffer chunk =
          ByteBuffer.allocate(HEADER_SIZE + lines.length + lines.length / 1000 + 64 + TRAILER_SIZE)
              .order(ByteOrder.LITTLE_ENDIAN);
      chunk.put(START).position(HEADER_SIZE);
      deflater.reset();
      deflater.setInput(lines);
      deflater.finish();
      while (!deflater.finished()) {
        deflater.deflate(chunk);
      }
      chunk.putInt((int) crc.getValue()).putInt(lines.length).flip();
      chunk.putInt(SIZE_AT, chunk.limit()).put(LAST_AT, (byte) (last ? 1 : 0));
      return chunk;
    }
  }

  /** Reads the lines of chunks; each chunk is checked before any of its lines is given. */
  public static final class Input extends InputStream {
    private final InputStream in;
    private final @Nullable Patience patience;
    private final Inflater inflater = new Inflater(true);
    private byte[] lines = new byte[0];
    private int at;
    private long number;
    private boolean ended;
    private boolean whole;

    /** Of a file that is as long as it will be. */
    public Input(InputStream in) {
      this(in, null);
    }

    /**
     * Of a file that may still grow.
     *
     * @param patience asked at the end of what is there
     */
    public Input(InputStream in, @Nullable Patience patience) {
      this.in = in;
      this.patience = patience;
    }

    /** True once the chunk has been read that says that it is the last. */
    public boolean isWhole() {
      return whole;
    }

    @Override
    public int read() throws IOException {
      return ready() ? lines[at++] & 0xff : -1;
    }

    @Override
    public int read(byte[] into, int from, int most) throws IOException {
      if (most == 0) {
        return 0;
      }
      if (!ready()) {
        return -1;
      }
      int size = Math.min(most, lines.length - at);
      System.arraycopy(lines, at, into, from, size);
      at += size;
      return size;
    }

    private boolean ready() throws IOException {
      while (at == lines.length) {
        if (ended) {
          return false;
        }
        ended = !next();
      }
      return true;
    }

    /** Reads a chunk; false at the end, or where the file is cut off. */
    private boolean next() throws IOException {
      byte[] header = new byte[HEADER_SIZE];
      if (whole || !fill(header)) {
        return false;
      }
      if (!isStart(header)) {
        throw new IOException("chunk " + (number + 1) + " does not begin like one");
      }
      ByteBuffer view = ByteBuffer.wrap(header).order(ByteOrder.LITTLE_ENDIAN);
      int size = view.getInt(SIZE_AT);
      if (size < HEADER_SIZE + TRAILER_SIZE || size > LARGEST) {
        throw new IOException("chunk " + (number + 1) + " tells a size of " + size + " bytes");
      }
      byte[] body = new byte[size - HEADER_SIZE];
      if (!fill(body)) {
        return false;
      }
      number++;
      inflate(body);
      whole = view.get(LAST_AT) == 1;
      return true;
    }

    private boolean fill(byte[] bytes) throws IOException {
      int filled = 0;
      while (filled < bytes.length) {
        int read = in.read(bytes, filled, bytes.length - filled);
        if (read > 0) {
          filled += read;
        } else if (patience == null || !patience.more()) {
          return false;
        }
      }
      return true;
    }

    private void inflate(byte[] body) throws IOException {
      ByteBuffer trailer =
          ByteBuffer.wrap(body, body.length - TRAILER_SIZE, TRAILER_SIZE)
              .order(ByteOrder.LITTLE_ENDIAN);
      int sum = trailer.getInt();
      int size = trailer.getInt();
      if (size < 0 || size > LARGEST) {
        throw new IOException("chunk " + number + " tells " + size + " bytes of lines");
      }
      byte[] inflated = new byte[size];
      CRC32 crc = new CRC32();
      try {
        inflater.reset();
        inflater.setInput(body, 0, body.length - TRAILER_SIZE);
        int done = 0;
        while (done < size) {
          int more = inflater.inflate(inflated, done, size - done);
          if (more == 0) {
            throw new IOException("chunk " + number + " ends early");
          }
          done += more;
        }
      } catch (DataFormatException e) {
        throw new IOException("chunk " + number + " cannot be decompressed", e);
      }
      crc.update(inflated);
      if ((int) crc.getValue() != sum) {
        throw new IOException("chunk " + number + " does not match its checksum");
      }
      lines = inflated;
      at = 0;
    }

    @Override
    public void close() throws IOException {
      inflater.end();
      in.close();
    }
  }

  /** What to do at the end of a file that may still grow. */
  @FunctionalInterface
  public interface Patience {
    /** Waits a little; false if no more will come. */
    boolean more();
  }
}
