package dev.faultline.store;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import org.axonframework.common.jdbc.ConnectionProvider;
import org.axonframework.common.transaction.Transaction;
import org.axonframework.common.transaction.TransactionManager;

/** Axon's transactions are those of the database; a thread that has one takes part in it. */
final class StoreTransactions implements TransactionManager, ConnectionProvider {
  private static final Transaction INNER =
      new Transaction() {
        @Override
        public void commit() {}

        @Override
        public void rollback() {}
      };

  private final Database database;

  StoreTransactions(Database database) {
    this.database = database;
  }

  @Override
  public Transaction startTransaction() {
    if (database.isOpen()) {
      return INNER;
    }
    database.begin();
    return new Transaction() {
      @Override
      public void commit() {
        database.commit();
      }

      @Override
      public void rollback() {
        if (database.isOpen()) {
          database.rollBack();
        }
      }
    };
  }

  /** The connection of the thread's transaction; to close it or to commit is not for others. */
  @Override
  public Connection getConnection() {
    Connection connection = database.connection();
    return (Connection)
        Proxy.newProxyInstance(
            StoreTransactions.class.getClassLoader(),
            new Class<?>[] {Connection.class},
            (_, method, arguments) -> {
              switch (method.getName()) {
                case "close", "commit", "rollback" -> {
                  return null;
                }
                default -> {
                  try {
                    return method.invoke(connection, arguments);
                  } catch (InvocationTargetException e) {
                    throw e.getTargetException();
                  }
                }
              }
            });
  }
}
