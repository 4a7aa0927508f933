package dev.faultline.ingest;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** The recordings that tests may read: those that are shipped, and all others that are at hand. */
final class Recordings {
  private static final Path SHIPPED = Path.of("timelines");

  private Recordings() {}

  /** The folder with the others: a property, else a variable, else beside the repository. */
  private static Path folder() {
    String property = System.getProperty("faultline.recordings");
    if (property != null) {
      return Path.of(property);
    }
    String variable = System.getenv("FAULTLINE_RECORDINGS");
    return Path.of(variable == null ? "../shared/recordings" : variable);
  }

  static List<RecordingSource> all() {
    List<RecordingSource> found = new ArrayList<>(Inputs.open(SHIPPED));
    // What some bugs' hosts answer is not modelled; these timelines have a test of their own.
    found.removeIf(source -> source.name().startsWith("cases/"));
    if (Files.isDirectory(folder())) {
      found.addAll(Inputs.open(folder()));
    }
    // What was traced by others has tests of its own.
    found.removeIf(source -> !Inputs.fileName(source.recording()).contains(".jsonl"));
    return found;
  }

  static RecordingSource shipped(String name) {
    return Inputs.open(SHIPPED.resolve(name)).getFirst();
  }
}
