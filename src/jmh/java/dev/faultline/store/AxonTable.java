package dev.faultline.store;

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.List;
import org.axonframework.eventsourcing.eventstore.jdbc.EventSchema;
import org.axonframework.eventsourcing.eventstore.jdbc.JdbcEventStorageEngine;
import org.axonframework.eventsourcing.eventstore.jdbc.PostgresEventTableFactory;
import org.axonframework.serialization.ChainingConverter;
import org.axonframework.serialization.Converter;
import org.axonframework.serialization.SerializedObject;
import org.axonframework.serialization.SerializedType;
import org.axonframework.serialization.Serializer;
import org.axonframework.serialization.SimpleSerializedObject;
import org.axonframework.serialization.SimpleSerializedType;
import org.jspecify.annotations.Nullable;

/**
 * Axon's own engine, a row an event, given every advantage that it can have: identifiers in order
 * instead of random ones, and payloads in the same binary form as in packed rows instead of JSON.
 */
final class AxonTable {
  private static final EventSchema SCHEMA = new EventSchema();

  private final JdbcEventStorageEngine engine;

  AxonTable(Database database) {
    StoreTransactions transactions = new StoreTransactions(database);
    database.<Boolean>work(c -> create(c));
    engine =
        JdbcEventStorageEngine.builder()
            .schema(SCHEMA)
            .dataType(byte[].class)
            .connectionProvider(transactions)
            .transactionManager(transactions)
            .eventSerializer(new Plain())
            .snapshotSerializer(new Plain())
            .build();
  }

  /** Axon has no table for H2; that for PostgreSQL fits, and is quicker in it than one of BLOBs. */
  private static boolean create(Connection c) throws SQLException {
    try (PreparedStatement table =
        PostgresEventTableFactory.INSTANCE.createDomainEventTable(c, SCHEMA)) {
      return table.execute();
    }
  }

  void append(Database database, List<StoredEventMessage> messages) {
    database.begin();
    engine.appendEvents(messages);
    database.appended();
    database.commit();
  }

  /** An event as a run of one; metadata is nothing. */
  private static final class Plain implements Serializer {
    private final Converter converter = new ChainingConverter();

    @Override
    public <T> SerializedObject<T> serialize(@Nullable Object object, Class<T> expected) {
      byte[] bytes = {};
      if (object instanceof StoredEvent event) {
        PartWriter part = new PartWriter();
        part.add(event, null);
        bytes = part.finish();
      }
      return new SimpleSerializedObject<>(
          expected.cast(bytes), expected, typeForClass(object == null ? null : object.getClass()));
    }

    @Override
    public <T> boolean canSerializeTo(Class<T> expected) {
      return expected == byte[].class;
    }

    @Override
    @SuppressWarnings("TypeParameterUnusedInFormals")
    public <S, T> T deserialize(SerializedObject<S> serialized) {
      throw new UnsupportedOperationException("only appending is measured");
    }

    @Override
    @SuppressWarnings("rawtypes")
    public Class classForType(SerializedType type) {
      return StoredEvent.class;
    }

    @Override
    @SuppressWarnings("rawtypes")
    public SerializedType typeForClass(@Nullable Class type) {
      return new SimpleSerializedType(type == null ? "" : type.getSimpleName(), null);
    }

    @Override
    public Converter getConverter() {
      return converter;
    }
  }
}
