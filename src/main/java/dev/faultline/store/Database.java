package dev.faultline.store;

import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import dev.faultline.ErrorCode;
import dev.faultline.InvariantViolation;
import dev.faultline.StoreException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import org.jspecify.annotations.Nullable;

/**
 * A database's connections and transactions.
 *
 * <p>A thread has at most one transaction. {@link #work} takes part in it, or is one of its own.
 * What was appended is on disk before a transaction is over: PostgreSQL sees to that itself, H2 is
 * told to.
 */
final class Database implements AutoCloseable {
  private static final int POOL_SIZE = 8;
  private static final String H2_OPTIONS =
      ";DB_CLOSE_ON_EXIT=FALSE;QUERY_CACHE_SIZE=64;DEFAULT_LOCK_TIMEOUT=30000";

  private final StoreLocation location;
  private final HikariDataSource pool;

  /** Each database has transactions of its own, and a thread may have one in each. */
  @SuppressWarnings("ThreadLocalUsage")
  private final ThreadLocal<@Nullable Open> open = new ThreadLocal<>();

  /** What a caller does with a connection. */
  @FunctionalInterface
  interface Work<T extends @Nullable Object> {
    T with(Connection connection) throws SQLException;
  }

  /** A thread's transaction. */
  private static final class Open {
    private final Connection connection;
    private boolean appended;

    Open(Connection connection) {
      this.connection = connection;
    }
  }

  private Database(StoreLocation location, HikariDataSource pool) {
    this.location = location;
    this.pool = pool;
  }

  /** Opens the database, with the schema of this version. */
  static Database open(StoreLocation location) {
    Path folder = location.folder();
    if (folder != null) {
      try {
        Files.createDirectories(folder);
      } catch (IOException e) {
        throw new StoreException(
            ErrorCode.STORE_UNREACHABLE,
            "store "
                + location.text()
                + ": expected a folder, or a place to make one, found that neither is there ("
                + e.getClass().getSimpleName()
                + "); name another by --store",
            e);
      }
    }
    String url = location.isPostgresql() ? location.url() : location.url() + H2_OPTIONS;
    // The first connection is made by hand: what goes wrong is told by the driver and not the pool.
    try (Connection first = DriverManager.getConnection(url, new Properties())) {
      Schema.demand(location, first);
      HikariConfig config = new HikariConfig();
      config.setJdbcUrl(url);
      config.setMaximumPoolSize(POOL_SIZE);
      config.setMinimumIdle(1);
      config.setAutoCommit(false);
      config.setPoolName("faultline");
      return new Database(location, new HikariDataSource(config));
    } catch (SQLException e) {
      throw StoreErrors.of(location.text(), e);
    } catch (RuntimeException e) {
      if (e instanceof StoreException) {
        throw e;
      }
      throw StoreErrors.of(location.text(), e);
    }
  }

  StoreLocation location() {
    return location;
  }

  /** Works in the thread's transaction, or in one of its own. */
  <T extends @Nullable Object> T work(Work<T> work) {
    Open mine = open.get();
    if (mine != null) {
      try {
        return work.with(mine.connection);
      } catch (SQLException e) {
        throw StoreErrors.of(location.text(), e);
      }
    }
    begin();
    boolean done = false;
    try {
      T result = work(work);
      done = true;
      return result;
    } finally {
      if (done) {
        commit();
      } else {
        rollBack();
      }
    }
  }

  /** The present transaction appends, and must be on disk when it is over. */
  void appended() {
    current().appended = true;
  }

  boolean isOpen() {
    return open.get() != null;
  }

  /** The connection of the thread's transaction. */
  Connection connection() {
    return current().connection;
  }

  void begin() {
    if (open.get() != null) {
      throw new InvariantViolation("a thread began a second transaction in the store");
    }
    try {
      open.set(new Open(pool.getConnection()));
    } catch (SQLException e) {
      throw StoreErrors.of(location.text(), e);
    }
  }

  void commit() {
    Open mine = current();
    try {
      mine.connection.commit();
      if (mine.appended && !location.isPostgresql()) {
        try (Statement statement = mine.connection.createStatement()) {
          statement.execute("CHECKPOINT SYNC");
        }
      }
    } catch (SQLException e) {
      throw StoreErrors.of(location.text(), e);
    } finally {
      release(mine);
    }
  }

  void rollBack() {
    Open mine = current();
    try {
      mine.connection.rollback();
    } catch (SQLException e) {
      throw StoreErrors.of(location.text(), e);
    } finally {
      release(mine);
    }
  }

  private void release(Open mine) {
    open.remove();
    try {
      mine.connection.close();
    } catch (SQLException e) {
      throw StoreErrors.of(location.text(), e);
    }
  }

  private Open current() {
    Open mine = open.get();
    if (mine == null) {
      throw new InvariantViolation("no transaction in the store is open");
    }
    return mine;
  }

  @Override
  public void close() {
    pool.close();
  }
}
