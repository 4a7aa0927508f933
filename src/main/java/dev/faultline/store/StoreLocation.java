package dev.faultline.store;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * Where a store is: a folder with an H2 database, or the JDBC URL of one of H2 or PostgreSQL.
 *
 * @param text as the user wrote it
 * @param url what the database's driver takes
 * @param folder the folder of an embedded store, null for a URL
 */
public record StoreLocation(String text, String url, @Nullable Path folder) {
  private static final String JDBC = "jdbc:";
  private static final String H2 = "jdbc:h2:";
  private static final String POSTGRESQL = "jdbc:postgresql:";
  private static final String FILE = "events";

  /** The place that a user named. */
  public static StoreLocation of(String text) {
    if (text.startsWith(JDBC)) {
      boolean known =
          text.startsWith(H2 + "file:") || text.startsWith(H2 + "mem:") || isPostgresql(text);
      if (!known) {
        throw new StoreException(
            ErrorCode.STORE_UNREACHABLE,
            "--store: expected a folder, jdbc:postgresql://HOST/DATABASE or jdbc:h2:file:PATH,"
                + " found '"
                + text
                + "'");
      }
      return new StoreLocation(text, text, null);
    }
    Path folder = Path.of(text).toAbsolutePath().normalize();
    return new StoreLocation(text, H2 + "file:" + folder.resolve(FILE), folder);
  }

  /** The place of a user who named none: below {@code XDG_DATA_HOME}. */
  public static StoreLocation byDefault() {
    String data = System.getenv("XDG_DATA_HOME");
    Path home = Path.of(System.getProperty("user.home", "."));
    Path base =
        data == null || data.isBlank() ? home.resolve(".local").resolve("share") : Path.of(data);
    return of(base.resolve("faultline").toString());
  }

  /** False if there is certainly no store there yet. */
  public boolean mayExist() {
    return folder == null || Files.exists(folder.resolve(FILE + ".mv.db"));
  }

  boolean isPostgresql() {
    return isPostgresql(url);
  }

  private static boolean isPostgresql(String url) {
    return url.startsWith(POSTGRESQL);
  }
}
