package dev.faultline.ingest;

import dev.faultline.FaultlineException;
import dev.faultline.InvariantViolation;
import dev.faultline.store.TimelineStore;
import dev.faultline.trace.ObservationReader;
import dev.faultline.trace.RecordingFacts;
import dev.faultline.trace.RecordingReader;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * Imports a recording while it is made: lines go in, and a thread of its own decides and appends
 * them, page by page.
 *
 * <p>Each page of about two thousand events is on disk before the next one is begun: whoever is
 * killed leaves a timeline that ends with the last whole page. Its bytes are those that an import
 * of the recording's file gives, so that one goes on where this ended.
 *
 * <p><i>Errors</i>: a store that fails ends the import, and {@link #take} tells why.
 */
public final class LiveImport {
  private static final int WAITING_PIECES = 16;
  private static final int WAIT_MS = 100;
  private static final byte[] END = {};

  private final TimelineStore store;
  private final String name;
  private final RecordingSource source;
  private final BlockingQueue<byte[]> waiting = new ArrayBlockingQueue<>(WAITING_PIECES);
  private final Thread thread;
  private volatile @Nullable FaultlineException refused;
  private volatile @Nullable Throwable thrown;
  private volatile RecordingImport.@Nullable Imported imported;

  /**
   * Into a store, which the caller closes after {@link #finish}.
   *
   * @param name the timeline's
   * @param file where the recording is written, too; null if it is not
   */
  public LiveImport(TimelineStore store, String name, @Nullable Path file) {
    TimelineStore.demandName(name);
    this.store = store;
    this.name = name;
    Path called = file == null ? Path.of(name) : file;
    this.source = new RecordingSource(Inputs.nameOf(called), called, null, null);
    this.thread = Thread.ofPlatform().name("live-import").daemon(true).unstarted(this::run);
  }

  /**
   * Takes whole lines; waits while much is waiting. The first time, the first line must be among
   * them.
   *
   * @param last whether these are the last ones
   * @return null, or a sentence that tells why no more can be taken
   */
  public @Nullable String take(byte[] lines, boolean last) {
    if (thread.getState() == Thread.State.NEW) {
      thread.start();
    }
    if (lines.length > 0) {
      put(lines);
    }
    if (last) {
      put(END);
      join();
    }
    FaultlineException why = refused;
    if (why != null) {
      return why.getMessage();
    }
    return thrown == null ? null : "the import into " + name + " failed by a bug";
  }

  private void put(byte[] piece) {
    try {
      boolean taken = false;
      // It may be slower than the VMM; or it failed meanwhile, and then it is not alive.
      while (!taken && thread.isAlive()) {
        taken = waiting.offer(piece, WAIT_MS, TimeUnit.MILLISECONDS);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private void join() {
    try {
      thread.join();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** What became of it, after the last lines; null if it failed. */
  public RecordingImport.@Nullable Imported finish() {
    if (thrown != null) {
      throw new InvariantViolation("the live import failed", thrown);
    }
    return imported;
  }

  private void run() {
    try {
      byte[] first = waiting.take();
      imported =
          new RecordingImport(
                  source.name(),
                  facts(first),
                  false,
                  () -> reader(first),
                  store.writer(name, 1),
                  name,
                  _ -> {})
              .run();
    } catch (FaultlineException e) {
      refused = e;
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    } catch (RuntimeException | Error e) {
      thrown = e;
    }
  }

  private ObservationReader reader(byte[] first) {
    return new RecordingReader(source.label(source.recording()), new Lines(first));
  }

  /** What the first line tells of the machine. */
  private RecordingFacts facts(byte[] first) {
    int end = 0;
    while (end < first.length && first[end] != '\n') {
      end++;
    }
    return RecordingFacts.read(
        source.name(),
        source.label(source.recording()),
        new ByteArrayInputStream(Arrays.copyOf(first, end)));
  }

  /** The pieces as a stream, which waits for the next one. */
  private final class Lines extends InputStream {
    private byte[] piece;
    private int at;
    private boolean ended;

    Lines(byte[] first) {
      piece = first;
    }

    @Override
    public int read() throws IOException {
      byte[] one = new byte[1];
      return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public int read(byte[] into, int from, int length) throws IOException {
      Objects.checkFromIndexSize(from, length, into.length);
      if (length == 0) {
        return 0;
      }
      while (at == piece.length && !ended) {
        try {
          piece = waiting.take();
        } catch (InterruptedException e) {
          Thread.currentThread().interrupt();
          throw new IOException("interrupted", e);
        }
        at = 0;
        ended = piece.length == 0;
      }
      if (ended) {
        return -1;
      }
      int size = Math.min(length, piece.length - at);
      System.arraycopy(piece, at, into, from, size);
      at += size;
      return size;
    }
  }
}
