package dev.faultline;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * An expected text, kept under {@code src/test/resources} and reviewed as a diff; {@code
 * -Dgolden.update=true} writes what was found in its place.
 */
public final class GoldenFile {
  /** The system property that makes goldens be written instead of compared. */
  public static final String UPDATE = "golden.update";

  private static final Path RESOURCES =
      Path.of(System.getProperty("basedir", "."), "src", "test", "resources");

  private GoldenFile() {}

  public static boolean isUpdate() {
    return Boolean.getBoolean(UPDATE);
  }

  /**
   * Fails at the first line in which {@code found} differs from the golden, and says how to accept
   * it.
   */
  public static void check(String resource, String found) throws IOException {
    Path golden = RESOURCES.resolve(resource);
    if (isUpdate()) {
      Files.createDirectories(golden.getParent());
      Files.writeString(golden, found, StandardCharsets.UTF_8);
      return;
    }
    assertThat(golden).as("run with -D" + UPDATE + "=true to write it").exists();
    List<String> expectedLines = Files.readString(golden, StandardCharsets.UTF_8).lines().toList();
    List<String> foundLines = found.lines().toList();
    for (int i = 0; i < Math.min(expectedLines.size(), foundLines.size()); i++) {
      assertThat(foundLines.get(i))
          .as(
              "%s:%d; if this is meant, run with -D%s=true and review the diff",
              golden, i + 1, UPDATE)
          .isEqualTo(expectedLines.get(i));
    }
    assertThat(foundLines.size()).as("lines of %s", golden).isEqualTo(expectedLines.size());
  }
}
