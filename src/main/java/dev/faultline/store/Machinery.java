package dev.faultline.store;

import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import org.axonframework.common.jdbc.ConnectionProvider;
import org.axonframework.common.transaction.NoTransactionManager;
import org.axonframework.common.transaction.TransactionManager;
import org.axonframework.config.AggregateConfigurer;
import org.axonframework.config.Configuration;
import org.axonframework.config.Configurer;
import org.axonframework.config.DefaultConfigurer;
import org.axonframework.eventhandling.EventTrackerStatus;
import org.axonframework.eventhandling.TrackingEventProcessor;
import org.axonframework.eventhandling.TrackingEventProcessorConfiguration;
import org.axonframework.eventhandling.TrackingToken;
import org.axonframework.eventhandling.tokenstore.TokenStore;
import org.axonframework.eventhandling.tokenstore.inmemory.InMemoryTokenStore;
import org.axonframework.eventhandling.tokenstore.jdbc.JdbcTokenStore;
import org.axonframework.eventhandling.tokenstore.jdbc.TokenSchema;
import org.axonframework.eventsourcing.EventCountSnapshotTriggerDefinition;
import org.axonframework.serialization.Serializer;
import org.axonframework.serialization.json.JacksonSerializer;
import org.jspecify.annotations.Nullable;

/** Axon over a store: the event store, the aggregates, and the processor of the projections. */
final class Machinery implements AutoCloseable {
  static final String SUMMARIES = "summaries";
  private static final int BATCH_SIZE = 4096;
  private static final int EVENTS_A_SNAPSHOT = 32;
  private static final long PAUSE_NS = TimeUnit.MILLISECONDS.toNanos(2);
  private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(30);

  private final PackedEventStorageEngine engine;
  private final Configuration configuration;
  private final SummaryProjection projection;

  Machinery(PackedEventStorageEngine engine) {
    this.engine = engine;
    this.projection = new SummaryProjection(engine.rows());
    this.configuration = configure().start();
  }

  private Configurer configure() {
    // It would ask a vendor's service for news. Nothing here may speak to anybody.
    System.setProperty("axoniq.update-checker.disabled", "true");
    Serializer json = JacksonSerializer.defaultSerializer();
    Configurer configurer =
        DefaultConfigurer.defaultConfiguration(false)
            .configureSerializer(_ -> json)
            .configureEventSerializer(_ -> json)
            .configureMessageSerializer(_ -> json)
            .configureEmbeddedEventStore(_ -> engine);
    TransactionManager transactions = NoTransactionManager.instance();
    TokenStore tokens = new InMemoryTokenStore();
    if (engine.rows() instanceof JdbcRows jdbc) {
      StoreTransactions own = new StoreTransactions(jdbc.database());
      transactions = own;
      tokens = tokens(own, json);
    }
    configurer.configureAggregate(aggregate(VcpuAggregate.class));
    configurer.configureAggregate(aggregate(VmAggregate.class));
    TransactionManager chosen = transactions;
    TokenStore kept = tokens;
    configurer.configureTransactionManager(_ -> chosen);
    configurer.registerComponent(TokenStore.class, _ -> kept);
    configurer.eventProcessing(processing ->
        processing
            .registerTrackingEventProcessor(
                SUMMARIES,
                c -> c.eventStore(),
                _ ->
                    TrackingEventProcessorConfiguration.forSingleThreadedProcessing()
                        .andAutoStart(false)
                        .andBatchSize(BATCH_SIZE))
            .byDefaultAssignTo(SUMMARIES)
            .registerEventHandler(_ -> projection));
    return configurer;
  }

  private static <A> AggregateConfigurer<A> aggregate(Class<A> type) {
    return AggregateConfigurer.defaultConfiguration(type)
        .configureSnapshotTrigger(
            c -> new EventCountSnapshotTriggerDefinition(c.snapshotter(), EVENTS_A_SNAPSHOT));
  }

  private static TokenStore tokens(ConnectionProvider connections, Serializer json) {
    return JdbcTokenStore.builder()
        .connectionProvider(connections)
        .serializer(json)
        .contentType(byte[].class)
        .schema(
            TokenSchema.builder()
                .setTokenTable("token_entry")
                .setProcessorNameColumn("processor_name")
                .setSegmentColumn("segment")
                .setTokenColumn("token")
                .setTokenTypeColumn("token_type")
                .setTimestampColumn("timestamp")
                .setOwnerColumn("owner")
                .build())
        .build();
  }

  Configuration configuration() {
    return configuration;
  }

  /** Appends through Axon's event store. */
  void publish(List<StoredEventMessage> messages) {
    configuration.eventStore().publish(messages);
  }

  private TrackingEventProcessor processor() {
    return configuration
        .eventProcessingConfiguration()
        .eventProcessor(SUMMARIES, TrackingEventProcessor.class)
        .orElseThrow();
  }

  /** Brings the projections up to the present head of the store. */
  void catchUp() {
    TrackingToken head = engine.createHeadToken();
    if (head == null) {
      return;
    }
    TrackingEventProcessor processor = processor();
    projection.forgetLanes();
    processor.start();
    try {
      await(processor, head);
    } finally {
      processor.shutDown();
    }
  }

  private void await(TrackingEventProcessor processor, TrackingToken head) {
    long position = head.position().orElse(0);
    long since = System.nanoTime();
    long seen = -1;
    while (true) {
      Map<Integer, EventTrackerStatus> status = processor.processingStatus();
      EventTrackerStatus own = status.isEmpty() ? null : status.get(0);
      long at = position(own == null ? null : own.getTrackingToken());
      if (own != null && own.isErrorState()) {
        Throwable error = own.getError();
        throw new StoreException(
            ErrorCode.STORE_IO,
            "store: expected to bring the lists of timelines up to date, found: " + error,
            error == null ? new IllegalStateException("unknown") : error);
      }
      if (at >= position) {
        return;
      }
      if (at != seen) {
        seen = at;
        since = System.nanoTime();
      } else if (System.nanoTime() - since > PATIENCE_NS) {
        throw new StoreException(
            ErrorCode.STORE_LOCKED,
            "store: expected to bring the lists of timelines up to date, found another process at"
                + " it that does not go on; start again once it has ended");
      }
      LockSupport.parkNanos(PAUSE_NS);
    }
  }

  private static long position(@Nullable TrackingToken token) {
    return token == null ? -1 : token.position().orElse(-1);
  }

  /** Makes the projections anew, from the first event on. */
  void reproject() {
    TrackingEventProcessor processor = processor();
    processor.shutDown();
    processor.resetTokens();
    catchUp();
  }

  /** The projection of a fresh fork. */
  void forked(Rows.Timeline fork) {
    projection.begin(fork);
  }

  @Override
  public void close() {
    configuration.shutdown();
  }
}
