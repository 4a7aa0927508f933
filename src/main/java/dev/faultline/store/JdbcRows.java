package dev.faultline.store;

import dev.faultline.Bytes;
import dev.faultline.ErrorCode;
import dev.faultline.StoreException;
import java.sql.Connection;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Rows in H2 or PostgreSQL. */
final class JdbcRows extends JdbcDerivedRows implements Rows {
  /** The longest column of bytes that H2 takes. */
  private static final int PIECE_SIZE = 1 << 20;

  private static final int LANES_AT_ONCE = 64;

  private static final String TIMELINE =
      "SELECT id, name, parent, fork_moment, next_moment, seal FROM timeline ";
  private static final String STREAM =
      "SELECT id, timeline, lane, base, next_seq, hash, seal FROM stream ";
  private static final String PAGE =
      "SELECT first_event, events, timeline, first_moment, next_moment, min_seq, max_seq FROM page"
          + " ";
  private static final String SEGMENT =
      "SELECT stream, first_seq, piece, events, page, payload, hash FROM segment ";

  private final Database database;

  JdbcRows(Database database) {
    super(database);
    this.database = database;
  }

  Database database() {
    return database;
  }

  @Override
  public List<Timeline> timelines() {
    return database.work(c -> Sql.list(c, JdbcRows::timelineOf, TIMELINE + "ORDER BY name"));
  }

  @Override
  public @Nullable Timeline timeline(String name) {
    return database.<@Nullable Timeline>work(
        c -> Sql.first(c, JdbcRows::timelineOf, TIMELINE + "WHERE name = ?", name));
  }

  @Override
  public @Nullable Timeline timeline(long id) {
    return database.<@Nullable Timeline>work(
        c -> Sql.first(c, JdbcRows::timelineOf, TIMELINE + "WHERE id = ?", id));
  }

  @Override
  public long newId() {
    return database.work(c -> {
      Sql.update(c, "UPDATE clock SET next_id = next_id + 1 WHERE id = 1");
      Long next = Sql.first(c, row -> row.getLong(1), "SELECT next_id FROM clock WHERE id = 1");
      return next == null ? 0 : next - 1;
    });
  }

  @Override
  public boolean create(Timeline t, List<Stream> streams) {
    return tried(c -> {
      if (timeline(t.name()) != null) {
        return false;
      }
      Sql.update(
          c,
          "INSERT INTO timeline (id, name, parent, fork_moment, next_moment, seal)"
              + " VALUES (?, ?, ?, ?, ?, ?)",
          t.id(),
          t.name(),
          t.parent(),
          t.forkMoment(),
          t.nextMoment(),
          t.seal());
      insertStreams(c, streams);
      database.appended();
      return true;
    });
  }

  private static void insertStreams(Connection c, List<Stream> streams) throws SQLException {
    List<@Nullable Object[]> rows = new ArrayList<>();
    for (Stream s : streams) {
      rows.add(
          new Object[] {s.id(), s.timeline(), s.lane(), s.base(), s.next(), s.hash(), s.seal()});
    }
    Sql.batch(
        c,
        "INSERT INTO stream (id, timeline, lane, base, next_seq, hash, seal)"
            + " VALUES (?, ?, ?, ?, ?, ?, ?)",
        rows);
  }

  @Override
  public List<Stream> streams(long timeline) {
    return database.work(c -> {
      List<Stream> all = Sql.list(c, JdbcRows::streamOf, STREAM + "WHERE timeline = ?", timeline);
      // Not by the database: how it orders texts depends on its locale.
      all.sort((a, b) -> a.lane().compareTo(b.lane()));
      return all;
    });
  }

  @Override
  public List<Stream> streams(long timeline, Collection<String> lanes) {
    List<String> wanted = List.copyOf(lanes);
    return database.work(c -> {
      List<Stream> all = new ArrayList<>();
      for (int from = 0; from < wanted.size(); from += LANES_AT_ONCE) {
        List<String> some = wanted.subList(from, Math.min(from + LANES_AT_ONCE, wanted.size()));
        List<@Nullable Object> parameters = new ArrayList<>(some);
        parameters.addFirst(timeline);
        String marks = String.join(", ", Collections.nCopies(some.size(), "?"));
        all.addAll(
            Sql.list(
                c,
                JdbcRows::streamOf,
                STREAM + "WHERE timeline = ? AND lane IN (" + marks + ")",
                parameters.toArray()));
      }
      return all;
    });
  }

  @Override
  public @Nullable Stream stream(long timeline, String lane) {
    return database.<@Nullable Stream>work(c ->
        Sql.first(
            c, JdbcRows::streamOf, STREAM + "WHERE timeline = ? AND lane = ?", timeline, lane));
  }

