package dev.faultline.record;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.trace.Chunks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The file of a recording, written in chunks while the recording goes on: whoever is killed loses
 * no more than the chunk that was not yet full.
 *
 * <p>A thread of its own compresses and writes, so that the VMM does not wait for it; it waits when
 * the disk is slower than the VMM for long.
 *
 * <p><i>Errors</i>: a chunk that cannot be written is cut off again, and {@link #failureSentence}
 * tells why; what is written before is a good recording.
 */
final class ChunkFile implements AutoCloseable {
  private static final int CHUNK_SIZE = 256 << 10;
  private static final long LONGEST_WAIT_NS = 200_000_000;
  private static final int WAITING_CHUNKS = 32;
  private static final long LONGEST_START_SECONDS = 10;

  private final Path path;
  private final FileChannel channel;
  private final Thread writer;
  private final BlockingQueue<Piece> waiting = new ArrayBlockingQueue<>(WAITING_CHUNKS);
  private final ReentrantLock lock = new ReentrantLock();
  private final LineBuffer lines = new LineBuffer();
  private final CountDownLatch firstWritten = new CountDownLatch(1);
  private long begunNs;
  private boolean begun;
  private volatile @Nullable IOException failure;

  private ChunkFile(Path path, FileChannel channel) {
    this.path = path;
    this.channel = channel;
    this.begunNs = System.nanoTime();
    this.writer = Thread.ofPlatform().name("recording-writer").daemon(true).unstarted(this::write);
  }

  /**
   * Makes the file, or makes it empty.
   *
   * @throws StoreException if that cannot be
   */
  static ChunkFile create(Path path) {
    try {
      FileChannel channel =
          FileChannel.open(
              path,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE);
      ChunkFile file = new ChunkFile(path, channel);
      file.writer.start();
      return file;
    } catch (IOException e) {
      throw new StoreException(
          ErrorCode.FILE_UNWRITABLE,
          path
              + ": expected a file to write the recording to, found that it cannot be made ("
              + reason(e)
              + "); name another with -o",
          e);
    }
  }

  /** The buffer, to write one line into; {@link #ended} gives it back. */
  LineBuffer line() {
    lock.lock();
    return lines.begin();
  }

  /** The line is whole. */
  void ended() {
    try {
      lines.end();
      boolean due = System.nanoTime() - begunNs > LONGEST_WAIT_NS;
      if (!begun || due || lines.size() >= CHUNK_SIZE) {
        hand(lines.take());
      }
      if (!begun) {
        begun = true;
        awaitFirst();
      }
    } finally {
      lock.unlock();
    }
  }

  /** The file is a recording before the program goes on, whenever the recorder is killed. */
  private void awaitFirst() {
    try {
      if (!firstWritten.await(LONGEST_START_SECONDS, TimeUnit.SECONDS)) {
        failure = new IOException("the disk takes longer than " + LONGEST_START_SECONDS + " s");
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void hand(byte[] chunk) {
    begunNs = System.nanoTime();
    if (chunk.length == 0 || failure != null) {
      return;
    }
    try {
      waiting.put(new Piece(chunk, false));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Why nothing more can be written; null while it can. */
  @Nullable String failureSentence() {
    IOException why = failure;
    return why == null
        ? null
        : ErrorCode.FILE_UNWRITABLE.id()
            + " "
            + path
            + ": expected room for the recording, found that it cannot be written ("
            + reason(why)
            + ")";
  }

  private static String reason(IOException e) {
    String message = e.getMessage();
    if (message == null) {
      return e.getClass().getSimpleName();
    }
    int colon = message.lastIndexOf(": ");
    return colon < 0 ? message : message.substring(colon + 2);
  }

  private void write() {
    Chunks.Writer chunks = new Chunks.Writer();
    boolean ended = false;
    while (!ended) {
      Piece piece = next();
      ended = piece != null && piece.last;
      if (failure == null && piece != null) {
        put(chunks.chunk(piece.lines, piece.last));
      }
    }
  }

  private @Nullable Piece next() {
    try {
      Piece piece = waiting.poll(LONGEST_WAIT_NS, TimeUnit.NANOSECONDS);
      if (piece != null) {
        return piece;
      }
    } catch (InterruptedException e) {
      return Piece.END;
    }
    // Nothing came for a while: what lies in the buffer must not wait for more to come.
    if (!lock.tryLock()) {
      return null;
    }
    try {
      begunNs = System.nanoTime();
      if (waiting.isEmpty() && lines.size() > 0) {
        return new Piece(lines.take(), false);
      }
    } finally {
      lock.unlock();
    }
    return null;
  }

  private void put(ByteBuffer chunk) {
    long good = -1;
    try {
      good = channel.position();
      while (chunk.hasRemaining()) {
        channel.write(chunk);
      }
    } catch (IOException e) {
      failure = e;
      cutTo(good);
    } finally {
      firstWritten.countDown();
    }
  }

  private void cutTo(long good) {
    try {
      if (good >= 0) {
        channel.truncate(good);
      }
    } catch (IOException e) {
      // A chunk that is cut off is passed over by whoever reads the file.
      return;
    }
  }

  /** Writes what waits and the chunk that tells the end. */
  @Override
  public void close() {
    lock.lock();
    try {
      hand(lines.take());
      waiting.put(Piece.END);
      writer.join();
      channel.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (IOException e) {
      failure = failure == null ? e : failure;
    } finally {
      lock.unlock();
    }
  }

  /** Lines that wait to be written. */
  private static final class Piece {
    static final Piece END = new Piece(new byte[0], true);

    private final byte[] lines;
    private final boolean last;

    Piece(byte[] lines, boolean last) {
      this.lines = lines;
      this.last = last;
    }
  }
}
