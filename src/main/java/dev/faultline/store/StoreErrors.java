package dev.faultline.store;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import java.nio.file.AccessDeniedException;
import java.sql.SQLException;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Turns what a database throws into a sentence. */
final class StoreErrors {
  private static final int H2_ALREADY_OPEN = 90020;
  private static final int H2_CORRUPT = 90030;
  private static final int H2_VERSION = 90048;
  private static final int DEPTH = 12;

  private StoreErrors() {}

  static StoreException of(String store, Throwable thrown) {
    String at = "store " + store + ": ";
    SQLException sql = sql(thrown);
    if (says(thrown, "no space left") || state(sql).equals("53100") || state(sql).equals("53400")) {
      return error(
          ErrorCode.STORE_IO,
          at
              + "expected room to write, found the disk full; make room and"
              + " start again, what was acknowledged is there",
          thrown);
    }
    if (sql != null && sql.getErrorCode() == H2_ALREADY_OPEN) {
      return error(
          ErrorCode.STORE_LOCKED,
          at
              + "expected to be its only user, found it in use by another process; wait for that"
              + " one, or keep timelines for several in PostgreSQL (--store jdbc:postgresql:…)",
          thrown);
    }
    if (sql != null && (sql.getErrorCode() == H2_CORRUPT || sql.getErrorCode() == H2_VERSION)) {
      return error(
          ErrorCode.STORE_DAMAGED,
          at + "expected a database of H2, found damage; restore it from a copy",
          thrown);
    }
    if (has(thrown, AccessDeniedException.class) || says(thrown, "permission denied")) {
      return error(
          ErrorCode.STORE_UNREACHABLE,
          at + "expected a place to read and write, found no permission; name another by --store",
          thrown);
    }
    String state = state(sql);
    if (state.startsWith("08") || state.startsWith("28") || state.startsWith("3D")) {
      return error(
          ErrorCode.STORE_UNREACHABLE,
          at + "expected a database that answers, found: " + message(sql) + "; look at the URL",
          thrown);
    }
    return error(
        ErrorCode.STORE_IO,
        at + "expected to read and write, found: " + message(sql == null ? thrown : sql),
        thrown);
  }

  /** Whether two writers wanted the same row. */
  static boolean isConflict(SQLException e) {
    for (Throwable at = e; at != null; at = at.getCause()) {
      if (at instanceof SQLException sql
          && (state(sql).startsWith("23")
              || state(sql).startsWith("40")
              || state(sql).equals("90131"))) {
        return true;
      }
    }
    return false;
  }

  private static StoreException error(ErrorCode code, String sentence, Throwable cause) {
    return new StoreException(code, sentence, cause);
  }

  private static String state(@Nullable SQLException e) {
    String state = e == null ? null : e.getSQLState();
    return state == null ? "" : state;
  }

  private static String message(@Nullable Throwable e) {
    String message = e == null ? null : e.getMessage();
    if (message == null || message.isBlank()) {
      return e == null ? "nothing" : e.getClass().getSimpleName();
    }
    return message.lines().findFirst().orElse("").replaceAll("\\p{Cntrl}", " ").strip();
  }

  private static @Nullable SQLException sql(Throwable thrown) {
    Throwable at = thrown;
    for (int i = 0; at != null && i < DEPTH; i++) {
      if (at instanceof SQLException sql) {
        return sql;
      }
      at = at.getCause();
    }
    return null;
  }

  private static boolean has(Throwable thrown, Class<?> type) {
    Throwable at = thrown;
    for (int i = 0; at != null && i < DEPTH; i++) {
      if (type.isInstance(at)) {
        return true;
      }
      at = at.getCause();
    }
    return false;
  }

  private static boolean says(Throwable thrown, String words) {
    Throwable at = thrown;
    for (int i = 0; at != null && i < DEPTH; i++) {
      String message = at.getMessage();
      if (message != null && message.toLowerCase(Locale.ROOT).contains(words)) {
        return true;
      }
      at = at.getCause();
    }
    return false;
  }
}
