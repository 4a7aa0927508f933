package dev.faultline.ingest;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.store.IntegrityReport;
import dev.faultline.store.PostgresServer;
import dev.faultline.store.StoreLocation;
import dev.faultline.store.TimelineStore;
import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Imports are killed (SIGKILL) at random points, over and over, each time begun anew: nothing that
 * was said to be on disk is lost, and in the end every byte is as after an undisturbed import. With
 * {@code -Dfaultline.store.long=true} two hundred times, or as often as {@code
 * -Dfaultline.store.kills} says.
 */
final class KilledImportProperty {
  private static final Path RECORDING = Path.of("timelines", "scn_d");
  private static final long SEED = 9;

  @TempDir Path folder;

  private final SplittableRandom random = new SplittableRandom(SEED);

  private static int kills() {
    return Integer.getInteger(
        "faultline.store.kills", Boolean.getBoolean("faultline.store.long") ? 200 : 3);
  }

  private Process child(String store) throws IOException {
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-cp",
            System.getProperty("java.class.path"),
            ImportChild.class.getName(),
            RECORDING.toString(),
            store)
        .redirectError(folder.resolve("err" + random.nextInt(1 << 30)).toFile())
        .start();
  }

  /** Lets the child say so many times that something is on disk, then kills it a little later. */
  private int killed(Process child, int words) throws IOException, InterruptedException {
    int onDisk = 0;
    BufferedReader said = child.inputReader();
    for (int i = 0; i < words; i++) {
      String line = said.readLine();
      if (line == null) {
        break;
      }
      onDisk = Integer.parseInt(line);
    }
    child.waitFor(random.nextInt(1, 300), TimeUnit.MILLISECONDS);
    // By its handle: the Process itself would close what it still has to say.
    child.toHandle().destroyForcibly();
    child.waitFor();
    // What it still said before it died was acknowledged as well.
    for (String line = said.readLine(); line != null; line = said.readLine()) {
      onDisk = Integer.parseInt(line);
    }
    return onDisk;
  }

  private static IntegrityReport undisturbed(String store) {
    try (TimelineStore opened = TimelineStore.open(StoreLocation.of(store))) {
      RecordingImport.run(opened, Inputs.open(RECORDING).getFirst(), "t", _ -> {});
      return opened.check("t", _ -> {});
    }
  }

  @Test
  void an_import_that_was_killed_goes_on_and_ends_in_the_same_bytes() throws Exception {
    IntegrityReport expected = undisturbed(folder.resolve("whole").toString());
    assertThat(expected.ok()).isTrue();
    int done = 0;
    for (int round = 0; done < kills(); round++) {
      String place = folder.resolve("killed" + round).toString();
      int onDisk = 0;
      for (int i = 0; i < 3; i++, done++) {
        onDisk = Math.max(onDisk, killed(child(place), 1 + random.nextInt(6)));
        try (TimelineStore store = TimelineStore.open(StoreLocation.of(place))) {
          if (onDisk > 0) {
            assertThat(store.moments("t"))
                .as("seed %s, kill %s", SEED, done)
                .isGreaterThanOrEqualTo(onDisk);
            assertThat(store.check("t", _ -> {}).damage()).isEmpty();
          }
        }
      }
      IntegrityReport found = undisturbed(place);
      assertThat(found.damage()).isEmpty();
      assertThat(found.head()).as("seed %s, after kill %s", SEED, done).isEqualTo(expected.head());
      say(done);
    }
  }

  @Test
  void two_imports_into_one_postgresql_at_once_end_in_the_same_bytes() throws Exception {
    String place = PostgresServer.freshDatabase();
    IntegrityReport expected = undisturbed(folder.resolve("whole").toString());
    for (int i = 0; i < (kills() + 2) / 3; i++) {
      List<Process> both = new ArrayList<>(List.of(child(place), child(place)));
      killed(both.removeFirst(), 1 + random.nextInt(6));
      Process other = both.removeFirst();
      if (random.nextInt(2) == 0) {
        killed(other, 2 + random.nextInt(6));
      } else {
        while (other.inputReader().readLine() != null) {}
        assertThat(other.waitFor()).as("%s", errors()).isZero();
      }
      IntegrityReport found = undisturbed(place);
      assertThat(found.damage()).isEmpty();
      assertThat(found.head()).isEqualTo(expected.head());
      say(i + 1);
      try (TimelineStore store = TimelineStore.open(StoreLocation.of(place))) {
        store.remove("t");
        assertThat(store.orphans()).isNull();
      }
    }
  }

  /** A long run tells how far it is. */
  private static void say(int kills) {
    if (kills() > 3) {
      System.err.println("kills survived: " + kills);
    }
  }

  private String errors() throws IOException {
    StringBuilder all = new StringBuilder();
    try (var files = Files.list(folder)) {
      for (Path file : files.filter(f -> f.getFileName().toString().startsWith("err")).toList()) {
        all.append(Files.readString(file));
      }
    }
    return all.toString();
  }
}
