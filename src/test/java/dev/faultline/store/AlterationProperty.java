package dev.faultline.store;

import static org.assertj.core.api.Assertions.assertThat;

import dev.faultline.FaultlineException;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Whatever is done to one row of what the store holds, {@code check} finds it: bits turned, rows
 * deleted, rows doubled under another key, values of two rows swapped. Each alteration is taken
 * back afterwards. With {@code -Dfaultline.store.long=true} ten thousand of them.
 */
final class AlterationProperty {
  private static final long SEED = 20_261;
  private static final List<String> TABLES =
      List.of("timeline", "stream", "page", "segment", "clock");

  @TempDir Path folder;

  private final SplittableRandom random = new SplittableRandom(SEED);

  /** A table's rows as they are. */
  private record Table(String name, List<String> columns, List<List<@Nullable Object>> rows) {}

  @Test
  void every_alteration_of_a_row_is_found() throws SQLException {
    int count = Boolean.getBoolean("faultline.store.long") ? 10_000 : 300;
    Database database = Database.open(StoreLocation.of(folder.resolve("store").toString()));
    try (TimelineStore store = new TimelineStore(new JdbcRows(database))) {
      fill(store);
      assertThat(damaged(store)).isFalse();
      for (int i = 0; i < count; i++) {
        database.begin();
        try {
          String what = alter(database.connection());
          assertThat(damaged(store)).as("seed %s, alteration %s: %s", SEED, i, what).isTrue();
        } finally {
          database.rollBack();
        }
      }
      assertThat(damaged(store)).isFalse();
    }
  }

  private void fill(TimelineStore store) {
    int moment = 0;
    long[] next = new long[4];
    for (int batch = 0; batch < 4; batch++) {
      List<StoredEventMessage> messages = new ArrayList<>();
      for (int i = 0; i < 900; i++) {
        int lane = random.nextInt(next.length);
        messages.add(
            new StoredEventMessage(
                "t:vm" + lane,
                next[lane]++,
                Samples.mark(moment++, "x" + random.nextInt(5)),
                null));
      }
      store.engine().appendEvents(messages);
    }
    store.fork("t", 1999, "u");
    store
        .engine()
        .appendEvents(List.of(new StoredEventMessage("u:vm9", 0, Samples.mark(2000, "own"), null)));
  }

  private static boolean damaged(TimelineStore store) {
    List<String> names = store.names();
    if (!names.equals(List.of("t", "u")) || store.orphans() != null) {
      return true;
    }
    try {
      for (String name : names) {
        if (!store.check(name, _ -> {}).ok()) {
          return true;
        }
      }
      return false;
    } catch (FaultlineException _) {
      // What cannot even be read is found, too.
      return true;
    }
  }

  private String alter(Connection c) throws SQLException {
    while (true) {
      Table table = read(c, TABLES.get(random.nextInt(TABLES.size())));
      List<@Nullable Object> row = table.rows().get(random.nextInt(table.rows().size()));
      boolean done =
          switch (random.nextInt(4)) {
            case 0 -> delete(c, table, row);
            case 1 -> doubled(c, table, row);
            case 2 -> swapped(c, table, row);
            default -> turned(c, table, row);
          };
      if (done) {
        return table.name() + " " + table.columns() + " " + row;
      }
    }
  }

  private static Table read(Connection c, String name) throws SQLException {
    try (Statement statement = c.createStatement();
        ResultSet found = statement.executeQuery("SELECT * FROM " + name)) {
      ResultSetMetaData meta = found.getMetaData();
      List<String> columns = new ArrayList<>();
      for (int i = 1; i <= meta.getColumnCount(); i++) {
        columns.add(meta.getColumnName(i));
      }
      List<List<@Nullable Object>> rows = new ArrayList<>();
      while (found.next()) {
        List<@Nullable Object> row = new ArrayList<>();
        for (int i = 1; i <= columns.size(); i++) {
          row.add(found.getObject(i));
        }
        rows.add(row);
      }
      return new Table(name, columns, rows);
    }
  }

  private static boolean delete(Connection c, Table table, List<@Nullable Object> row)
      throws SQLException {
    return execute(c, "DELETE FROM " + table.name() + where(table), row);
  }

  private static String where(Table table) {
    return " WHERE " + String.join(" AND ", table.columns().stream().map(n -> n + " = ?").toList());
  }

  private static boolean execute(Connection c, String sql, List<@Nullable Object> parameters)
      throws SQLException {
    try (PreparedStatement statement = c.prepareStatement(sql)) {
      for (int i = 0; i < parameters.size(); i++) {
        statement.setObject(i + 1, parameters.get(i));
      }
      return statement.executeUpdate() > 0;
    } catch (SQLException e) {
      if (String.valueOf(e.getSQLState()).startsWith("23")
          || String.valueOf(e.getSQLState()).startsWith("22")) {
        return false;
      }
      throw e;
    }
  }

  private static boolean set(
      Connection c, Table table, List<@Nullable Object> row, int column, Object value)
      throws SQLException {
    List<@Nullable Object> parameters = new ArrayList<>();
    parameters.add(value);
    parameters.addAll(row);
    return execute(
        c,
        "UPDATE " + table.name() + " SET " + table.columns().get(column) + " = ?" + where(table),
        parameters);
  }

  private boolean turned(Connection c, Table table, List<@Nullable Object> row)
      throws SQLException {
    int column = random.nextInt(row.size());
    Object altered =
        switch (row.get(column)) {
          case byte[] bytes -> {
            byte[] copy = bytes.clone();
            copy[random.nextInt(copy.length)] ^= (byte) (1 << random.nextInt(8));
            yield copy;
          }
          case Long n -> n ^ (1L << random.nextInt(62));
          case Integer n -> n ^ (1 << random.nextInt(14));
          case String s -> s + "'";
          case null, default -> null;
        };
    // Numbers that are passed over harm nobody.
    boolean passed =
        table.name().equals("clock")
            && column > 0
            && altered instanceof Long n
            && n > number(row, column);
    return altered != null && !passed && set(c, table, row, column, altered);
  }

  private static long number(List<@Nullable Object> row, int column) {
    return row.get(column) instanceof Long n ? n : Long.MIN_VALUE;
  }

  private boolean swapped(Connection c, Table table, List<@Nullable Object> row)
      throws SQLException {
    List<@Nullable Object> other = table.rows().get(random.nextInt(table.rows().size()));
    int column = random.nextInt(row.size());
    Object one = row.get(column);
    Object two = other.get(column);
    boolean same =
        (one instanceof byte[] a && two instanceof byte[] b)
            ? Arrays.equals(a, b)
            : one == null || one.equals(two);
    if (same || one == null || two == null) {
      return false;
    }
    if (!set(c, table, row, column, two)) {
      return false;
    }
    set(c, table, other, column, one);
    return true;
  }

  private boolean doubled(Connection c, Table table, List<@Nullable Object> row)
      throws SQLException {
    List<@Nullable Object> copy = new ArrayList<>(row);
    for (int i = 0; i < copy.size(); i++) {
      if (copy.get(i) instanceof Long n && random.nextInt(2) == 0) {
        copy.set(i, n + 1 + random.nextInt(5000));
      } else if (copy.get(i) instanceof Integer n && random.nextInt(2) == 0) {
        copy.set(i, n + 1 + random.nextInt(500));
      }
    }
    return execute(
        c,
        "INSERT INTO "
            + table.name()
            + " ("
            + String.join(", ", table.columns())
            + ") VALUES ("
            + String.join(", ", table.columns().stream().map(_ -> "?").toList())
            + ")",
        copy);
  }
}
