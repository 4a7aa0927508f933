package dev.faultline.store;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.awaitility.Awaitility;
import org.axonframework.eventhandling.DomainEventMessage;
import org.axonframework.eventhandling.GenericDomainEventMessage;
import org.axonframework.eventhandling.TrackedEventMessage;
import org.axonframework.eventhandling.TrackingToken;
import org.axonframework.modelling.command.ConcurrencyException;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What every storage engine does, wherever its rows are. */
abstract class EventStorageContract {
  private final List<TimelineStore> opened = new ArrayList<>();

  @TempDir Path folder;

  /** A store that holds nothing yet. */
  abstract TimelineStore open(Path folder);

  private PackedEventStorageEngine engine() {
    TimelineStore store = open(folder);
    opened.add(store);
    return store.engine();
  }

  @AfterEach
  void close() {
    opened.forEach(TimelineStore::close);
  }

  private static StoredEventMessage at(String lane, long sequence, int moment) {
    return new StoredEventMessage(
        LaneEvent.stream("t", lane), sequence, Samples.mark(moment, lane + sequence), null);
  }

  private static List<String> texts(List<? extends DomainEventMessage<?>> messages) {
    return messages.stream().map(m -> ((StoredEvent) m.getPayload()).text(0)).toList();
  }

  private static List<DomainEventMessage<?>> stream(
      PackedEventStorageEngine engine, String lane, long from) {
    return engine
        .readEvents(LaneEvent.stream("t", lane), from)
        .asStream()
        .collect(Collectors.toList());
  }

  private static List<TrackedEventMessage<?>> tracked(
      PackedEventStorageEngine engine, @Nullable TrackingToken token) {
    return engine.readEvents(token, false).collect(Collectors.toList());
  }

  @Test
  void a_stream_gives_its_events_in_order_from_any_of_them_on() {
    PackedEventStorageEngine engine = engine();
    List<StoredEventMessage> all = new ArrayList<>();
    for (int i = 0; i < 5000; i++) {
      all.add(at("vm1", i, i));
    }
    engine.appendEvents(all.subList(0, 3000));
    engine.appendEvents(all.subList(3000, 5000));
    for (long from : new long[] {0, 1, 2047, 2048, 2999, 3000, 4999, 5000}) {
      List<DomainEventMessage<?>> read = stream(engine, "vm1", from);
      assertThat(read).hasSize((int) (5000 - from));
      for (DomainEventMessage<?> message : read) {
        assertThat(message.getPayload())
            .isEqualTo(all.get((int) message.getSequenceNumber()).getPayload());
      }
    }
    assertThat(engine.lastSequenceNumberFor("t:vm1")).contains(4999L);
    assertThat(engine.lastSequenceNumberFor("t:vm2")).isEmpty();
  }

  @Test
  void identity_is_stream_and_sequence_number_and_time_that_of_the_event() {
    PackedEventStorageEngine engine = engine();
    engine.appendEvents(List.of(at("vm1", 0, 0), at("vm1", 1, 1)));
    DomainEventMessage<?> read = stream(engine, "vm1", 1).getFirst();
    assertThat(read.getIdentifier()).isEqualTo("t:vm1#1");
    assertThat(read.getType()).isEqualTo("Vm");
    assertThat(read.getTimestamp()).isEqualTo(Instant.ofEpochSecond(0, 1000));
  }

  @Test
  void metadata_and_timestamps_of_messages_are_kept() {
    PackedEventStorageEngine engine = engine();
    Instant time = Instant.parse("2026-03-04T05:06:07.000000008Z");
    engine.appendEvents(
        List.of(
            new GenericDomainEventMessage<>(
                "Vm",
                "t:vm1",
                0,
                Samples.mark(0, "x"),
                Map.of("traceId", "a", "n", 3),
                "id",
                time)));
    DomainEventMessage<?> read = stream(engine, "vm1", 0).getFirst();
    assertThat(read.getTimestamp()).isEqualTo(time);
    assertThat(read.getMetaData()).isEqualTo(Map.of("traceId", "a", "n", "3"));
  }

  @Test
  void all_streams_together_are_in_order_of_their_moments() {
    PackedEventStorageEngine engine = engine();
    List<StoredEventMessage> all = new ArrayList<>();
    List<String> expected = new ArrayList<>();
    for (int i = 0; i < 3000; i++) {
      all.add(at("vm" + i % 7, i / 7, i));
      expected.add("vm" + i % 7 + i / 7);
    }
    engine.appendEvents(all);
    List<TrackedEventMessage<?>> read = tracked(engine, null);
    assertThat(read.stream().map(m -> ((StoredEvent) m.getPayload()).text(0))).isEqualTo(expected);
    TrackingToken middle = read.get(1700).trackingToken();
    assertThat(tracked(engine, middle)).hasSize(1299);
    assertThat(engine.createTailToken()).isNull();
    assertThat(engine.createHeadToken()).isEqualTo(read.getLast().trackingToken());
    assertThat(engine.createTokenAt(Instant.ofEpochSecond(0, 1_700_500))).isEqualTo(middle);
  }

