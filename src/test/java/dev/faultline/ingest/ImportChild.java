package dev.faultline.ingest;

import dev.faultline.store.StoreLocation;
import dev.faultline.store.TimelineStore;
import java.nio.file.Path;

/** An import in a process of its own, which says what is on disk; it may be killed at any point. */
final class ImportChild {
  private static final int EVENTS_AT_ONCE = 2000;

  private ImportChild() {}

  public static void main(String[] args) {
    System.out.println("0");
    RecordingSource source = Inputs.open(Path.of(args[0])).getFirst();
    try (TimelineStore store = TimelineStore.open(StoreLocation.of(args[1]))) {
      new RecordingImport(
              source,
              store.writer("t", EVENTS_AT_ONCE),
              "t",
              new ImportListener() {
                @Override
                public void read(int lines) {}

                @Override
                public void onDisk(int moment) {
                  System.out.println(moment);
                  System.out.flush();
                }
              })
          .run();
    }
  }
}
