package dev.faultline.store;

import java.nio.file.Path;

/** The contract of storage engines on the heap. */
final class MemoryStorageContract extends EventStorageContract {
  @Override
  TimelineStore open(Path folder) {
    return TimelineStore.inMemory();
  }
}
