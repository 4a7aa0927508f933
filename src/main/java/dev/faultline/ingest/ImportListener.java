package dev.faultline.ingest;

/** Is told how far an import is. */
@FunctionalInterface
public interface ImportListener {
  /** So many more lines were read. */
  void read(int lines);

  /** Everything before this moment is on disk. */
  default void onDisk(int moment) {}
}
