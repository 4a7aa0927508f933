package dev.faultline.store;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import org.flywaydb.core.Flyway;
import org.flywaydb.core.api.FlywayException;

/** Brings a database to the schema of this version. */
final class Schema {
  /** The number of the last script below {@code db/migration}. */
  static final int VERSION = 2;

  private static final String HISTORY = "flyway_schema_history";

  private Schema() {}

  /** Looks whether the schema is there; only if not is the tool that makes it started. */
  static void demand(StoreLocation location, Connection connection) throws SQLException {
    int found = version(connection);
    if (found > VERSION) {
      throw new StoreException(
          ErrorCode.STORE_SCHEMA_TOO_NEW,
          "store "
              + location.text()
              + ": expected a schema of at most version "
              + VERSION
              + ", found "
              + found
              + "; use the Faultline that wrote it, or a later one");
    }
    if (found < VERSION) {
      migrate(location);
    }
  }

  private static int version(Connection connection) throws SQLException {
    try (ResultSet tables =
        connection
            .getMetaData()
            .getTables(null, null, HISTORY, new String[] {"TABLE", "BASE TABLE"})) {
      if (!tables.next()) {
        return 0;
      }
    }
    int version = 0;
    try (Statement statement = connection.createStatement();
        ResultSet rows =
            statement.executeQuery(
                "SELECT \"version\" FROM \"" + HISTORY + "\" WHERE \"success\" = TRUE")) {
      while (rows.next()) {
        String text = rows.getString(1);
        if (text != null && text.matches("[0-9]{1,6}")) {
          version = Math.max(version, Integer.parseInt(text));
        }
      }
    }
    return version;
  }

  private static void migrate(StoreLocation location) {
    String url = location.url();
    try {
      Flyway.configure(Schema.class.getClassLoader())
          .dataSource(url, null, null)
          .locations("classpath:db/migration")
          .load()
          .migrate();
    } catch (FlywayException e) {
      throw StoreErrors.of(location.text(), e);
    }
  }
}
