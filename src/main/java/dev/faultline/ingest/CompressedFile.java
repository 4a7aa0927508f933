package dev.faultline.ingest;

import dev.faultline.ErrorCode;
import dev.faultline.FormatException;
import dev.faultline.UsageException;
import dev.faultline.trace.Chunks;
import java.io.IOException;
import java.io.InputStream;
import java.io.PushbackInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.zip.GZIPInputStream;
import org.tukaani.xz.XZInputStream;

/** Opens a file that may be compressed; its first bytes tell how, not its name. */
final class CompressedFile {
  private static final int BUFFER_SIZE = 1 << 16;
  private static final int XZ_MEMORY_KIB = 100 << 10;
  private static final byte[] GZIP = {0x1f, (byte) 0x8b};
  private static final byte[] XZ = {(byte) 0xfd, '7', 'z', 'X', 'Z', 0};
  private static final byte[] ZSTD = {0x28, (byte) 0xb5, 0x2f, (byte) 0xfd};
  private static final byte[] BZIP2 = {'B', 'Z', 'h'};
  private static final byte[] TRACE_DAT = {0x17, 8, 'D', 't', 'r', 'a', 'c', 'i', 'n', 'g'};
  private static final byte[] PERF_DATA = {'P', 'E', 'R', 'F', 'I', 'L', 'E', '2'};
  private static final byte[] ZIP = {'P', 'K', 3, 4};

  private CompressedFile() {}

  /**
   * The file's content, decompressed; a damaged rest shows itself as an {@link IOException} of the
   * stream.
   */
  static InputStream open(Path path) {
    InputStream file;
    try {
      file = Files.newInputStream(path);
    } catch (IOException e) {
      throw Inputs.unopened(path, e);
    }
    try {
      PushbackInputStream in = new PushbackInputStream(file, Chunks.START_SIZE);
      byte[] magic = in.readNBytes(Chunks.START_SIZE);
      in.unread(magic);
      return decompressed(path, in, magic);
    } catch (IOException | RuntimeException e) {
      try {
        file.close();
      } catch (IOException closing) {
        e.addSuppressed(closing);
      }
      if (e instanceof RuntimeException known) {
        throw known;
      }
      throw new FormatException(
          FormatException.Kind.CORRUPT,
          ErrorCode.INPUT_COMPRESSION,
          path.getFileName()
              + ": expected the header of a compressed file, found that it is damaged or cut off;"
              + " copy the file again",
          e);
    }
  }

  /**
   * The content of a file that may still grow.
   *
   * @throws UsageException if it is no recording in chunks, of which alone it can be told where it
   *     may be read
   */
  static InputStream follow(Path path, Chunks.Patience patience) {
    try {
      InputStream file = Files.newInputStream(path);
      PushbackInputStream in = new PushbackInputStream(file, Chunks.START_SIZE);
      byte[] magic = in.readNBytes(Chunks.START_SIZE);
      while (magic.length < Chunks.START_SIZE && patience.more()) {
        in.unread(magic);
        magic = in.readNBytes(Chunks.START_SIZE);
      }
      if (!Chunks.isStart(magic)) {
        in.close();
        throw new UsageException(
            ErrorCode.USAGE,
            "--follow: expected a file as record writes it, found another kind: "
                + path
                + "; show it without --follow");
      }
      in.unread(magic);
      return new Chunks.Input(in, patience);
    } catch (IOException e) {
      throw Inputs.unopened(path, e);
    }
  }

  private static InputStream decompressed(Path path, InputStream in, byte[] magic)
      throws IOException {
    if (Chunks.isStart(magic)) {
      return new Chunks.Input(in);
    }
    if (startsWith(magic, GZIP)) {
      return new GZIPInputStream(in, BUFFER_SIZE);
    }
    if (startsWith(magic, XZ)) {
      return new XZInputStream(in, XZ_MEMORY_KIB);
    }
    refuse(path, magic, ZSTD, "zstd", "zstd -d");
    refuse(path, magic, BZIP2, "bzip2", "bunzip2");
    refuse(path, magic, ZIP, "zip", "unzip");
    binary(path, magic, TRACE_DAT, "what trace-cmd records", "trace-cmd report -i");
    binary(path, magic, PERF_DATA, "what perf records", "perf script -i");
    return in;
  }

  private static void refuse(Path path, byte[] magic, byte[] other, String name, String command) {
    if (startsWith(magic, other)) {
      throw FormatException.corrupt(
          ErrorCode.INPUT_FORMAT_UNKNOWN,
          path.getFileName()
              + ": expected a plain file or one compressed by gzip or xz, found "
              + name
              + "; decompress it with "
              + command);
    }
  }

  private static void binary(Path path, byte[] magic, byte[] other, String what, String command) {
    if (startsWith(magic, other)) {
      Path name = path.getFileName();
      throw FormatException.corrupt(
          ErrorCode.INPUT_FORMAT_UNKNOWN,
          name
              + ": expected text, found "
              + what
              + "; give the output of '"
              + command
              + " "
              + name
              + "'");
    }
  }

  private static boolean startsWith(byte[] magic, byte[] other) {
    return magic.length >= other.length
        && Arrays.equals(magic, 0, other.length, other, 0, other.length);
  }
}
