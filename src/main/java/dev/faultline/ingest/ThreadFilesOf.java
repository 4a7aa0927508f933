package dev.faultline.ingest;

import dev.faultline.InvariantViolation;
import dev.faultline.trace.ThreadFiles;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Opens the files of {@code strace -ff} as one. */
final class ThreadFilesOf {
  private ThreadFilesOf() {}

  static ThreadFiles open(Path stem, List<Path> files) {
    List<Long> tids = new ArrayList<>();
    List<InputStream> streams = new ArrayList<>();
    for (Path file : files) {
      Long tid = ThreadFiles.thread(Inputs.fileName(file));
      if (tid == null) {
        throw new InvariantViolation(file + " is no file of a thread");
      }
      tids.add(tid);
      streams.add(CompressedFile.open(file));
    }
    try {
      return new ThreadFiles(stem.toString(), tids, streams);
    } catch (IOException e) {
      throw Inputs.unopened(stem, e);
    }
  }
}
