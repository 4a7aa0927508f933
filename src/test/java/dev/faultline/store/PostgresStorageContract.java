package dev.faultline.store;

import java.nio.file.Path;

/** The contract of storage engines on a real PostgreSQL. */
final class PostgresStorageContract extends EventStorageContract {
  @Override
  TimelineStore open(Path folder) {
    return TimelineStore.open(StoreLocation.of(PostgresServer.freshDatabase()));
  }
}