  @Override
  public @Nullable Stream stream(long id) {
    return database.<@Nullable Stream>work(
        c -> Sql.first(c, JdbcRows::streamOf, STREAM + "WHERE id = ?", id));
  }

  @Override
  public boolean append(Append append) {
    return tried(c -> {
      Timeline after = append.after();
      int grown =
          Sql.update(
              c,
              "UPDATE timeline SET next_moment = ?, seal = ?" + " WHERE id = ? AND next_moment = ?",
              after.nextMoment(),
              after.seal(),
              after.id(),
              append.before().nextMoment());
      return grown == 1 && heads(c, append) && pages(c, append);
    });
  }

  /** The heads of the streams, by compare and set. */
  private static boolean heads(Connection c, Append append) throws SQLException {
    Map<Long, Stream> seen = new HashMap<>();
    append.streamsBefore().forEach(stream -> seen.put(stream.id(), stream));
    List<Stream> fresh = new ArrayList<>();
    List<@Nullable Object[]> grown = new ArrayList<>();
    for (Stream after : append.streamsAfter()) {
      Stream before = seen.getOrDefault(after.id(), after);
      if (before.next() == before.base() && before.base() == 0) {
        fresh.add(after);
      } else {
        grown.add(
            new Object[] {after.next(), after.hash(), after.seal(), after.id(), before.next()});
      }
    }
    insertStreams(c, fresh);
    int[] found =
        Sql.batch(
            c,
            "UPDATE stream SET next_seq = ?, hash = ?, seal = ? WHERE id = ? AND next_seq = ?",
            grown);
    return Arrays.stream(found).allMatch(rows -> rows == 1);
  }

  private boolean pages(Connection c, Append append) throws SQLException {
    long events = 0;
    for (PackedPage page : append.pages()) {
      events += page.page().events();
    }
    Sql.update(c, "UPDATE clock SET next_event = next_event + ? WHERE id = 1", events);
    Long next = Sql.first(c, row -> row.getLong(1), "SELECT next_event FROM clock WHERE id = 1");
    long at = (next == null ? 0 : next) - events;
    List<PackedPage> numbered = new ArrayList<>();
    for (PackedPage page : append.pages()) {
      numbered.add(new PackedPage(page.page().at(at), page.segments()));
      at += page.page().events();
    }
    insert(c, numbered);
    database.appended();
    return true;
  }

  private static void insert(Connection c, List<PackedPage> pages) throws SQLException {
    List<@Nullable Object[]> pageRows = new ArrayList<>();
    List<@Nullable Object[]> segmentRows = new ArrayList<>();
    for (PackedPage packed : pages) {
      Page p = packed.page();
      pageRows.add(
          new Object[] {
            p.firstEvent(),
            p.events(),
            p.timeline(),
            p.firstMoment(),
            p.nextMoment(),
            p.minSeq(),
            p.maxSeq()
          });
      for (Segment s : packed.segments()) {
        for (int from = 0, piece = 0; piece == 0 || from < s.payload().size(); piece++) {
          int size = Math.min(PIECE_SIZE, s.payload().size() - from);
          segmentRows.add(
              new Object[] {
                s.stream(),
                s.first(),
                piece,
                s.events(),
                p.firstEvent(),
                s.payload().slice(from, size),
                s.hash()
              });
          from += size;
        }
      }
    }
    Sql.batch(
        c,
        "INSERT INTO page (first_event, events, timeline, first_moment, next_moment, min_seq,"
            + " max_seq) VALUES (?, ?, ?, ?, ?, ?, ?)",
        pageRows);
    Sql.batch(
        c,
        "INSERT INTO segment (stream, first_seq, piece, events, page, payload, hash)"
            + " VALUES (?, ?, ?, ?, ?, ?, ?)",
        segmentRows);
  }

  @Override
  public boolean replace(List<Page> old, PackedPage merged) {
    return tried(c -> {
      for (Page page : old) {
        // Its row first: of two that want it, the other waits, and then finds none.
        int own =
            Sql.update(
                c,
                "DELETE FROM page WHERE first_event = ? AND events = ?",
                page.firstEvent(),
                page.events());
        if (own != 1) {
          return false;
        }
        Sql.update(c, "DELETE FROM segment WHERE page = ?", page.firstEvent());
      }
      insert(c, List.of(merged));
      database.appended();
      return true;
    });
  }