  @Test
  void a_sequence_number_that_is_taken_is_refused_and_nothing_of_the_append_is_there() {
    PackedEventStorageEngine engine = engine();
    engine.appendEvents(List.of(at("vm1", 0, 0)));
    assertThatThrownBy(() -> engine.appendEvents(List.of(at("vm2", 0, 1), at("vm1", 0, 2))))
        .isInstanceOf(ConcurrencyException.class)
        .hasMessageContaining("FL-306");
    assertThat(texts(stream(engine, "vm1", 0))).containsExactly("vm10");
    assertThat(stream(engine, "vm2", 0)).isEmpty();
  }

  @Test
  void of_writers_at_once_one_wins_and_the_others_are_told() {
    PackedEventStorageEngine engine = engine();
    engine.appendEvents(List.of(at("vm1", 0, 0)));
    List<CompletableFuture<Boolean>> writers = new ArrayList<>();
    for (int i = 0; i < 6; i++) {
      writers.add(
          CompletableFuture.supplyAsync(() -> {
            try {
              engine.appendEvents(List.of(at("vm1", 1, 1)));
              return true;
            } catch (ConcurrencyException _) {
              return false;
            }
          }));
    }
    assertThat(writers.stream().filter(CompletableFuture::join)).hasSize(1);
    assertThat(stream(engine, "vm1", 0)).hasSize(2);
    assertThat(tracked(engine, null)).hasSize(2);
  }

  @Test
  void a_reader_that_may_block_wakes_when_something_is_appended() {
    PackedEventStorageEngine engine = engine();
    engine.appendEvents(List.of(at("vm1", 0, 0)));
    TrackingToken head = engine.createHeadToken();
    CompletableFuture<Long> reader =
        CompletableFuture.supplyAsync(() -> {
          long found = 0;
          while (found == 0) {
            found = engine.readEvents(head, true).count();
          }
          return found;
        });
    engine.appendEvents(List.of(at("vm1", 1, 1)));
    Awaitility.await()
        .atMost(Duration.ofSeconds(20))
        .untilAsserted(() -> assertThat(reader).isCompletedWithValue(1L));
    assertThat(reader.orTimeout(1, TimeUnit.SECONDS).join()).isEqualTo(1);
  }

