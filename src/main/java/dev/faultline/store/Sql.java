package dev.faultline.store;

import dev.faultline.Bytes;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Statements in a few words: parameters are numbers, texts, bytes or null. */
final class Sql {
  private Sql() {}

  /** Makes something of the present row. */
  @FunctionalInterface
  interface RowReader<T> {
    T read(ResultSet row) throws SQLException;
  }

  static <T> List<T> list(
      Connection connection, RowReader<T> reader, String sql, @Nullable Object... parameters)
      throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      set(statement, parameters);
      List<T> all = new ArrayList<>();
      try (ResultSet rows = statement.executeQuery()) {
        while (rows.next()) {
          all.add(reader.read(rows));
        }
      }
      return all;
    }
  }

  static <T> @Nullable T first(
      Connection connection, RowReader<T> reader, String sql, @Nullable Object... parameters)
      throws SQLException {
    List<T> all = list(connection, reader, sql, parameters);
    return all.isEmpty() ? null : all.getFirst();
  }

  static int update(Connection connection, String sql, @Nullable Object... parameters)
      throws SQLException {
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      set(statement, parameters);
      return statement.executeUpdate();
    }
  }

  /** How many rows each did something to. */
  static int[] batch(Connection connection, String sql, List<@Nullable Object[]> rows)
      throws SQLException {
    if (rows.isEmpty()) {
      return new int[0];
    }
    try (PreparedStatement statement = connection.prepareStatement(sql)) {
      for (@Nullable Object[] row : rows) {
        set(statement, row);
        statement.addBatch();
      }
      return statement.executeBatch();
    }
  }

  static Bytes bytes(ResultSet row, int column) throws SQLException {
    byte[] bytes = row.getBytes(column);
    return bytes == null ? Bytes.EMPTY : Bytes.wrap(bytes);
  }

  private static void set(PreparedStatement statement, @Nullable Object[] parameters)
      throws SQLException {
    for (int i = 0; i < parameters.length; i++) {
      switch (parameters[i]) {
        case Bytes b -> statement.setBytes(i + 1, b.toArray());
        case byte[] b -> statement.setBytes(i + 1, b);
        case Integer n -> statement.setInt(i + 1, n);
        case Long n -> statement.setLong(i + 1, n);
        case String s -> statement.setString(i + 1, s);
        case null -> statement.setNull(i + 1, java.sql.Types.VARBINARY);
        default -> throw new SQLException("no parameter is of " + parameters[i]);
      }
    }
  }
}