  @Override
  public List<Page> pages(long timeline, int moment, int most) {
    return database.work(c ->
        Sql.list(
            c,
            JdbcRows::pageOf,
            PAGE
                + "WHERE timeline = ? AND next_moment > ? AND first_moment >= COALESCE((SELECT"
                + " first_moment FROM page WHERE timeline = ? AND first_moment <= ?"
                + " ORDER BY timeline DESC, first_moment DESC LIMIT 1), 0)"
                + " ORDER BY timeline, first_moment LIMIT ?",
            timeline,
            moment,
            timeline,
            moment,
            most));
  }

  @Override
  public List<Page> pageRows(long timeline) {
    return database.work(c ->
        Sql.list(
            c,
            JdbcRows::pageOf,
            PAGE + "WHERE timeline = ? ORDER BY timeline, first_moment",
            timeline));
  }

  @Override
  public long segmentCount(long timeline) {
    return database.work(c -> {
      Long count =
          Sql.first(
              c,
              row -> row.getLong(1),
              "SELECT COUNT(*) FROM segment WHERE piece = 0 AND stream IN (SELECT id FROM"
                  + " stream WHERE timeline = ?)",
              timeline);
      return count == null ? 0 : count;
    });
  }

  @Override
  public @Nullable Segment lastSegment(long stream, int moment) {
    Long first =
        database.<@Nullable Long>work(c ->
            Sql.first(
                c,
                row -> row.getLong(1),
                "SELECT MAX(segment.first_seq) FROM segment JOIN page ON page.first_event ="
                    + " segment.page WHERE segment.stream = ? AND page.first_moment <= ?"
                    + " HAVING MAX(segment.first_seq) IS NOT NULL",
                stream,
                moment));
    return first == null ? null : segments(stream, first, 16).getFirst();
  }

  @Override
  public @Nullable Page pageAt(long timeline, int moment) {
    return database.<@Nullable Page>work(c ->
        Sql.first(
            c,
            JdbcRows::pageOf,
            PAGE
                + "WHERE timeline = ? AND first_moment <= ?"
                + " ORDER BY timeline DESC, first_moment DESC LIMIT 1",
            timeline,
            moment));
  }

  @Override
  public List<Page> pagesOfSeq(long timeline, long seq) {
    return database.work(c ->
        Sql.list(
            c,
            JdbcRows::pageOf,
            PAGE
                + "WHERE timeline = ? AND min_seq <= ? AND max_seq >= ?"
                + " ORDER BY timeline, first_moment",
            timeline,
            seq,
            seq));
  }

  @Override
  public List<Page> pagesFrom(long event, int most) {
    return database.work(c ->
        Sql.list(
            c,
            JdbcRows::pageOf,
            PAGE
                + "WHERE first_event >= COALESCE((SELECT first_event FROM page WHERE"
                + " first_event <= ? ORDER BY first_event DESC LIMIT 1), 0)"
                + " AND first_event + events > ?"
                + " ORDER BY first_event LIMIT ?",
            event,
            event,
            most));
  }

  @Override
  public long nextEvent() {
    return database.work(c -> {
      Long next = Sql.first(c, row -> row.getLong(1), "SELECT next_event FROM clock WHERE id = 1");
      return next == null ? -1 : next;
    });
  }

  @Override
  public List<Segment> segments(long page) {
    return joined(
        SEGMENT + "WHERE page = ? ORDER BY page, stream, first_seq, piece",
        Integer.MAX_VALUE,
        page);
  }

  @Override
  public List<Segment> segments(long stream, long sequence, int most) {
    return joined(
        SEGMENT
            + "WHERE stream = ? AND first_seq >= COALESCE((SELECT first_seq FROM segment WHERE"
            + " stream = ? AND first_seq <= ? ORDER BY stream DESC, first_seq DESC, piece DESC"
            + " LIMIT 1), 0) AND first_seq + events > ?"
            + " ORDER BY stream, first_seq, piece LIMIT "
            + most,
        most,
        stream,
        stream,
        sequence,
        sequence);
  }

  /** Segments put together of their pieces; the last is left out if the limit may have cut it. */
  private List<Segment> joined(String sql, int most, Object... parameters) {
    record Piece(int number, Segment segment) {}
    List<Piece> pieces =
        database.work(
            c -> Sql.list(c, row -> new Piece(row.getInt(3), segmentOf(row)), sql, parameters));
    List<Segment> whole = new ArrayList<>();
    ByteSink payload = new ByteSink();
    int expected = -1;
    for (Piece piece : pieces) {
      Segment s = piece.segment();
      expected = piece.number() == 0 ? 0 : expected + 1;
      if (piece.number() != expected) {
        throw damaged(s);
      }
      if (piece.number() > 0) {
        Segment head = whole.removeLast();
        boolean same =
            head.stream() == s.stream()
                && head.first() == s.first()
                && head.events() == s.events()
                && head.hash().equals(s.hash());
        if (!same) {
          throw damaged(s);
        }
        payload.clear();
        payload.raw(head.payload(), 0, head.payload().size());
        payload.raw(s.payload(), 0, s.payload().size());
        s =
            new Segment(
                head.stream(),
                head.first(),
                head.events(),
                head.page(),
                payload.toBytes(),
                s.hash());
      }
      whole.add(s);
    }
    if (pieces.size() == most && whole.size() > 1) {
      whole.removeLast();
    }
    return whole;
  }