  @Test
  void short_pages_are_put_together_and_nothing_else_changes() {
    PackedEventStorageEngine engine = engine();
    List<String> expected = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      engine.appendEvents(List.of(at("vm1", i, i)));
      expected.add("vm1" + i);
    }
    Rows.Timeline timeline = engine.rows().timeline("t");
    assertThat(timeline).isNotNull();
    assertThat(engine.rows().pageRows(timeline.id()).size()).isLessThan(60);
    assertThat(texts(stream(engine, "vm1", 0))).isEqualTo(expected);
    assertThat(tracked(engine, null)).hasSize(100);
    TrackingToken fortieth = tracked(engine, null).get(39).trackingToken();
    assertThat(tracked(engine, fortieth)).hasSize(60);
    assertThat(opened.getFirst().check("t", _ -> {}).damage()).isEmpty();
  }

  @Test
  void readers_go_on_where_pages_were_put_together_meanwhile() {
    PackedEventStorageEngine engine = engine();
    List<String> expected = new ArrayList<>();
    for (int i = 0; i < 15; i++) {
      engine.appendEvents(List.of(at("vm1", i, i)));
      expected.add("vm1" + i);
    }
    TimelineEvents events = opened.getFirst().events("t", 0);
    Iterator<? extends TrackedEventMessage<?>> tracked = engine.readEvents(null, false).iterator();
    List<String> ofTimeline = new ArrayList<>();
    List<String> ofAll = new ArrayList<>();
    for (int i = 0; i < 7; i++) {
      ofTimeline.add(events.next().text(0));
      ofAll.add(((StoredEvent) tracked.next().getPayload()).text(0));
    }
    for (int i = 15; i < 18; i++) {
      engine.appendEvents(List.of(at("vm1", i, i)));
      expected.add("vm1" + i);
    }
    events.forEachRemaining(event -> ofTimeline.add(event.text(0)));
    tracked.forEachRemaining(message -> ofAll.add(((StoredEvent) message.getPayload()).text(0)));
    assertThat(ofTimeline).isEqualTo(expected);
    assertThat(ofAll).isEqualTo(expected);
  }

  @Test
  void writers_of_short_pages_at_once_lose_nothing() {
    PackedEventStorageEngine engine = engine();
    engine.appendEvents(List.of(at("vm0", 0, 0)));
    List<CompletableFuture<Void>> writers = new ArrayList<>();
    for (String lane : List.of("vm1", "vm2")) {
      writers.add(
          CompletableFuture.runAsync(() -> {
            int done = 0;
            while (done < 40) {
              Rows.Timeline now = engine.rows().timeline("t");
              try {
                engine.appendEvents(List.of(at(lane, done, now == null ? 0 : now.nextMoment())));
                done++;
              } catch (ConcurrencyException _) {
                // The other was first.
              }
            }
          }));
    }
    writers.forEach(CompletableFuture::join);
    assertThat(stream(engine, "vm1", 0)).hasSize(40);
    assertThat(stream(engine, "vm2", 0)).hasSize(40);
    assertThat(tracked(engine, null)).hasSize(81);
    assertThat(opened.getFirst().check("t", _ -> {}).damage()).isEmpty();
  }

  @Test
  void two_that_keep_the_same_states_at_once_both_go_on() {
    Rows rows = engine().rows();
    List<Rows.ClosedVmRow> same = new ArrayList<>();
    for (int i = 0; i < 100; i++) {
      same.add(new Rows.ClosedVmRow(1, "vm" + i, i, "stamp", dev.faultline.Bytes.EMPTY));
    }
    List<CompletableFuture<Void>> both = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      both.add(
          CompletableFuture.runAsync(() -> {
            for (int round = 0; round < 10; round++) {
              rows.putClosedVms(same);
            }
          }));
    }
    both.forEach(CompletableFuture::join);
    assertThat(rows.closedVmNames(1, 1000, "stamp")).hasSize(100);
  }

  @Test
  void a_fork_shares_what_came_before_and_keeps_what_follows() {
    PackedEventStorageEngine engine = engine();
    TimelineStore store = opened.getFirst();
    List<StoredEventMessage> all = new ArrayList<>();
    for (int i = 0; i < 3000; i++) {
      all.add(at("vm" + i % 2, i / 2, i));
    }
    engine.appendEvents(all);
    store.fork("t", 2499, "u");
    store.fork("u", 99, "v");
    engine.appendEvents(
        List.of(new StoredEventMessage("u:vm0", 1250, Samples.mark(2500, "new"), null)));
    assertThat(engine.readEvents("u:vm0", 1249).asStream().map(m -> m.getSequenceNumber()))
        .containsExactly(1249L, 1250L);
    assertThat(((StoredEvent) engine.readEvents("u:vm0", 1250).next().getPayload()).text(0))
        .isEqualTo("new");
    assertThat(engine.readEvents("u:vm0", 0).asStream().toList().getLast().getPayload())
        .isEqualTo(Samples.mark(2500, "new"));
    assertThat(engine.readEvents("u:vm1", 0).asStream().count()).isEqualTo(1250);
    assertThat(engine.readEvents("v:vm1", 0).asStream().count()).isEqualTo(50);
    TimelineEvents events = store.events("u", 0);
    List<StoredEvent> read = new ArrayList<>();
    events.forEachRemaining(read::add);
    assertThat(read).hasSize(2501);
    assertThat(read.getLast().text(0)).isEqualTo("new");
    assertThat(store.check("u", _ -> {}).damage()).isEmpty();
    assertThat(store.check("v", _ -> {}).damage()).isEmpty();
    assertThat(store.list().stream().map(TimelineInfo::events)).containsExactly(3000L, 2501L, 100L);
    store.reproject();
    assertThat(store.list().stream().map(TimelineInfo::events)).containsExactly(3000L, 2501L, 100L);
    assertThatThrownBy(() -> store.remove("t")).hasMessageContaining("u, v");
    store.remove("v");
    store.remove("u");
    store.remove("t");
    assertThat(store.names()).isEmpty();
    assertThat(store.orphans()).isNull();
  }

  @Test
  void a_long_event_is_stored_in_pieces_and_read_as_one() {
    PackedEventStorageEngine engine = engine();
    byte[] long3 = new byte[3 << 20];
    new java.util.SplittableRandom(5).nextBytes(long3);
    StoredEvent event =
        StoredEvent.of(
            EventType.RUN_RETURNED,
            0,
            List.of(1L, 2L, 3L, 4L),
            List.of(),
            List.of(dev.faultline.Bytes.wrap(long3), dev.faultline.Bytes.EMPTY));
    engine.appendEvents(List.of(new StoredEventMessage("t:vm1", 0, event, null)));
    assertThat(stream(engine, "vm1", 0).getFirst().getPayload()).isEqualTo(event);
    assertThat(tracked(engine, null).getFirst().getPayload()).isEqualTo(event);
    assertThat(opened.getFirst().check("t", _ -> {}).damage()).isEmpty();
  }
}
