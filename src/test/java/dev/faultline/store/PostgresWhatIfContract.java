package dev.faultline.store;

import java.nio.file.Path;

/** The contract of decided calls on a real PostgreSQL. */
final class PostgresWhatIfContract extends WhatIfContract {
  @Override
  TimelineStore open(Path folder) {
    return TimelineStore.open(StoreLocation.of(PostgresServer.freshDatabase()));
  }
}
