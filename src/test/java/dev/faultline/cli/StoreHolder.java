package dev.faultline.cli;

import java.io.IOException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;

/** A process of its own that has a database open until its input ends. */
final class StoreHolder {
  private StoreHolder() {}

  public static void main(String[] args) throws SQLException, IOException {
    try (Connection connection = DriverManager.getConnection(args[0])) {
      System.out.println(connection.isValid(1) ? "open" : "closed");
      while (System.in.read() >= 0) {}
    }
  }
}
