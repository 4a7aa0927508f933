package dev.faultline.store;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.ToLongFunction;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What the store costs, on the events of real recordings and in H2 files: appending through Axon
 * beside Axon's own table and beside a bare insert of the same packed rows, and reading beside
 * decoding the same rows from memory.
 *
 * <p>The contenders take turns, batch by batch, each batch a transaction that is on disk when it is
 * over, each in a file of its own with the same settings. A figure is the median of its batches or
 * rounds, so a ratio compares what was measured within the same seconds; on a machine that does
 * other things as well, CPU time tells more.
 */
public final class StoreBenchmark {
  private static final int BATCH = TimelineWriter.EVENTS_AT_ONCE;
  private static final int WARM_UP = 10;

  private final int batches;
  private final Path folder;

  private StoreBenchmark(int batches, Path folder) {
    this.batches = batches;
    this.folder = folder;
  }

  /** {@code [BATCHES [RECORDING…]]}: by default 16 of 65,536 events, of two recordings. */
  public static void main(String[] args) throws Exception {
    int batches = args.length > 0 ? Integer.parseInt(args[0]) : 16;
    List<String> recordings =
        args.length > 1
            ? Arrays.asList(args).subList(1, args.length)
            : List.of("timelines/scn_a", "timelines/fuzz-restore-order");
    for (String each : recordings) {
      Path folder = Files.createTempDirectory("faultline-benchmark");
      try {
        new StoreBenchmark(batches, folder).run(Path.of(each));
      } finally {
        delete(folder);
      }
    }
    say(String.format(Locale.ROOT, "heap at most %.0f MiB", peak() / 1048576.0));
  }

