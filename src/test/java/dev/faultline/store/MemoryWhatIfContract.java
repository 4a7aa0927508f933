package dev.faultline.store;

import java.nio.file.Path;

/** The contract of decided calls on the heap. */
final class MemoryWhatIfContract extends WhatIfContract {
  @Override
  TimelineStore open(Path folder) {
    return TimelineStore.inMemory();
  }
}
