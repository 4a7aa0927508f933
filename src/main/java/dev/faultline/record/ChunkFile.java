package dev.faultline.record;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import dev.faultline.trace.Chunks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.jspecify.annotations.Nullable;

/**
 * The file of a recording, written in chunks while the recording goes on: whoever is killed loses
 * no more than the chunk that was not yet full.
 *
 * <p><i>Errors</i>: a chunk that cannot be written is cut off again; what is written before is a
 * good recording.
 */
final class ChunkFile implements LineSink {
  private final Path path;
  private final FileChannel channel;
  private final Chunks.Writer chunks = new Chunks.Writer();

  private ChunkFile(Path path, FileChannel channel) {
    this.path = path;
    this.channel = channel;
  }

  /**
   * Makes the file, or makes it empty.
   *
   * @throws StoreException if that cannot be
   */
  static ChunkFile create(Path path) {
    try {
      return new ChunkFile(
          path,
          FileChannel.open(
              path,
              StandardOpenOption.CREATE,
              StandardOpenOption.TRUNCATE_EXISTING,
              StandardOpenOption.WRITE));
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

  @Override
  public @Nullable String take(byte[] lines, boolean last) {
    long good = -1;
    try {
      ByteBuffer chunk = chunks.chunk(lines, last);
      good = channel.position();
      while (chunk.hasRemaining()) {
        channel.write(chunk);
      }
      if (last) {
        channel.close();
      }
      return null;
    } catch (IOException e) {
      giveUp(good);
      return sentence(path, reason(e));
    }
  }

  /** That a file cannot be written further. */
  static String sentence(Path path, String why) {
    return ErrorCode.FILE_UNWRITABLE.id()
        + " "
        + path
        + ": expected room for the recording, found that it cannot be written ("
        + why
        + ")";
  }

  /** What the system said, without the name of the file. */
  static String reason(IOException e) {
    String message = e.getMessage();
    if (message == null) {
      return e.getClass().getSimpleName();
    }
    int colon = message.lastIndexOf(": ");
    return colon < 0 ? message : message.substring(colon + 2);
  }

  private void giveUp(long good) {
    try (channel) {
      if (good >= 0) {
        channel.truncate(good);
      }
    } catch (IOException e) {
      // A chunk that is cut off is passed over by whoever reads the file.
      return;
    }
  }
}
