package dev.faultline.store;

import java.nio.file.Path;

/** The contract of decided calls on a file of H2. */
final class H2WhatIfContract extends WhatIfContract {
  @Override
  TimelineStore open(Path folder) {
    return TimelineStore.open(StoreLocation.of(folder.resolve("store").toString()));
  }
}
