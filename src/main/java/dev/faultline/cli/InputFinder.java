package dev.faultline.cli;

import dev.faultline.ErrorCode;
import dev.faultline.UsageException;
import dev.faultline.ingest.Inputs;
import dev.faultline.ingest.RecordingSource;
import dev.faultline.ingest.StoredTimeline;
import dev.faultline.store.StoreLocation;
import dev.faultline.store.TimelineStore;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Finds inputs by what the user calls them: a file or folder of this name, else a timeline of the
 * store. The store is opened only when a name needs it.
 */
final class InputFinder implements AutoCloseable {
  private final StoreLocation location;
  private @Nullable TimelineStore store;

  InputFinder(StoreLocation location) {
    this.location = location;
  }

  List<RecordingSource> open(List<Path> inputs) {
    List<RecordingSource> all = new ArrayList<>();
    inputs.forEach(input -> all.addAll(open(input)));
    return List.copyOf(all);
  }

  List<RecordingSource> open(Path input) {
    if (Files.exists(input) || !location.mayExist()) {
      return Inputs.open(input);
    }
    String name = input.toString();
    TimelineStore opened = store == null ? TimelineStore.open(location) : store;
    store = opened;
    if (!opened.has(name)) {
      throw new UsageException(
          ErrorCode.INPUT_NOT_FOUND,
          name
              + ": expected a recording, a folder of recordings or a timeline of the store "
              + location.text()
              + ", found nothing of this name; 'faultline ls' lists timelines");
    }
    return List.of(RecordingSource.of(new StoredTimeline(opened, name)));
  }

  @Override
  public void close() {
    if (store != null) {
      store.close();
    }
  }
}
