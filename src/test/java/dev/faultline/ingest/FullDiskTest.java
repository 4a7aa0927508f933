package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.faultline.StoreException;
import dev.faultline.store.IntegrityReport;
import dev.faultline.store.StoreLocation;
import dev.faultline.store.TimelineStore;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * A disk that becomes full: a file system of 900 kilobytes, mounted for the test. Who may not mount
 * one is told that it was skipped.
 */
final class FullDiskTest {
  private static final Path RECORDING = Path.of("timelines", "scn_d");
  private static final int EVENTS_AT_ONCE = 2000;

  @TempDir Path folder;

  private Path disk = Path.of("");
  private boolean mounted;

  private static int run(String... command) throws IOException, InterruptedException {
    return new ProcessBuilder(command)
        .redirectErrorStream(true)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .start()
        .waitFor();
  }

  @BeforeEach
  void mount() throws IOException, InterruptedException {
    disk = Files.createDirectory(folder.resolve("disk"));
    try {
      mounted = run("mount", "-t", "tmpfs", "-o", "size=900k", "none", disk.toString()) == 0;
    } catch (IOException _) {
      mounted = false;
    }
    if (!mounted) {
      System.err.println("SKIPPED: FullDiskTest, since this user may not mount a file system");
    }
    Assumptions.assumeTrue(mounted, "this user may mount a file system");
  }

  @AfterEach
  void unmount() throws IOException, InterruptedException {
    if (mounted) {
      assertThat(run("umount", disk.toString())).isZero();
    }
  }

  /** Imports; the last moment that was said to be on disk. */
  private static int imported(String place, int[] onDisk) {
    RecordingSource source = Inputs.open(RECORDING).getFirst();
    try (TimelineStore store = TimelineStore.open(StoreLocation.of(place))) {
      new RecordingImport(
              source,
              store.writer("t", EVENTS_AT_ONCE),
              "t",
              new ImportListener() {
                @Override
                public void read(int lines) {}

                @Override
                public void onDisk(int moment) {
                  onDisk[0] = moment;
                }
              })
          .run();
    }
    return onDisk[0];
  }

  private static IntegrityReport check(String place) {
    try (TimelineStore store = TimelineStore.open(StoreLocation.of(place))) {
      return store.check("t", _ -> {});
    }
  }

  @Test
  void a_full_disk_is_told_in_a_sentence_and_nothing_acknowledged_is_lost() throws Exception {
    String place = disk.resolve("store").toString();
    int[] onDisk = {0};
    assertThatThrownBy(() -> imported(place, onDisk))
        .isInstanceOf(StoreException.class)
        .hasMessageContaining("FL-301")
        .hasMessageContaining("found the disk full; make room");
    assertThat(onDisk[0]).isPositive();
    assertThat(run("mount", "-o", "remount,size=200m", disk.toString())).isZero();
    try (TimelineStore store = TimelineStore.open(StoreLocation.of(place))) {
      assertThat(store.moments("t")).isGreaterThanOrEqualTo(onDisk[0]);
    }
    assertThat(check(place).damage()).isEmpty();
    imported(place, onDisk);
    String whole = disk.resolve("whole").toString();
    imported(whole, onDisk);
    assertThat(check(place).head()).isEqualTo(check(whole).head());
  }
}
