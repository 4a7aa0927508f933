package dev.faultline.store;

import java.nio.file.Path;

/** The contract of storage engines on a file of H2. */
final class H2StorageContract extends EventStorageContract {
  @Override
  TimelineStore open(Path folder) {
    return TimelineStore.open(StoreLocation.of(folder.resolve("store").toString()));
  }
}
