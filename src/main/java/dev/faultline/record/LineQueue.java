package dev.faultline.record;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * The lines of a recording on their way to where they are kept.
 *
 * <p>A thread of its own gives them to the sinks, many at a time, so that the VMM does not wait for
 * a disk; it waits when a sink is slower than the VMM for long.
 *
 * <p><i>Errors</i>: a sink that cannot take more is given no more, and {@link #failureSentence}
 * tells why; the others are given what still comes.
 */
final class LineQueue implements AutoCloseable {
  private static final int PIECE_SIZE = 256 << 10;
  private static final long LONGEST_WAIT_NS = 200_000_000;
  private static final int WAITING_PIECES = 32;
  private static final long LONGEST_START_SECONDS = 30;

  private final List<LineSink> sinks;
  private final Thread writer;
  private final BlockingQueue<Piece> waiting = new ArrayBlockingQueue<>(WAITING_PIECES);
  private final ReentrantLock lock = new ReentrantLock();
  private final LineBuffer lines = new LineBuffer();
  private final CountDownLatch firstWritten = new CountDownLatch(1);
  private long begunNs = System.nanoTime();
  private boolean begun;
  private volatile @Nullable String failure;

  private LineQueue(List<LineSink> sinks) {
    this.sinks = new ArrayList<>(sinks);
    this.writer = Thread.ofPlatform().name("recording-writer").daemon(true).unstarted(this::write);
  }

  /** To all of these. */
  static LineQueue to(List<LineSink> sinks) {
    LineQueue queue = new LineQueue(sinks);
    queue.writer.start();
    return queue;
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
      if (!begun || due || lines.size() >= PIECE_SIZE) {
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

  /** There is a recording before the program goes on, whenever the recorder is killed. */
  private void awaitFirst() {
    try {
      if (!firstWritten.await(LONGEST_START_SECONDS, TimeUnit.SECONDS)) {
        failure = "the recording cannot be begun within " + LONGEST_START_SECONDS + " seconds";
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void hand(byte[] piece) {
    begunNs = System.nanoTime();
    if (piece.length == 0) {
      return;
    }
    try {
      waiting.put(new Piece(piece, false));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Why nothing more can be kept; null while it can. */
  @Nullable String failureSentence() {
    return failure;
  }

  private void write() {
    boolean ended = false;
    while (!ended) {
      Piece piece = next();
      ended = piece != null && piece.last;
      if (piece != null) {
        give(piece);
      }
    }
  }

  private void give(Piece piece) {
    for (LineSink sink : List.copyOf(sinks)) {
      String refused = sink.take(piece.lines, piece.last);
      if (refused != null) {
        failure = refused;
        sinks.remove(sink);
      }
    }
    firstWritten.countDown();
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

  /** Gives what waits, and tells the sinks that nothing follows. */
  @Override
  public void close() {
    lock.lock();
    try {
      hand(lines.take());
      waiting.put(Piece.END);
      writer.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } finally {
      lock.unlock();
    }
  }

  /** Lines that wait to be given. */
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