  private static StoreException damaged(Segment s) {
    return new StoreException(
        ErrorCode.STORE_DAMAGED,
        "a segment of stream "
            + s.stream()
            + " at event "
            + s.first()
            + ": expected its pieces from the first on, found others; run 'faultline check'");
  }

  @Override
  public @Nullable Bytes hashBefore(Stream stream, long first) {
    if (first == stream.base()) {
      return Hashes.first(stream.lane(), stream.base());
    }
    return database.<@Nullable Bytes>work(c ->
        Sql.first(
            c,
            row -> Sql.bytes(row, 1),
            "SELECT hash FROM (SELECT hash, first_seq + events AS behind FROM segment"
                + " WHERE stream = ? AND first_seq < ?"
                + " ORDER BY stream DESC, first_seq DESC, piece DESC LIMIT 1) AS before"
                + " WHERE behind = ?",
            stream.id(),
            first,
            first));
  }

  @Override
  public long orphans() {
    return database.work(c -> {
      long all = 0;
      for (String sql :
          List.of(
              "SELECT COUNT(*) FROM stream WHERE timeline NOT IN (SELECT id FROM timeline)",
              "SELECT COUNT(*) FROM page WHERE timeline NOT IN (SELECT id FROM timeline)",
              "SELECT COUNT(*) FROM segment WHERE stream NOT IN (SELECT id FROM stream)",
              "SELECT COUNT(*) FROM segment WHERE page NOT IN (SELECT first_event FROM page)",
              "SELECT ABS(COUNT(*) - 1) FROM clock WHERE id = 1",
              "SELECT COUNT(*) FROM clock WHERE id <> 1",
              "SELECT COUNT(*) FROM page, clock WHERE first_event + events > next_event",
              "SELECT COUNT(*) FROM timeline t, clock c WHERE t.id >= c.next_id",
              "SELECT COUNT(*) FROM stream s, clock c WHERE s.id >= c.next_id")) {
        Long found = Sql.first(c, row -> row.getLong(1), sql);
        all += found == null ? 0 : found;
      }
      return all;
    });
  }

  @Override
  public void remove(Timeline timeline) {
    long id = timeline.id();
    database.work(c -> {
      Sql.update(
          c, "DELETE FROM segment WHERE stream IN (SELECT id FROM stream WHERE timeline = ?)", id);
      Sql.update(c, "DELETE FROM page WHERE timeline = ?", id);
      Sql.update(c, "DELETE FROM stream WHERE timeline = ?", id);
      dropCheckpoints(id);
      Sql.update(c, "DELETE FROM summary WHERE timeline = ?", id);
      Sql.update(c, "DELETE FROM summary_lane WHERE timeline = ?", id);
      String stream = LaneEvent.stream(timeline.name(), "");
      Sql.update(
          c,
          "DELETE FROM snapshot WHERE SUBSTRING(aggregate FROM 1 FOR ?) = ?",
          stream.length(),
          stream);
      Sql.update(c, "DELETE FROM timeline WHERE id = ?", id);
      database.appended();
      return true;
    });
  }

  @Override
  public void close() {
    database.close();
  }

  private static Timeline timelineOf(ResultSet row) throws SQLException {
    return new Timeline(
        row.getLong(1),
        row.getString(2),
        row.getLong(3),
        row.getInt(4),
        row.getInt(5),
        Sql.bytes(row, 6));
  }

  private static Stream streamOf(ResultSet row) throws SQLException {
    return new Stream(
        row.getLong(1),
        row.getLong(2),
        row.getString(3),
        row.getLong(4),
        row.getLong(5),
        Sql.bytes(row, 6),
        Sql.bytes(row, 7));
  }

  private static Page pageOf(ResultSet row) throws SQLException {
    return new Page(
        row.getLong(1),
        row.getInt(2),
        row.getLong(3),
        row.getInt(4),
        row.getInt(5),
        row.getLong(6),
        row.getLong(7));
  }

  private static Segment segmentOf(ResultSet row) throws SQLException {
    return new Segment(
        row.getLong(1),
        row.getLong(2),
        row.getInt(4),
        row.getLong(5),
        Sql.bytes(row, 6),
        Sql.bytes(row, 7));
  }
}