  private static void delete(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      for (Path each : all.sorted(Comparator.reverseOrder()).toList()) {
        Files.delete(each);
      }
    }
  }

  private static long peak() {
    long peak = 0;
    for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
      if (pool.getType() == java.lang.management.MemoryType.HEAP) {
        peak += pool.getPeakUsage().getUsed();
      }
    }
    return peak;
  }

  private static void say(String line) {
    System.out.println(line);
  }

  private Database database(String contender) {
    return Database.open(StoreLocation.of(folder.resolve(contender).toString()));
  }

  private void run(Path recording) throws SQLException {
    say(String.format(Locale.ROOT, "%s, batches of %,d events", recording, BATCH));
    try (TimelineStore store = new TimelineStore(new JdbcRows(database("packed")));
        Database bare = database("bare");
        Database single = database("single")) {
      append(recording, store, bare, single);
      read(store);
    }
  }

  private void append(Path recording, TimelineStore store, Database bare, Database single) {
    RepeatedEvents events = RepeatedEvents.of(recording, "t");
    RawRows raw = new RawRows(bare);
    AxonTable axon = new AxonTable(single);
    Packing packing = new Packing();
    store.machinery();
    Times ours = new Times();
    Times bares = new Times();
    Times singles = new Times();
    Times packs = new Times();
    long bytes = 0;
    for (int i = -WARM_UP; i < batches; i++) {
      List<StoredEventMessage> batch = events.take(BATCH);
      List<Rows.PackedPage> rows = new ArrayList<>();
      boolean counts = i >= 0;
      packs.add(counts, () -> rows.addAll(packing.pack(batch)));
      List<Runnable> turns =
          new ArrayList<>(
              List.of(
                  () -> ours.add(counts, () -> store.machinery().publish(batch)),
                  () -> bares.add(counts, () -> raw.insert(rows)),
                  () -> singles.add(counts, () -> axon.append(single, batch))));
      Collections.rotate(turns, Math.floorMod(i, 3));
      turns.forEach(Runnable::run);
      bytes += counts ? size(rows) : 0;
    }
    say(
        String.format(
            Locale.ROOT, "  packed rows: %.1f bytes an event", (double) bytes / batches / BATCH));
    ours.say("append through Axon, packed rows");
    singles.say("append by JdbcEventStorageEngine");
    bares.say("bare insert of the packed rows");
    packs.say("packing them, inserting nothing");
    say(
        String.format(
            Locale.ROOT,
            "  packed is %.1f times Axon's table (by CPU time %.1f), %.0f %% of the bare insert"
                + " (%.0f %%)",
            singles.seconds() / ours.seconds(),
            singles.cpu() / ours.cpu(),
            100 * bares.seconds() / ours.seconds(),
            100 * bares.cpu() / ours.cpu()));
  }

  /** Time and CPU time of a contender's batches, all threads of the process counted. */
  private static final class Times {
    private final List<Double> seconds = new ArrayList<>();
    private final List<Double> cpu = new ArrayList<>();

    void add(boolean counts, Step step) {
      OperatingSystemMXBean system =
          ManagementFactory.getPlatformMXBean(OperatingSystemMXBean.class);
      long cpuBegun = system.getProcessCpuTime();
      double taken = StoreBenchmark.seconds(step);
      if (counts) {
        seconds.add(taken);
        cpu.add((system.getProcessCpuTime() - cpuBegun) / 1e9);
      }
    }

    double seconds() {
      return median(seconds);
    }

    double cpu() {
      return median(cpu);
    }

    void say(String what) {
      StoreBenchmark.say(
          String.format(
              Locale.ROOT,
              "  %-34s %,10.0f events/s, of CPU time %,10.0f",
              what,
              BATCH / seconds(),
              BATCH / cpu()));
    }
  }

  private static long size(List<Rows.PackedPage> pages) {
    ToLongFunction<Rows.PackedPage> size =
        page -> page.segments().stream().mapToLong(s -> s.payload().size()).sum();
    return pages.stream().mapToLong(size).sum();
  }

  private void read(TimelineStore store) {
    List<Rows.PackedPage> pages = new ArrayList<>();
    Rows.Timeline timeline = store.rows().timeline("t");
    long id = timeline == null ? -1 : timeline.id();
    for (Rows.Page page : store.rows().pageRows(id)) {
      pages.add(new Rows.PackedPage(page, store.rows().segments(page.firstEvent())));
    }
    List<Double> stored = new ArrayList<>();
    List<Double> tracked = new ArrayList<>();
    List<Double> decoded = new ArrayList<>();
    long[] sums = new long[3];
    for (int i = -2; i < 5; i++) {
      double fromStore = seconds(() -> sums[0] = fromStore(store));
      double asTracked = seconds(() -> sums[1] = tracked(store));
      double fromMemory = seconds(() -> sums[2] = decoded(pages));
      if (sums[0] != sums[1] || sums[1] != sums[2]) {
        throw new IllegalStateException("three ways to read gave " + Arrays.toString(sums));
      }
      if (i >= 0) {
        stored.add(fromStore);
        tracked.add(asTracked);
        decoded.add(fromMemory);
      }
    }
    long events = (long) (batches + WARM_UP) * BATCH;
    say(
        String.format(
            Locale.ROOT,
            "  replay from the store              %,10.0f events/s",
            events / median(stored)));
    say(
        String.format(
            Locale.ROOT,
            "  the same as Axon's tracked stream  %,10.0f events/s",
            events / median(tracked)));
    say(
        String.format(
            Locale.ROOT,
            "  decoding the same rows from memory %,10.0f events/s",
            events / median(decoded)));
    say(
        String.format(
            Locale.ROOT,
            "  replay is %.0f %%, tracked %.0f %% of decoding",
            100 * median(decoded) / median(stored),
            100 * median(decoded) / median(tracked)));
  }

  private static long fromStore(TimelineStore store) {
    TimelineEvents events = store.events("t", 0);
    long sum = 0;
    while (events.hasNext()) {
      sum += weigh(events.next());
    }
    return sum;
  }

  private static long weigh(@Nullable Object event) {
    return event instanceof StoredEvent e ? e.moment() + (long) e.weight() : 0;
  }

  private static long tracked(TimelineStore store) {
    try (var events = store.engine().readEvents(null, false)) {
      return events.mapToLong(message -> weigh(message.getPayload())).sum();
    }
  }

  private static long decoded(List<Rows.PackedPage> pages) {
    long sum = 0;
    for (Rows.PackedPage page : pages) {
      PageReader reader = new PageReader(page);
      while (reader.advance()) {
        sum += weigh(reader.event());
      }
    }
    return sum;
  }

  /** What is measured. */
  @FunctionalInterface
  private interface Step {
    void run() throws SQLException;
  }

  private static double seconds(Step step) {
    long begun = System.nanoTime();
    try {
      step.run();
    } catch (SQLException e) {
      throw new IllegalStateException(e);
    }
    return (System.nanoTime() - begun) / 1e9;
  }

  private static double median(List<Double> values) {
    List<Double> sorted = values.stream().sorted().toList();
    return sorted.get(sorted.size() / 2);
  }

  /** Packs batches as the engine does, without a store. */
  private static final class Packing {
    private Rows.Timeline timeline = Rows.Timeline.sealed(1, "t", Rows.NOBODY, 0, 0);
    private final Map<String, Rows.Stream> streams = new HashMap<>();
    private long ids = 1;
    private long event;

    List<Rows.PackedPage> pack(List<StoredEventMessage> batch) {
      Packer packer = new Packer(timeline, streams::get, () -> ids++);
      for (StoredEventMessage each : batch) {
        String lane = LaneEvent.laneOf(each.getAggregateIdentifier());
        packer.add(lane, each.getSequenceNumber(), each.getPayload(), null);
      }
      Rows.Append append = packer.finish();
      timeline = append.after();
      for (Rows.Stream after : append.streamsAfter()) {
        streams.put(after.lane(), after);
      }
      List<Rows.PackedPage> numbered = new ArrayList<>();
      for (Rows.PackedPage page : append.pages()) {
        numbered.add(new Rows.PackedPage(page.page().at(event), page.segments()));
        event += page.page().events();
      }
      return numbered;
    }
  }

  /** Inserts packed rows and does nothing else. */
  private static final class RawRows {
    private final Database database;

    RawRows(Database database) {
      this.database = database;
      for (String ddl :
          List.of(
              "CREATE TABLE raw_page (first_event BIGINT PRIMARY KEY, events INT NOT NULL, timeline"
                  + " BIGINT NOT NULL, first_moment INT NOT NULL, next_moment INT NOT NULL, min_seq"
                  + " BIGINT NOT NULL, max_seq BIGINT NOT NULL, UNIQUE (timeline, first_moment))",
              "CREATE TABLE raw_segment (stream BIGINT NOT NULL, first_seq BIGINT NOT NULL, piece"
                  + " SMALLINT NOT NULL, events INT NOT NULL, page BIGINT NOT NULL, payload BYTEA"
                  + " NOT NULL, hash BYTEA NOT NULL, PRIMARY KEY (stream, first_seq, piece))",
              "CREATE INDEX raw_segment_page ON raw_segment (page, stream, first_seq, piece)")) {
        database.work(c -> Sql.update(c, ddl));
      }
    }

    void insert(List<Rows.PackedPage> pages) throws SQLException {
      database.begin();
      Connection c = database.connection();
      try (var page = c.prepareStatement("INSERT INTO raw_page VALUES (?, ?, ?, ?, ?, ?, ?)");
          var segment =
              c.prepareStatement("INSERT INTO raw_segment VALUES (?, ?, ?, ?, ?, ?, ?)")) {
        for (Rows.PackedPage packed : pages) {
          Rows.Page p = packed.page();
          page.setLong(1, p.firstEvent());
          page.setInt(2, p.events());
          page.setLong(3, p.timeline());
          page.setInt(4, p.firstMoment());
          page.setInt(5, p.nextMoment());
          page.setLong(6, p.minSeq());
          page.setLong(7, p.maxSeq());
          page.addBatch();
          for (Rows.Segment s : packed.segments()) {
            segment.setLong(1, s.stream());
            segment.setLong(2, s.first());
            segment.setInt(3, 0);
            segment.setInt(4, s.events());
            segment.setLong(5, p.firstEvent());
            segment.setBytes(6, s.payload().toArray());
            segment.setBytes(7, s.hash().toArray());
            segment.addBatch();
          }
        }
        page.executeBatch();
        segment.executeBatch();
      }
      database.appended();
      database.commit();
    }
  }
}
